//! Any bytes as a network in JSON: what is not refused is planned, and trained for ten steps by one of the rules. The
//! plan says beforehand whether that is little enough.

use localgrad::data::{Batch, Normalize};
use localgrad::inputs::Inputs;
use localgrad::maps::Map;
use localgrad::model::Classifier;
use localgrad::network::NetworkSpec;
use localgrad::plan::{Workload, cuts, plan};
use localgrad::rules::{RuleConfig, auxiliary_specs};
use localgrad::targets::Targets;
use localgrad::trainer::{Execution, Method, TrainConfig, Trainer};
use localgrad::{Device, ErrorKind};

const RULES: [(&str, Option<&str>); 10] = [
    ("bp", None),
    ("greedy", None),
    ("dgl", None),
    ("predsim", None),
    ("infopro", None),
    ("auglocal", None),
    ("man", None),
    ("manpp", Some("2c2f")),
    ("man", Some("path")),
    ("greedy", Some("imagenet")),
];
const STEPS: usize = 10;
const SAMPLES: usize = 2;
/// More memory, or more work a step, is left alone: under the fuzzer ten steps of this take seconds.
const MOST_BYTES: usize = 32 << 20;
const MOST_MULTIPLY_ADDS: f64 = 2e5;

/// Numbers between -1 and 1, or tokens, the same for the same seed.
fn batch(spec: &NetworkSpec, seed: u32) -> Batch {
    let mut state = seed | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let number = |_| match spec.input {
        Inputs::Pixels(_) => next(),
        Inputs::Tokens(tokens) => ((1.0 + next()) / 2.0 * tokens.vocabulary as f32).floor(),
    };
    let numbers: Vec<f32> = (0..SAMPLES * spec.input.elements()).map(number).collect();
    let inputs = Map::new(numbers, spec.input.dims(SAMPLES)).expect("as many numbers");
    let targets = match spec.objective.is_classes() {
        true => vec![0, spec.classes as u32 - 1].into(),
        false => Targets::Rows { width: spec.classes, numbers: vec![1.0; SAMPLES * spec.classes] },
    };
    Batch { inputs, targets }
}

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    let Ok(spec) = serde_json::from_slice::<NetworkSpec>(data) else { return };
    if spec.validate().is_err() {
        return;
    }
    let again = serde_json::to_vec(&spec).expect("what was read can be written");
    assert!(serde_json::from_slice::<NetworkSpec>(&again).expect("what was written can be read") == spec);

    let choice = crc32fast::hash(data) as usize;
    let (rule, head) = RULES[choice % RULES.len()];
    let rule = RuleConfig::named(rule.parse().expect("a rule"), head).expect("a rule over a head");
    let blocks = if choice.is_multiple_of(RULES.len()) {
        1
    } else {
        1 + choice / RULES.len() % spec.units.len().min(4)
    };
    // Not every rule accepts every network.
    let Ok(ends) = cuts::even_ends(&spec, &rule, blocks) else { return };
    let train = TrainConfig {
        method: Method { rule, ends, ..Method::default() },
        execution: Execution { recompute: choice.is_multiple_of(3), ..Execution::default() },
    };
    if auxiliary_specs(&spec, &train.method.ends, &train.method.rule).is_err() {
        return;
    }
    let workload = Workload {
        evaluation_batch: Some(SAMPLES),
        ..Workload::steps(spec.clone(), train.clone(), SAMPLES, 1)
    };
    let planned = match plan(&workload) {
        Ok(planned) => planned,
        // Too large a batch, even of two.
        Err(error) => return assert_eq!(error.kind(), ErrorKind::Config, "{error}"),
    };
    if planned.peak_bytes > MOST_BYTES || planned.step_work.multiply_adds > MOST_MULTIPLY_ADDS {
        return;
    }
    let normalize = Normalize::half(spec.input.channels());
    let mut trainer =
        Trainer::new(spec.clone(), train, normalize, &Device::Cpu).expect("what was planned can be built");
    for step in 0..STEPS {
        match trainer.step(&batch(&spec, step as u32), 0.01, &mut |_| {}) {
            Ok(_) => {}
            // To diverge is the network's own affair.
            Err(error) => return assert_eq!(error.kind(), ErrorKind::NotFinite, "{error}"),
        }
    }
    let logits = trainer.logits(&batch(&spec, 77).inputs).expect("what was trained can classify");
    assert_eq!(logits.dims(), [SAMPLES, spec.classes]);
}
