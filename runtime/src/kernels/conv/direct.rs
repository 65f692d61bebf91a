//! The direct convolution: runs the units of a plan, dense or depthwise.

use super::depthwise;
use super::gather::{Gather, Unit};
use super::scratch::{self, Image};
use super::tile::{self, Sweep};
use crate::kernels::simd::{Isa, Kernel, Simd};
use rayon::prelude::*;

/// A target that several workers write, each its own part.
#[derive(Clone, Copy)]
pub(super) struct Target(pub(super) *mut f32);

// SAFETY: units write disjoint sets of elements (pixels and channels), so sharing the pointer is sound.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

/// Runs every unit of `gather`: `source` and `target` are whole batches, `packed` the plan's packed weights,
/// `bias` one float a lane of every channel block.
pub(super) fn run(
    isa: Isa,
    gather: &Gather,
    is_depthwise: bool,
    packed: &[f32],
    bias: &[f32],
    source: &[f32],
    target: &mut [f32],
) {
    let shared = Target(target.as_mut_ptr());
    let scratch = || vec![0.0; gather.scratch_len()];
    (0..gather.units()).into_par_iter().for_each_init(scratch, |scratch, index| {
        let unit = gather.unit(index);
        copy(gather, &unit, source, scratch);
        let work = UnitWork { gather, unit, packed, bias, scratch, target: shared, is_depthwise };
        isa.run(work);
    });
}

/// Copies what `unit` reads.
pub(super) fn copy(gather: &Gather, unit: &Unit, source: &[f32], scratch: &mut [f32]) {
    let image_len = gather.source.len();
    let window = gather.row_window(unit);
    for (image, part) in unit.images.clone().zip(scratch.chunks_exact_mut(gather.unit_image_stride())) {
        let data = &source[image * image_len..(image + 1) * image_len];
        let image = Image { data, size: gather.source.size, channels: gather.source.channels };
        scratch::fill(image, window, gather.cols, &gather.blocks, part);
    }
}

/// One unit, its source already in the scratch.
struct UnitWork<'a> {
    gather: &'a Gather,
    unit: Unit,
    packed: &'a [f32],
    bias: &'a [f32],
    scratch: &'a [f32],
    target: Target,
    is_depthwise: bool,
}

impl Kernel for UnitWork<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let gather = self.gather;
        let row = gather.target.size[1] * gather.target.channels;
        let start = self.unit.images.start * gather.target.len() + self.unit.rows.start * row;
        let block_stride = gather.unit_block_stride();
        for index in self.unit.blocks.clone() {
            let block = gather.channel_blocks[index];
            let group = if self.is_depthwise { index } else { block.group * gather.blocks.per_group };
            let mut pass_at = 0;
            for pass in &gather.passes {
                let runs = pass.runs_of(self.unit.images.len(), self.unit.rows.len());
                let weights = (pass_at * gather.vectors() + block.before * pass.rows.len()) * gather.lanes;
                let sweep = Sweep {
                    segments: &pass.segments,
                    runs,
                    run_len: pass.run_len,
                    from_step: pass.from_step,
                    to_step: pass.to_step,
                    block,
                    source: self.scratch[group * block_stride..].as_ptr(),
                    weights: self.packed[weights..].as_ptr(),
                    bias: self.bias[block.before * gather.lanes..].as_ptr(),
                    // SAFETY: the unit's first pixel and the block's first channel lie within the target.
                    target: unsafe { self.target.0.add(start + block.first) },
                };
                pass_at += pass.rows.len();
                // SAFETY: the plan's runs and segments stay within the scratch, the packed weights and the
                // target, whose lengths the callers of `run` have checked; the caller vouches for `S`.
                unsafe {
                    if self.is_depthwise {
                        depthwise::sweep::<S>(&sweep);
                    } else {
                        tile::sweep::<S>(&sweep);
                    }
                }
            }
        }
    }
}
