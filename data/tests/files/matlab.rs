//! Files of MATLAB's matrices, as SVHN comes in them.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write;

/// An element of a MATLAB file.
fn element(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = [&kind.to_le_bytes()[..], &(data.len() as u32).to_le_bytes(), data].concat();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// A matrix; its name is of four letters at most, and stands in one word with its length.
pub(crate) fn matrix(name: &[u8], class: u8, sizes: &[u32], kind: u32, data: &[u8]) -> Vec<u8> {
    let mut small = (1 | (name.len() as u32) << 16).to_le_bytes().to_vec();
    small.extend(name);
    small.resize(8, 0);
    let sizes: Vec<u8> = sizes.iter().flat_map(|side| side.to_le_bytes()).collect();
    let parts = [element(6, &[class, 0, 0, 0, 0, 0, 0, 0]), element(5, &sizes), small, element(kind, data)];
    element(14, &parts.concat())
}

pub(crate) fn compressed(element: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(element).unwrap();
    let packed = encoder.finish().unwrap();
    // Not padded.
    [&15_u32.to_le_bytes()[..], &(packed.len() as u32).to_le_bytes(), &packed].concat()
}

pub(crate) fn mat_file(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".to_vec();
    bytes.resize(124, b' ');
    bytes.extend([0, 1, b'I', b'M']);
    elements.iter().for_each(|element| bytes.extend(element));
    bytes
}

/// Digits as SVHN has them: columns first, images last; `byte` gives that of an image at a row, column and channel.
pub(crate) fn svhn(labels: &[u8], packs: bool, byte: impl Fn(usize, usize, usize, usize) -> u8) -> Vec<u8> {
    const SIZE: usize = 3 * 32 * 32;
    let place = |at: usize| byte(at / SIZE, at % 32, at % 1024 / 32, at % SIZE / 1024);
    let data: Vec<u8> = (0..labels.len() * SIZE).map(place).collect();
    let count = labels.len() as u32;
    let parts = [matrix(b"X", 9, &[32, 32, 3, count], 2, &data), matrix(b"y", 9, &[count, 1], 2, labels)];
    mat_file(&parts.map(|part| if packs { compressed(&part) } else { part }))
}
