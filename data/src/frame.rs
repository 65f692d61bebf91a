//! What a network sees of a picture: resized as a whole, and its middle.
//!
//! As `torchvision` evaluates: the shorter side to 256 for an input of 224 (in the same proportion for other large inputs),
//! then the crop in the middle. Small inputs are of small pictures, which have no margin to spare: there the shorter side
//! becomes the input's.

use crate::resize::{Axis, bilinear};
use image::DynamicImage;
use localgrad::data::{ImageShape, Window};
use localgrad::{Error, Result};

/// From this side on the margin is cut off.
const LEAST_WITH_MARGIN: usize = 112;
/// What the sides are before the margin is cut off, to what they are after.
const WITH_MARGIN: (usize, usize) = (256, 224);

/// The pixels of a picture, in bytes, in the channels that a network takes: red, green and blue, or grey.
pub struct Pixels {
    /// `[height / factor, width / factor, channels]`
    pub bytes: Vec<u8>,
    /// Rows of the picture.
    pub height: usize,
    /// Columns of the picture.
    pub width: usize,
    /// 3 or 1.
    pub channels: usize,
    /// How many pixels of the picture are one of these, each way.
    pub factor: usize,
}

impl Pixels {
    /// The pixels of `picture`. What is transparent shows the colours that it has; 16 bits become 8.
    ///
    /// # Errors
    /// `Config` for other channels than 1 and 3, and for a picture without pixels.
    pub fn of(picture: DynamicImage, channels: usize) -> Result<Self> {
        let (height, width) = (picture.height() as usize, picture.width() as usize);
        if height == 0 || width == 0 {
            return Err(Error::config("the picture has no pixels"));
        }
        let bytes = match (channels, picture) {
            (3, DynamicImage::ImageRgb8(picture)) => picture.into_raw(),
            (3, picture) => picture.to_rgb8().into_raw(),
            (1, DynamicImage::ImageLuma8(picture)) => picture.into_raw(),
            (1, picture) => grey(picture.to_rgb8().as_raw()),
            _ => return Err(unfit(channels)),
        };
        Ok(Self { bytes, height, width, channels, factor: 1 })
    }

    /// The pixels of a picture `factor` times as high and wide as `picture`, which was made of it.
    ///
    /// # Errors
    /// Those of [`Pixels::of`].
    pub fn of_reduced(picture: DynamicImage, factor: usize, channels: usize) -> Result<Self> {
        let Self { bytes, height, width, .. } = Self::of(picture, channels)?;
        Ok(Self { bytes, height: height * factor, width: width * factor, channels, factor })
    }

    /// What a network that takes `shape` sees of them: `[H, W, C]`.
    ///
    /// # Errors
    /// `Config` for a shape of other channels, or with a side of 0.
    pub fn seen(&self, shape: ImageShape) -> Result<Vec<u8>> {
        let ImageShape { channels, height, width } = shape;
        if channels != self.channels || height == 0 || width == 0 {
            return Err(unfit(channels));
        }
        let (rows, columns) = middle((self.height, self.width), (height, width));
        let [rows, columns] = [rows, columns].map(|axis| {
            let from = axis.from / self.factor;
            Axis { from, span: from as f64, ..axis }
        });
        Ok(bilinear(&self.bytes, channels, rows, columns))
    }

    /// A part of them, resized to `shape`: `[H, W, C]`.
    ///
    /// # Errors
    /// Those of [`Pixels::seen`], and `Config` for a part that lies outside.
    pub fn part(&self, window: Window, shape: ImageShape) -> Result<Vec<u8>> {
        let ImageShape { channels, height, width } = shape;
        if channels != self.channels || height == 0 || width == 0 {
            return Err(unfit(channels));
        }
        window.check([self.height, self.width])?;
        // Whole pixels, and what of them is asked for.
        let here = |first: usize, count: usize, to: usize| {
            let range = first / self.factor..(first + count).div_ceil(self.factor);
            let begin = first as f64 / self.factor as f64 - range.start as f64;
            let axis =
                Axis { begin, span: count as f64 / self.factor as f64, ..Axis::whole(range.len(), to) };
            (range, axis)
        };
        let (lines, rows) = here(window.top, window.height, height);
        let (range, columns) = here(window.left, window.width, width);
        let mut part = Vec::with_capacity(lines.len() * range.len() * channels);
        let line = self.width / self.factor * channels;
        for row in self.bytes.chunks_exact(line).skip(lines.start).take(lines.len()) {
            part.extend_from_slice(&row[range.start * channels..range.end * channels]);
        }
        Ok(bilinear(&part, channels, rows, columns))
    }
}

fn unfit(channels: usize) -> Error {
    Error::config(format!("a picture cannot give the network's {channels} channels: it has 3, or 1 of grey"))
}

/// Grey as Pillow and television (ITU-R 601) have it.
fn grey(rgb: &[u8]) -> Vec<u8> {
    let luma = |&[r, g, b]: &[u8; 3]| {
        let sum = 19_595 * u32::from(r) + 38_470 * u32::from(g) + 7_471 * u32::from(b) + 0x8000;
        (sum >> 16) as u8
    };
    rgb.as_chunks::<3>().0.iter().map(luma).collect()
}

/// How rows and columns of a picture of size `from` become those of `to`; both are (height, width).
pub fn middle(from: (usize, usize), to: (usize, usize)) -> (Axis, Axis) {
    let with_margin = |side: usize| match side {
        LEAST_WITH_MARGIN.. => (side * WITH_MARGIN.0).div_ceil(WITH_MARGIN.1),
        _ => side,
    };
    let (high, wide) = (with_margin(to.0), with_margin(to.1));
    // Which side is the scarcer; of whole numbers, so that nothing is rounded. Both are below 2^32.
    let by_height = from.0 as u128 * wide as u128 <= from.1 as u128 * high as u128;
    let scaled = |side: usize, to: usize, of: usize| {
        let scaled = side as u128 * to as u128 / of as u128;
        usize::try_from(scaled).unwrap_or(usize::MAX)
    };
    let (height, width) = match by_height {
        true => (high, scaled(from.1, high, from.0).max(wide)),
        false => (scaled(from.0, wide, from.1).max(high), wide),
    };
    let axis =
        |from, whole: usize, len: usize| Axis { start: half(whole - len), len, ..Axis::whole(from, whole) };
    (axis(from.0, height, to.0), axis(from.1, width, to.1))
}

/// Half of a number, rounded as Python does: a half to the even one.
fn half(number: usize) -> usize {
    let half = number / 2;
    half + (number % 2) * (half % 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_torchvisions() {
        let axis = |from, to, start, len| Axis { start, len, ..Axis::whole(from, to) };
        assert_eq!(middle((480, 640), (224, 224)), (axis(480, 256, 16, 224), axis(640, 341, 58, 224)));
        assert_eq!(middle((640, 480), (224, 224)), (axis(640, 341, 58, 224), axis(480, 256, 16, 224)));
        assert_eq!(middle((32, 32), (32, 32)), (axis(32, 32, 0, 32), axis(32, 32, 0, 32)));
        assert_eq!(middle((10, 40), (20, 40)), (axis(10, 20, 0, 20), axis(40, 80, 20, 40)));
        // A picture of one row.
        assert_eq!(middle((1, 9), (4, 4)), (axis(1, 4, 0, 4), axis(9, 36, 16, 4)));
    }
}
