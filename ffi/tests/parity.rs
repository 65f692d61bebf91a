//! The same training driven natively and through C: every loss, every rate and every exported byte is the same.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

mod common;

use common::{Library, compile, succeed};
use localgrad_runtime::Device;
use localgrad_runtime::data::{Batch, Normalize};
use localgrad_runtime::evaluate::Tally;
use localgrad_runtime::maps::Map;
use localgrad_runtime::optimizer::OptimizerConfig;
use localgrad_runtime::rules::{Rule, RuleConfig};
use localgrad_runtime::schedule::Schedule;
use localgrad_runtime::trainer::{Execution, Method, TrainConfig, Trainer};
use localgrad_runtime::weights::{self, Card};
use std::path::Path;
use std::process::Command;

const SIDE: usize = 8;
const PIXELS: usize = SIDE * SIDE;
const CLASSES: usize = 3;
const BATCH: usize = 6;

/// What `hash` of tests/c/common.h is.
fn hash(number: u64) -> u64 {
    let mut number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The samples that `make_samples` of tests/c/common.h makes, as a native program would feed them.
fn batch(first: u64, count: usize) -> Batch {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for sample in first..first + count as u64 {
        let label = (hash(sample) % CLASSES as u64) as u32;
        for at in 0..PIXELS as u64 {
            let noise = hash(sample * PIXELS as u64 + at + 1_000_000) % 100;
            let band = at / SIDE as u64 / 3 == u64::from(label);
            let byte = (noise + if band { 120 } else { 0 }) as u8;
            pixels.push(f32::from(byte) / 255.0);
        }
        labels.push(label);
    }
    Normalize::half(1).apply(&mut pixels);
    let images = Map::new(pixels, (count, SIDE, SIDE, 1)).unwrap();
    Batch { inputs: images, targets: labels.into() }
}

/// What `print_bits` of tests/c/trajectory.c prints.
fn bits(what: &str, value: f64) -> String {
    format!("{what} {:016x}\n", if value.is_nan() { 0 } else { value.to_bits() })
}

struct Case {
    rule: RuleConfig,
    head: &'static str,
    adamw: bool,
    clip_norm: Option<f64>,
    micro_batch: Option<usize>,
    recompute: bool,
    frozen: usize,
    train: &'static str,
    /// aux_depth, ema_momentum, average_alone and aux_pool, as C says them.
    numbers: [&'static str; 4],
}

impl Case {
    fn new(rule: Rule) -> Self {
        Self {
            rule: RuleConfig::usual(rule, [1, SIDE, SIDE].into()),
            head: "-",
            adamw: false,
            clip_norm: None,
            micro_batch: None,
            recompute: false,
            frozen: 0,
            train: "all",
            numbers: ["0", "-1", "0", "0"],
        }
    }

    fn natively(&self, path: &Path) -> String {
        let config = localgrad_models::ModelConfig {
            input: [1, SIDE, SIDE].into(),
            classes: CLASSES,
            widths: Some(vec![4, 4, 6, 8]),
            ..Default::default()
        };
        let network = localgrad_models::network("resnet8", &config).unwrap();
        let optimizer = match self.adamw {
            false => OptimizerConfig::sgd(),
            true => OptimizerConfig::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-4 },
        };
        let train = TrainConfig {
            method: Method {
                rule: self.rule.clone(),
                ends: if self.rule.rule == Rule::Bp { vec![3] } else { vec![0, 1, 3] },
                optimizer,
                clip_norm: self.clip_norm,
                seed: 7,
                frozen: self.frozen,
                selection: self.train.parse().unwrap(),
                ..Method::default()
            },
            execution: Execution {
                micro_batch: self.micro_batch,
                recompute: self.recompute,
                ..Execution::default()
            },
        };
        let mut trainer = Trainer::new(network, train, Normalize::half(1), &Device::Cpu).unwrap();
        let schedule = Schedule::Cosine { warmup_epochs: 2, start_rate: 0.0, floor: Some(0.01) };
        let mut told = String::new();
        for step in 0..8 {
            let rate = schedule.rate(0.01, step as usize + 1, 8);
            let count = if step % 4 == 3 { 2 } else { BATCH };
            let report = trainer.step(&batch(step * BATCH as u64, count), rate, &mut |_| {}).unwrap();
            report.losses.iter().for_each(|loss| told.push_str(&bits("loss", *loss)));
            told.push_str(&bits("rate", rate));
            told.push_str(&format!("correct {}\n", report.correct));
        }
        let mut tally = Tally::default();
        tally.add(&mut trainer.model, &batch(5000, 5)).unwrap();
        let found = tally.evaluation();
        let card = Card::of(&trainer.model.spec, &Normalize::half(1), &[]);
        weights::write(path, &weights::of_model(&mut trainer.model).unwrap(), &card, false).unwrap();
        told + &bits("accuracy", found.accuracy) + &bits("test loss", found.loss)
    }

    fn through_c(&self, program: &Path, path: &Path) -> String {
        let output = Command::new(program)
            .arg(path)
            .args([self.rule.rule.to_string().as_str(), self.head, if self.adamw { "adamw" } else { "sgd" }])
            .arg(self.clip_norm.unwrap_or(0.0).to_string())
            .arg(self.micro_batch.unwrap_or(0).to_string())
            .args([u8::from(self.recompute).to_string(), self.frozen.to_string()])
            .args(self.numbers)
            .arg(self.train)
            .output()
            .unwrap();
        succeed("trajectory", output)
    }
}

#[test]
fn both_ways_compute_the_same() {
    let rules = [
        Rule::Bp,
        Rule::Greedy,
        Rule::Dgl,
        Rule::Predsim,
        Rule::Infopro,
        Rule::Auglocal,
        Rule::Man,
        Rule::Manpp,
    ];
    let mut cases: Vec<Case> = rules.into_iter().map(Case::new).collect();
    let conv = RuleConfig::over(Rule::Man, "1c1f".parse().unwrap(), false);
    cases.push(Case { rule: conv.clone(), head: "1c1f", adamw: true, ..Case::new(Rule::Man) });
    cases.push(Case { clip_norm: Some(0.5), ..Case::new(Rule::Dgl) });
    cases.push(Case { micro_batch: Some(4), recompute: true, ..Case::new(Rule::Man) });
    cases.push(Case { rule: conv, head: "1c1f", frozen: 1, ..Case::new(Rule::Man) });
    cases.push(Case { train: "head", ..Case::new(Rule::Bp) });
    cases.push(Case { train: "norms", ..Case::new(Rule::Man) });
    cases.push(Case { train: "biases", micro_batch: Some(4), ..Case::new(Rule::Dgl) });
    cases.push(Case { train: "last-2-units", clip_norm: Some(0.5), ..Case::new(Rule::Bp) });
    // The recommended local rule, said whole, the published one, a path of averages alone, and AugLocal at another depth.
    let over = |head| RuleConfig::named(Rule::Man, Some(head)).unwrap();
    let rule = RuleConfig { depth: 1, ema_momentum: 0.9, ..over("auglocal") };
    cases.push(Case { rule, head: "auglocal", numbers: ["1", "0.9", "0", "0"], ..Case::new(Rule::Man) });
    cases.push(Case { rule: over("infopro"), head: "infopro", ..Case::new(Rule::Man) });
    let rule = RuleConfig { depth: 3, ema_momentum: 0.0, trained_copy: false, ..over("path") };
    cases.push(Case { rule, head: "path", numbers: ["3", "0", "1", "0"], ..Case::new(Rule::Man) });
    let rule = RuleConfig { depth: 1, pool: 2, ..RuleConfig::new(Rule::Auglocal) };
    cases.push(Case { rule, numbers: ["1", "-1", "0", "2"], ..Case::new(Rule::Auglocal) });

    let directory = tempfile::tempdir().unwrap();
    let program = compile("tests/c/trajectory.c", Library::Shared, &[], directory.path());
    let (native, c) = (directory.path().join("native"), directory.path().join("c"));
    for case in cases {
        let rule = case.rule.rule;
        assert_eq!(case.through_c(&program, &c), case.natively(&native), "{rule}");
        assert!(std::fs::read(&c).unwrap() == std::fs::read(&native).unwrap(), "{rule}: other weights");
    }
}
