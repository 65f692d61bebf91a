//! The networks of the catalogue, one object a line, for `tests/torch/zoo.py`: `zoo [time] [NAME…]`. With `time` it measures
//! a step of training.
#![allow(clippy::unwrap_used)] // an example may stop as a test does

#[path = "../tests/zoo/filled.rs"]
mod filled;

use localgrad::Device;
use localgrad::data::{Batch, Normalize};
use localgrad::maps::Map;
use localgrad::network::NetworkSpec;
use localgrad::plan::{Workload, plan};
use localgrad::random::Stream;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::threads::Workers;
use localgrad::trainer::{TrainConfig, Trainer};
use localgrad_models::catalogue::{PHOTO, usual_input};
use localgrad_models::{MODELS, ModelConfig, cut, network};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: localgrad::memory::Pooled = localgrad::memory::Pooled;

const THREADS: usize = 2;
const BLOCKS: usize = 4;
/// Steps that are measured, after one that warms up.
const STEPS: usize = 3;

fn main() {
    let (flags, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word == "time");
    let known = filled::known();
    for name in MODELS.iter().filter(|name| names.is_empty() || names.iter().any(|named| named == *name)) {
        let input = usual_input(name);
        let (classes, batch) = usual(name, input);
        let spec = network(name, &ModelConfig { input, classes, ..ModelConfig::default() }).unwrap();
        let costs = spec.unit_costs().unwrap().into_iter();
        let cost = costs.fold(spec.head_cost().unwrap(), |sum, cost| sum.plus(cost));
        let [bp, man] = [Rule::Bp, Rule::Man].map(|rule| train(&spec, rule));
        let peak = |train: &TrainConfig| {
            plan(&Workload::steps(spec.clone(), train.clone(), batch, THREADS)).unwrap().peak_bytes
        };
        let row = serde_json::json!({
            "name": name,
            "input": input,
            "classes": classes,
            "batch": batch,
            "parameters": cost.parameters,
            "multiply_adds": cost.multiply_adds,
            "bp_bytes": peak(&bp),
            "man_bytes": peak(&man),
            "difference": known.get(*name).map(filled::difference),
            "ms": (!flags.is_empty()).then(|| milliseconds(&spec, &bp, batch)),
        });
        println!("{row}");
    }
}

/// Classes of the data that a network was made for, and a batch of its images.
fn usual(name: &str, input: [usize; 3]) -> (usize, usize) {
    match name {
        "mlperf_ds_cnn" => (12, 64),
        "resnet1d" | "tcn" => (6, 64),
        _ if input == PHOTO => (1000, 8),
        _ => (10, 64),
    }
}

fn train(spec: &NetworkSpec, rule: Rule) -> TrainConfig {
    let (rule, units) = (RuleConfig::new(rule), spec.units.len());
    let ends = match rule.rule {
        Rule::Bp => vec![units - 1],
        _ => cut::ends(spec, &rule, BLOCKS.min(units)).unwrap(),
    };
    TrainConfig { rule, ends, ..TrainConfig::default() }
}

/// The median of a few steps.
fn milliseconds(spec: &NetworkSpec, train: &TrainConfig, samples: usize) -> f64 {
    let [channels, height, width] = spec.input;
    let mut stream = Stream::new(1, "zoo", &[]);
    let pixels = (0..samples * channels * height * width).map(|_| 2.0 * stream.uniform_f32() - 1.0).collect();
    let labels: Vec<u32> = (0..samples).map(|_| stream.below(spec.classes as u64) as u32).collect();
    let images = Map::new(pixels, (samples, height, width, channels)).unwrap();
    let batch = Batch { images, targets: labels.into() };
    let mut seconds: Vec<f64> = Workers::start(THREADS).unwrap().run(|| {
        let normalize = Normalize::half(channels);
        let mut trainer = Trainer::new(spec.clone(), train.clone(), normalize, &Device::Cpu).unwrap();
        let mut step = || {
            let started = Instant::now();
            trainer.step(&batch, 0.01, &mut |_| {}).unwrap();
            started.elapsed().as_secs_f64()
        };
        step();
        (0..STEPS).map(|_| step()).collect()
    });
    seconds.sort_by(f64::total_cmp);
    1000.0 * seconds[STEPS / 2]
}
