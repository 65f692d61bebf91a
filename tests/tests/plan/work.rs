//! The arithmetic of a step, by hand: three passes of each convolution and linear layer, but for gradients that nobody
//! reads.

use localgrad::network::NetworkSpec;
use localgrad::plan::{Workload, plan};
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::{Method, TrainConfig};
use localgrad_models::{ModelConfig, network};

/// A ResNet-8 of widths 2, 2, 3, 4 for grey 8x8 images and 5 classes.
fn small() -> NetworkSpec {
    let config = ModelConfig {
        input: [1, 8, 8].into(),
        classes: 5,
        widths: Some(vec![2, 2, 3, 4]),
        ..ModelConfig::default()
    };
    network("resnet8", &config).unwrap()
}

/// Multiply-adds of a step a sample.
fn counted(ends: &[usize], rule: Rule) -> usize {
    const BATCH: usize = 4;
    let train =
        TrainConfig::from(Method { rule: RuleConfig::new(rule), ends: ends.to_vec(), ..Method::default() });
    let work = plan(&Workload::steps(small(), train, BATCH, 2)).unwrap().step_work;
    work.multiply_adds as usize / BATCH
}

const STEM: usize = 64 * 2 * 9;
const UNIT_1: usize = 64 * 2 * 18 + 64 * 2 * 18;
const UNIT_2: usize = 16 * 3 * 18 + 16 * 3 * 27 + 16 * 3 * 2;
const UNIT_3: usize = 4 * 4 * 27 + 4 * 4 * 36 + 4 * 4 * 3;
const HEAD: usize = 4 * 5;
const ALL: usize = STEM + UNIT_1 + UNIT_2 + UNIT_3 + HEAD;

#[test]
fn end_to_end_by_hand() {
    // Nobody reads the images' gradient.
    assert_eq!(counted(&[3], Rule::Bp), 3 * ALL - STEM);
}

#[test]
fn greedy_blocks_by_hand() {
    // Nor does anyone read that of a block's input: unit 1's first convolution, unit 2's and its shortcut.
    let unread = STEM + 64 * 2 * 18 + 16 * 3 * 18 + 16 * 3 * 2;
    let auxiliaries = 3 * (2 * 5 + 2 * 5);
    assert_eq!(counted(&[0, 1, 3], Rule::Greedy), 3 * ALL - unread + auxiliaries);
}

#[test]
fn man_with_a_decoder_by_hand() {
    let unread = STEM + 16 * 3 * 18 + 16 * 3 * 2;
    // A trained and an averaged unit 2, a convolution of stride 2 to 4 channels and two linear layers, and a decoder of
    // two convolutions at the images' size.
    let pair = 3 * UNIT_2 + 2 * UNIT_2;
    let head = 3 * (4 * 4 * 27 + 4 * 128 + 128 * 5);
    let decoder = 3 * (64 * 12 * 27 + 64 * 12 * 9);
    assert_eq!(counted(&[1, 3], Rule::Man), 3 * ALL - unread + pair + head + decoder);
}
