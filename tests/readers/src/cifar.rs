//! Any bytes as a file of CIFAR-10 and of CIFAR-100.

use localgrad::data::Dataset;
use localgrad::data::cifar::{Cifar, CifarKind};

/// Must hold of any bytes.
pub fn check(data: &[u8]) {
    for kind in [CifarKind::Cifar10, CifarKind::Cifar100] {
        let Ok(set) = Cifar::from_bytes(kind, data, "fuzzed") else { continue };
        let mut pixels = vec![0.0; set.shape().elements()];
        for index in 0..set.len() {
            let label = set.read(index, &mut pixels).expect("a sample of an accepted set");
            assert!((label as usize) < set.classes());
        }
        assert!(set.read(set.len(), &mut pixels).is_err());
    }
}
