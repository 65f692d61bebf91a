//! Large JPEG pictures that less is asked of: decoded at a half, a quarter or an eighth of their size, by inverse transforms of
//! so many frequencies alone, as libjpeg's `scale_denom` does.

use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::{Decoder, PixelFormat};

/// Smaller pictures are decoded sooner than this gains anything.
const LEAST_PIXELS: usize = 4 << 20;
/// What is left is at least so many times what is asked for, each way, so that hardly anything of it changes.
const LEAST_LEFT: usize = 2;

/// How many pixels of a `picture` may become one, each way, if a `part` of it is to become one of size `to`; all are heights
/// and widths. It divides the picture's sides, so that every pixel is of as many.
pub fn factor(picture: [usize; 2], part: [usize; 2], to: [usize; 2]) -> usize {
    if picture[0].saturating_mul(picture[1]) < LEAST_PIXELS {
        return 1;
    }
    let most = |axis: usize| part[axis] / to[axis].saturating_mul(LEAST_LEFT).max(1);
    let most = if to.contains(&0) { 1 } else { most(0).min(most(1)) };
    let fits = |factor: &usize| *factor <= most && picture.iter().all(|side| side.is_multiple_of(*factor));
    [8, 4, 2].into_iter().find(fits).unwrap_or(1)
}

/// A JPEG picture with one pixel for so many of its own, each way; none where it is no whole picture, takes more than
/// `most_bytes`, its sides are no multiples of `factor`, or its colours are those of print.
pub fn decode(bytes: &[u8], factor: usize, most_bytes: u64) -> Option<DynamicImage> {
    let mut decoder = Decoder::new(bytes);
    decoder.read_info().ok()?;
    let whole = decoder.info()?;
    let sides = [whole.width, whole.height];
    let pixel_bytes = sides.iter().map(|&side| u64::from(side)).product::<u64>() * 3;
    let factor = u16::try_from(factor).ok().filter(|factor| *factor > 0)?;
    if pixel_bytes > most_bytes || sides.iter().any(|side| *side == 0 || !side.is_multiple_of(factor)) {
        return None;
    }
    let wanted = sides.map(|side| side / factor);
    let [width, height] = wanted;
    let found = decoder.scale(width, height).ok()?;
    if [found.0, found.1] != wanted || !matches!(whole.pixel_format, PixelFormat::L8 | PixelFormat::RGB24) {
        return None;
    }
    let pixels = decoder.decode().ok()?;
    let (width, height) = (u32::from(width), u32::from(height));
    match whole.pixel_format {
        PixelFormat::L8 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        _ => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_twice_what_is_asked_for_is_left() {
        let of = |picture, to| factor(picture, picture, to);
        // A phone's 12 megapixels.
        assert_eq!(of([3024, 4032], [256, 341]), 4);
        assert_eq!(of([4032, 3024], [341, 256]), 4);
        assert_eq!(of([3024, 4032], [189, 252]), 8);
        assert_eq!(of([3024, 4032], [190, 252]), 4);
        assert_eq!(of([3024, 4032], [756, 1008]), 2);
        assert_eq!(of([3024, 4032], [757, 1008]), 1);
        // A part of it.
        assert_eq!(factor([3024, 4032], [900, 900], [224, 224]), 2);
        assert_eq!(factor([3024, 4032], [895, 900], [224, 224]), 1);
        // Sides that only 2 divides, or nothing.
        assert_eq!(of([3022, 4032], [256, 341]), 2);
        assert_eq!(of([3023, 4032], [256, 341]), 1);
        // Small ones stay whole.
        assert_eq!(of([2048, 2048], [32, 32]), 8);
        assert_eq!(of([2048, 2040], [32, 32]), 1);
        assert_eq!(of([4096, 4096], [0, 32]), 1);
    }
}
