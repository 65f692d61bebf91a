//! F(4x4, 3x3) for both gradients of a few images at a time.

use super::super::super::buffer::Buffer;
use super::super::super::direct::Target;
use super::super::super::gather::Direction;
use super::super::super::geometry::Geometry;
use super::super::super::joint::{Joint, least_multiple};
use super::super::super::source::ReadThrough;
use super::super::super::weight::WeightCut;
use super::super::super::workspace::Workspace;
use super::plan::SquarePlan;
use super::weight::{self, Scratch};
use super::{SquareBuffers, SquarePass, pack, workspace};
use crate::kernels::simd::Isa;
use std::mem::MaybeUninit;

/// The plans of both gradients, and what the input's needs.
pub(in crate::kernels::conv) struct JointSquares {
    isa: Isa,
    input: SquarePlan,
    packed: Buffer,
    bias: Vec<f32>,
    weight: SquarePlan,
    cut: WeightCut,
}

impl Joint for JointSquares {
    type Buffers = (SquareBuffers, Scratch);

    const TURN_BYTES: usize = 128 << 10;

    fn new(isa: Isa, g: &Geometry, weight: &[f32]) -> Self {
        let input = SquarePlan::new(isa, g, Direction::Backward);
        let packed = pack(isa, &input, Direction::Backward, weight, &input.channel_blocks);
        let bias = vec![0.0; input.target_lanes()];
        let (weight, cut) = weight::plan(isa, g);
        Self { isa, input, packed, bias, weight, cut }
    }

    fn buffers(&self) -> Self::Buffers {
        (SquareBuffers::new(&self.input, false), Scratch::new(&self.weight, &self.weight.channel_blocks))
    }

    fn d_input(
        &self,
        (worker, _): &mut Self::Buffers,
        images: usize,
        d_y: &[f32],
        d_x: &mut [MaybeUninit<f32>],
    ) {
        let Self { isa, ref input, .. } = *self;
        let work = SquarePass {
            isa,
            plan: input,
            blocks: &input.channel_blocks,
            packed: &self.packed,
            bias: &self.bias,
            source: ReadThrough::Plain(d_y),
            target: Target(d_x.as_mut_ptr().cast()),
        };
        for unit in input.units.of(images) {
            input.transform(isa, &unit, work.source, &mut worker.lines, &mut worker.transformed);
            work.unit(&unit, worker);
        }
    }

    fn sums(&self) -> Buffer {
        Buffer::zeros(weight::sums_len(&self.weight, &self.weight.channel_blocks))
    }

    fn add_weight(
        &self,
        (_, scratch): &mut Self::Buffers,
        images: usize,
        x: ReadThrough<'_>,
        d_y: &[f32],
        sums: &mut Buffer,
    ) {
        let (plan, sources) = (&self.weight, [x, ReadThrough::Plain(d_y)]);
        for unit in plan.units.of(images) {
            weight::add(self.isa, plan, &unit, &plan.channel_blocks, sources, scratch, sums);
        }
    }

    fn finish(&self, sums: &[Buffer], d_weight: &mut [MaybeUninit<f32>]) {
        weight::finish(self.isa, &self.weight, &WeightCut { parts: sums.len(), ..self.cut }, sums, d_weight);
    }

    fn cut(isa: Isa, g: &Geometry) -> (WeightCut, usize) {
        let (weight, cut) = weight::plan(isa, g);
        let input = SquarePlan::new(isa, g, Direction::Backward);
        (cut, least_multiple(input.units.unit_images, weight.units.unit_images))
    }

    fn workspace(isa: Isa, g: &Geometry, parts: usize) -> Workspace {
        let (weight, cut) = weight::plan(isa, g);
        workspace(&SquarePlan::new(isa, g, Direction::Backward))
            .plus(&weight::workspace(&weight, &WeightCut { parts, ..cut }))
    }
}
