//! Any bytes as a pair of IDX files, plain or gzipped: the first two bytes say where the labels begin.

use localgrad::data::Dataset;
use localgrad::data::idx::Idx;

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    let Some((start, data)) = data.split_first_chunk::<2>() else { return };
    let (images, labels) = data.split_at(data.len().min(u16::from_le_bytes(*start).into()));
    let Ok(set) = Idx::from_bytes(images, labels, "fuzzed") else { return };
    let mut pixels = vec![0.0; set.shape().elements()];
    for index in 0..set.len().min(16) {
        if let Ok(label) = set.read(index, &mut pixels) {
            assert!((label as usize) < set.classes());
        }
    }
}
