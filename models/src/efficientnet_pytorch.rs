//! The names that EfficientNet-PyTorch (Melas-Kyriazi 2019) and its kin give to EfficientNets and to their weights, which
//! we name as torchvision does. The weights are TensorFlow's, of batch norms that add more to the variance, and of convolutions
//! that pad on one side where they make maps smaller: here they pad on both, so that such weights are to begin from.

use localgrad::layers::spec::{LayerSpec, join, weighted};
use localgrad::network::NetworkSpec;
use std::collections::BTreeMap;

/// What it calls the networks, and our names of those with the usual batch norms.
const MODELS: &[(&str, &str)] = &[
    ("efficientnet-b0", "efficientnet_b0"),
    ("efficientnet-b1", "efficientnet_b1"),
    ("efficientnet-b2", "efficientnet_b2"),
    ("efficientnet-lite0", "efficientnet_lite0"),
];

/// Its name of its own network of that form, where the one that is called `ours` has other batch norms.
pub fn other(ours: &str) -> Option<&'static str> {
    MODELS.iter().find(|(_, name)| *name == ours).map(|(theirs, _)| *theirs)
}

/// How layers of an EfficientNet are called, in their order.
pub(crate) struct Style {
    pub(crate) stem: [&'static str; 2],
    /// What stands before the number of a block.
    pub(crate) blocks: &'static str,
    pub(crate) expansion: [&'static str; 2],
    pub(crate) depthwise: [&'static str; 2],
    pub(crate) gate: [&'static str; 2],
    pub(crate) projection: [&'static str; 2],
    pub(crate) head: [&'static str; 3],
}

const STYLE: Style = Style {
    stem: ["_conv_stem", "_bn0"],
    blocks: "_blocks",
    expansion: ["_expand_conv", "_bn0"],
    depthwise: ["_depthwise_conv", "_bn1"],
    gate: ["_se_reduce", "_se_expand"],
    projection: ["_project_conv", "_bn2"],
    head: ["_conv_head", "_bn1", "_fc"],
};

/// Our names of a network's weights and statistics by its names; none of other networks.
pub fn names(network: &NetworkSpec) -> BTreeMap<String, String> {
    names_of(network, &STYLE)
}

/// Our names of an EfficientNet's weights and statistics by those of `style`; none of other networks.
pub(crate) fn names_of(network: &NetworkSpec, style: &Style) -> BTreeMap<String, String> {
    let is_known = |(theirs, ours): &(&str, &str)| [*theirs, *ours].contains(&network.name.as_str());
    if !MODELS.iter().any(is_known) {
        return BTreeMap::new();
    }
    let Ok(expanded) = network.expand() else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for (number, (unit, (layers, _))) in network.units.iter().zip(&expanded).enumerate() {
        let layers = weighted(&unit.name, layers);
        let theirs = match number.checked_sub(1) {
            None => style.stem.map(String::from).to_vec(),
            Some(block) => {
                let named = |name: &&str| format!("{}.{block}.{name}", style.blocks);
                of_block(&layers, style).iter().map(named).collect()
            }
        };
        add(&mut found, layers, theirs);
    }
    add(&mut found, weighted("", &network.head), style.head.map(String::from).to_vec());
    found
}

/// Their names of a block's layers: the gate's convolutions alone have biases.
fn of_block(layers: &[(String, &LayerSpec)], style: &Style) -> Vec<&'static str> {
    let excites = layers.iter().any(|(_, layer)| matches!(layer, LayerSpec::Conv { bias: true, .. }));
    let gate: &[&str] = if excites { &style.gate } else { &[] };
    let expands = layers.len() - gate.len() > 4;
    let expansion: &[&str] = if expands { &style.expansion } else { &[] };
    [expansion, &style.depthwise, gate, &style.projection].concat()
}

fn add(found: &mut BTreeMap<String, String>, layers: Vec<(String, &LayerSpec)>, theirs: Vec<String>) {
    for ((ours, layer), theirs) in layers.into_iter().zip(theirs) {
        for tensor in layer.tensors() {
            found.insert(join(&theirs, tensor).into_owned(), join(&ours, tensor).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::tensors;
    use crate::{ModelConfig, network};

    /// Names that are in its files, and ours.
    const KNOWN: &[(&str, &str, &str)] = &[
        ("efficientnet-lite0", "_conv_stem.weight", "features.0.0.weight"),
        ("efficientnet-lite0", "_blocks.0._depthwise_conv.weight", "features.1.0.block.0.0.weight"),
        ("efficientnet-lite0", "_blocks.0._bn2.running_var", "features.1.0.block.1.1.running_var"),
        ("efficientnet-lite0", "_blocks.1._expand_conv.weight", "features.2.0.block.0.0.weight"),
        ("efficientnet-lite0", "_blocks.15._project_conv.weight", "features.7.0.block.2.0.weight"),
        ("efficientnet-b0", "_blocks.0._se_reduce.bias", "features.1.0.block.1.fc1.bias"),
        ("efficientnet-b0", "_blocks.3._bn0.bias", "features.3.0.block.0.1.bias"),
        ("efficientnet_b1", "_blocks.1._depthwise_conv.weight", "features.1.1.block.0.0.weight"),
        ("efficientnet-b2", "_conv_head.weight", "features.8.0.weight"),
        ("efficientnet-b0", "_fc.bias", "classifier.1.bias"),
    ];

    #[test]
    fn its_names_are_known() {
        for (model, theirs, ours) in KNOWN {
            let names = names(&network(model, &ModelConfig::default()).unwrap());
            assert_eq!(names.get(*theirs).map(String::as_str), Some(*ours), "{model} {theirs}");
        }
        assert!(names(&network("mobilenet_v2", &ModelConfig::default()).unwrap()).is_empty());
    }

    #[test]
    fn every_weight_has_one_name() {
        for (theirs, ours) in MODELS {
            let [theirs, ours] = [theirs, ours].map(|name| network(name, &ModelConfig::default()).unwrap());
            let mut own: Vec<String> = tensors(&ours).unwrap().into_iter().map(|(name, _)| name).collect();
            let mut named: Vec<String> = names(&theirs).into_values().collect();
            named.sort();
            own.sort();
            assert_eq!(named, own, "{}", theirs.name);
            assert!(other(&ours.name) == Some(theirs.name.as_str()) && ours.head != theirs.head);
        }
        assert_eq!(other("efficientnet-b0"), None);
    }
}
