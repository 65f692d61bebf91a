//! Which network a file's tensors are of, by their names and shapes.

use crate::catalogue::{PHOTO, has_one_stem, is_small, network, usual_input, usual_objective};
use crate::names::{self, EFFICIENTNET_PYTORCH, HUGGING_FACE, TIMM};
use crate::timm;
use crate::{MODELS, ModelConfig, Stem};
use localgrad::data::Normalize;
use localgrad::inputs::{Inputs, Tokens};
use localgrad::layers::spec::{LayerSpec, join, weighted};
use localgrad::network::NetworkSpec;
use localgrad::network::unit::Shortcut;
use localgrad::weights::is_alike;
use std::collections::{BTreeMap, BTreeSet};

/// Small images: channels, height and width.
const SMALL: Inputs = Inputs::Pixels([3, 32, 32]);

/// What a file is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Whose names its tensors have.
    pub origin: &'static str,
    /// The network's name, which is that of the origin where this has one of its own.
    pub model: &'static str,
    /// What the name leaves open, as the file has it; its images' size is the usual one.
    pub config: ModelConfig,
}

impl Identity {
    /// Origin, network and number of classes, or of what else it answers with.
    pub fn words(&self) -> String {
        let ModelConfig { classes, objective, .. } = self.config;
        format!("{}, {}, {classes} {}", self.origin, self.model, objective.noun())
    }

    /// The network.
    ///
    /// # Errors
    /// Those of making it by its name.
    pub fn network(&self) -> localgrad::Result<NetworkSpec> {
        network(self.model, &self.config)
    }

    /// What photographs are normalised by for it; none where it was made for other images.
    pub fn normalize(&self) -> Option<Normalize> {
        let normalize = match (self.origin, self.model) {
            (EFFICIENTNET_PYTORCH, "efficientnet-lite0") => Normalize::half(PHOTO.channels()),
            (HUGGING_FACE, model) if model.starts_with("mobilenet_") => Normalize::half(PHOTO.channels()),
            _ => Normalize::imagenet(),
        };
        (self.config.input == PHOTO).then_some(normalize)
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
        LayerSpec::Embedding { vocabulary, channels } => vec![*vocabulary, *channels],
        LayerSpec::BatchNorm { channels, .. }
        | LayerSpec::LayerNorm { channels, .. }
        | LayerSpec::GroupNorm { channels, .. }
        | LayerSpec::ResponseNorm { channels }
        | LayerSpec::Scale { channels, .. } => vec![*channels],
        LayerSpec::Prelu { slopes } => vec![*slopes],
        _ => Vec::new(),
    }
}

/// The network that tensors of these names and shapes (but for sides of 1) are of, whatever wraps it; none where it is none of
/// [`MODELS`].
pub fn identify(file: &[(&str, &[usize])]) -> Option<Identity> {
    MODELS.iter().find_map(|model| candidates(model).into_iter().find_map(|config| fits(model, config, file)))
}

/// What the name of a network may leave open; published forms come first.
fn candidates(model: &str) -> Vec<ModelConfig> {
    let (input, objective) = (usual_input(model), usual_objective(model));
    let usual = ModelConfig { input, objective, ..ModelConfig::default() };
    let around = |shortcut| ModelConfig { shortcut, ..usual.clone() };
    let begun = |input, stem| ModelConfig { input, stem, ..usual.clone() };
    match model {
        "mlperf_resnet8" | "mlperf_ds_cnn" | "mlperf_autoencoder" | "resnet1d" | "tcn" | "text_tcn" => {
            vec![usual]
        }
        _ if is_small(model) => [Shortcut::Project, Shortcut::Pad].map(around).into(),
        // VGGs, whose heads are others for small images.
        _ if has_one_stem(model) => [PHOTO, SMALL].map(|input| begun(input, None)).into(),
        _ => [(PHOTO, Stem::Imagenet), (SMALL, Stem::Small)]
            .map(|(input, stem)| begun(input, Some(stem)))
            .into(),
    }
}

/// Whose names we have for a network's weights.
fn writer(model: &str) -> &'static str {
    match model {
        "mlperf_ds_cnn" | "mlperf_autoencoder" | "resnet1d" | "tcn" | "text_tcn" => "localgrad",
        _ if is_small(model) => "a ResNet for CIFAR",
        _ if model.starts_with("mobilenet_v1") => TIMM,
        // ResNet-D.
        _ if model.starts_with("resnet") && model.ends_with('d') => TIMM,
        _ => "torchvision",
    }
}

/// Whether a file holds that network, with as many channels and classes as it has: all of its tensors, and no others.
fn fits(model: &'static str, config: ModelConfig, file: &[(&str, &[usize])]) -> Option<Identity> {
    let spec = network(model, &config).ok()?;
    let ours = tensors(&spec).ok()?;
    if file.len() < ours.len() {
        return None;
    }
    let head = spec.head.iter().rev().find(|layer| !layer.name.is_empty())?.name.as_str();
    let names: BTreeSet<String> = ours.iter().map(|(name, _)| name.clone()).collect();
    let mapping = names::map(file.iter().copied(), &names, &spec);
    let shapes: BTreeMap<&str, &[usize]> =
        file.iter().filter_map(|(name, shape)| Some((mapping.ours.get(*name)?.as_str(), *shape))).collect();
    if shapes.len() != ours.len() {
        return None;
    }
    let classes = *shapes.get(join(head, "weight").as_ref())?.first()?;
    let first = shapes.get(ours.first()?.0.as_str())?;
    let input = match config.input {
        Inputs::Pixels([_, height, width]) => [*first.get(1)?, height, width].into(),
        Inputs::Tokens(tokens) => Inputs::Tokens(Tokens { vocabulary: *first.first()?, ..tokens }),
    };
    let config = ModelConfig { input, classes, ..config };
    let wanted = tensors(&network(model, &config).ok()?).ok()?;
    let is_same = |(name, shape): &(String, Vec<usize>)| {
        shapes.get(name.as_str()).is_some_and(|found| is_alike(found, shape))
    };
    let origin = mapping.elsewhere.unwrap_or_else(|| writer(model));
    let model = match origin {
        TIMM => timm::name_of(model),
        _ => names::other(origin, model).unwrap_or(model),
    };
    wanted.iter().all(is_same).then_some(Identity { origin, model, config })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{efficientnet_pytorch, hugging_face};

    fn shown(tensors: &[(String, Vec<usize>)]) -> Vec<(&str, &[usize])> {
        tensors.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect()
    }

    #[test]
    fn every_network_is_known_by_its_tensors() {
        for model in MODELS {
            for config in candidates(model) {
                let input = match config.input {
                    Inputs::Pixels([_, height, width]) => [1, height, width].into(),
                    Inputs::Tokens(tokens) => Inputs::Tokens(Tokens { vocabulary: 70, ..tokens }),
                };
                let config = ModelConfig { input, classes: 17, ..config };
                let mut own = tensors(&network(model, &config).unwrap()).unwrap();
                let found = identify(&shown(&own)).unwrap();
                let again = tensors(&network(found.model, &found.config).unwrap()).unwrap();
                let called = if found.origin == TIMM { timm::name_of(model) } else { *model };
                assert_eq!((found.model, &again), (called, &own));
                let noun = usual_objective(model).noun();
                assert!(found.words().ends_with(&format!("{called}, 17 {noun}")), "{}", found.words());
                // Wrapped, with torch's counters, in another order.
                own.iter_mut().for_each(|(name, _)| *name = format!("module.{name}"));
                own.push(("module.bn1.num_batches_tracked".into(), Vec::new()));
                own.reverse();
                assert_eq!(identify(&shown(&own)), Some(found));
            }
        }
    }

    fn inverted(names: BTreeMap<String, String>) -> BTreeMap<String, String> {
        names.into_iter().map(|(theirs, ours)| (ours, theirs)).collect()
    }

    /// What is found for the tensors of a network under other names, `theirs` by ours, where names of `ends` have two sides of
    /// 1 more.
    fn words(model: &str, theirs: &BTreeMap<String, String>, ends: &str) -> String {
        let config = ModelConfig { classes: 17, ..candidates(model)[0].clone() };
        let mut renamed = tensors(&network(model, &config).unwrap()).unwrap();
        for (name, shape) in &mut renamed {
            *name = theirs.get(&*name).unwrap_or(&*name).clone();
            if name.ends_with(ends) {
                shape.extend([1, 1]);
            }
        }
        identify(&shown(&renamed)).unwrap().words()
    }

    #[test]
    fn names_of_hugging_face_are_told() {
        for (model, prefix, called) in [
            ("resnet18", "resnet.", "resnet18"),
            ("resnet50", "resnet.", "resnet50"),
            ("convnext_tiny", "convnext.", "convnext_tiny"),
            ("efficientnet_b0", "efficientnet.", "efficientnet-b0"),
            ("efficientnet_b2", "efficientnet.", "efficientnet-b2"),
            ("mobilenet_v1", "mobilenet_v1.", "mobilenet_v1_1.0_224"),
            ("mobilenet_v1_x0_75", "mobilenet_v1.", "mobilenet_v1_0.75_192"),
            ("mobilenet_v2_x0_35", "mobilenet_v2.", "mobilenet_v2_0.35_96"),
            ("mobilenet_v2_x1_4", "mobilenet_v2.", "mobilenet_v2_1.4_224"),
        ] {
            let spec = network(model, &candidates(model)[0]).unwrap();
            let own = tensors(&spec).unwrap().into_iter().map(|(name, _)| name).collect();
            let mut theirs = inverted(hugging_face::names(&own, &spec));
            for name in theirs.values_mut().filter(|name| !name.starts_with("classifier")) {
                *name = format!("{prefix}{name}");
            }
            assert_eq!(words(model, &theirs, "none"), format!("Hugging Face, {called}, 17 classes"));
        }
    }

    #[test]
    fn names_of_timm_are_told() {
        for (ours, called) in [
            ("mobilenet_v1", "mobilenetv1_100"),
            ("mobilenet_v2", "mobilenetv2_100"),
            ("mobilenet_v3_small", "mobilenetv3_small_100"),
            ("mobilenet_v3_large", "mobilenetv3_large_100"),
            ("efficientnet_b0", "efficientnet_b0"),
            ("efficientnet_lite0", "efficientnet_lite0"),
            ("mnasnet1_0", "mnasnet_100"),
            ("regnet_y_400mf", "regnety_004"),
            ("resnet50d", "resnet50d"),
            ("convnext_atto", "convnext_atto"),
        ] {
            let theirs = inverted(timm::names(&network(ours, &candidates(ours)[0]).unwrap()));
            // There MobileNetV3's matrix before the last is a convolution.
            let ends = if ours.contains("v3") { "conv_head.weight" } else { "none" };
            assert_eq!(words(ours, &theirs, ends), format!("timm, {called}, 17 classes"));
        }
    }

    #[test]
    fn names_of_efficientnet_pytorch_are_told() {
        for (ours, called, mean) in
            [("efficientnet_b1", "efficientnet-b1", 0.485), ("efficientnet_lite0", "efficientnet-lite0", 0.5)]
        {
            let spec = network(ours, &candidates(ours)[0]).unwrap();
            let theirs = inverted(efficientnet_pytorch::names(&spec));
            assert_eq!(words(ours, &theirs, "none"), format!("EfficientNet-PyTorch, {called}, 17 classes"));
            let own = tensors(&spec).unwrap();
            let renamed: Vec<_> =
                own.into_iter().map(|(name, shape)| (theirs[&name].clone(), shape)).collect();
            let found = identify(&shown(&renamed)).unwrap();
            assert_eq!(found.normalize().unwrap().mean[0], mean);
            let NetworkSpec { head, .. } = network(found.model, &found.config).unwrap();
            assert!(matches!(head[1].layer, LayerSpec::BatchNorm { epsilon: 1e-3, .. }));
        }
        let own = tensors(&network("resnet20", &ModelConfig::default()).unwrap()).unwrap();
        assert_eq!(identify(&shown(&own)).unwrap().normalize(), None);
    }

    #[test]
    fn sides_of_one_are_of_no_matter() {
        let found = words("convnext_tiny", &BTreeMap::new(), "layer_scale");
        assert_eq!(found, "torchvision, convnext_tiny, 17 classes");
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
