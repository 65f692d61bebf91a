//! Files as other programs write them, made here to the letter of their formats.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod matlab;
pub(crate) mod torch;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use image::{ImageFormat, Rgb, RgbImage};
use localgrad_data::{Collection, Found, look};
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

/// A file of one NumPy array: version 1 of the format, its header filled up to 64 bytes.
pub(crate) fn npy(descr: &str, by_columns: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if by_columns { "True" } else { "False" };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while !(header.len() + 11).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// A zip archive of files by their names, packed by deflate or stored.
pub(crate) fn zip(files: &[(&str, Vec<u8>)], packs: bool) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, file) in files {
        let packed = if packs { deflated(file) } else { file.clone() };
        let mut common = [20_u16, 0, if packs { 8 } else { 0 }, 0, 0x21].map(u16::to_le_bytes).concat();
        let sizes = [crc32fast::hash(file), packed.len() as u32, file.len() as u32];
        common.extend(sizes.map(u32::to_le_bytes).concat());
        common.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        let offset = bytes.len() as u32;
        directory.extend([b"PK\x01\x02\x14\x00", &common[..], &[0; 10], &offset.to_le_bytes()].concat());
        directory.extend(name.as_bytes());
        bytes.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &packed].concat());
    }
    let (count, start) = (files.len() as u16, bytes.len() as u32);
    bytes.extend(&directory);
    bytes.extend([b"PK\x05\x06\0\0\0\0", &[count, count].map(u16::to_le_bytes).concat()[..]].concat());
    bytes.extend([directory.len() as u32, start].map(u32::to_le_bytes).concat());
    bytes.extend([0, 0]);
    bytes
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar archive of files by their names.
pub(crate) fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, file) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, file.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(crate) fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A picture of one shade.
pub(crate) fn picture(shade: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let image = RgbImage::from_pixel(12, 10, Rgb([shade; 3]));
    image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    bytes
}

/// A file with these bytes in a folder that is made if need be.
pub(crate) fn written(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The pictures that lie at a path.
pub(crate) fn collection(path: &Path) -> Collection {
    match look(path).unwrap() {
        Found::Pictures(collection) => *collection,
        Found::Numbers => panic!("no pictures in {}", path.display()),
    }
}
