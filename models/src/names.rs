//! Names that weights carry elsewhere, and ours.

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
}
