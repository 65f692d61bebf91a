//! Two-dimensional convolution of channels-last images on the CPU, and its gradients.
//!
//! Images are copied, a unit at a time, into a small scratch with zeros around them (`scratch`); register
//! tiles then broadcast source values against vectors of target channels (`tile`). The input gradient is the
//! same gathering pass over d_y, once for every remainder of the stride (`axis`, `gather`). Kernels of one pixel are
//! products of all pixels and the weights (`pointwise`). Nothing of the size of an unfolded image is ever made:
//! [`workspace`] tells what is.

mod axis;
mod buffer;
mod depthwise;
mod direct;
mod gather;
mod geometry;
mod joint;
mod joint_pixels;
mod pack;
mod pointwise;
mod scratch;
mod source;
mod tile;
mod upsampled;
mod weight;
mod winograd;
mod workspace;

pub use geometry::Geometry;
pub use joint::{Given, apart_applies, applies as joint_applies, backward, backward_apart};
pub use source::ReadThrough;
pub use upsampled::{Upsampling, upsampled_backward, upsampled_forward, upsampled_workspace};
pub use workspace::{PassKind, Workspace, workspace};

// What other products are made with, too.
pub(super) use buffer::Buffer;
pub(super) use direct::Target;
pub(super) use gather::cut_channels;
pub(super) use pointwise::{MOST_PIXELS, Start, Sweep, sweep};
pub(super) use scratch::BLOCK;
pub(super) use tile::block_vectors;
pub(super) use workspace::buffers;

use crate::deal::all;
use crate::error::{Error, Result};
use crate::kernels::batch_norm::{self, Moments};
use crate::kernels::simd::Isa;
use crate::kernels::unwritten::{Unwritten, filled, written};
use gather::{ChannelBlock, Direction, GatherPlan};
use std::mem::MaybeUninit;
use winograd::square;

/// How to convolve: on which instruction set, by which method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The instruction set.
    pub isa: Isa,
    /// The method.
    pub method: Algorithm,
}

/// A method of convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// The one that is faster for the shape.
    Fastest,
    /// Product by product.
    Direct,
    /// Winograd's F(4, 3) along the rows where the kernel is 3x3 without stride, dilation or groups; else direct.
    Winograd,
    /// Winograd's F(4x4, 3x3) in the same places; else direct.
    SquareWinograd,
}

impl Path {
    /// The widest instruction set and the faster method.
    pub fn best() -> Self {
        Self { isa: Isa::best(), method: Algorithm::Fastest }
    }

    /// The method, any but the fastest, of a pass.
    fn method(&self, geometry: &Geometry, pass: PassKind) -> Algorithm {
        if !winograd::applies(geometry) {
            return Algorithm::Direct;
        }
        let square = || match pass {
            PassKind::Forward | PassKind::DInput => square::is_faster(geometry),
            PassKind::DWeight | PassKind::Joint => square::weight_is_faster(geometry),
        };
        match self.method {
            Algorithm::Fastest if square() => Algorithm::SquareWinograd,
            Algorithm::Fastest if winograd::is_faster(geometry) => Algorithm::Winograd,
            Algorithm::Fastest => Algorithm::Direct,
            method => method,
        }
    }
}

/// Convolves x `[N, H, W, I]` with weight `[O, I/groups, KH, KW]` into y `[N, OH, OW, O]`, plus bias `[O]`.
pub fn forward<'a, 'b>(
    path: Path,
    geometry: &Geometry,
    x: impl Into<ReadThrough<'a>>,
    weight: &[f32],
    bias: Option<&[f32]>,
    y: impl Into<Unwritten<'b>>,
) -> Result<()> {
    // SAFETY: a convolution stores nothing but numbers.
    let y = unsafe { y.into().room() };
    convolve(path, geometry, x.into(), weight, bias, y, false).map(|_| ())
}

/// [`forward`], and the mean and variance of each channel of y, taken while it is in the cache.
pub fn forward_with_moments<'a, 'b>(
    path: Path,
    geometry: &Geometry,
    x: impl Into<ReadThrough<'a>>,
    weight: &[f32],
    bias: Option<&[f32]>,
    y: impl Into<Unwritten<'b>>,
) -> Result<Moments> {
    // SAFETY: a convolution stores nothing but numbers.
    let y = unsafe { y.into().room() };
    let channels = geometry.out_channels;
    let parts = convolve(path, geometry, x.into(), weight, bias, y, true)?;
    if !parts.is_empty() {
        return Ok(batch_norm::finish(&parts, channels));
    }
    // SAFETY: the convolution has written every element.
    let y = unsafe { written(y) };
    Ok(batch_norm::moments(path.isa, y, channels))
}

fn convolve(
    path: Path,
    geometry: &Geometry,
    x: ReadThrough<'_>,
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [MaybeUninit<f32>],
    with_moments: bool,
) -> Result<Vec<f64>> {
    geometry.check(x.len(), weight.len(), y.len())?;
    check_channels(x, geometry.in_channels)?;
    if let Some(bias) = bias.filter(|bias| bias.len() != geometry.out_channels) {
        return Err(Error::internal(format!("a bias of {} elements for {geometry:?}", bias.len())));
    }
    Ok(gathered(path, geometry, Direction::Forward, x, weight, bias, y, with_moments))
}

/// The gradient with respect to x: d_y `[N, OH, OW, O]` and weight `[O, I/groups, KH, KW]` give d_x `[N, H, W, I]`.
pub fn d_input<'a, 'b>(
    path: Path,
    geometry: &Geometry,
    d_y: impl Into<ReadThrough<'a>>,
    weight: &[f32],
    d_x: impl Into<Unwritten<'b>>,
) -> Result<()> {
    // SAFETY: a convolution stores nothing but numbers.
    let (d_y, d_x) = (d_y.into(), unsafe { d_x.into().room() });
    geometry.check(d_x.len(), weight.len(), d_y.len())?;
    check_channels(d_y, geometry.out_channels)?;
    gathered(path, geometry, Direction::Backward, d_y, weight, None, d_x, false);
    Ok(())
}

/// Refuses a source made for another number of channels.
fn check_channels(source: ReadThrough<'_>, channels: usize) -> Result<()> {
    match source.channels() {
        Some(found) if found != channels => {
            Err(Error::internal(format!("a normalization of {found} channels for a map of {channels}")))
        }
        _ => Ok(()),
    }
}

/// The forward pass or the input gradient, of slices whose lengths are right. Writes every target.
#[expect(clippy::too_many_arguments, reason = "those of both passes")]
fn gathered(
    path: Path,
    geometry: &Geometry,
    direction: Direction,
    source: ReadThrough<'_>,
    weight: &[f32],
    bias: Option<&[f32]>,
    target: &mut [MaybeUninit<f32>],
    with_moments: bool,
) -> Vec<f64> {
    let isa = path.isa;
    match path.method(geometry, PassKind::Forward) {
        Algorithm::SquareWinograd => {
            let plan = square::SquarePlan::new(isa, geometry, direction);
            let bias = bias_lanes(&plan.channel_blocks, isa.lanes(), bias);
            square::run(isa, &plan, direction, weight, &bias, source, target, with_moments)
        }
        Algorithm::Winograd => {
            let plan = winograd::RowPlan::new(isa, geometry, direction);
            let bias = bias_lanes(&plan.channel_blocks, isa.lanes(), bias);
            let packed = winograd::pack(&plan, direction, weight);
            winograd::run(isa, &plan, &packed, &bias, source, target, with_moments)
        }
        _ if geometry.is_depthwise() => {
            depthwise::run(isa, geometry, direction, source, weight, bias, target, with_moments)
        }
        Algorithm::Fastest | Algorithm::Direct => {
            let gather = GatherPlan::new(isa, geometry, direction);
            let bias = bias_lanes(&gather.channel_blocks, isa.lanes(), bias);
            let packed = pack::pack(&gather, geometry, direction, weight);
            if pointwise::applies(geometry) {
                let of = (geometry, direction);
                return pointwise::run(isa, &gather, of, &packed, &bias, source, target, with_moments);
            }
            direct::run(isa, &gather, &packed, &bias, source, target, with_moments)
        }
    }
}

/// The bias in the lanes of the channel blocks; zero where there is none.
fn bias_lanes(blocks: &[ChannelBlock], lanes: usize, bias: Option<&[f32]>) -> Vec<f32> {
    let mut all = vec![0.0; blocks.iter().map(|b| b.vectors).sum::<usize>() * lanes];
    for (block, bias) in blocks.iter().zip(std::iter::repeat(bias)) {
        let Some(bias) = bias else { break };
        let start = block.before * lanes;
        all[start..start + block.channels].copy_from_slice(&bias[block.first..block.first + block.channels]);
    }
    all
}

/// The gradient with respect to the weight: x `[N, H, W, I]` and d_y `[N, OH, OW, O]` give d_weight
/// `[O, I/groups, KH, KW]`.
pub fn d_weight<'a, 'b>(
    path: Path,
    geometry: &Geometry,
    x: impl Into<ReadThrough<'a>>,
    d_y: impl Into<ReadThrough<'a>>,
    d_weight: impl Into<Unwritten<'b>>,
) -> Result<()> {
    // SAFETY: a convolution stores nothing but numbers.
    let (x, d_y, d_weight) = (x.into(), d_y.into(), unsafe { d_weight.into().room() });
    geometry.check(x.len(), d_weight.len(), d_y.len())?;
    check_channels(x, geometry.in_channels)?;
    check_channels(d_y, geometry.out_channels)?;
    match path.method(geometry, PassKind::DWeight) {
        Algorithm::SquareWinograd => square::d_weight(path.isa, geometry, x, d_y, d_weight),
        Algorithm::Winograd => winograd::d_weight(path.isa, geometry, x, d_y, d_weight),
        _ if geometry.is_depthwise() => depthwise::d_weight(path.isa, geometry, x, d_y, filled(d_weight)),
        Algorithm::Fastest | Algorithm::Direct => weight::run(path.isa, geometry, x, d_y, d_weight),
    }
    Ok(())
}

/// The gradient with respect to the bias: sums of d_y `[…, O]` over everything but the channels.
pub fn d_bias(d_y: &[f32], d_bias: &mut [f32]) {
    /// Pixels of one partial sum.
    const PIXELS: usize = 1024;
    let channels = d_bias.len();
    let piece = PIXELS * channels;
    let mut partial = vec![0.0; d_y.len().div_ceil(piece) * channels];
    all(partial.chunks_mut(channels).zip(d_y.chunks(piece)), |(sums, pixels)| {
        for pixel in pixels.chunks_exact(channels) {
            sums.iter_mut().zip(pixel).for_each(|(sum, d)| *sum += d);
        }
    });
    d_bias.fill(0.0);
    for sums in partial.chunks_exact(channels) {
        d_bias.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
}
