//! Gates on channels against f64: squeeze-and-excitation of its published layers, and gates of other kinds.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{Random, activated};
use crate::layered::{Weights, hold};
use localgrad::layers::spec::{Features, LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;

const CHANNELS: usize = 5;
const SQUEEZED: usize = 3;
const DIMS: [usize; 4] = [2, 3, 4, CHANNELS];

/// A pool, two products with biases, and what is applied after each.
fn squeeze(conv: bool, [inner, outer]: [Activation; 2]) -> Vec<NamedLayer> {
    let product = |inputs, outputs| match conv {
        true => LayerSpec::Conv { inputs, outputs, config: ConvConfig::default(), bias: true },
        false => LayerSpec::Linear { inputs, outputs, bias: true },
    };
    let pool = if conv { LayerSpec::AdaptiveAveragePool([1, 1]) } else { LayerSpec::GlobalAveragePool };
    vec![
        unnamed(pool),
        named("fc1", product(CHANNELS, SQUEEZED)),
        unnamed(LayerSpec::Activation(inner)),
        named("fc2", product(SQUEEZED, CHANNELS)),
        unnamed(LayerSpec::Activation(outer)),
    ]
}

fn product(x: &[f64], weights: &Weights, name: &str, activation: Activation) -> Vec<f64> {
    let (weight, bias) = (&weights[&format!("se.{name}.weight")], &weights[&format!("se.{name}.bias")]);
    let row = |(weight, bias): (&[f64], &f64)| {
        let sum = weight.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias;
        activated(sum, Some(activation))
    };
    weight.chunks(x.len()).zip(bias).map(row).collect()
}

fn twin(x: &[f64], weights: &Weights, [inner, outer]: [Activation; 2]) -> Vec<f64> {
    let sample = DIMS[1] * DIMS[2] * CHANNELS;
    let of_sample = |x: &[f64]| -> Vec<f64> {
        let mean = |c| x.iter().skip(c).step_by(CHANNELS).sum::<f64>() / (sample / CHANNELS) as f64;
        let means: Vec<f64> = (0..CHANNELS).map(mean).collect();
        let gate = product(&product(&means, weights, "fc1", inner), weights, "fc2", outer);
        x.iter().enumerate().map(|(i, x)| x * gate[i % CHANNELS]).collect()
    };
    x.chunks(sample).flat_map(of_sample).collect()
}

#[test]
fn squeeze_and_excitation_agrees_with_the_twin() {
    let x = Random::new(3).numbers(DIMS.iter().product());
    for conv in [false, true] {
        for activations in
            [[Activation::Silu, Activation::Sigmoid], [Activation::Sigmoid, Activation::HardSigmoid]]
        {
            let layer = LayerSpec::Excite { gate: squeeze(conv, activations) };
            hold(&[named("se", layer)], &x, &DIMS, &|x, weights| twin(x, weights, activations));
        }
    }
}

#[test]
fn a_gate_may_be_anything_that_gives_a_number_a_channel() {
    // Of features without positions, and without any weight.
    let x = Random::new(4).numbers(3 * 7);
    let gate = vec![unnamed(LayerSpec::Activation(Activation::Sigmoid))];
    let silu = |x: &f64| activated(*x, Some(Activation::Silu));
    hold(&[unnamed(LayerSpec::Excite { gate })], &x, &[3, 7], &|x, _| x.iter().map(silu).collect());
    // None at all: the square.
    let square = LayerSpec::Excite { gate: Vec::new() };
    hold(&[unnamed(square)], &x, &[3, 7], &|x, _| x.iter().map(|x| x * x).collect());
}

#[test]
fn gates_that_do_not_fit_are_refused() {
    let input = Features::Map { channels: CHANNELS, height: 4, width: 4 };
    let output = |gate| LayerSpec::Excite { gate }.output(input);
    assert_eq!(output(squeeze(true, [Activation::Relu; 2])).unwrap(), input);
    for gate in [Vec::new(), squeeze(true, [Activation::Relu; 2])[..2].to_vec()] {
        assert!(output(gate).unwrap_err().to_string().contains("a number for each"), "positions, channels");
    }
}
