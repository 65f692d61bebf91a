//! Twins in f64 of what a map is read through, and of convolutions, by plain loops over OIHW weights.

use crate::common::Random;
use localgrad::device::launches::norm::NORM_ROWS;
use localgrad::device::table::kernel::ReadKind;
use localgrad::kernels::conv::Geometry;
use localgrad::kernels::resample::Taps;

pub(crate) const ALL: [f32; 2] = [f32::NEG_INFINITY, f32::INFINITY];

/// A map, or a gradient, with what it is read through.
pub(crate) struct Read {
    pub(crate) source: ReadKind,
    /// What is read; of a gradient, what the norm read.
    pub(crate) x: Vec<f64>,
    /// The other summand, or the gradient of the norm's output.
    pub(crate) other: Vec<f64>,
    pub(crate) norm: Vec<f64>,
    pub(crate) channels: usize,
    pub(crate) bounds: [f32; 2],
}

impl Read {
    pub(crate) fn new(
        random: &mut Random,
        source: ReadKind,
        len: usize,
        channels: usize,
        bounds: [f32; 2],
    ) -> Self {
        Self {
            source,
            x: random.numbers(len),
            other: random.numbers(len),
            norm: norm(random, channels),
            channels,
            bounds,
        }
    }

    pub(crate) fn at(&self, i: usize) -> f64 {
        let (c, channels) = (i % self.channels, self.channels);
        let centred = self.x[i] - self.norm[c];
        let y = centred * self.norm[channels + c] + self.norm[2 * channels + c];
        match self.source {
            ReadKind::Plain | ReadKind::Upsampled => self.x[i],
            ReadKind::Normalized => clamped(y, self.bounds),
            ReadKind::Sum => clamped(y + self.other[i], self.bounds),
            ReadKind::Through => {
                let d = if is_inside(y, self.bounds) { self.other[i] } else { 0.0 };
                (d - self.norm[3 * channels + c] - centred * self.norm[4 * channels + c])
                    * self.norm[channels + c]
            }
        }
    }

    pub(crate) fn all(&self) -> Vec<f64> {
        (0..self.x.len()).map(|i| self.at(i)).collect()
    }

    /// The two sums that this norm needs, from the gradient `d` of its output: [2, channels].
    pub(crate) fn sums(&self, d: &[f64]) -> Vec<f64> {
        let channels = self.channels;
        let mut sums = vec![0.0; 2 * channels];
        for (i, &d) in d.iter().enumerate() {
            let c = i % channels;
            let centred = self.x[i] - self.norm[c];
            let y = centred * self.norm[channels + c] + self.norm[2 * channels + c];
            if is_inside(y, self.bounds) {
                sums[c] += d;
                sums[channels + c] += d * centred;
            }
        }
        sums
    }
}

/// Rows of a norm: mean, scale, bias, centre, slope, 1/deviation.
pub(crate) fn norm(random: &mut Random, channels: usize) -> Vec<f64> {
    let mut rows = random.numbers(NORM_ROWS * channels);
    for c in 0..channels {
        rows[channels + c] = round(0.5 + rows[channels + c].abs());
        rows[3 * channels + c] = round(0.1 * rows[3 * channels + c]);
        rows[4 * channels + c] = round(0.1 * rows[4 * channels + c]);
        rows[5 * channels + c] = round(1.0 + rows[5 * channels + c].abs());
    }
    rows
}

/// As f32 holds it.
pub(crate) fn round(x: f64) -> f64 {
    f64::from(x as f32)
}

pub(crate) fn clamped(x: f64, [low, high]: [f32; 2]) -> f64 {
    if x < f64::from(low) {
        low.into()
    } else if x > f64::from(high) {
        high.into()
    } else {
        x
    }
}

pub(crate) fn is_inside(x: f64, [low, high]: [f32; 2]) -> bool {
    x > f64::from(low) && x < f64::from(high)
}

/// Calls `f(index of y, index of x, index of the weight)` for each product of a convolution.
pub(crate) fn products(g: &Geometry, mut f: impl FnMut(usize, usize, usize)) {
    let [kernel_rows, kernel_columns] = g.kernel;
    for y_at in 0..g.y_len() {
        let (o, pixel) = (y_at % g.out_channels, y_at / g.out_channels);
        let (column, row) = (pixel % g.output[1], pixel / g.output[1] % g.output[0]);
        let image = pixel / g.output[1] / g.output[0];
        let group = o / g.group_out();
        for tap in 0..kernel_rows * kernel_columns {
            let y = (row * g.stride[0] + tap / kernel_columns * g.dilation[0]).checked_sub(g.padding[0]);
            let x = (column * g.stride[1] + tap % kernel_columns * g.dilation[1]).checked_sub(g.padding[1]);
            let (Some(y), Some(x)) = (y, x) else { continue };
            if y >= g.input[0] || x >= g.input[1] {
                continue;
            }
            for i in 0..g.group_in() {
                let pixel = (image * g.input[0] + y) * g.input[1] + x;
                let x_at = pixel * g.in_channels + group * g.group_in() + i;
                f(y_at, x_at, (o * g.group_in() + i) * kernel_rows * kernel_columns + tap);
            }
        }
    }
}

/// Where an element of an OIHW weight lies on a device: [G, KH, KW, I, O] of groups, [KH, KW, C] of a depthwise one.
pub(crate) fn device_index(g: &Geometry, at: usize) -> usize {
    let (taps, group_in, group_out) = (g.taps(), g.group_in(), g.group_out());
    let (tap, i, o) = (at % taps, at / taps % group_in, at / taps / group_in);
    if g.is_depthwise() {
        return tap * g.out_channels + o;
    }
    let (group, o) = (o / group_out, o % group_out);
    ((group * taps + tap) * group_in + i) * group_out + o
}

pub(crate) fn on_device(g: &Geometry, weight: &[f64]) -> Vec<f64> {
    let mut turned = vec![0.0; weight.len()];
    for (at, &w) in weight.iter().enumerate() {
        turned[device_index(g, at)] = w;
    }
    turned
}

/// Bilinear taps of half-pixel centres.
pub(crate) fn bilinear(input: usize, output: usize) -> Taps {
    Taps::new(input, output, |i| {
        let at = ((i as f64 + 0.5) * input as f64 / output as f64 - 0.5).clamp(0.0, (input - 1) as f64);
        let low = (at.floor() as usize).min(input.saturating_sub(2));
        let weight = (at - low as f64) as f32;
        let second = (input > 1).then_some((low + 1, weight));
        std::iter::once((low, if input > 1 { 1.0 - weight } else { 1.0 })).chain(second)
    })
}

/// `x: [N, h, w, C]` by separable taps.
pub(crate) fn resampled(x: &[f64], channels: usize, rows: &Taps, columns: &Taps) -> Vec<f64> {
    let ((height, out_height), (width, out_width)) = (rows.sizes(), columns.sizes());
    let images = x.len() / (height * width * channels);
    let mut y = vec![0.0; images * out_height * out_width * channels];
    for (at, y) in y.iter_mut().enumerate() {
        let (c, pixel) = (at % channels, at / channels);
        let (column, row) = (pixel % out_width, pixel / out_width % out_height);
        let image = pixel / out_width / out_height;
        for &(i, a) in rows.of(row) {
            for &(j, b) in columns.of(column) {
                *y += f64::from(a) * f64::from(b) * x[((image * height + i) * width + j) * channels + c];
            }
        }
    }
    y
}
