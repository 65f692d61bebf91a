//! The networks of the catalogue, one object a line, for `tests/torch/zoo.py`: `zoo [NAME…]`.
#![allow(clippy::unwrap_used)] // an example may stop as a test does

#[path = "../tests/zoo/filled.rs"]
mod filled;

use localgrad::inputs::Inputs;
use localgrad::network::NetworkSpec;
use localgrad::plan::{Workload, plan};
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::{Method, TrainConfig};
use localgrad_models::catalogue::{PHOTO, usual_input, usual_objective};
use localgrad_models::{MODELS, ModelConfig, cut, network};

#[global_allocator]
static ALLOCATOR: localgrad::memory::Pooled = localgrad::memory::Pooled;

const THREADS: usize = 2;
const BLOCKS: usize = 4;

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let known = filled::known();
    for name in MODELS.iter().filter(|name| names.is_empty() || names.iter().any(|named| named == *name)) {
        let input = usual_input(name);
        let (classes, batch) = usual(name, input);
        let objective = usual_objective(name);
        let spec =
            network(name, &ModelConfig { input, classes, objective, ..ModelConfig::default() }).unwrap();
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
        });
        println!("{row}");
    }
}

/// Classes of the data that a network was made for, and a batch of its images.
fn usual(name: &str, input: Inputs) -> (usize, usize) {
    match name {
        "mlperf_ds_cnn" => (12, 64),
        "mlperf_autoencoder" => (640, 64),
        "resnet1d" | "tcn" => (6, 64),
        "text_tcn" => (4, 64),
        _ if input == PHOTO => (1000, 8),
        _ => (10, 64),
    }
}

fn train(spec: &NetworkSpec, rule: Rule) -> TrainConfig {
    let head = (rule == Rule::Man && !spec.input.are_tokens()).then_some("infopro");
    let (rule, units) = (RuleConfig::of_inputs(rule, head, spec.input).unwrap(), spec.units.len());
    let ends = match rule.rule {
        Rule::Bp => vec![units - 1],
        _ => cut::ends(spec, &rule, BLOCKS.min(units)).unwrap(),
    };
    TrainConfig::from(Method { rule, ends, ..Method::default() })
}
