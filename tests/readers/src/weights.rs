//! Any bytes as a file of weights, with the names of pretrained ones made ours.

use localgrad::weights;
use localgrad_models::names;

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    let rename = |name: &str| (!names::is_counter(name)).then(|| names::canonical(name, "fc"));
    if let Ok(found) = weights::from_bytes(data, "fuzzed", rename) {
        let numbers: usize = found.values().map(|tensor| tensor.elem_count()).sum();
        // No number takes less than two bytes.
        assert!(numbers <= data.len() / 2);
    }
}
