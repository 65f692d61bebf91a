//! Names that weights carry elsewhere, and ours.

use crate::{efficientnet_pytorch, hugging_face, timm};
use localgrad::network::NetworkSpec;
use std::collections::{BTreeMap, BTreeSet};

/// What wrappers put before the names of the network inside: data-parallel and compiled ones, and the classes that people
/// write around a network.
pub const PREFIXES: [&str; 14] = [
    "module.",
    "_orig_mod.",
    "model.",
    "backbone.",
    "net.",
    "encoder.",
    "state_dict.",
    "resnet.",
    "regnet.",
    "convnext.",
    "efficientnet.",
    "mobilenet_v1.",
    "mobilenet_v2.",
    "timm_model.",
];

/// Who writes names as [`hugging_face`] has them.
pub const HUGGING_FACE: &str = "Hugging Face";
/// Who writes names as [`timm`] has them.
pub const TIMM: &str = "timm";
/// Who writes names as [`efficientnet_pytorch`] has them.
pub const EFFICIENTNET_PYTORCH: &str = "EfficientNet-PyTorch";

/// Our name (torchvision's) for a weight that a file calls `name`, in a network whose classifier we call
/// `head` (`fc` or `classifier`).
pub fn canonical(name: &str, head: &str) -> String {
    // Files saved from a data-parallel wrapper.
    let name = name.strip_prefix("module.").unwrap_or(name);
    if let Some(rest) = name.strip_prefix("linear.") {
        return format!("{head}.{rest}");
    }
    name.replace(".shortcut.", ".downsample.")
}

/// Whether a tensor is a counter that torch stores beside batch norm and that no result depends on.
pub fn is_counter(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

/// What became of the tensors of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// For each that is to be read, our name by the file's. Those that mean nothing to the network keep what is left of
    /// theirs, so that they can be told.
    pub ours: BTreeMap<String, String>,
    /// Prefixes that were taken off, outer ones first, and of how many names.
    pub stripped: BTreeMap<String, usize>,
    /// Scalars that are no weights, such as the number of an epoch.
    pub left_out: Vec<String>,
    /// Batch norm's counters, which are left out, too.
    pub counters: usize,
    /// Who else writes names as this file does, where they are not ours.
    pub elsewhere: Option<&'static str>,
    /// The network that such a file is of, where the network at hand has the same form and other batch norms.
    pub other: Option<&'static str>,
}

/// Finds the network's own names (`ours`) in those of a file, each with its shape. The file may have timm's, Hugging Face's
/// or EfficientNet-PyTorch's.
pub fn map<'a>(
    file: impl IntoIterator<Item = (&'a str, &'a [usize])>,
    ours: &BTreeSet<String>,
    network: &NetworkSpec,
) -> Mapping {
    let head = network.head.iter().rev().find(|layer| !layer.name.is_empty());
    let head = head.map_or("fc", |layer| &layer.name);
    let others = [
        (HUGGING_FACE, hugging_face::names(ours, network)),
        (TIMM, timm::names(network)),
        (EFFICIENTNET_PYTORCH, efficientnet_pytorch::names(network)),
    ];
    let mapping = map_to(file, &Known { ours, others, head });
    Mapping { other: mapping.elsewhere.and_then(|writer| other(writer, &network.name)), ..mapping }
}

/// The name that a writer of names gives to its own network of the form of `ours`, where that has other batch norms.
pub(crate) fn other(writer: &str, ours: &str) -> Option<&'static str> {
    match writer {
        TIMM => timm::other(ours),
        EFFICIENTNET_PYTORCH => efficientnet_pytorch::other(ours),
        HUGGING_FACE => hugging_face::other(ours),
        _ => None,
    }
}

/// What names may mean.
struct Known<'a> {
    ours: &'a BTreeSet<String>,
    /// Ours by those of others, whose names are before them.
    others: [(&'static str, BTreeMap<String, String>); 3],
    /// The classifier's.
    head: &'a str,
}

impl Known<'_> {
    /// Our name by that of somebody else, and whose that is.
    fn elsewhere(&self, name: &str) -> Option<(&'static str, &String)> {
        self.others.iter().find_map(|(writer, names)| Some((*writer, names.get(name)?)))
    }
}

fn map_to<'a>(file: impl IntoIterator<Item = (&'a str, &'a [usize])>, known: &Known<'_>) -> Mapping {
    let ours = known.ours;
    let mut mapping = Mapping::default();
    // How many names each of the others could have written: some names are several writers'.
    let mut written = [0; 3];
    for (name, shape) in file {
        let (found, prefix) = unwrapped(name, known);
        let inner = &name[prefix.len()..];
        for (count, (_, names)) in written.iter_mut().zip(&known.others) {
            *count += usize::from(names.contains_key(inner) && !ours.contains(inner));
        }
        let is_ours = ours.contains(&found);
        if !is_ours && is_counter(&found) {
            mapping.counters += 1;
            continue;
        }
        if !is_ours && shape.iter().product::<usize>() == 1 {
            mapping.left_out.push(name.to_string());
            continue;
        }
        if !prefix.is_empty() {
            *mapping.stripped.entry(prefix.to_string()).or_default() += 1;
        }
        mapping.ours.insert(name.to_string(), found);
    }
    let most = written.iter().max().copied().filter(|count| *count > 0);
    let writer = most.and_then(|most| written.iter().position(|count| *count == most));
    mapping.elsewhere = writer.map(|writer| known.others[writer].0);
    mapping
}

/// Our name for the file's, and what was taken off its beginning: as little as makes it ours, or all that is known.
fn unwrapped<'a>(name: &'a str, known: &Known<'_>) -> (String, &'a str) {
    let ours = known.ours;
    let mut rest = name;
    loop {
        let found = canonical(rest, known.head);
        let taken = name.len() - rest.len();
        if ours.contains(rest) {
            return (rest.to_string(), &name[..taken]);
        }
        if let Some((_, found)) = known.elsewhere(rest) {
            return (found.clone(), &name[..taken]);
        }
        let inner = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix));
        match inner {
            // `canonical` takes this one off itself.
            _ if ours.contains(&found) && !rest.starts_with("module.") => return (found, &name[..taken]),
            Some(inner) => rest = inner,
            None => return (found, &name[..taken]),
        }
    }
}

impl Mapping {
    /// What was done besides reading, and what may be wrong with it, in words; nothing where nothing is.
    pub fn words(&self) -> Option<String> {
        let mut done: Vec<String> = self
            .stripped
            .iter()
            .map(|(prefix, count)| format!("'{prefix}' taken off {count} names"))
            .collect();
        let mut left_out: Vec<String> = self.left_out.clone();
        if self.counters > 0 {
            left_out.push(format!("{} counters (num_batches_tracked)", self.counters));
        }
        if !left_out.is_empty() {
            done.push(format!("left out: {}", left_out.join(", ")));
        }
        if let (Some(other), Some(writer)) = (self.other, self.elsewhere) {
            done.push(format!(
                "these are {writer}'s weights, of batch norms with other numbers: the network is {other}"
            ));
        }
        (!done.is_empty()).then(|| done.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_spellings() {
        assert_eq!(canonical("module.layer1.0.conv1.weight", "fc"), "layer1.0.conv1.weight");
        assert_eq!(canonical("linear.bias", "fc"), "fc.bias");
        assert_eq!(canonical("layer2.0.shortcut.1.weight", "fc"), "layer2.0.downsample.1.weight");
        assert_eq!(canonical("fc.weight", "fc"), "fc.weight");
        assert!(is_counter("bn1.num_batches_tracked"));
    }

    fn ours() -> BTreeSet<String> {
        ["conv1.weight", "layer2.0.downsample.1.weight", "net.scale", "fc.bias"].map(String::from).into()
    }

    fn mapped(names: &[(&str, &[usize])]) -> Mapping {
        map_to(names.iter().copied(), &Known { ours: &ours(), others: Default::default(), head: "fc" })
    }

    #[test]
    fn prefixes_are_taken_off_however_they_are_stacked() {
        for prefix in
            ["", "module.", "_orig_mod.", "model.", "_orig_mod.module.", "state_dict.model.backbone.", "net."]
        {
            let wrapped = ["conv1.weight", "layer2.0.shortcut.1.weight", "linear.bias"]
                .map(|name| format!("{prefix}{name}"));
            let shape: &[usize] = &[4, 2];
            let found = mapped(&wrapped.each_ref().map(|name| (name.as_str(), shape)));
            let wanted = ["conv1.weight", "layer2.0.downsample.1.weight", "fc.bias"];
            assert_eq!(wrapped.each_ref().map(|name| found.ours[name].as_str()), wanted);
            let stripped: BTreeMap<String, usize> =
                [(prefix.to_string(), 3)].into_iter().filter(|_| !prefix.is_empty()).collect();
            assert_eq!(found.stripped, stripped);
        }
    }

    #[test]
    fn what_is_ours_stays_and_scalars_are_left_out() {
        let found = mapped(&[
            ("net.scale", &[1]),
            ("module.net.scale", &[1]),
            ("module.epoch", &[]),
            ("step", &[1]),
            ("model.bn1.num_batches_tracked", &[]),
            ("model.other.weight", &[3, 3]),
        ]);
        assert_eq!(found.ours["net.scale"], "net.scale");
        assert_eq!(found.ours["module.net.scale"], "net.scale");
        assert_eq!(found.ours["model.other.weight"], "other.weight");
        assert_eq!(
            (found.left_out.as_slice(), found.counters),
            (&["module.epoch".into(), "step".into()][..], 1)
        );
        let words = found.words().unwrap();
        assert!(
            words.contains("'module.' taken off 1") && words.contains("module.epoch, step, 1 counters"),
            "{words}"
        );
        assert_eq!(mapped(&[("conv1.weight", &[2])]).words(), None);
    }

    #[test]
    fn a_network_with_other_batch_norms_is_told() {
        let words = |model: &str, name: &str| {
            let spec = crate::network(model, &crate::ModelConfig::default()).unwrap();
            let ours = crate::identify::tensors(&spec).unwrap().into_iter().map(|(name, _)| name).collect();
            let shape: &[usize] = &[16, 3, 3, 3];
            map([(name, shape)], &ours, &spec).words()
        };
        let told = words("mobilenet_v3_small", "conv_stem.weight").unwrap();
        assert!(told.contains("mobilenetv3_small_100"), "{told}");
        assert_eq!(words("mobilenetv3_small_100", "conv_stem.weight"), None);
        assert_eq!(words("mobilenet_v3_small", "features.0.0.weight"), None);
        assert_eq!(words("mobilenet_v2", "conv_stem.weight"), None);
        let told = words("efficientnet_lite0", "_conv_stem.weight").unwrap();
        assert!(told.contains("the network is efficientnet-lite0"), "{told}");
    }
}
