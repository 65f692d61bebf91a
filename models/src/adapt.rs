//! A network for other images and other classes than it was written for.

use localgrad::inputs::Inputs;
use localgrad::layers::spec::LayerSpec;
use localgrad::network::{NetworkSpec, UnitKind, UnitSpec, head};
use localgrad::{Error, Result};

/// `network` for samples of `input` and so many classes: the head's layer that gives them gets as
/// many outputs. Whatever else it was written with stays, such as its stem.
///
/// # Errors
/// `Config` when the head does not end in a layer with one output a class, or does not fit such images.
pub fn adapt(mut network: NetworkSpec, input: Inputs, classes: usize) -> Result<NetworkSpec> {
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
        take(first, network.input, input);
    }
    (network.input, network.classes) = (input, classes);
    network.validate()?;
    Ok(network)
}

/// Lets a unit that is written as layers take another number of channels, or another vocabulary; the other kinds take what
/// they are given.
fn take(unit: &mut UnitSpec, before: Inputs, now: Inputs) {
    let UnitKind::Layers(layers) = &mut unit.kind else { return };
    for layer in layers {
        match (&mut layer.layer, now) {
            (LayerSpec::Conv { inputs, config, .. }, _)
                if *inputs == before.channels() && config.groups == 1 =>
            {
                *inputs = now.channels()
            }
            (LayerSpec::Embedding { vocabulary, .. }, Inputs::Tokens(now)) => *vocabulary = now.vocabulary,
            _ => continue,
        }
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::usual_input;
    use crate::{MODELS, ModelConfig, Stem, network};

    #[test]
    fn other_images_and_classes_are_those_of_the_same_name() {
        let config = ModelConfig { input: [1, 32, 32].into(), classes: 7, ..ModelConfig::default() };
        for name in MODELS.iter().filter(|name| !usual_input(name).are_tokens()) {
            let written = network(name, &config).unwrap();
            let adapted =
                adapt(network(name, &ModelConfig::default()).unwrap(), [1, 32, 32].into(), 7).unwrap();
            assert_eq!(adapted, written, "{name}");
        }
        let large = network("resnet18", &ModelConfig { input: [3, 96, 96].into(), ..ModelConfig::default() })
            .unwrap();
        let adapted = adapt(large.clone(), [3, 48, 48].into(), 10).unwrap();
        assert_eq!(adapted.units, large.units);
        // A stem that is asked for is that of larger images.
        for name in ["resnet18", "resnet50", "mobilenet_v2"] {
            let of = |side, stem| {
                let config = ModelConfig { input: [3, side, side].into(), stem, ..ModelConfig::default() };
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
        assert!(adapt(bare, [3, 96, 96].into(), 5).unwrap_err().to_string().contains("10 classes"));
    }
}
