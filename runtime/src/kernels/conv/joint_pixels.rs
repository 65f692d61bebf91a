//! Both gradients of a convolution by kernels of one pixel, some pixels at a time: as far as it is concerned each pixel is
//! an image.

use super::buffer::Buffer;
use super::direct::{self, Target};
use super::gather::{Direction, GatherPlan};
use super::geometry::Geometry;
use super::joint::Joint;
use super::source::ReadThrough;
use super::weight::{self, WeightCut};
use super::workspace::{Workspace, buffers};
use super::{bias_lanes, pack};
use crate::kernels::simd::Isa;
use std::mem::MaybeUninit;

/// Pixels of a line: their channels, a few at a time, stay in the nearest cache while tiles of the weight's gradient meet.
const LINE: usize = 64;

/// Whether a convolution is one.
pub(super) fn applies(g: &Geometry) -> bool {
    g.taps() == 1 && g.groups == 1 && g.stride == [1; 2] && g.padding == [0; 2]
}

/// The same convolution, of images of one pixel.
pub(super) fn of_pixels(g: &Geometry) -> Geometry {
    Geometry { images: g.images * g.input[0] * g.input[1], input: [1; 2], output: [1; 2], ..*g }
}

/// The same, of lines of a turn of so many pixels.
fn of_turn(g: &Geometry, pixels: usize) -> Geometry {
    let line = if pixels.is_multiple_of(LINE) { LINE } else { pixels };
    Geometry { images: pixels / line, input: [1, line], output: [1, line], ..*g }
}

/// How the gradients of so many pixels are made.
struct Turn {
    pixels: usize,
    weight: GatherPlan,
    input: GatherPlan,
}

impl Turn {
    fn new(isa: Isa, g: &Geometry, pixels: usize) -> Self {
        let g = of_turn(g, pixels);
        let input = GatherPlan::new(isa, &g, Direction::Backward).with_all_channels();
        Self { pixels, weight: weight::plan(isa, &g), input }
    }
}

/// The method, with a plan for a whole turn and one for the rest.
pub(super) struct JointPixels {
    isa: Isa,
    geometry: Geometry,
    turns: Vec<Turn>,
    packed: Buffer,
    bias: Vec<f32>,
}

/// What a thread computes with.
pub(super) struct PixelBuffers {
    weight: weight::Scratch,
    input: Buffer,
}

impl JointPixels {
    fn turn(&self, pixels: usize) -> &Turn {
        let found = self.turns.iter().find(|turn| turn.pixels == pixels);
        found.unwrap_or(&self.turns[0])
    }
}

/// Pixels of a turn, and of the last one where that has others.
fn turns(isa: Isa, g: &Geometry) -> Vec<usize> {
    let turn = JointPixels::turn_images(isa, g);
    [turn, g.images % turn].into_iter().filter(|&pixels| pixels > 0).collect()
}

/// Floats of what a thread copies x and d_y to for the weight's gradient, and d_y for that of x.
fn buffer_lens(turns: &[Turn]) -> [usize; 3] {
    turns.iter().fold([0; 3], |most: [usize; 3], Turn { weight, input, .. }| {
        let d_y = weight.unit_pixels() * weight.vectors() * weight.lanes;
        let lens = [weight.scratch_len(), d_y, input.scratch_len()];
        std::array::from_fn(|i| most[i].max(lens[i]))
    })
}

impl Joint for JointPixels {
    type Buffers = PixelBuffers;

    const TURN_BYTES: usize = 256 << 10;

    fn new(isa: Isa, geometry: &Geometry, weight: &[f32]) -> Self {
        let turns: Vec<Turn> =
            turns(isa, geometry).into_iter().map(|pixels| Turn::new(isa, geometry, pixels)).collect();
        let input = &turns[0].input;
        let packed = pack::pack(input, geometry, Direction::Backward, weight);
        let bias = bias_lanes(&input.channel_blocks, isa.lanes(), None);
        Self { isa, geometry: *geometry, turns, packed, bias }
    }

    fn buffers(&self) -> PixelBuffers {
        let [x, d_y, input] = buffer_lens(&self.turns);
        PixelBuffers { weight: weight::Scratch::of(x, d_y), input: Buffer::zeros(input) }
    }

    fn d_input(&self, worker: &mut PixelBuffers, pixels: usize, d_y: &[f32], d_x: &mut [MaybeUninit<f32>]) {
        let gather = &self.turn(pixels).input;
        let target = Target(d_x.as_mut_ptr().cast());
        for index in 0..gather.units() {
            // SAFETY: d_x holds the plan's targets, and is this thread's alone.
            unsafe {
                direct::unit(
                    self.isa,
                    gather,
                    index,
                    [&self.packed, &self.bias],
                    d_y.into(),
                    target,
                    &mut worker.input,
                );
            }
        }
    }

    fn sums(&self) -> Buffer {
        Buffer::zeros(self.turns[0].weight.packed_len())
    }

    fn add_weight(
        &self,
        worker: &mut PixelBuffers,
        pixels: usize,
        x: ReadThrough<'_>,
        d_y: &[f32],
        sums: &mut Buffer,
    ) {
        let gather = &self.turn(pixels).weight;
        for index in 0..gather.units() {
            let unit = gather.unit(index);
            weight::add_unit(self.isa, gather, &unit, [x, d_y.into()], &mut worker.weight, sums);
        }
    }

    fn finish(&self, sums: &[Buffer], d_weight: &mut [MaybeUninit<f32>]) {
        let gather = &self.turns[0].weight;
        let mut total = self.sums();
        for sums in sums {
            total.iter_mut().zip(sums.iter()).for_each(|(total, sum)| *total += sum);
        }
        pack::unpack(gather, &self.geometry, &[vec![total]], gather.channel_blocks.len(), d_weight);
    }

    fn cut(isa: Isa, g: &Geometry) -> (WeightCut, usize) {
        let gather = weight::plan(isa, &of_turn(g, 1));
        let (blocks, bytes) = (gather.channel_blocks.len(), gather.packed_len() * size_of::<f32>());
        let pixel_bytes = g.in_channels.max(g.out_channels) * size_of::<f32>();
        let multiple = if Self::TURN_BYTES / pixel_bytes >= LINE { LINE } else { 1 };
        (WeightCut::new(blocks, bytes, g.images), multiple)
    }

    fn workspace(isa: Isa, g: &Geometry, parts: usize) -> Workspace {
        let turns: Vec<Turn> = turns(isa, g).into_iter().map(|pixels| Turn::new(isa, g, pixels)).collect();
        let (weight, input) = (&turns[0].weight, &turns[0].input);
        let plans: usize = turns.iter().map(|turn| turn.weight.bytes() + turn.input.bytes()).sum();
        let sums = (parts + 1) * buffers(&[weight.packed_len()]);
        Workspace {
            call_bytes: plans + sums + buffers(&[input.packed_len()]),
            worker_bytes: buffers(&buffer_lens(&turns)),
        }
    }
}
