//! Two-dimensional convolution of channels-last images on the CPU, and its gradients.
//!
//! Images are copied, a unit at a time, into a small scratch with zeros around them (`scratch`); register
//! tiles then broadcast source values against vectors of target channels (`tile`). The input gradient is the
//! same gathering pass over d_y, once for every remainder of the stride (`axis`, `gather`). Nothing of the
//! size of an unfolded image is ever made.

mod axis;
mod buffer;
mod depthwise;
mod direct;
mod gather;
mod geometry;
mod pack;
mod scratch;
mod tile;
mod weight;

pub use geometry::Geometry;

use crate::error::{Error, Result};
use crate::kernels::simd::Isa;
use gather::{Direction, Gather};
use rayon::prelude::*;

/// Convolves x `[N, H, W, I]` with weight `[O, I/groups, KH, KW]` into y `[N, OH, OW, O]`, plus bias `[O]`.
pub fn forward(
    isa: Isa,
    geometry: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) -> Result<()> {
    geometry.check(x.len(), weight.len(), y.len())?;
    if let Some(bias) = bias.filter(|bias| bias.len() != geometry.out_channels) {
        return Err(Error::internal(format!("a bias of {} elements for {geometry:?}", bias.len())));
    }
    let gather = Gather::new(isa, geometry, Direction::Forward);
    let mut lanes = vec![0.0; gather.vectors() * gather.lanes];
    if let Some(bias) = bias {
        for block in &gather.channel_blocks {
            let start = block.before * gather.lanes;
            lanes[start..start + block.channels]
                .copy_from_slice(&bias[block.first..block.first + block.channels]);
        }
    }
    let packed = pack::pack(&gather, geometry, Direction::Forward, weight);
    direct::run(isa, &gather, &packed, &lanes, x, y);
    Ok(())
}

/// The gradient with respect to x: d_y `[N, OH, OW, O]` and weight `[O, I/groups, KH, KW]` give d_x `[N, H, W, I]`.
pub fn d_input(isa: Isa, geometry: &Geometry, d_y: &[f32], weight: &[f32], d_x: &mut [f32]) -> Result<()> {
    geometry.check(d_x.len(), weight.len(), d_y.len())?;
    let gather = Gather::new(isa, geometry, Direction::Backward);
    let zeros = vec![0.0; gather.vectors() * gather.lanes];
    let packed = pack::pack(&gather, geometry, Direction::Backward, weight);
    direct::run(isa, &gather, &packed, &zeros, d_y, d_x);
    Ok(())
}

/// The gradient with respect to the weight: x `[N, H, W, I]` and d_y `[N, OH, OW, O]` give d_weight
/// `[O, I/groups, KH, KW]`.
pub fn d_weight(isa: Isa, geometry: &Geometry, x: &[f32], d_y: &[f32], d_weight: &mut [f32]) -> Result<()> {
    geometry.check(x.len(), d_weight.len(), d_y.len())?;
    weight::run(isa, geometry, x, d_y, d_weight);
    Ok(())
}

/// The gradient with respect to the bias: sums of d_y `[…, O]` over everything but the channels.
pub fn d_bias(d_y: &[f32], d_bias: &mut [f32]) {
    /// Pixels of one partial sum.
    const PIXELS: usize = 1024;
    let channels = d_bias.len();
    let partial: Vec<Vec<f32>> = d_y
        .par_chunks(PIXELS * channels)
        .map(|pixels| {
            let mut sums = vec![0.0; channels];
            for pixel in pixels.chunks_exact(channels) {
                sums.iter_mut().zip(pixel).for_each(|(sum, d)| *sum += d);
            }
            sums
        })
        .collect();
    d_bias.fill(0.0);
    for sums in &partial {
        d_bias.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
}
