//! A network for other images and other classes than it was written for.

use localgrad::layers::spec::LayerSpec;
use localgrad::network::{NetworkSpec, UnitKind, UnitSpec, head};
use localgrad::{Error, Result};

/// `network` for images of `input` (channels, height, width) and so many classes: the head's layer that gives them gets as
/// many outputs. Whatever else it was written with stays, such as its stem.
///
/// # Errors
/// `Config` when the head does not end in a layer with one output a class, or does not fit such images.
pub fn adapt(mut network: NetworkSpec, input: [usize; 3], classes: usize) -> Result<NetworkSpec> {
    let classifier = head::classifier(&network.head).and_then(|position| network.head.get_mut(position));
    let outputs = classifier.and_then(|layer| match &mut layer.layer {
        LayerSpec::Linear { outputs, .. } | LayerSpec::Conv { outputs, .. } => Some(outputs),
        _ => None,
    });
    match outputs {
        Some(outputs) if *outputs == network.classes => *outputs = classes,
        _ if network.classes == classes => {}
        _ => {
            return Err(Error::config(format!(
                "the head of {} is of {} classes and ends in no layer that could have {classes}",
                network.name, network.classes
            )));
        }
    }
    if let Some(first) = network.units.first_mut() {
        take_channels(first, network.input[0], input[0]);
    }
    (network.input, network.classes) = (input, classes);
    network.validate()?;
    Ok(network)
}

/// Lets a unit that is written as layers take another number of channels; the other kinds take what they are given.
fn take_channels(unit: &mut UnitSpec, before: usize, channels: usize) {
    let UnitKind::Layers(layers) = &mut unit.kind else { return };
    for layer in layers {
        match &mut layer.layer {
            LayerSpec::Conv { inputs, config, .. } if *inputs == before && config.groups == 1 => {
                *inputs = channels
            }
            _ => continue,
        }
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MODELS, ModelConfig, Stem, network};

    #[test]
    fn other_images_and_classes_are_those_of_the_same_name() {
        let config = ModelConfig { input: [1, 32, 32], classes: 7, ..ModelConfig::default() };
        for name in MODELS {
            let written = network(name, &config).unwrap();
            let adapted = adapt(network(name, &ModelConfig::default()).unwrap(), [1, 32, 32], 7).unwrap();
            assert_eq!(adapted, written, "{name}");
        }
        let large =
            network("resnet18", &ModelConfig { input: [3, 96, 96], ..ModelConfig::default() }).unwrap();
        let adapted = adapt(large.clone(), [3, 48, 48], 10).unwrap();
        assert_eq!(adapted.units, large.units);
        // A stem that is asked for is that of larger images.
        for name in ["resnet18", "resnet50", "mobilenet_v2"] {
            let of = |side, stem| {
                let config = ModelConfig { input: [3, side, side], stem, ..ModelConfig::default() };
                network(name, &config).unwrap().units
            };
            assert_eq!(of(48, Some(Stem::Imagenet)), of(96, None), "{name}");
            assert_eq!(of(96, Some(Stem::Small)), of(48, None), "{name}");
            assert_ne!(of(48, None), of(96, None), "{name}");
        }
        let config = ModelConfig { stem: Some(Stem::Small), ..ModelConfig::default() };
        assert!(network("resnet20", &config).unwrap_err().to_string().contains("one stem"));
        let mut bare = large;
        bare.head.truncate(1);
        assert!(adapt(bare, [3, 96, 96], 5).unwrap_err().to_string().contains("10 classes"));
    }
}
