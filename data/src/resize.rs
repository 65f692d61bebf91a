//! Pictures made smaller or larger as Pillow's bilinear filter does it, which `torchvision` uses: a triangle as wide as an
//! output pixel (antialiasing), one axis after the other, in bytes, with weights of 22 bits.
//!
//! See `src/libImaging/Resample.c` of Pillow for what is computed; results are the same to the byte.

/// Bits behind the point of a weight: a byte's 8 and 2 for sums leave so many of 32.
const WEIGHT_BITS: u32 = 32 - 8 - 2;

/// Where and how one axis is resized, and which part of the result is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// Pixels that there are.
    pub from: usize,
    /// Where among them what becomes the whole result begins, as in Pillow's `box`.
    pub begin: f64,
    /// How many of them it is.
    pub span: f64,
    /// Pixels that the whole result would have, at least 1.
    pub to: usize,
    /// The first of them that is wanted.
    pub start: usize,
    /// How many are wanted: `start + len` is at most `to`.
    pub len: usize,
}

/// The pixels that an output pixel is made of.
struct Window {
    first: usize,
    /// In 1 / 2^22.
    weights: Vec<i32>,
}

impl Axis {
    /// All of the axis, resized.
    pub fn whole(from: usize, to: usize) -> Self {
        Self { from, begin: 0.0, span: from as f64, to, start: 0, len: to }
    }

    /// The windows of the wanted pixels; none where pixels stay what they are.
    fn windows(self) -> Option<Vec<Window>> {
        if self.from == self.to && (self.begin, self.span) == (0.0, self.from as f64) {
            return None;
        }
        let scale = self.span / self.to as f64;
        let support = scale.max(1.0);
        let window = |place: usize| {
            let center = self.begin + (place as f64 + 0.5) * scale;
            // Casts cut towards zero, and saturate below.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(self.from);
            let weight = |x: usize| {
                let distance = ((x as f64 - center + 0.5) * (1.0 / support)).abs();
                (1.0 - distance).max(0.0)
            };
            let weights: Vec<f64> = (first..end).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: f64| (weight / sum * f64::from(1 << WEIGHT_BITS) + 0.5) as i32;
            Window { first, weights: weights.into_iter().map(fixed).collect() }
        };
        Some((self.start..self.start + self.len).map(window).collect())
    }
}

/// The part of the resized picture that both axes say.
///
/// # Shapes
/// `pixels`: `[rows.from, columns.from, channels]`; the result `[rows.len, columns.len, channels]`.
pub fn bilinear(pixels: &[u8], channels: usize, rows: Axis, columns: Axis) -> Vec<u8> {
    let down = rows.windows();
    // The rows that the wanted ones are made of.
    let needed = match &down {
        None => rows.start..rows.start + rows.len,
        Some(windows) => {
            let first = windows.first().map_or(0, |window| window.first);
            first..windows.last().map_or(0, |window| window.first + window.weights.len())
        }
    };
    let line = columns.from * channels;
    let across = columns.windows();
    let mut narrow = Vec::with_capacity(needed.len() * columns.len * channels);
    for row in needed.clone() {
        let row = &pixels[row * line..(row + 1) * line];
        match &across {
            None => narrow.extend(&row[columns.start * channels..(columns.start + columns.len) * channels]),
            Some(windows) => windows.iter().for_each(|window| across_one(row, channels, window, &mut narrow)),
        }
    }
    let Some(windows) = down else { return narrow };
    let line = columns.len * channels;
    let mut sums = vec![0; line];
    let mut result = Vec::with_capacity(rows.len * line);
    for window in windows {
        sums.fill(1 << (WEIGHT_BITS - 1));
        let lines = narrow[(window.first - needed.start) * line..].chunks_exact(line);
        for (weight, line) in window.weights.iter().zip(lines) {
            for (sum, &byte) in sums.iter_mut().zip(line) {
                *sum += weight * i32::from(byte);
            }
        }
        result.extend(sums.iter().map(|&sum| byte(sum)));
    }
    result
}

/// One pixel of a row.
fn across_one(row: &[u8], channels: usize, window: &Window, narrow: &mut Vec<u8>) {
    for channel in 0..channels {
        let taken = row[window.first * channels + channel..].iter().step_by(channels);
        let sum: i32 = window.weights.iter().zip(taken).map(|(weight, &byte)| weight * i32::from(byte)).sum();
        narrow.push(byte(sum + (1 << (WEIGHT_BITS - 1))));
    }
}

fn byte(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}
