//! How many multiply-adds a training step needs: forward, and the gradients that somebody reads.
//!
//! Convolutions count as if done directly, and only convolutions and linear layers count: what batch norm, pools and
//! updates add is a few operations an element.

use localgrad::layers::spec::{Features, LayerSpec, NamedLayer};
use localgrad::network::{NetworkSpec, blocks};
use localgrad::rules::{AuxiliarySpec, RuleConfig, auxiliary_specs};
use localgrad::{Error, Result};

/// Multiply-adds of one step a sample: every block's units and auxiliary network (decoder included), and the head.
pub fn of_step(network: &NetworkSpec, ends: &[usize], rule: &RuleConfig) -> Result<u64> {
    let auxiliaries = auxiliary_specs(network, ends, rule)?;
    let mut count = Count { total: 0, features: network.input_features() };
    let expanded = network.expand()?;
    for (number, range) in blocks::ranges(ends).into_iter().enumerate() {
        for unit in range.clone() {
            let (layers, _) =
                expanded.get(unit).ok_or_else(|| Error::config(format!("there is no unit {unit}")))?;
            // A gradient never crosses a block's boundary.
            count = count.through(layers, Wanted { weights: true, input: unit != *range.start() })?;
        }
        if let Some(auxiliary) = auxiliaries.get(number) {
            count.total += of_auxiliary(auxiliary, count.features)?;
        }
    }
    Ok(count.through(&network.head, Wanted { weights: true, input: true })?.total)
}

/// All of an auxiliary network hands its input's gradient down.
fn of_auxiliary(spec: &AuxiliarySpec, features: Features) -> Result<u64> {
    let all = Wanted { weights: true, input: true };
    let mut count = Count { total: 0, features };
    for pair in &spec.pairs {
        let layers = pair.unit.layers(count.features.channels())?;
        // The averaged copy follows; it is not trained.
        let averaged = count.through(&layers, Wanted { weights: false, input: true })?;
        count = match pair.trained {
            true => Count { total: averaged.total, ..count }.through(&layers, all)?,
            false => averaged,
        };
    }
    for unit in &spec.units {
        count = count.through(&unit.layers(count.features.channels())?, all)?;
    }
    let mut total = count.total;
    for branch in [Some(&spec.head), spec.decoder.as_ref(), spec.similarity.as_ref()].into_iter().flatten() {
        total += Count { total: 0, ..count }.through(branch, all)?.total;
    }
    Ok(total)
}

/// Which gradients are read.
#[derive(Clone, Copy)]
struct Wanted {
    weights: bool,
    input: bool,
}

/// A walk over layers: multiply-adds so far, and the features it has reached.
#[derive(Clone, Copy)]
struct Count {
    total: u64,
    features: Features,
}

impl Count {
    fn through(self, layers: &[NamedLayer], wanted: Wanted) -> Result<Self> {
        let mut count = self;
        let mut weights_below = false;
        for NamedLayer { layer, .. } in layers {
            let here = Wanted { input: wanted.input || (wanted.weights && weights_below), ..wanted };
            count = count.step(layer, here)?;
            weights_below |= layer.has_weights();
        }
        Ok(count)
    }

    fn step(self, layer: &LayerSpec, wanted: Wanted) -> Result<Self> {
        let output = layer.output(self.features)?;
        let passes = 1 + u64::from(wanted.weights) + u64::from(wanted.input);
        let added = match layer {
            LayerSpec::Conv { inputs, config, .. } => {
                let window = inputs / config.groups * config.kernel[0] * config.kernel[1];
                passes * (output.elements() * window) as u64
            }
            LayerSpec::Linear { inputs, outputs, .. } => passes * (inputs * outputs) as u64,
            _ => {
                let start = Self { total: 0, ..self };
                let branches = layer.branches().into_iter();
                branches.map(|branch| Ok(start.through(branch, wanted)?.total)).sum::<Result<u64>>()?
            }
        };
        Ok(Self { total: self.total + added, features: output })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use localgrad::rules::Rule;
    use localgrad_models::{ModelConfig, network};

    /// A ResNet-8 of widths 2, 2, 3, 4 for grey 8x8 images and 5 classes.
    fn small() -> NetworkSpec {
        let config = ModelConfig {
            input: [1, 8, 8],
            classes: 5,
            widths: Some(vec![2, 2, 3, 4]),
            ..ModelConfig::default()
        };
        network("resnet8", &config).unwrap()
    }

    const STEM: u64 = 64 * 2 * 9;
    const UNIT_1: u64 = 64 * 2 * 18 + 64 * 2 * 18;
    const UNIT_2: u64 = 16 * 3 * 18 + 16 * 3 * 27 + 16 * 3 * 2;
    const UNIT_3: u64 = 4 * 4 * 27 + 4 * 4 * 36 + 4 * 4 * 3;
    const HEAD: u64 = 4 * 5;

    #[test]
    fn end_to_end_by_hand() {
        let count = of_step(&small(), &[3], &RuleConfig::new(Rule::Bp)).unwrap();
        // Three passes of everything, but nobody reads the images' gradient.
        assert_eq!(count, 3 * (STEM + UNIT_1 + UNIT_2 + UNIT_3 + HEAD) - STEM);
    }

    #[test]
    fn greedy_blocks_by_hand() {
        let count = of_step(&small(), &[0, 1, 3], &RuleConfig::new(Rule::Greedy)).unwrap();
        // Nor does anyone read that of a block's input: unit 1's first convolution, unit 2's and its shortcut.
        let unread = STEM + 64 * 2 * 18 + 16 * 3 * 18 + 16 * 3 * 2;
        let auxiliaries = 3 * (2 * 5 + 2 * 5);
        assert_eq!(count, 3 * (STEM + UNIT_1 + UNIT_2 + UNIT_3 + HEAD) - unread + auxiliaries);
    }

    #[test]
    fn man_with_a_decoder_by_hand() {
        let count = of_step(&small(), &[1, 3], &RuleConfig::new(Rule::Man)).unwrap();
        let unread = STEM + 16 * 3 * 18 + 16 * 3 * 2;
        // A trained and an averaged unit 2, a convolution of stride 2 to 4 channels and two linear layers, and a
        // decoder of two convolutions at the images' size.
        let pair = 3 * UNIT_2 + 2 * UNIT_2;
        let head = 3 * (4 * 4 * 27 + 4 * 128 + 128 * 5);
        let decoder = 3 * (64 * 12 * 27 + 64 * 12 * 9);
        let network = 3 * (STEM + UNIT_1 + UNIT_2 + UNIT_3 + HEAD) - unread;
        assert_eq!(count, network + pair + head + decoder);
    }
}
