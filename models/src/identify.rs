//! Which network a file's tensors are of, by their names and shapes.

use crate::catalogue::{has_one_stem, is_small, network};
use crate::names;
use crate::{MODELS, ModelConfig, Stem};
use localgrad::layers::spec::{LayerSpec, join, weighted};
use localgrad::network::NetworkSpec;
use localgrad::network::unit::Shortcut;
use std::collections::{BTreeMap, BTreeSet};

/// What a file is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Whose names its tensors have.
    pub origin: &'static str,
    /// The network's name.
    pub model: &'static str,
    /// What the name leaves open, as the file has it; its images' size is the usual one.
    pub config: ModelConfig,
}

impl Identity {
    /// Origin, network and number of classes.
    pub fn words(&self) -> String {
        format!("{}, {}, {} classes", self.origin, self.model, self.config.classes)
    }
}

/// Names and shapes of all tensors of a network, in the order of its layers.
///
/// # Errors
/// Those of expanding the spec.
pub fn tensors(spec: &NetworkSpec) -> localgrad::Result<Vec<(String, Vec<usize>)>> {
    let expanded = spec.expand()?;
    let units = spec.units.iter().zip(&expanded).map(|(unit, (layers, _))| (&*unit.name, &layers[..]));
    let layers = units.chain([("", &spec.head[..])]).flat_map(|(path, layers)| weighted(path, layers));
    let of_layer = |(path, layer): (String, &LayerSpec)| {
        let named = |own: &&str| (join(&path, own).into_owned(), shape(layer, own));
        layer.tensors().iter().map(named).collect::<Vec<_>>()
    };
    Ok(layers.flat_map(of_layer).collect())
}

/// The shape of a layer's own tensor.
fn shape(layer: &LayerSpec, own: &str) -> Vec<usize> {
    match layer {
        LayerSpec::Conv { outputs, .. } | LayerSpec::Linear { outputs, .. } if own == "bias" => {
            vec![*outputs]
        }
        LayerSpec::Conv { inputs, outputs, config, .. } => {
            vec![*outputs, inputs / config.groups.max(1), config.kernel[0], config.kernel[1]]
        }
        LayerSpec::Linear { inputs, outputs, .. } => vec![*outputs, *inputs],
        LayerSpec::BatchNorm { channels, .. }
        | LayerSpec::LayerNorm { channels, .. }
        | LayerSpec::GroupNorm { channels, .. }
        | LayerSpec::ResponseNorm { channels }
        | LayerSpec::Scale { channels, .. } => vec![*channels],
        LayerSpec::Prelu { slopes } => vec![*slopes],
        _ => Vec::new(),
    }
}

/// The network that tensors of these names and shapes are of, whatever wraps it; none where it is none of [`MODELS`].
pub fn identify(file: &[(&str, &[usize])]) -> Option<Identity> {
    MODELS.iter().find_map(|model| candidates(model).into_iter().find_map(|config| fits(model, config, file)))
}

/// What the name of a network may leave open; published forms come first.
fn candidates(model: &str) -> Vec<ModelConfig> {
    let of = |side, stem, shortcut| ModelConfig {
        input: [3, side, side],
        stem,
        shortcut,
        ..ModelConfig::default()
    };
    match (is_small(model), model.starts_with("vgg")) {
        _ if model.starts_with("mlperf")
            || !is_small(model) && !model.starts_with("vgg") && has_one_stem(model) =>
        {
            vec![of(32, None, Shortcut::Project)]
        }
        (true, _) => [Shortcut::Project, Shortcut::Pad].map(|shortcut| of(32, None, shortcut)).into(),
        (_, true) => [224, 32].map(|side| of(side, None, Shortcut::Project)).into(),
        _ => [(224, Stem::Imagenet), (32, Stem::Small)]
            .map(|(side, stem)| of(side, Some(stem), Shortcut::Project))
            .into(),
    }
}

/// Whether a file holds that network, with as many channels and classes as it has: all of its tensors, and no others.
fn fits(model: &'static str, config: ModelConfig, file: &[(&str, &[usize])]) -> Option<Identity> {
    let spec = network(model, &config).ok()?;
    let ours = tensors(&spec).ok()?;
    let head = spec.head.iter().rev().find(|layer| !layer.name.is_empty())?.name.as_str();
    let names: BTreeSet<String> = ours.iter().map(|(name, _)| name.clone()).collect();
    let mapping = names::map(file.iter().copied(), &names, &spec);
    let shapes: BTreeMap<&str, &[usize]> =
        file.iter().filter_map(|(name, shape)| Some((mapping.ours.get(*name)?.as_str(), *shape))).collect();
    if shapes.len() != ours.len() {
        return None;
    }
    let classes = *shapes.get(join(head, "weight").as_ref())?.first()?;
    let channels = *shapes.get(ours.first()?.0.as_str())?.get(1)?;
    let [_, height, width] = config.input;
    let config = ModelConfig { input: [channels, height, width], classes, ..config };
    let wanted = tensors(&network(model, &config).ok()?).ok()?;
    let is_same = |(name, shape): &(String, Vec<usize>)| shapes.get(name.as_str()) == Some(&shape.as_slice());
    let ours = if is_small(model) { "a ResNet for CIFAR" } else { "torchvision" };
    let origin = mapping.elsewhere.unwrap_or(ours);
    wanted.iter().all(is_same).then_some(Identity { origin, model, config })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hugging_face;

    fn shown(tensors: &[(String, Vec<usize>)]) -> Vec<(&str, &[usize])> {
        tensors.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect()
    }

    #[test]
    fn every_network_is_known_by_its_tensors() {
        for model in MODELS {
            for config in candidates(model) {
                let [_, height, width] = config.input;
                let config = ModelConfig { input: [1, height, width], classes: 17, ..config };
                let mut own = tensors(&network(model, &config).unwrap()).unwrap();
                let found = identify(&shown(&own)).unwrap();
                let again = tensors(&network(found.model, &found.config).unwrap()).unwrap();
                assert_eq!((found.model, &again), (*model, &own));
                assert!(found.words().ends_with(&format!("{model}, 17 classes")), "{}", found.words());
                // Wrapped, with torch's counters, in another order.
                own.iter_mut().for_each(|(name, _)| *name = format!("module.{name}"));
                own.push(("module.bn1.num_batches_tracked".into(), Vec::new()));
                own.reverse();
                assert_eq!(identify(&shown(&own)), Some(found));
            }
        }
    }

    #[test]
    fn names_of_hugging_face_are_told() {
        for (model, prefix) in
            [("resnet18", "resnet."), ("resnet50", "resnet."), ("convnext_tiny", "convnext.")]
        {
            let config = ModelConfig { classes: 17, ..candidates(model)[0].clone() };
            let own = tensors(&network(model, &config).unwrap()).unwrap();
            let names = own.iter().map(|(name, _)| name.clone()).collect();
            let theirs: BTreeMap<String, String> =
                hugging_face::names(&names).into_iter().map(|(theirs, ours)| (ours, theirs)).collect();
            let wrapped = |name: &str| match name.starts_with("classifier") {
                true => name.to_string(),
                false => format!("{prefix}{name}"),
            };
            let renamed: Vec<_> =
                own.iter().map(|(name, shape)| (wrapped(&theirs[name]), shape.clone())).collect();
            let found = identify(&shown(&renamed)).unwrap();
            assert_eq!(found.words(), format!("Hugging Face, {model}, 17 classes"));
        }
    }

    #[test]
    fn what_is_no_network_of_ours_is_none() {
        let config = ModelConfig::default();
        let own = tensors(&network("resnet20", &config).unwrap()).unwrap();
        assert_eq!(identify(&[]), None);
        assert_eq!(identify(&shown(&own[1..])), None);
        let mut others = own.clone();
        others.push(("extra.weight".into(), vec![3, 3]));
        assert_eq!(identify(&shown(&others)), None);
        let mut wide = own;
        wide[6].1[0] += 1;
        assert_eq!(identify(&shown(&wide)), None);
    }
}
