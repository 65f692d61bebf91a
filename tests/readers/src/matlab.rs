//! Any bytes as SVHN's digits in a MATLAB file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use localgrad::data::Dataset;
use localgrad_data::mat;

fuzz_target!(|data: &[u8]| {
    let Ok(set) = mat::from_bytes(data, "fuzzed") else { return };
    let mut pixels = vec![0.0; set.shape().elements()];
    for index in 0..set.len() {
        let label = set.read(index, &mut pixels).expect("a sample of an accepted set");
        assert!((label as usize) < set.classes());
    }
});
