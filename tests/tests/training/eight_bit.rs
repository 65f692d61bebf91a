//! Training with optimizer state in 8 bits stays near that with all bits, and is refused where it cannot be.

use crate::common::batch;
use localgrad::Device;
use localgrad::data::Normalize;
use localgrad::layers::Variable;
use localgrad::network::NetworkSpec;
use localgrad::optimizer::{OptimizerConfig, StateFormat};
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::{Execution, Method, TrainConfig, Trainer};
use localgrad_models::{ModelConfig, resnet};

/// Wide enough that some weights have 4,096 elements.
fn network() -> NetworkSpec {
    let config = ModelConfig {
        input: [3, 8, 8].into(),
        classes: 5,
        widths: Some(vec![8, 8, 16, 24]),
        ..ModelConfig::default()
    };
    resnet::cifar(&[1, 1, 2], &config, "wide").unwrap()
}

fn trainer(optimizer: &OptimizerConfig, optimizer_state: StateFormat, clip_norm: Option<f64>) -> Trainer {
    let method = Method {
        rule: RuleConfig::new(Rule::Dgl),
        ends: vec![2, 4],
        optimizer: optimizer.clone(),
        optimizer_state,
        clip_norm,
        ..Method::default()
    };
    Trainer::new(network(), TrainConfig::from(method), Normalize::half(3), &Device::Cpu).unwrap()
}

/// Bytes that the optimizer has, of numbers in 32 bits and in 8.
fn state_bytes(trainer: &mut Trainer) -> [usize; 2] {
    let mut bytes = [0; 2];
    let add = &mut |_: &str, variable: Variable<'_>| {
        if let Variable::Parameter(parameter) = variable {
            bytes[0] += parameter.state.iter().map(|state| 4 * state.elem_count()).sum::<usize>();
            bytes[1] += parameter.coded.iter().map(|coded| coded.bytes()).sum::<usize>();
        }
        Ok(())
    };
    trainer.visit(add).unwrap();
    bytes
}

#[test]
fn losses_stay_near() {
    for (optimizer, rate) in [(OptimizerConfig::sgd(), 0.02), (OptimizerConfig::adamw(), 0.002)] {
        for clip_norm in [None, Some(1.0)] {
            let mut plain = trainer(&optimizer, StateFormat::F32, clip_norm);
            let mut coded = trainer(&optimizer, StateFormat::EightBit, clip_norm);
            let mut losses = [Vec::new(), Vec::new()];
            for step in 0..30 {
                let samples = batch(&network(), 16, step % 4);
                for (trainer, losses) in [&mut plain, &mut coded].into_iter().zip(&mut losses) {
                    losses.push(trainer.step(&samples, rate, &mut |_| {}).unwrap().losses[1]);
                }
            }
            // The same samples again and again: what is learnt is much, and all but the same.
            let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
            let [first, last] = [mean(&losses[0][..4]), mean(&losses[0][26..])];
            let off = (mean(&losses[1][26..]) - last).abs();
            assert!(last < 0.8 * first && off < 0.1 * (first - last), "{optimizer:?}: {losses:?}");
            assert_ne!(losses[0], losses[1]);
            let ([all, none], [small, packed]) = (state_bytes(&mut plain), state_bytes(&mut coded));
            assert!(none == 0 && packed > 0);
            // A byte for four, and a scale for each 256 and for what is left.
            let large = all - small;
            assert!(
                packed >= large / 4 + large / 256 && packed < large / 4 + large / 200,
                "{packed} of {large}"
            );
        }
    }
}

#[test]
fn state_in_eight_bits_does_not_wait_in_files() {
    let method = Method { optimizer_state: StateFormat::EightBit, ..Method::default() };
    let execution = Execution { offload: true, ..Execution::default() };
    let text = TrainConfig { method, execution }.validate().unwrap_err().to_string();
    assert!(text.contains("8 bits, or offload"), "{text}");
}
