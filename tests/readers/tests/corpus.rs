//! Every reader is held to its promises by the fuzzer's first inputs and by bytes near them: cut, flipped, moved and put
//! together, the same in every run. What finds more, and takes longer, is `scripts/fuzz.sh`.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use localgrad_readers as readers;
use std::panic::catch_unwind;
use std::path::Path;

/// Numbers that are the same for the same seed (Knuth's constants).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }

    fn part<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.below(bytes.len());
        &bytes[start..start + self.below((bytes.len() - start).min(64) + 1)]
    }
}

/// Bytes near those of one input; some hold a part of another.
fn near(bytes: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    const EXTREME: [u64; 6] = [0, 1, 0x7f, 0x8000_0000, u32::MAX as u64, u64::MAX];
    let mut bytes = bytes.to_vec();
    for _ in 0..1 + numbers.below(4) {
        let at = numbers.below(bytes.len());
        match numbers.below(6) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
            2 if at < bytes.len() => bytes[at] = numbers.below(256) as u8,
            3 => {
                let extreme = EXTREME[numbers.below(EXTREME.len())].to_le_bytes();
                let width = [1, 2, 4, 8][numbers.below(4)];
                for (byte, extreme) in bytes[at..].iter_mut().zip(&extreme[..width]) {
                    *byte = *extreme;
                }
            }
            4 => drop(bytes.splice(at..at, numbers.part(other).to_vec())),
            _ => drop(bytes.splice(at..(at + numbers.below(16)).min(bytes.len()), [])),
        }
    }
    bytes
}

/// Checks a reader by every input of its corpus and so many near each.
fn hold(name: &str, check: fn(&[u8]), near_each: usize) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has no corpus");
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let mut numbers = Numbers(7);
    for (file, input) in files.iter().zip(&inputs) {
        for round in 0..=near_each {
            let other = &inputs[numbers.below(inputs.len())];
            let bytes = if round == 0 { input.clone() } else { near(input, other, &mut numbers) };
            if catch_unwind(|| check(&bytes)).is_err() {
                let found = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-found"));
                std::fs::write(&found, &bytes).unwrap();
                panic!("{name}: bytes near {} break it: {}", file.display(), found.display());
            }
        }
    }
}

#[test]
fn stored_states() {
    hold("block", readers::block::check, 1000);
    hold("journal", readers::journal::check, 5000);
    hold("manifest", readers::manifest::check, 5000);
    hold("weights", readers::weights::check, 5000);
}

#[test]
fn data_sets() {
    hold("cifar", readers::cifar::check, 1000);
    hold("idx", readers::idx::check, 5000);
    hold("list", readers::list::check, 5000);
    hold("matlab", readers::matlab::check, 3000);
    hold("npy", readers::npy::check, 5000);
    hold("pickle", readers::pickle::check, 5000);
    hold("tensors", readers::tensors::check, 5000);
}

#[test]
fn pictures() {
    hold("picture", readers::picture::check, 1000);
}

#[test]
fn archives() {
    hold("archive", readers::archive::check, 200);
    hold("parquet", readers::parquet::check, 200);
    hold("torch", readers::torch::check, 200);
}

#[test]
fn networks() {
    hold("network", readers::network::check, 500);
}

#[test]
fn calls_of_the_c_library() {
    hold("api", readers::api::check, 200);
}
