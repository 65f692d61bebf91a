//! Maps beside numbers of a channel: `x: [G, R, C]` and `[G, C]` of numbers, where each of G groups of R rows has its own.

use super::pieces::{PIECE, STRIP, add_in_order, rows_per_piece};
use super::simd::{Isa, Kernel, Simd};
use crate::deal::{all, each, pairs};

/// Elements that a loop over some rows should have at least.
const WIDTH: usize = 64;

/// Elements of as few rows of `channels` as make a worthwhile loop, and no more than a group of `rows` rows has.
pub(super) fn width(rows: usize, channels: usize) -> usize {
    channels * WIDTH.div_ceil(channels).min(rows)
}

/// `a = f(a, b, number)`, element by element, for `a` and `b: [G, rows, channels]` and `numbers: [G, channels]`.
pub fn update(
    a: &mut [f32],
    b: &[f32],
    numbers: &[f32],
    [rows, channels]: [usize; 2],
    f: impl Fn(f32, f32, f32) -> f32 + Sync,
) {
    let run = |a: &mut [f32], b: &[f32], numbers: &[f32]| Isa::best().run(Update { a, b, numbers, f: &f });
    each_group(a, b, numbers, [rows, channels], &run);
}

/// Changes some whole rows by those beside them and the numbers of their channels.
type OnRows<'a> = &'a (dyn Fn(&mut [f32], &[f32], &[f32]) + Sync);

fn each_group(a: &mut [f32], b: &[f32], numbers: &[f32], [rows, channels]: [usize; 2], run: OnRows<'_>) {
    let (group, width) = (rows * channels, width(rows, channels));
    let piece = PIECE.div_ceil(width) * width;
    let groups = a.chunks_mut(group).zip(b.chunks(group)).zip(numbers.chunks(channels));
    all(groups, |((a, b), numbers)| {
        let numbers = repeated(numbers, width);
        pairs((a, piece), (b, piece), &|a, b| run(a, b, &numbers));
    });
}

/// `a = f(a, number)`, element by element, for `a: [G, rows, channels]` and `numbers: [G, channels]`.
pub fn change(
    a: &mut [f32],
    numbers: &[f32],
    [rows, channels]: [usize; 2],
    f: impl Fn(f32, f32) -> f32 + Sync,
) {
    change_each_group(a, numbers, [rows, channels], &|a, numbers| {
        Isa::best().run(Change { a, numbers, f: &f });
    });
}

fn change_each_group(
    a: &mut [f32],
    numbers: &[f32],
    [rows, channels]: [usize; 2],
    run: &(dyn Fn(&mut [f32], &[f32]) + Sync),
) {
    let (group, width) = (rows * channels, width(rows, channels));
    let piece = PIECE.div_ceil(width) * width;
    let groups = a.chunks_mut(group).zip(numbers.chunks(channels));
    all(groups, |(a, numbers)| {
        let numbers = repeated(numbers, width);
        all(a.chunks_mut(piece), |a| run(a, &numbers));
    });
}

/// Numbers again and again, up to `width`.
pub(super) fn repeated(numbers: &[f32], width: usize) -> Vec<f32> {
    numbers.iter().copied().cycle().take(width).collect()
}

/// Whole rows of one group.
struct Change<'a, F> {
    a: &'a mut [f32],
    numbers: &'a [f32],
    f: &'a F,
}

impl<F: Fn(f32, f32) -> f32> Kernel for Change<'_, F> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for a in self.a.chunks_mut(self.numbers.len()) {
            for (a, &number) in a.iter_mut().zip(self.numbers) {
                *a = (self.f)(*a, number);
            }
        }
    }
}

/// Whole rows of one group, and those beside them.
struct Update<'a, F> {
    a: &'a mut [f32],
    b: &'a [f32],
    numbers: &'a [f32],
    f: &'a F,
}

impl<F: Fn(f32, f32, f32) -> f32> Kernel for Update<'_, F> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = self.numbers.len();
        for (a, b) in self.a.chunks_mut(width).zip(self.b.chunks(width)) {
            let n = a.len();
            let (b, numbers) = (&b[..n], &self.numbers[..n]);
            for i in 0..n {
                a[i] = (self.f)(a[i], b[i], numbers[i]);
            }
        }
    }
}

/// The sums over the rows of each group of `f(a, b)`, for `a` and `b: [G, rows, channels]`: `[G, channels]`.
pub fn sums(
    a: &[f32],
    b: &[f32],
    [rows, channels]: [usize; 2],
    f: impl Fn(f32, f32) -> f32 + Sync,
) -> Vec<f32> {
    let run = |a: &[f32], b: &[f32], lanes: &mut [f32]| Isa::best().run(ProductStrip { a, b, lanes, f: &f });
    sums_by(a, b, [rows, channels], &run)
}

/// Adds what two strips of whole rows give to the lanes.
type AddStrip<'a> = &'a (dyn Fn(&[f32], &[f32], &mut [f32]) + Sync);

fn sums_by(a: &[f32], b: &[f32], [rows, channels]: [usize; 2], run: AddStrip<'_>) -> Vec<f32> {
    let group = rows * channels;
    let width = width(rows, channels);
    let lanes = || vec![0.0; width];
    if a.len() == group {
        let piece = rows_per_piece(rows, channels) * channels;
        let mut partials = vec![0.0; a.len().div_ceil(piece) * channels];
        let pieces = partials.chunks_mut(channels).zip(a.chunks(piece).zip(b.chunks(piece)));
        each(pieces, lanes, |lanes, (totals, (a, b))| add(totals, lanes, a, b, run));
        return add_in_order(&partials, channels).into_iter().map(|sum| sum as f32).collect();
    }
    let mut all = vec![0.0; a.len() / rows];
    let groups = all.chunks_mut(channels).zip(a.chunks(group).zip(b.chunks(group)));
    let worker = || (lanes(), vec![0.0; channels]);
    each(groups, worker, |(lanes, totals), (all, (a, b))| {
        totals.fill(0.0);
        add(totals, lanes, a, b, run);
        all.iter_mut().zip(totals.iter()).for_each(|(all, &total)| *all = total as f32);
    });
    all
}

/// Bytes that [`sums`] takes beside its result, for so many groups and on so many threads.
pub fn sums_bytes(groups: usize, [rows, channels]: [usize; 2], threads: usize) -> usize {
    let lanes = width(rows, channels) * size_of::<f32>();
    if groups == 1 {
        let parts = rows.div_ceil(rows_per_piece(rows, channels));
        return (parts + 1) * channels * size_of::<f64>() + threads.min(parts) * lanes;
    }
    threads.min(groups) * (lanes + channels * size_of::<f64>())
}

/// Adds what some rows give to `totals`; `lanes` is scratch.
fn add(totals: &mut [f64], lanes: &mut [f32], a: &[f32], b: &[f32], run: AddStrip<'_>) {
    let strip = STRIP * lanes.len();
    for (a, b) in a.chunks(strip).zip(b.chunks(strip)) {
        lanes.fill(0.0);
        run(a, b, lanes);
        for lanes in lanes.chunks_exact(totals.len()) {
            totals.iter_mut().zip(lanes).for_each(|(total, &sum)| *total += f64::from(sum));
        }
    }
}

/// Rows of a strip, to be summed.
struct ProductStrip<'a, F> {
    a: &'a [f32],
    b: &'a [f32],
    lanes: &'a mut [f32],
    f: &'a F,
}

impl<F: Fn(f32, f32) -> f32> Kernel for ProductStrip<'_, F> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = self.lanes.len();
        for (a, b) in self.a.chunks(width).zip(self.b.chunks(width)) {
            let n = a.len();
            let (b, lanes) = (&b[..n], &mut self.lanes[..n]);
            for i in 0..n {
                lanes[i] += (self.f)(a[i], b[i]);
            }
        }
    }
}
