//! F(4, 3) for both gradients of a few images at a time.

use super::super::buffer::Buffer;
use super::super::direct::Target;
use super::super::gather::Direction;
use super::super::geometry::Geometry;
use super::super::joint::{Joint, least_multiple};
use super::super::source::ReadThrough;
use super::super::weight::WeightCut;
use super::super::workspace::Workspace;
use super::plan::{RowPlan, Tile};
use super::weight::{self, Scratch};
use super::{RowBuffers, RowPass, pack, workspace};
use crate::kernels::simd::Isa;
use std::mem::MaybeUninit;

/// The plans of both gradients, and what the input's needs.
pub(in super::super) struct JointRows {
    isa: Isa,
    input: RowPlan,
    tiles: Vec<Tile>,
    packed: Buffer,
    bias: Vec<f32>,
    weight: RowPlan,
    cut: WeightCut,
}

impl Joint for JointRows {
    type Buffers = (RowBuffers, Scratch);

    const TURN_BYTES: usize = 128 << 10;

    fn new(isa: Isa, g: &Geometry, weight: &[f32]) -> Self {
        let input = RowPlan::new(isa, g, Direction::Backward);
        let packed = pack(&input, Direction::Backward, weight);
        let (bias, tiles) = (vec![0.0; input.target_lanes()], input.unit_tiles());
        let (weight, cut) = weight::plan(isa, g);
        Self { isa, input, tiles, packed, bias, weight, cut }
    }

    fn buffers(&self) -> Self::Buffers {
        (RowBuffers::new(&self.input, false), Scratch::new(&self.weight, &self.weight.channel_blocks))
    }

    fn d_input(
        &self,
        (worker, _): &mut Self::Buffers,
        images: usize,
        d_y: &[f32],
        d_x: &mut [MaybeUninit<f32>],
    ) {
        let Self { isa, ref input, .. } = *self;
        let target = Target(d_x.as_mut_ptr().cast());
        let work =
            RowPass { isa, plan: input, tiles: &self.tiles, packed: &self.packed, bias: &self.bias, target };
        for unit in input.units.of(images) {
            input.transform(isa, &unit, ReadThrough::Plain(d_y), &mut worker.row, &mut worker.transformed);
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
        let cut = WeightCut { parts: sums.len(), ..self.cut };
        weight::finish(self.isa, &self.weight, &cut, sums, d_weight);
    }

    fn cut(isa: Isa, g: &Geometry) -> (WeightCut, usize) {
        let (weight, cut) = weight::plan(isa, g);
        let input = RowPlan::new(isa, g, Direction::Backward);
        (cut, least_multiple(input.units.unit_images, weight.units.unit_images))
    }

    fn workspace(isa: Isa, g: &Geometry, parts: usize) -> Workspace {
        let (weight, cut) = weight::plan(isa, g);
        workspace(&RowPlan::new(isa, g, Direction::Backward))
            .plus(&weight::workspace(&weight, &WeightCut { parts, ..cut }))
    }
}
