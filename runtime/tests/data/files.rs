//! Small data sets in every format, as bytes, for the tests of reading them.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own part

use flate2::Compression;
use flate2::write::GzEncoder;
use localgrad::data::Dataset;
use std::io::Write;

/// The byte at `position` of image `index`: some pattern without symmetries.
pub fn pixel(index: usize, position: usize) -> u8 {
    ((index * 97 + position * 31 + position * position % 7) % 256) as u8
}

/// The label of sample `index` in all of these sets.
pub fn label(index: usize, classes: usize) -> u8 {
    ((index * 7 + 3) % classes) as u8
}

/// An IDX file of images.
pub fn idx_images(count: usize, height: usize, width: usize) -> Vec<u8> {
    let mut bytes = header(0x0803, &[count, height, width]);
    bytes.extend((0..count).flat_map(|i| (0..height * width).map(move |p| pixel(i, p))));
    bytes
}

/// An IDX file of labels of 10 classes.
pub fn idx_labels(count: usize) -> Vec<u8> {
    let mut bytes = header(0x0801, &[count]);
    bytes.extend((0..count).map(|i| label(i, 10)));
    bytes
}

/// The header of an IDX file.
pub fn header(magic: u32, sizes: &[usize]) -> Vec<u8> {
    let sizes = sizes.iter().map(|&size| size as u32);
    std::iter::once(magic).chain(sizes).flat_map(u32::to_be_bytes).collect()
}

/// `bytes` gzipped.
pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A CIFAR-10 file with the samples `first..first + count`.
pub fn cifar10(first: usize, count: usize) -> Vec<u8> {
    (first..first + count)
        .flat_map(|i| std::iter::once(label(i, 10)).chain((0..3072).map(move |p| pixel(i, p))))
        .collect()
}

/// A CIFAR-100 file.
pub fn cifar100(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|i| [label(i, 20), label(i, 100)].into_iter().chain((0..3072).map(move |p| pixel(i, p))))
        .collect()
}

/// A safetensors file of a header and data.
pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// A safetensors file with u8 images [count, 2, 3, 4] and u8 labels of `classes` classes.
pub fn safetensors_bytes(count: usize, classes: usize) -> Vec<u8> {
    let end = count * 24;
    let header = format!(
        r#"{{"images":{{"dtype":"U8","shape":[{count},2,3,4],"data_offsets":[0,{end}]}},"labels":{{"dtype":"U8","shape":[{count}],"data_offsets":[{end},{}]}}}}"#,
        end + count
    );
    let pixels = (0..count).flat_map(|i| (0..24).map(move |p| pixel(i, p)));
    let data: Vec<u8> = pixels.chain((0..count).map(|i| label(i, classes))).collect();
    safetensors(&header, &data)
}

/// One image of a data set, [H, W, C], and its label.
pub fn read(set: &dyn Dataset, index: usize) -> (Vec<f32>, u32) {
    let mut pixels = vec![f32::NAN; set.shape().elements()];
    let label = set.read(index, &mut pixels).unwrap();
    (pixels, label)
}

/// What `read` must give of the pattern of bytes stored as planes [C, H, W].
pub fn expected_image(index: usize, channels: usize, height: usize, width: usize) -> Vec<f32> {
    let mut image = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..channels {
                image.push(f32::from(pixel(index, (c * height + y) * width + x)) / 255.0);
            }
        }
    }
    image
}

/// Asserts that a data set holds `count` samples of the pattern.
pub fn assert_pattern(set: &dyn Dataset, count: usize, classes: usize) {
    assert_eq!((set.len(), set.is_empty(), set.classes()), (count, false, classes));
    let shape = set.shape();
    for index in 0..count {
        let (image, found) = read(set, index);
        assert_eq!(image, expected_image(index, shape.channels, shape.height, shape.width), "image {index}");
        assert_eq!((found, set.label(index).unwrap()), (label(index, classes).into(), found));
    }
}
