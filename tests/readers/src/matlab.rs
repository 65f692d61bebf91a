//! Any bytes as SVHN's digits in a MATLAB file.

use localgrad::data::Dataset;
use localgrad_data::mat;

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    let Ok(set) = mat::from_bytes(data, "fuzzed") else { return };
    let mut pixels = vec![0.0; set.shape().elements()];
    for index in 0..set.len() {
        let label = set.read(index, &mut pixels).expect("a sample of an accepted set");
        assert!((label as usize) < set.classes());
    }
}
