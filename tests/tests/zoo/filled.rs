//! Networks whose weights any program can make again: every number is a function of its tensor's name and of its place there.
#![allow(dead_code, unreachable_pub)] // the test and the example use their own parts

use localgrad::Device;
use localgrad::inputs::{Inputs, Tokens};
use localgrad::maps::Map;
use localgrad::model::Model;
use localgrad::network::NetworkSpec;
use localgrad::weights::{self, Weights};
use localgrad_models::{ModelConfig, identify, network, timm};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What another program made of a network that was filled so: `tests/torch/zoo.py` wrote it.
#[derive(Debug, Deserialize)]
pub struct Known {
    /// Its name for [`network`].
    pub network: String,
    /// `torchvision` or `timm`: whose names the weights were filled by; `torch` for those that were by their places.
    pub source: String,
    /// What it was given.
    pub input: Inputs,
    /// Of each sample.
    pub logits: Vec<Vec<f32>>,
}

/// All that are known, by our names of the networks, or timm's behind `timm/` of those that torchvision has, too.
pub fn known() -> BTreeMap<String, Known> {
    serde_json::from_str(include_str!("../../torch/zoo.json")).unwrap()
}

/// The largest difference between our logits and the other program's, for a logit of 1, or for the largest if that is more.
pub fn difference(known: &Known) -> f32 {
    let config = ModelConfig { input: known.input, classes: known.logits[0].len(), ..ModelConfig::default() };
    let spec = network(&known.network, &config).unwrap();
    let theirs: BTreeMap<String, String> = match known.source.as_str() {
        "timm" => timm::names(&spec).into_iter().map(|(theirs, ours)| (ours, theirs)).collect(),
        "torch" => places(&spec),
        _ => BTreeMap::new(),
    };
    let mut model = Model::new(spec, 0, &Device::Cpu).unwrap();
    let filled: Weights = weights::of_model(&mut model)
        .unwrap()
        .into_iter()
        .map(|(name, map)| {
            let numbers = numbers(theirs.get(&name).unwrap_or(&name), map.dims());
            let dims = map.dims().to_vec();
            (name, Map::new(numbers, dims).unwrap())
        })
        .collect();
    weights::load(&mut model, &filled).unwrap();
    let logits = model.logits(&samples(known.logits.len(), known.input)).unwrap().numbers().unwrap();
    let expected = known.logits.concat();
    assert_eq!(logits.len(), expected.len());
    let largest = expected.iter().fold(1.0f32, |most, logit| most.max(logit.abs()));
    let worst = logits.iter().zip(&expected).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
    worst / largest
}

/// A tensor's numbers: statistics and norms that have moved, weights that keep variances as they are.
fn numbers(name: &str, dims: &[usize]) -> Vec<f32> {
    let count: usize = dims.iter().product();
    let fan_in = count / dims[0];
    let [scale, shift] = match name {
        _ if name.ends_with("running_var") => [1.0, 0.5],
        _ if name.ends_with("running_mean") || name.ends_with("bias") => [0.4, -0.2],
        _ if fan_in == 1 && dims.len() != 4 => [1.0, 0.5],
        _ => {
            let limit = (3.0 / fan_in as f64).sqrt();
            [2.0 * limit, -limit]
        }
    };
    let start = start(name);
    (0..count).map(|place| (scale * share(start, place) + shift) as f32).collect()
}

/// Names by the places of tensors among all of a network's, as `conv1.weight` is `0.weight`.
fn places(spec: &NetworkSpec) -> BTreeMap<String, String> {
    let all = identify::tensors(spec).unwrap().into_iter().enumerate();
    let named = |(place, (name, _)): (usize, (String, Vec<usize>))| {
        let last = name.rsplit('.').next().unwrap_or_default().to_string();
        (name, format!("{place}.{last}"))
    };
    all.map(named).collect()
}

fn samples(count: usize, input: Inputs) -> Map {
    match input {
        Inputs::Pixels(sides) => images(count, sides),
        Inputs::Tokens(Tokens { length, vocabulary }) => {
            let start = start("images");
            let token = |place| (share(start, place) * vocabulary as f64).floor() as f32;
            Map::new((0..count * length).map(token).collect(), (count, length)).unwrap()
        }
    }
}

/// `[N, H, W, C]`, between -2 and 2; numbered channel by channel.
fn images(count: usize, [channels, height, width]: [usize; 3]) -> Map {
    let (mut pixels, start) = (Vec::new(), start("images"));
    for image in 0..count {
        for position in 0..height * width {
            for channel in 0..channels {
                let place = (image * channels + channel) * height * width + position;
                pixels.push((4.0 * share(start, place) - 2.0) as f32);
            }
        }
    }
    Map::new(pixels, (count, height, width, channels)).unwrap()
}

/// Where a tensor's sequence begins: at its name's FNV-1a hash.
fn start(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// A number in [0, 1): the 24 upper bits of SplitMix64 at a place of the sequence.
fn share(start: u64, place: usize) -> f64 {
    let mut z = start.wrapping_add((place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24)
}
