//! Random-resized crops: a part of an image, of random size and shape, made as large as a network takes it.

use super::ImageShape;
use crate::error::{Error, Result};
use crate::random::Stream;
use serde::{Deserialize, Serialize};

/// How often chance may say a part that does not fit into the image.
const ATTEMPTS: usize = 10;

/// A part of an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first row.
    pub top: usize,
    /// Its first column.
    pub left: usize,
    /// Its rows, at least 1.
    pub height: usize,
    /// Its columns, at least 1.
    pub width: usize,
}

impl Window {
    /// Checks that it lies in an image of so many rows and columns.
    ///
    /// # Errors
    /// `Config` when it does not, or is empty.
    pub fn check(&self, [height, width]: [usize; 2]) -> Result<()> {
        let lies_in = |start: usize, len: usize, of: usize| {
            len > 0 && start.checked_add(len).is_some_and(|end| end <= of)
        };
        match lies_in(self.top, self.height, height) && lies_in(self.left, self.width, width) {
            true => Ok(()),
            false => Err(Error::config(format!("{self:?} is no part of an image of {height}x{width}"))),
        }
    }
}

/// How parts of images are chosen, as GoogLeNet's training did (Szegedy et al. 2015) and `torchvision` does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RandomResizedCrop {
    /// The least and the largest share of the image's area, in (0, 1].
    pub scale: [f64; 2],
    /// The least and the largest ratio of width to height.
    pub ratio: [f64; 2],
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0] }
    }
}

impl RandomResizedCrop {
    /// Refuses what cannot be.
    ///
    /// # Errors
    /// `Config` for shares outside (0, 1], ratios that are not above 0, and a least above the largest.
    pub fn check(&self) -> Result<()> {
        let [scale, ratio] = [self.scale, self.ratio];
        let ordered = |[least, largest]: [f64; 2]| 0.0 < least && least <= largest && largest.is_finite();
        if !ordered(scale) || scale[1] > 1.0 {
            return Err(Error::config(format!(
                "a random-resized crop takes a share of the area from {} to {}; both must lie in (0, 1], the least first",
                scale[0], scale[1]
            )));
        }
        if !ordered(ratio) {
            return Err(Error::config(format!(
                "a random-resized crop has a ratio of width to height from {} to {}; both must be above 0, the least first",
                ratio[0], ratio[1]
            )));
        }
        Ok(())
    }

    /// The part of an image of so many rows and columns that `stream` says.
    pub fn window(&self, [height, width]: [usize; 2], stream: &mut Stream) -> Window {
        let area = height as f64 * width as f64;
        for _ in 0..ATTEMPTS {
            let area = area * between(self.scale, stream);
            let ratio = between(self.ratio.map(f64::ln), stream).exp();
            let (high, wide) =
                ((area / ratio).sqrt().round() as usize, (area * ratio).sqrt().round() as usize);
            if (1..=height).contains(&high) && (1..=width).contains(&wide) {
                let top = stream.below((height - high) as u64 + 1) as usize;
                let left = stream.below((width - wide) as u64 + 1) as usize;
                return Window { top, left, height: high, width: wide };
            }
        }
        self.middle([height, width])
    }

    /// The largest part in the middle whose ratio is allowed.
    fn middle(&self, [height, width]: [usize; 2]) -> Window {
        let own = width as f64 / height as f64;
        let [least, largest] = self.ratio;
        let (mut high, mut wide) = (height, width);
        if own < least {
            high = ((width as f64 / least).round() as usize).clamp(1, height);
        } else if own > largest {
            wide = ((height as f64 * largest).round() as usize).clamp(1, width);
        }
        Window { top: (height - high) / 2, left: (width - wide) / 2, height: high, width: wide }
    }
}

fn between([least, largest]: [f64; 2], stream: &mut Stream) -> f64 {
    least + (largest - least) * stream.uniform_f64()
}

/// The pixels along an axis that a pixel of the result is made of.
pub struct Footprint {
    /// The first of them.
    pub first: usize,
    /// Theirs, one after the other; 1 in all.
    pub weights: Vec<f32>,
}

/// For each of `to` pixels that cover `taken` of `length` pixels in the middle those that it is made of: a triangle as wide as
/// two of the larger of both kinds of pixels, so that nothing is passed over and nothing is jagged.
pub fn footprints(length: usize, taken: f64, to: usize) -> Vec<Footprint> {
    let scale = taken / to as f64;
    let reach = scale.max(1.0);
    let start = (length as f64 - taken) / 2.0;
    let footprint = |place: usize| {
        let middle = start + (place as f64 + 0.5) * scale;
        // Casts cut towards zero, and saturate below.
        let first = (middle - reach + 0.5) as usize;
        let end = ((middle + reach + 0.5) as usize).min(length);
        let weight = |x: usize| (1.0 - ((x as f64 + 0.5 - middle) / reach).abs()).max(0.0);
        let sum: f64 = (first..end).map(weight).sum();
        Footprint { first, weights: (first..end).map(|x| (weight(x) / sum) as f32).collect() }
    };
    (0..to).map(footprint).collect()
}

/// Makes `window` of an image as large as the image itself, bilinearly, without aliasing.
///
/// # Shapes
/// `image`, `resized`: [H, W, C] of `shape`.
///
/// # Errors
/// `Config` when the window lies outside, `Shape` when a slice has another size.
pub fn resize(image: &[f32], shape: ImageShape, window: Window, resized: &mut [f32]) -> Result<()> {
    let ImageShape { channels, height, width } = shape;
    window.check([height, width])?;
    if image.len() != shape.elements() || resized.len() != shape.elements() || channels == 0 {
        return Err(Error::shape(format!(
            "{} and {} numbers are not two images of {shape}",
            image.len(),
            resized.len()
        )));
    }
    let line = width * channels;
    let whole = |taken: usize, to| footprints(taken, taken as f64, to);
    let (down, across) = (whole(window.height, height), whole(window.width, width));
    let mut narrow = vec![0.0; window.height * line];
    let rows = image.chunks_exact(line).skip(window.top);
    for (row, narrow) in rows.zip(narrow.chunks_exact_mut(line)) {
        let row = &row[window.left * channels..];
        for (from, pixel) in across.iter().zip(narrow.chunks_exact_mut(channels)) {
            for (weight, part) in from.weights.iter().zip(row[from.first * channels..].chunks_exact(channels))
            {
                pixel.iter_mut().zip(part).for_each(|(sum, number)| *sum += weight * number);
            }
        }
    }
    resized.fill(0.0);
    for (from, row) in down.iter().zip(resized.chunks_exact_mut(line)) {
        let parts = narrow[from.first * line..].chunks_exact(line);
        for (weight, part) in from.weights.iter().zip(parts) {
            row.iter_mut().zip(part).for_each(|(sum, number)| *sum += weight * number);
        }
    }
    Ok(())
}
