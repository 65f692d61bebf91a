//! Changes of colours and light, in place, of images [H, W, C] whose numbers lie in [0, 1]; formulas are `torchvision`'s.

use crate::error::{Error, Result};
use crate::random::Stream;
use serde::{Deserialize, Serialize};

/// What red, green and blue weigh in grey (ITU-R 601).
const GREY: [f32; 3] = [0.2989, 0.587, 0.114];
/// The steps of a byte.
const STEPS: f32 = 255.0;

/// Random changes of colours and light: in random order, each by a random factor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColorJitter {
    /// How far the factor of brightness is from 1, at most; 0 for none. Factors are never below 0.
    pub brightness: f64,
    /// The same of contrast.
    pub contrast: f64,
    /// The same of saturation. Images of one channel have none.
    pub saturation: f64,
    /// How far hues are turned either way, at most, in turns: up to 0.5.
    pub hue: f64,
}

impl ColorJitter {
    /// Refuses what cannot be.
    ///
    /// # Errors
    /// `Config` for what is below 0 or not finite, and hues of more than half a turn.
    pub fn check(&self) -> Result<()> {
        let all = [self.brightness, self.contrast, self.saturation, self.hue];
        if all.iter().all(|jitter| jitter.is_finite() && *jitter >= 0.0) && self.hue <= 0.5 {
            return Ok(());
        }
        Err(Error::config(format!(
            "color jitter of {all:?} (brightness, contrast, saturation, hue): all must be at least 0, and hue at most 0.5"
        )))
    }

    /// Changes `image` [H, W, C] as `stream` says.
    pub fn apply(&self, image: &mut [f32], channels: usize, stream: &mut Stream) {
        let mut factor = |jitter: f64| {
            let least = (1.0 - jitter).max(0.0);
            (least + (1.0 + jitter - least) * stream.uniform_f64()) as f32
        };
        let factors = [self.brightness, self.contrast, self.saturation].map(&mut factor);
        let turn = ((2.0 * stream.uniform_f64() - 1.0) * self.hue) as f32;
        for change in stream.permutation(4) {
            match change {
                0 if self.brightness > 0.0 => brightness(image, factors[0]),
                1 if self.contrast > 0.0 => contrast(image, channels, factors[1]),
                2 if self.saturation > 0.0 => saturation(image, channels, factors[2]),
                3 if self.hue > 0.0 => hue(image, channels, turn),
                _ => {}
            }
        }
    }
}

/// `factor` of `own`, and what is missing to 1 (or too much) of `other`.
pub(super) fn blend(own: f32, other: f32, factor: f32) -> f32 {
    (factor * own + (1.0 - factor) * other).clamp(0.0, 1.0)
}

/// Darker below 1, lighter above.
pub(super) fn brightness(image: &mut [f32], factor: f32) {
    image.iter_mut().for_each(|number| *number = blend(*number, 0.0, factor));
}

/// Nearer to the mean grey below 1, further from it above.
pub(super) fn contrast(image: &mut [f32], channels: usize, factor: f32) {
    let pixels = image.chunks_exact(channels);
    let count = pixels.len().max(1) as f64;
    let mean = (pixels.map(|pixel| f64::from(grey(pixel))).sum::<f64>() / count) as f32;
    image.iter_mut().for_each(|number| *number = blend(*number, mean, factor));
}

/// Greyer below 1, more colourful above.
pub(super) fn saturation(image: &mut [f32], channels: usize, factor: f32) {
    if channels != 3 {
        return;
    }
    for pixel in image.chunks_exact_mut(channels) {
        let grey = grey(pixel);
        pixel.iter_mut().for_each(|number| *number = blend(*number, grey, factor));
    }
}

fn grey(pixel: &[f32]) -> f32 {
    match pixel {
        [r, g, b] => GREY[0] * r + GREY[1] * g + GREY[2] * b,
        _ => pixel.first().copied().unwrap_or(0.0),
    }
}

/// Each colour with its hue turned by so many turns.
pub(super) fn hue(image: &mut [f32], channels: usize, turn: f32) {
    if channels != 3 {
        return;
    }
    for pixel in image.as_chunks_mut::<3>().0 {
        let [r, g, b] = *pixel;
        let (most, least) = (r.max(g).max(b), r.min(g).min(b));
        let chroma = most - least;
        if chroma <= 0.0 {
            continue;
        }
        let hue = if most == r {
            (g - b) / chroma
        } else if most == g {
            2.0 + (b - r) / chroma
        } else {
            4.0 + (r - g) / chroma
        };
        let sixths = 6.0 * (hue / 6.0 + turn).rem_euclid(1.0);
        // Each channel is full in a third of the circle, and rises and falls in a sixth beside it.
        *pixel = [5.0, 3.0, 1.0].map(|shift: f32| {
            let place = (shift + sixths).rem_euclid(6.0);
            most - chroma * place.min(4.0 - place).clamp(0.0, 1.0)
        });
    }
}

/// The same number of values between the darkest and the lightest of each channel, which become 0 and 1.
pub(super) fn autocontrast(image: &mut [f32], channels: usize) {
    for channel in 0..channels {
        let numbers = || image.iter().skip(channel).step_by(channels).copied();
        let least = numbers().fold(f32::INFINITY, f32::min);
        let range = numbers().fold(f32::NEG_INFINITY, f32::max) - least;
        if range <= 0.0 {
            continue;
        }
        let numbers = image.iter_mut().skip(channel).step_by(channels);
        numbers.for_each(|number| *number = ((*number - least) / range).clamp(0.0, 1.0));
    }
}

/// Bytes of each channel spread so that each range of them occurs about as often, as Pillow does it.
pub(super) fn equalize(image: &mut [f32], channels: usize) {
    for channel in 0..channels {
        let mut counts = [0_usize; 256];
        image
            .iter()
            .skip(channel)
            .step_by(channels)
            .for_each(|number| counts[usize::from(byte(*number))] += 1);
        let last = counts.iter().rev().find(|count| **count > 0).copied().unwrap_or(0);
        let step = (counts.iter().sum::<usize>() - last) / 255;
        if step == 0 {
            continue;
        }
        let mut below = step / 2;
        let table = counts.map(|count| {
            let level = (below / step).min(255) as f32 / STEPS;
            below += count;
            level
        });
        let numbers = image.iter_mut().skip(channel).step_by(channels);
        numbers.for_each(|number| *number = table[usize::from(byte(*number))]);
    }
}

/// The first `bits` bits of each byte.
pub(super) fn posterize(image: &mut [f32], bits: u32) {
    let mask = !(u8::MAX.checked_shr(bits).unwrap_or(0));
    image.iter_mut().for_each(|number| *number = f32::from(byte(*number) & mask) / STEPS);
}

/// The negative of what is as bright as `threshold` of 255 or brighter.
pub(super) fn solarize(image: &mut [f32], threshold: f64) {
    for number in image {
        if f64::from(byte(*number)) >= threshold {
            *number = 1.0 - *number;
        }
    }
}

/// The byte that a number of [0, 1] stands for.
fn byte(number: f32) -> u8 {
    (number * STEPS).round() as u8
}
