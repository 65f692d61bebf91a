//! Depthwise convolution, one filter a channel: row by row of the target, all channels of a pixel side by side.
//!
//! There is little arithmetic to so many numbers, so that what counts is how often they come from memory. A thread goes
//! down an image and keeps the last few source rows, read through what they come through ([`rows`]); a row of targets is
//! made from them ([`sweep`]). Backward makes both gradients on one way down ([`backward`]).

mod backward;
mod rows;
mod sweep;

pub(super) use backward::{apart_applies, backward, d_weight, joint_applies};

use super::axis::{Axis, Phase};
use super::buffer::Buffer;
use super::direct::Target;
use super::gather::{Direction, MapShape, UNITS};
use super::geometry::Geometry;
use super::scratch::BLOCK;
use super::source::ReadThrough;
use super::workspace::{PassKind, Workspace, buffers};
use crate::deal::each;
use crate::kernels::batch_norm::{Accumulator, part_bytes, part_len, with_parts};
use crate::kernels::pieces::PIECE;
use crate::kernels::simd::Isa;
use rows::Rows;
use std::mem::MaybeUninit;
use std::ops::Range;
use sweep::{Tap, TargetRow};

/// Bands of fewer rows would read most of their source twice.
const LEAST_BAND: usize = 4;

/// Which source rows and columns each target reads, and in which units the targets are made.
struct Lines {
    images: usize,
    source: MapShape,
    target: MapShape,
    rows: Axis,
    cols: Axis,
    /// Taps of a row of the kernel.
    kernel_cols: usize,
    /// Images of a unit; 1 where it is a band of rows.
    unit_images: usize,
    /// Target rows of a unit.
    unit_rows: usize,
}

impl Lines {
    fn new(g: &Geometry, direction: Direction) -> Self {
        let x = MapShape { size: g.input, channels: g.in_channels };
        let y = MapShape { size: g.output, channels: g.out_channels };
        let (source, target) = if direction == Direction::Forward { (x, y) } else { (y, x) };
        let [rows, cols] = [0, 1].map(|i| Axis::of(g, direction, i));
        let unit_rows = rows.targets.div_ceil(UNITS.div_ceil(g.images)).max(LEAST_BAND).min(rows.targets);
        let many = (PIECE / target.len()).clamp(1, g.images.div_ceil(UNITS));
        let unit_images = if unit_rows == rows.targets { many } else { 1 };
        Self {
            images: g.images,
            source,
            target,
            rows,
            cols,
            kernel_cols: g.kernel[1],
            unit_images,
            unit_rows,
        }
    }

    /// How many units there are.
    fn units(&self) -> usize {
        self.images.div_ceil(self.unit_images) * self.bands()
    }

    fn bands(&self) -> usize {
        self.rows.targets.div_ceil(self.unit_rows)
    }

    /// The images and target rows of a unit.
    fn unit(&self, index: usize) -> [Range<usize>; 2] {
        let part = |i: usize, size: usize, end: usize| i * size..((i + 1) * size).min(end);
        let (image, band) = (index / self.bands(), index % self.bands());
        [part(image, self.unit_images, self.images), part(band, self.unit_rows, self.rows.targets)]
    }

    /// Rows of the kernel that target row `row` meets, and the source rows that they meet there, in or beyond the source.
    fn reads(&self, row: usize) -> impl Iterator<Item = (usize, isize)> + '_ {
        let phase = row % self.rows.multiple;
        let window = self.rows.window(row - phase, 1);
        let source = move |&(k, j): &(usize, usize)| (k, window.origin + (j * window.step) as isize);
        self.rows.phases[phase].taps.iter().map(source)
    }

    /// Source rows that a target row may need at a time.
    fn kept_rows(&self) -> usize {
        self.rows.lines(self.rows.multiple.min(self.rows.targets)).min(self.source.size[0])
    }

    fn source_rows(&self) -> Rows {
        Rows::new(self.kept_rows(), self.source, self.cols.window(0, self.cols.targets))
    }

    /// Bytes of [`Self::source_rows`].
    fn source_rows_bytes(&self) -> usize {
        Rows::bytes(self.kept_rows(), self.source, self.cols.window(0, self.cols.targets))
    }
}

/// Channels in memory of our own: filled up, so that vectors never end in the next filter.
fn padded(channels: usize) -> usize {
    channels.next_multiple_of(BLOCK)
}

/// `weight: [C, 1, KH, KW]` as `[KH, KW, padded C]`, and one row more for the bias.
fn pack(weight: &[f32], bias: Option<&[f32]>, channels: usize) -> Buffer {
    let (taps, padded) = (weight.len() / channels, padded(channels));
    let mut packed = Buffer::zeros((taps + 1) * padded);
    for (channel, filter) in weight.chunks_exact(taps).enumerate() {
        for (tap, &weight) in filter.iter().enumerate() {
            packed[tap * padded + channel] = weight;
        }
    }
    if let Some(bias) = bias {
        packed[taps * padded..][..channels].copy_from_slice(bias);
    }
    packed
}

/// What makes target rows.
struct Maker<'a> {
    isa: Isa,
    lines: &'a Lines,
    packed: &'a Buffer,
}

impl Maker<'_> {
    /// Writes row `row` of the targets of one image, from its first pixel at `to` on; `kept` reads its source rows from
    /// `image`.
    ///
    /// # Safety
    /// `to` is good for a row of targets.
    unsafe fn row<'s>(
        &self,
        kept: &mut Rows,
        taps: &mut Vec<Tap>,
        row: usize,
        image: &impl Fn(Range<usize>) -> ReadThrough<'s>,
        to: *mut f32,
    ) {
        let Self { isa, lines, .. } = *self;
        let (channels, padded) = (lines.target.channels, padded(lines.target.channels));
        for phase in &lines.cols.phases {
            taps.clear();
            for (kernel_row, source_row) in lines.reads(row) {
                let at = kept.row(isa, source_row, image);
                let tap = |&(kernel_col, j): &(usize, usize)| Tap {
                    source: at + j * channels,
                    filter: (kernel_row * lines.kernel_cols + kernel_col) * padded,
                };
                taps.extend(phase.taps.iter().map(tap));
            }
            // SAFETY: the phase's columns lie within the row, its taps within the kept rows and the packed filters.
            unsafe { self.phase(kept, taps, phase, to) }
        }
    }

    /// The targets of one phase of the columns.
    ///
    /// # Safety
    /// As for [`Self::row`].
    unsafe fn phase(&self, kept: &Rows, taps: &[Tap], phase: &Phase, to: *mut f32) {
        let channels = self.lines.target.channels;
        let target_row = TargetRow {
            source: kept.as_ptr(),
            filters: self.packed.as_ptr(),
            bias: self.packed[self.packed.len() - padded(channels)..].as_ptr(),
            taps,
            pixels: phase.count(self.lines.cols.targets),
            channels,
            from_step: phase.advance * channels,
            // SAFETY: a phase's first column is one of the row's.
            to: unsafe { to.add(phase.first * channels) },
            to_step: phase.every * channels,
        };
        // SAFETY: passed on from the caller.
        unsafe { sweep::targets(self.isa, &target_row) }
    }
}

/// What a thread computes with.
struct Worker {
    kept: Rows,
    taps: Vec<Tap>,
    sums: Accumulator,
}

/// The forward pass, or the input gradient, of slices whose lengths are right. Answers the moments of the units, if they
/// were asked for. Writes every target.
#[expect(clippy::too_many_arguments, reason = "those of both passes")]
pub(super) fn run(
    isa: Isa,
    geometry: &Geometry,
    direction: Direction,
    source: ReadThrough<'_>,
    weight: &[f32],
    bias: Option<&[f32]>,
    target: &mut [MaybeUninit<f32>],
    with_moments: bool,
) -> Vec<f64> {
    let lines = Lines::new(geometry, direction);
    let channels = lines.target.channels;
    let packed = pack(weight, bias, channels);
    let shared = Target(target.as_mut_ptr().cast());
    let mut parts = vec![0.0; if with_moments { lines.units() * part_len(channels) } else { 0 }];
    let sums_channels = if with_moments { channels } else { 1 };
    let worker =
        || Worker { kept: lines.source_rows(), taps: Vec::new(), sums: Accumulator::new(sums_channels) };
    let maker = Maker { isa, lines: &lines, packed: &packed };
    let unit = |worker: &mut Worker, (index, part): (usize, Option<&mut [f64]>)| {
        let [images, rows] = lines.unit(index);
        let Worker { kept, taps, sums } = worker;
        for image in images.clone() {
            kept.forget();
            let first = image * lines.source.len();
            let read = |range: Range<usize>| source.part(first + range.start, range.len());
            for row in rows.clone() {
                let to = image * lines.target.len() + row * lines.target.size[1] * channels;
                // SAFETY: the row is one of the target's, and this unit's alone.
                unsafe { maker.row(kept, taps, row, &read, shared.0.add(to)) }
            }
        }
        if let Some(part) = part {
            // SAFETY: the unit has written these rows, with every channel of theirs.
            unsafe { shared.moments(isa, lines.target, &images, &rows, sums, part) }
        }
    };
    each(with_parts(lines.units(), &mut parts, channels), worker, unit);
    parts
}

/// The memory of a pass.
pub(super) fn workspace(geometry: &Geometry, pass: PassKind) -> Workspace {
    let direction = if pass == PassKind::DInput { Direction::Backward } else { Direction::Forward };
    if let PassKind::DWeight | PassKind::Joint = pass {
        return backward::workspace(geometry, pass == PassKind::Joint);
    }
    let lines = Lines::new(geometry, direction);
    let channels = lines.target.channels;
    Workspace {
        call_bytes: buffers(&[(geometry.taps() + 1) * padded(channels)])
            + part_bytes(lines.units(), channels),
        worker_bytes: lines.source_rows_bytes() + Accumulator::bytes(channels),
    }
}
