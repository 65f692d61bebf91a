//! Planned beside measured bytes of training steps: `planned MODEL RULE BLOCKS BATCH THREADS [WORDS…]`, where words
//! are `recompute`, `adamw`, `clip`, `contrastive`, `micro=N`, `side=N`, `head=H` and `stages`.
#![allow(clippy::unwrap_used)] // an example may stop as a test does

#[path = "../tests/plan/measure.rs"]
mod measure;

use localgrad::optimizer::OptimizerConfig;
use localgrad::plan::{Workload, cuts, plan};
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::{Execution, Method, TrainConfig};
use localgrad_models::{ModelConfig, network};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: localgrad::memory::Pooled = localgrad::memory::Pooled;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words[at].parse::<usize>().unwrap();
    let value = |name: &str| words.iter().find_map(|word| word.strip_prefix(name).map(String::from));
    let has = |name: &str| words.iter().any(|word| word == name);
    let side = value("side=").map_or(32, |side| side.parse().unwrap());
    let config = ModelConfig { input: [3, side, side].into(), ..ModelConfig::default() };
    let network = network(&words[0], &config).unwrap();
    let rule: Rule = words[1].parse().unwrap();
    let mut rule = match value("head=") {
        Some(head) => RuleConfig::over(rule, head.parse().unwrap(), false),
        None => RuleConfig::new(rule),
    };
    if has("contrastive") {
        rule.contrastive_temperature = Some(0.07);
    }
    let ends = localgrad_models::published::ends(&network, &rule, number(2))
        .unwrap_or_else(|| cuts::even_pieces(&network, number(2)).unwrap());
    let train = TrainConfig {
        method: Method {
            rule,
            ends,
            optimizer: if has("adamw") { OptimizerConfig::adamw() } else { OptimizerConfig::sgd() },
            clip_norm: has("clip").then_some(1.0),
            ..Method::default()
        },
        execution: Execution {
            micro_batch: value("micro=").map(|size| size.parse().unwrap()),
            recompute: has("recompute"),
            ..Execution::default()
        },
    };
    let started = Instant::now();
    let planned = plan(&Workload::steps(network.clone(), train.clone(), number(3), number(4))).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    let measured = measure::measure(&network, &train, number(3), number(4));
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let ratio = planned.peak_bytes as f64 / measured.peak_bytes as f64;
    println!(
        "{}: planned {:.2} MiB ({:?}), measured {:.2} MiB, ratio {ratio:.3}, planning took {seconds:.4} s",
        words.join(" "),
        mib(planned.peak_bytes),
        planned.peak_moment,
        mib(measured.peak_bytes)
    );
    if has("stages") {
        for peak in &planned.moments {
            let found = measured.stages.iter().find(|(moment, _)| *moment == peak.moment);
            let found = found.map_or(0.0, |(_, bytes)| mib(*bytes));
            let parts: Vec<String> = peak.parts.iter().map(|&bytes| format!("{:.2}", mib(bytes))).collect();
            println!(
                "{:?}: planned {:.2}, measured {found:.2}; {}",
                peak.moment,
                mib(peak.bytes),
                parts.join(" ")
            );
        }
    }
}
