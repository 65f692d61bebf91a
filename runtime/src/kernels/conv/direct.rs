//! The direct convolution: runs the units of a plan.

use super::buffer::Buffer;
use super::gather::{GatherPass, GatherPlan, GatherUnit, MapShape, PixelRun};
use super::scratch::{self, Image};
use super::source::ReadThrough;
use super::tile::{self, Sweep};
use super::workspace::{Workspace, buffers};
use crate::deal::each;
use crate::kernels::batch_norm::{Accumulator, part_bytes, part_len, with_parts};
use crate::kernels::simd::Isa;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Packed weights up to this size stay in a level-2 cache, so that a few pixels at a time can meet all of them.
const CACHED_BYTES: usize = 256 << 10;
/// Those pixels.
const PIXELS: usize = 96;

/// A target that several workers write, each its own part.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Target(pub(in crate::kernels) *mut f32);

// SAFETY: units write disjoint sets of elements (pixels and channels), so sharing the pointer is sound.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// Adds some rows of some images, whole pixels all, to a part of the moments.
    ///
    /// # Safety
    /// The rows lie within the target, have been written, and nobody writes them meanwhile.
    pub(super) unsafe fn moments(
        self,
        isa: Isa,
        map: MapShape,
        images: &Range<usize>,
        rows: &Range<usize>,
        sums: &mut Accumulator,
        part: &mut [f64],
    ) {
        let row = map.size[1] * map.channels;
        for image in images.clone() {
            let start = image * map.len() + rows.start * row;
            // SAFETY: see above.
            let rows = unsafe { std::slice::from_raw_parts(self.0.add(start), rows.len() * row) };
            sums.add(isa, rows, part);
        }
    }
}

/// Runs every unit of `gather`: `source` and `target` are whole batches, `packed` the plan's packed weights,
/// `bias` one float a lane of every channel block. Answers the units' moments, if they were asked for and units
/// hold whole pixels. Writes every target.
pub(super) fn run(
    isa: Isa,
    gather: &GatherPlan,
    packed: &[f32],
    bias: &[f32],
    source: ReadThrough<'_>,
    target: &mut [MaybeUninit<f32>],
    with_moments: bool,
) -> Vec<f64> {
    let shared = Target(target.as_mut_ptr().cast());
    let with_moments = with_moments && gather.has_whole_pixels();
    let channels = if with_moments { gather.target.channels } else { 1 };
    let mut parts = vec![0.0; if with_moments { gather.units() * part_len(channels) } else { 0 }];
    let worker = || (Buffer::zeros(gather.scratch_len()), Accumulator::new(channels));
    let one = |(scratch, sums): &mut (Buffer, Accumulator), (index, part): (usize, Option<&mut [f64]>)| {
        // SAFETY: the target is as large as the plan's, and this unit has channels and pixels of its own.
        let unit = unsafe { unit(isa, gather, index, [packed, bias], source, shared, scratch) };
        if let Some(part) = part {
            // SAFETY: the unit has written these rows, with every channel of theirs.
            unsafe { shared.moments(isa, gather.target, &unit.images, &unit.rows, sums, part) }
        }
    };
    each(with_parts(gather.units(), &mut parts, channels), worker, one);
    parts
}

/// Runs one unit on this thread; answers it.
///
/// # Safety
/// The target is good for all that the unit writes, and nobody else touches that.
pub(super) unsafe fn unit(
    isa: Isa,
    gather: &GatherPlan,
    index: usize,
    [packed, bias]: [&[f32]; 2],
    source: ReadThrough<'_>,
    target: Target,
    scratch: &mut [f32],
) -> GatherUnit {
    let unit = gather.unit(index);
    copy(isa, gather, &unit, source, scratch);
    let work = UnitWork { gather, unit, packed, bias, scratch, target };
    work.run(isa);
    work.unit
}

/// Copies what `unit` reads.
pub(super) fn copy(
    isa: Isa,
    gather: &GatherPlan,
    unit: &GatherUnit,
    source: ReadThrough<'_>,
    scratch: &mut [f32],
) {
    let image_len = gather.source.len();
    let (rows, blocks) = (gather.row_window(unit), gather.source_blocks(&unit.blocks));
    for (image, part) in unit.images.clone().zip(scratch.chunks_exact_mut(gather.unit_image_stride())) {
        let source = source.part(image * image_len, image_len);
        let image = Image { source, size: gather.source.size, channels: gather.source.channels };
        scratch::fill(isa, image, [rows, gather.cols], &gather.blocks, blocks.clone(), part);
    }
}

/// One unit, its source already in the scratch.
struct UnitWork<'a> {
    gather: &'a GatherPlan,
    unit: GatherUnit,
    packed: &'a [f32],
    bias: &'a [f32],
    scratch: &'a [f32],
    target: Target,
}

impl<'a> UnitWork<'a> {
    fn run(&self, isa: Isa) {
        let (images, rows) = (self.unit.images.len(), self.unit.rows.len());
        let gather = self.gather;
        for pass in &gather.passes {
            let weight_bytes = pass.rows.len() * gather.vectors() * gather.lanes * size_of::<f32>();
            let at_once = if weight_bytes <= CACHED_BYTES { PIXELS / pass.run_len } else { usize::MAX };
            for runs in pass.runs_of(images, rows).chunks(at_once) {
                for index in self.unit.blocks.clone() {
                    // SAFETY: see `sweep`.
                    unsafe { tile::sweep(isa, &self.sweep(pass, index, runs)) }
                }
            }
        }
    }

    /// What the tiles of some runs of a pass need for channel block `index`. The plan's runs and segments stay
    /// within the scratch, the packed weights and the target, whose lengths the callers of `run` have checked.
    fn sweep(&self, pass: &'a GatherPass, index: usize, runs: &'a [PixelRun]) -> Sweep<'a> {
        let gather = self.gather;
        let block = gather.channel_blocks[index];
        let row = gather.target.size[1] * gather.target.channels;
        let start = self.unit.images.start * gather.target.len() + self.unit.rows.start * row;
        let weights = (pass.rows_before * gather.vectors() + block.before * pass.rows.len()) * gather.lanes;
        Sweep {
            segments: &pass.segments,
            runs,
            run_len: pass.run_len,
            from_step: pass.from_step,
            to_step: pass.to_step,
            block,
            source: self.scratch[gather.source_block(index) * gather.unit_block_stride()..].as_ptr(),
            weights: self.packed[weights..].as_ptr(),
            bias: self.bias[block.before * gather.lanes..].as_ptr(),
            // SAFETY: the unit's first pixel and the block's first channel lie within the target.
            target: unsafe { self.target.0.add(start + block.first) },
        }
    }
}

/// The memory of a pass.
pub(super) fn workspace(gather: &GatherPlan) -> Workspace {
    let bias = gather.vectors() * gather.lanes * size_of::<f32>();
    Workspace {
        call_bytes: gather.bytes()
            + bias
            + buffers(&[gather.packed_len()])
            + part_bytes(gather.units(), gather.target.channels),
        worker_bytes: buffers(&[gather.scratch_len()]) + Accumulator::bytes(gather.target.channels),
    }
}
