//! What a trained network takes for what, and the mistakes that it is surest of.

use crate::fault::Outcome;
use crate::metrics::{Judged, Mistake};
use localgrad::data::{Loader, Normalize};
use localgrad::exits::certainty::likeliest;
use localgrad::maps::Map;
use localgrad::model::Classifier;

/// Mistakes that are shown.
const SHOWN: usize = 12;
/// The most classes of which all pairs are counted.
const MOST_CLASSES: usize = 100;
/// The longest side of a thumbnail, in pixels.
const THUMBNAIL_SIDE: usize = 64;

/// Runs every sample through the network of the run called `run`; none where it answers one with no numbers. `names` are
/// those of the classes, as far as they are known.
///
/// # Errors
/// Those of reading samples, and of the network.
pub fn judge(
    run: &str,
    model: &mut dyn Classifier,
    loader: &Loader,
    names: &[String],
) -> Outcome<Option<Judged>> {
    let classes = model.spec().classes;
    let counted = if classes <= MOST_CLASSES { classes } else { 0 };
    let mut confusion = vec![vec![0; counted]; counted];
    let mut mistakes: Vec<Mistake> = Vec::new();
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
    for position in 0..loader.batches() {
        let batch = loader.batch(0, position)?;
        let samples = loader.samples(0, position)?;
        let logits = model.logits(&batch.inputs)?.numbers()?;
        for (number, (logits, &label)) in
            logits.chunks(classes.max(1)).zip(batch.targets.labels()?).enumerate()
        {
            let Some((found, probability)) = likeliest(logits, 1.0) else { return Ok(None) };
            let label = label as usize;
            if let Some(count) = confusion.get_mut(label).and_then(|row| row.get_mut(found)) {
                *count += 1;
            }
            let place = mistakes.partition_point(|mistake| mistake.probability >= probability);
            if found == label || place >= SHOWN {
                continue;
            }
            let sample = samples[number];
            let called = loader.dataset().sample_name(sample);
            mistakes.insert(
                place,
                Mistake {
                    sample: called.map_or_else(|| sample.to_string(), String::from),
                    class: name(label),
                    taken_for: name(found),
                    probability,
                    thumbnail: thumbnail(&batch.inputs.samples(number, 1)?, loader.normalize())?,
                },
            );
            mistakes.truncate(SHOWN);
        }
    }
    Ok(Some(Judged { run: run.into(), classes: (0..counted).map(name).collect(), confusion, mistakes }))
}

/// A small picture of a normalised image `[1, H, W, C]`, as a page takes it: a BMP file in base 64.
fn thumbnail(image: &Map, normalize: &Normalize) -> Outcome<String> {
    let dims = image.dims().to_vec();
    let [_, height, width, channels] = dims[..] else { return Ok(String::new()) };
    let values = normalize.invert(image)?.numbers()?;
    let step = height.max(width).div_ceil(THUMBNAIL_SIDE).max(1);
    let [rows, columns] = [height.div_ceil(step), width.div_ceil(step)];
    let byte = |y: usize, x: usize, channel: usize| {
        let channel = if channels < 3 { 0 } else { channel };
        let value = values[(y * step * width + x * step) * channels + channel];
        (255.0 * value.clamp(0.0, 1.0)).round() as u8
    };
    let padding = (columns * 3).next_multiple_of(4) - columns * 3;
    let mut pixels = Vec::with_capacity(rows * (columns * 3 + padding));
    // The last row comes first, and blue first in a pixel.
    for y in (0..rows).rev() {
        (0..columns).for_each(|x| pixels.extend([2, 1, 0].map(|channel| byte(y, x, channel))));
        pixels.extend(std::iter::repeat_n(0, padding));
    }
    const HEADER_BYTES: u32 = 54;
    let mut file = b"BM".to_vec();
    for number in [HEADER_BYTES + pixels.len() as u32, 0, HEADER_BYTES, 40, columns as u32, rows as u32] {
        file.extend(number.to_le_bytes());
    }
    // One plane of 24 bits, not compressed.
    file.extend([1, 0, 24, 0]);
    for number in [0, pixels.len() as u32, 2835, 2835, 0, 0] {
        file.extend(number.to_le_bytes());
    }
    file.extend(pixels);
    Ok(base64(&file))
}

/// The bytes in base 64 (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let of = |place: usize| u32::from(chunk.get(place).copied().unwrap_or(0));
        let bits = of(0) << 16 | of(1) << 8 | of(2);
        for place in 0..4 {
            let is_there = place <= chunk.len();
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if is_there { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_as_the_standard_has_them() {
        let known = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in known {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn a_thumbnail_is_a_picture() {
        let pixels = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
        let image = Map::new(pixels, (1, 2, 2, 3)).unwrap();
        let text = thumbnail(&image, &Normalize::identity(3)).unwrap();
        // A file of 54 + 2 rows of 8 bytes: "BM", 70.
        assert!(text.starts_with("Qk1GAAAA"), "{text}");
        let large = Map::new(vec![0.5; 300 * 200], (1, 300, 200, 1)).unwrap();
        let text = thumbnail(&large, &Normalize::identity(1)).unwrap();
        assert_eq!(text.len(), (54 + 60 * 40 * 3usize).div_ceil(3) * 4);
    }
}
