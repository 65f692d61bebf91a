//! Both gradients of a depthwise convolution on one way down each image: a row of the gradient of y is made as it is read,
//! meets the rows of x for the weight's gradient, and gives rows of the gradient of x, whose sums for the batch norm before
//! are taken while they are in the cache. Each map is read once and written once. Or the weight's gradient alone.
//!
//! Images, or units of the forward pass, are dealt to parts fixed by shape, which are added in order.

use super::super::buffer::Buffer;
use super::super::direct::Target;
use super::super::gather::Direction;
use super::super::geometry::Geometry;
use super::super::joint::Given;
use super::super::scratch::Window;
use super::super::source::ReadThrough;
use super::super::weight::TASKS;
use super::super::workspace::{Workspace, buffers};
use super::rows::Rows;
use super::sweep::{self, Tap, WeightRow};
use super::{Lines, Maker, pack, padded};
use crate::deal::deal;
use crate::kernels::batch_norm::{self, Sums, part_bytes};
use crate::kernels::elementwise;
use crate::kernels::pieces::STRIP;
use crate::kernels::simd::Isa;
use std::ops::Range;

/// Fewer images are dealt to threads by rows, one gradient after the other.
const LEAST_IMAGES: usize = 4;

/// Whether both gradients are made on one way down, and that of x over y.
pub(in super::super) fn joint_applies(g: &Geometry) -> bool {
    is_one_way(g) && g.stride == [1; 2] && g.input == g.output
}

/// Whether both gradients are made on one way down, and that of x in memory of its own.
pub(in super::super) fn apart_applies(g: &Geometry) -> bool {
    is_one_way(g) && !joint_applies(g)
}

/// Padding that reaches beyond the kernel would have columns of y that no column of x is made from.
fn is_one_way(g: &Geometry) -> bool {
    let is_within = |i: usize| g.padding[i] <= (g.kernel[i] - 1) * g.dilation[i];
    g.is_depthwise() && g.images >= LEAST_IMAGES && is_within(0) && is_within(1)
}

/// The way down of both gradients.
struct Descent<'a> {
    isa: Isa,
    geometry: &'a Geometry,
    forward: Lines,
    backward: Lines,
    packed: Buffer,
    given: Given<'a>,
    y: Target,
    d_x: Target,
    with_weight: bool,
}

/// What a thread computes with.
struct Worker {
    x: Rows,
    d_y: Rows,
    taps: Vec<Tap>,
    /// Of the sums for a normalization.
    scratch: Vec<f32>,
}

/// What a part adds up.
struct Part {
    products: Buffer,
    totals: Vec<f64>,
}

/// Writes d_x, and d_weight if it is asked for; answers what the normalization that x came through needs.
///
/// # Safety
/// `y` and `d_x` are good for the elements of y and x, and overlap only where [`joint_applies`], in which case they may be
/// the same; one of the two conditions holds, and what is given fits the geometry.
pub(in super::super) unsafe fn backward(
    isa: Isa,
    geometry: &Geometry,
    given: Given<'_>,
    [y, d_x]: [Target; 2],
    d_weight: Option<&mut [f32]>,
) -> Option<Sums> {
    let [forward, backward] = [Direction::Forward, Direction::Backward].map(|d| Lines::new(geometry, d));
    let packed = pack(given.weight, None, geometry.in_channels);
    let with_weight = d_weight.is_some() && given.x.is_some();
    let descent = Descent { isa, geometry, forward, backward, packed, given, y, d_x, with_weight };
    let count = TASKS.min(geometry.images);
    let images = |part: usize| part * geometry.images / count..(part + 1) * geometry.images / count;
    let worker = || descent.worker();
    let parts = deal(0..count, worker, |worker, part| descent.part(worker, images(part)));
    let (products, totals): (Vec<Buffer>, Vec<Vec<f64>>) =
        parts.into_iter().map(|part| (part.products, part.totals)).unzip();
    if let Some(d_weight) = d_weight {
        finish(&products, d_weight, geometry.in_channels);
    }
    given.normalization().map(|by| Sums::of_parts(&totals.concat(), by))
}

impl Descent<'_> {
    fn worker(&self) -> Worker {
        Worker {
            x: self.forward.source_rows(),
            d_y: self.backward.source_rows(),
            taps: Vec::new(),
            scratch: vec![0.0; self.given.normalization().map_or(0, |by| 2 * by.width())],
        }
    }

    fn part(&self, worker: &mut Worker, images: Range<usize>) -> Part {
        let mut part = Part {
            products: Buffer::zeros(if self.with_weight { self.packed.len() } else { 0 }),
            totals: vec![0.0; self.given.normalization().map_or(0, |by| 2 * by.channels())],
        };
        images.for_each(|image| self.image(worker, image, &mut part));
        part
    }

    /// Goes down one image.
    fn image(&self, worker: &mut Worker, image: usize, part: &mut Part) {
        let Self { isa, geometry: g, given, .. } = *self;
        let [x_first, y_first] = [g.x_len(), g.y_len()].map(|len| image * (len / g.images));
        let d_y = |row: Range<usize>| {
            let d = &given.d[y_first + row.start..y_first + row.end];
            // SAFETY: a row of y, which is read before rows of d_x take its place: see `keeps`.
            let x = unsafe { std::slice::from_raw_parts(self.y.0.add(y_first + row.start), row.len()) };
            ReadThrough::Gradient { d, x, by: given.by }
        };
        let maker = Maker { isa, lines: &self.backward, packed: &self.packed };
        let row_len = g.input[1] * g.in_channels;
        worker.x.forget();
        worker.d_y.forget();
        let (mut met, mut summed) = (0, 0);
        for row in 0..g.input[0] {
            let is_last = row + 1 == g.input[0];
            while met < self.keeps(row, is_last) {
                worker.d_y.row(isa, met as isize, &d_y);
                self.meet(worker, image, met, &d_y, part);
                met += 1;
            }
            let at = x_first + row * row_len;
            let Worker { d_y: kept, taps, .. } = worker;
            // SAFETY: a row of d_x, of an image that is this part's alone.
            let d_x = unsafe {
                maker.row(kept, taps, row, &d_y, self.d_x.0.add(at));
                std::slice::from_raw_parts_mut(self.d_x.0.add(at), row_len)
            };
            if let Some(beside) = given.beside {
                elementwise::add_piece(isa, d_x, &beside[at..at + row_len]);
            }
            if is_last || (row + 1 - summed) * g.input[1] >= STRIP {
                self.sum(worker, x_first + summed * row_len..at + row_len, part);
                summed = row + 1;
            }
        }
    }

    /// Rows of y that must have been read before row `row` of d_x is written. They are read in order, and as many are kept
    /// as a row of d_x needs, so that where d_x takes the place of y no row is needed that has been written over.
    fn keeps(&self, row: usize, is_last: bool) -> usize {
        let g = self.geometry;
        if is_last { g.output[0] } else { ((row + g.padding[0]) / g.stride[0] + 1).min(g.output[0]) }
    }

    /// Adds the products of row `row` of d_y, if they are asked for.
    fn meet<'s>(
        &self,
        worker: &mut Worker,
        image: usize,
        row: usize,
        d_y: &impl Fn(Range<usize>) -> ReadThrough<'s>,
        part: &mut Part,
    ) {
        let (Some(x), true) = (self.given.x, self.with_weight) else { return };
        let len = self.forward.source.len();
        let read = |row: Range<usize>| x.part(image * len + row.start, row.len());
        let first = self.backward.cols.window(0, self.backward.cols.targets).origin.unsigned_abs();
        add_row(self.isa, &self.forward, worker, row, first, &read, d_y, &mut part.products);
    }

    /// Adds what the normalization before needs of some elements of d_x, which become the gradient of its pre-activation.
    fn sum(&self, worker: &mut Worker, range: Range<usize>, part: &mut Part) {
        let Some(ReadThrough::Normalized(x, by)) = self.given.x else { return };
        // SAFETY: rows of d_x that this part has written.
        let d_x = unsafe { std::slice::from_raw_parts_mut(self.d_x.0.add(range.start), range.len()) };
        let x = &x[range];
        batch_norm::rows_to_pre_activation(self.isa, d_x, x, by);
        batch_norm::add_rows(self.isa, d_x, x, by, &mut worker.scratch, &mut part.totals);
    }
}

/// Adds the products of row `row` of d_y with what it met of x to `sums`. `first` counts the columns that are kept before
/// the first of d_y's.
#[expect(clippy::too_many_arguments, reason = "two images, and where they are kept")]
fn add_row<'x, 'y>(
    isa: Isa,
    forward: &Lines,
    worker: &mut Worker,
    row: usize,
    first: usize,
    x: &impl Fn(Range<usize>) -> ReadThrough<'x>,
    d_y: &impl Fn(Range<usize>) -> ReadThrough<'y>,
    sums: &mut Buffer,
) {
    let Worker { x: x_rows, d_y: d_y_rows, taps, .. } = worker;
    let (channels, padded) = (forward.target.channels, padded(forward.target.channels));
    let phase = &forward.cols.phases[0];
    taps.clear();
    for (kernel_row, source_row) in forward.reads(row) {
        let at = x_rows.row(isa, source_row, x);
        taps.extend(phase.taps.iter().map(|&(kernel_col, j)| Tap {
            source: at + j * channels,
            filter: (kernel_row * forward.kernel_cols + kernel_col) * padded,
        }));
    }
    let at = d_y_rows.row(isa, row as isize, d_y) + first * channels;
    let weight_row = WeightRow {
        x: x_rows.as_ptr(),
        // SAFETY: a kept row holds every column of d_y.
        d_y: unsafe { d_y_rows.as_ptr().add(at) },
        sums: sums.as_mut_ptr(),
        taps,
        pixels: forward.cols.targets,
        channels,
        x_step: phase.advance * channels,
    };
    // SAFETY: the taps lie within the kept rows, which end a block later, and within the sums.
    unsafe { sweep::weights(isa, &weight_row) }
}

/// Adds the parts up into `d_weight: [C, 1, KH, KW]`.
fn finish(parts: &[Buffer], d_weight: &mut [f32], channels: usize) {
    let (taps, padded) = (d_weight.len() / channels, padded(channels));
    for (channel, filter) in d_weight.chunks_exact_mut(taps).enumerate() {
        for (tap, weight) in filter.iter_mut().enumerate() {
            *weight = parts.iter().map(|part| part[tap * padded + channel]).sum();
        }
    }
}

/// Writes d_weight `[C, 1, KH, KW]` alone.
pub(in super::super) fn d_weight(
    isa: Isa,
    geometry: &Geometry,
    x: ReadThrough<'_>,
    d_y: ReadThrough<'_>,
    d_weight: &mut [f32],
) {
    let forward = Lines::new(geometry, Direction::Forward);
    let units = forward.units();
    let count = TASKS.min(units);
    let len = (geometry.taps() + 1) * padded(geometry.in_channels);
    let worker = || Worker {
        x: forward.source_rows(),
        d_y: Rows::new(1, forward.target, whole_row(geometry)),
        taps: Vec::new(),
        scratch: Vec::new(),
    };
    let part = |worker: &mut Worker, part: usize| {
        let mut sums = Buffer::zeros(len);
        for unit in part * units / count..(part + 1) * units / count {
            let [images, rows] = forward.unit(unit);
            for image in images {
                worker.x.forget();
                worker.d_y.forget();
                let [x_first, y_first] = [forward.source, forward.target].map(|map| image * map.len());
                let x = |row: Range<usize>| x.part(x_first + row.start, row.len());
                let d_y = |row: Range<usize>| d_y.part(y_first + row.start, row.len());
                for row in rows.clone() {
                    add_row(isa, &forward, worker, row, 0, &x, &d_y, &mut sums);
                }
            }
        }
        sums
    };
    let parts = deal(0..count, worker, part);
    finish(&parts, d_weight, geometry.in_channels);
}

/// The columns of y.
fn whole_row(g: &Geometry) -> Window {
    Window { origin: 0, step: 1, len: g.output[1] }
}

/// The memory of the weight's gradient, alone or with that of x.
pub(super) fn workspace(g: &Geometry, both: bool) -> Workspace {
    let forward = Lines::new(g, Direction::Forward);
    let packed = buffers(&[(g.taps() + 1) * padded(g.in_channels)]);
    let lists = 2 * size_of::<Part>();
    if !both {
        return Workspace {
            call_bytes: TASKS.min(forward.units()) * (packed + lists),
            worker_bytes: forward.source_rows_bytes() + Rows::bytes(1, forward.target, whole_row(g)),
        };
    }
    let (backward, parts) = (Lines::new(g, Direction::Backward), TASKS.min(g.images));
    Workspace {
        // Totals are joined in the end.
        call_bytes: packed + parts * (packed + lists) + 2 * part_bytes(parts, g.in_channels),
        worker_bytes: forward.source_rows_bytes()
            + backward.source_rows_bytes()
            + batch_norm::normalization_bytes(g.in_channels),
    }
}
