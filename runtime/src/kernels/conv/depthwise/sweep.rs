//! The arithmetic: vectors of channels, a few neighbouring pixels at a time.

use super::super::tile::store;
use crate::kernels::simd::{Isa, Kernel, Simd};

/// Where the first pixel of a row meets a tap, and where the tap's filters are, in floats from where both begin.
#[derive(Clone, Copy)]
pub(super) struct Tap {
    pub(super) source: usize,
    pub(super) filter: usize,
}

/// A row of targets that read the same taps.
pub(super) struct TargetRow<'a> {
    pub(super) source: *const f32,
    /// `[tap, channels filled up to whole blocks]`.
    pub(super) filters: *const f32,
    /// What each sum starts from.
    pub(super) bias: *const f32,
    pub(super) taps: &'a [Tap],
    pub(super) pixels: usize,
    pub(super) channels: usize,
    /// Floats of the source from pixel to pixel.
    pub(super) from_step: usize,
    pub(super) to: *mut f32,
    /// Floats of the target from pixel to pixel.
    pub(super) to_step: usize,
}

/// Writes every target of the row.
///
/// # Safety
/// The pointers are good for all that taps, pixels and channels address; the source for a block more.
pub(super) unsafe fn targets(isa: Isa, row: &TargetRow<'_>) {
    isa.run(Targets(row));
}

/// A row whose pointers the caller of [`targets`] has vouched for.
struct Targets<'a>(&'a TargetRow<'a>);

impl Kernel for Targets<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let row = self.0;
        let mut done = 0;
        while done < row.pixels {
            // SAFETY: the CPU has `S`, and see `Targets`.
            done += unsafe {
                match row.pixels - done {
                    8.. => target_tile::<S, 8>(row, done),
                    4.. => target_tile::<S, 4>(row, done),
                    2.. => target_tile::<S, 2>(row, done),
                    _ => target_tile::<S, 1>(row, done),
                }
            };
        }
    }
}

/// The sums of P pixels from `first` on. Answers P.
#[inline(always)]
unsafe fn target_tile<S: Simd, const P: usize>(row: &TargetRow<'_>, first: usize) -> usize {
    // SAFETY: the caller vouches for the pointers (see `targets`).
    unsafe {
        let (source, to) = (row.source.add(first * row.from_step), row.to.add(first * row.to_step));
        for channel in (0..row.channels).step_by(S::LANES) {
            let mut sums = [S::load(row.bias.add(channel)); P];
            for tap in row.taps {
                let w = S::load(row.filters.add(tap.filter + channel));
                let source = source.add(tap.source + channel);
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = S::fma(S::load(source.add(p * row.from_step)), w, *sum);
                }
            }
            for (p, sum) in sums.into_iter().enumerate() {
                store::<S, 1>(to.add(p * row.to_step + channel), &[sum], row.channels - channel);
            }
        }
    }
    P
}

/// A row of y, to be multiplied with what it met of x.
pub(super) struct WeightRow<'a> {
    pub(super) x: *const f32,
    pub(super) d_y: *const f32,
    /// `[tap, channels filled up to whole blocks]`.
    pub(super) sums: *mut f32,
    pub(super) taps: &'a [Tap],
    pub(super) pixels: usize,
    pub(super) channels: usize,
    /// Floats of x from pixel to pixel.
    pub(super) x_step: usize,
}

/// Adds the products of the row to the sums.
///
/// # Safety
/// The pointers are good for all that taps, pixels and channels address; x and d_y for a block more.
pub(super) unsafe fn weights(isa: Isa, row: &WeightRow<'_>) {
    isa.run(Weights(row));
}

/// A row whose pointers the caller of [`weights`] has vouched for.
struct Weights<'a>(&'a WeightRow<'a>);

impl Kernel for Weights<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let row = self.0;
        for channel in (0..row.channels).step_by(S::LANES) {
            let mut taps = row.taps;
            while !taps.is_empty() {
                // SAFETY: the CPU has `S`, and see `Weights`.
                let done = unsafe {
                    match taps.len() {
                        9.. => weight_tile::<S, 9>(row, taps, channel),
                        3.. => weight_tile::<S, 3>(row, taps, channel),
                        _ => weight_tile::<S, 1>(row, taps, channel),
                    }
                };
                taps = &taps[done..];
            }
        }
    }
}

/// The first T of `taps`, for one vector of channels. Answers T.
#[inline(always)]
unsafe fn weight_tile<S: Simd, const T: usize>(row: &WeightRow<'_>, taps: &[Tap], channel: usize) -> usize {
    // SAFETY: the caller vouches for the pointers (see `weights`) and passes T taps or more.
    unsafe {
        let mut sums = [S::zero(); T];
        let mut x = [row.x; T];
        for (x, tap) in x.iter_mut().zip(taps) {
            *x = row.x.add(tap.source + channel);
        }
        let mut d_y = row.d_y.add(channel);
        for pixel in 0..row.pixels {
            let d = S::load(d_y);
            for (x, sum) in x.iter().zip(&mut sums) {
                *sum = S::fma(S::load(x.add(pixel * row.x_step)), d, *sum);
            }
            d_y = d_y.add(row.channels);
        }
        for (tap, sum) in taps.iter().zip(sums) {
            let to = row.sums.add(tap.filter + channel);
            S::store(to, S::add(S::load(to), sum));
        }
    }
    T
}
