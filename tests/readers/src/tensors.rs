//! Any bytes as a data set in a safetensors file.

use localgrad::data::Dataset;
use localgrad::data::safetensors::TensorFile;

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    let Ok(set) = TensorFile::from_bytes(data, "fuzzed") else { return };
    let mut pixels = vec![0.0; set.shape().elements()];
    for index in 0..set.len().min(16) {
        if let Ok(label) = set.read(index, &mut pixels) {
            assert!((label as usize) < set.classes());
            assert!(pixels.iter().all(|pixel| pixel.is_finite()));
        }
    }
}
