//! One pass over a data set: what tells it from another one, and whether its numbers are what they should be.

use super::Dataset;
use crate::deal::deal;
use crate::error::Result;
use crate::targets::TargetKind;

/// Images that are looked at before the next are begun, so that what waits stays small.
const AT_ONCE: usize = 4096;

/// What one pass over all samples finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Survey {
    /// CRC-32 of all labels in order, each a little-endian u32, or of all numbers of rows of targets, each a little-endian f32.
    pub labels_checksum: u32,
    /// CRC-32 of the CRC-32s of all images in order, each a little-endian u32; an image's is that of its pixels
    /// [H, W, C] as they are read, each a little-endian f32.
    pub pixels_checksum: u32,
    /// The least number in any image.
    pub least: f32,
    /// The largest.
    pub largest: f32,
}

/// What an image adds to a survey.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// CRC-32 of its pixels.
    pub checksum: u32,
    /// The least number in it.
    pub least: f32,
    /// The largest.
    pub largest: f32,
}

impl Seen {
    /// What pixels [H, W, C] add.
    pub fn of(pixels: &[f32]) -> Self {
        let mut checksum = crc32fast::Hasher::new();
        let mut bytes = [0; 1024];
        for part in pixels.chunks(bytes.len() / 4) {
            for (four, number) in bytes.chunks_exact_mut(4).zip(part) {
                four.copy_from_slice(&number.to_le_bytes());
            }
            checksum.update(&bytes[..4 * part.len()]);
        }
        let [least, largest] = range(pixels);
        Self { checksum: checksum.finalize(), least, largest }
    }
}

/// Numbers that are compared at once.
const LANES: usize = 32;

/// The least and the largest number, of those that are numbers.
fn range(pixels: &[f32]) -> [f32; 2] {
    let (mut least, mut largest) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let (whole, rest) = pixels.as_chunks::<LANES>();
    for part in whole {
        for ((least, largest), &number) in least.iter_mut().zip(&mut largest).zip(part) {
            // One instruction each, unlike `f32::min`, which has to look for NaN on both sides.
            *least = if number < *least { number } else { *least };
            *largest = if number > *largest { number } else { *largest };
        }
    }
    let all = |of_lanes: [f32; LANES]| of_lanes.into_iter().chain(rest.iter().copied());
    [all(least).fold(f32::INFINITY, f32::min), all(largest).fold(f32::NEG_INFINITY, f32::max)]
}

impl Survey {
    /// Reads every sample once, with the threads of the pool that it is called from. Their number changes nothing.
    ///
    /// # Errors
    /// Those of reading samples.
    pub fn of(dataset: &dyn Dataset) -> Result<Self> {
        let (mut labels, mut pixels) = (crc32fast::Hasher::new(), crc32fast::Hasher::new());
        let (mut least, mut largest) = (f32::INFINITY, f32::NEG_INFINITY);
        let size = dataset.shape().elements();
        // Those of samples that answer themselves are their pixels.
        let has_rows = dataset.target_kind() != TargetKind::Class && !dataset.answers_itself();
        let mut row = vec![0.0f32; if has_rows { dataset.classes() } else { 0 }];
        for start in (0..dataset.len()).step_by(AT_ONCE) {
            let samples = start..dataset.len().min(start + AT_ONCE);
            let seen = deal(samples.clone(), || vec![0.0; size], |image, index| look(dataset, index, image));
            for (index, seen) in samples.zip(seen) {
                let seen = seen?;
                if has_rows {
                    dataset.target(index, &mut row)?;
                    row.iter().for_each(|number| labels.update(&number.to_le_bytes()));
                } else {
                    labels.update(&dataset.label(index)?.to_le_bytes());
                }
                pixels.update(&seen.checksum.to_le_bytes());
                (least, largest) = (least.min(seen.least), largest.max(seen.largest));
            }
        }
        Ok(Self { labels_checksum: labels.finalize(), pixels_checksum: pixels.finalize(), least, largest })
    }
}

/// The least and the largest number in images of a data set: in up to `most` of them, which lie evenly over all.
///
/// # Errors
/// Those of reading samples.
pub fn range_of_some(dataset: &dyn Dataset, most: usize) -> Result<[f32; 2]> {
    let mut image = vec![0.0; dataset.shape().elements()];
    let (mut least, mut largest) = (f32::INFINITY, f32::NEG_INFINITY);
    for index in (0..dataset.len()).step_by(dataset.len().div_ceil(most.max(1)).max(1)) {
        let seen = look(dataset, index, &mut image)?;
        (least, largest) = (least.min(seen.least), largest.max(seen.largest));
    }
    Ok([least, largest])
}

fn look(dataset: &dyn Dataset, index: usize, image: &mut [f32]) -> Result<Seen> {
    if let Some(seen) = dataset.seen(index) {
        return Ok(seen);
    }
    dataset.read(index, image)?;
    Ok(Seen::of(image))
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn the_range_is_that_of_all_numbers_but_nan() {
        for count in 0..100usize {
            let mut pixels: Vec<f32> = (0..count).map(|i| ((i * 37 + 11) % 101) as f32 - 50.0).collect();
            for place in [None, Some(0), count.checked_sub(1), Some(count / 2)] {
                if let Some(pixel) = place.and_then(|place| pixels.get_mut(place)) {
                    *pixel = f32::NAN;
                }
                let least = pixels.iter().copied().fold(f32::INFINITY, f32::min);
                let largest = pixels.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                assert_eq!(range(&pixels), [least, largest], "{pixels:?}");
            }
        }
    }
}
