//! Optimizer updates, in place: one pass over value, gradient and state.

use super::eight_bit::{BLOCK, SIGNED, UNSIGNED, narrow, widen};
use super::simd::Isa;
use crate::deal::{all, pairs};
use crate::error::{Error, Result};

/// Elements that one task takes: fewer are not worth waking another thread for.
const CHUNK: usize = 65_536;

/// The numbers of one update of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Stochastic gradient descent.
    Sgd(SgdStep),
    /// Adam with decoupled weight decay.
    AdamW(AdamWStep),
}

/// The numbers of one update by SGD.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdStep {
    /// Learning rate.
    pub rate: f32,
    /// Share of the last direction that is kept; 0 means that there is no state.
    pub momentum: f32,
    /// Looks one step of momentum ahead.
    pub nesterov: bool,
    /// L2 penalty; 0 for a parameter that does not decay.
    pub weight_decay: f32,
}

/// The numbers of one update by AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// 1 - rate·weight_decay.
    pub keep: f32,
    /// Learning rate over the bias correction of the mean.
    pub rate: f32,
    /// Decay of the mean.
    pub beta1: f32,
    /// Decay of the mean square.
    pub beta2: f32,
    /// 1 - beta1, rounded once.
    pub new1: f32,
    /// 1 - beta2, rounded once.
    pub new2: f32,
    /// Square root of the bias correction of the mean square.
    pub root_correction: f32,
    /// Keeps the divisor from 0.
    pub epsilon: f32,
}

/// Updates `slices`: the value, then its state: the momentum, or the mean and the mean square. All are as long as `gradient`.
///
/// # Errors
/// A number of slices that does not fit the step.
pub fn update(slices: &mut [&mut [f32]], gradient: &[f32], step: &Step) -> Result<()> {
    match (step, slices) {
        (Step::Sgd(step), [value]) => sgd(value, gradient, step),
        (Step::Sgd(step), [value, momentum]) => sgd_momentum(value, gradient, momentum, step),
        (Step::AdamW(step), [value, mean, square]) => adamw(value, gradient, mean, square, step),
        (_, slices) => return Err(Error::internal(format!("an update met {} slices", slices.len()))),
    }
    Ok(())
}

fn sgd(value: &mut [f32], gradient: &[f32], step: &SgdStep) {
    let SgdStep { rate, weight_decay, .. } = *step;
    pairs((value, CHUNK), (gradient, CHUNK), &|value, gradient| {
        for (p, &g) in value.iter_mut().zip(gradient) {
            *p -= rate * (g + weight_decay * *p);
        }
    });
}

fn sgd_momentum(value: &mut [f32], gradient: &[f32], momentum: &mut [f32], step: &SgdStep) {
    let slices = value.chunks_mut(CHUNK).zip(momentum.chunks_mut(CHUNK));
    all(slices.zip(gradient.chunks(CHUNK)), |((value, momentum), gradient)| {
        step.apply(value, momentum, gradient);
    });
}

fn adamw(value: &mut [f32], gradient: &[f32], mean: &mut [f32], square: &mut [f32], step: &AdamWStep) {
    let slices = value.chunks_mut(CHUNK).zip(mean.chunks_mut(CHUNK)).zip(square.chunks_mut(CHUNK));
    all(slices.zip(gradient.chunks(CHUNK)), |(((value, mean), square), gradient)| {
        step.apply(value, mean, square, gradient);
    });
}

impl SgdStep {
    /// The update of some elements.
    #[inline]
    fn apply(&self, value: &mut [f32], momentum: &mut [f32], gradient: &[f32]) {
        let Self { rate, momentum: kept, nesterov, weight_decay } = *self;
        for ((p, m), &g) in value.iter_mut().zip(momentum).zip(gradient) {
            // The state starts at 0, which makes the first momentum the first direction.
            let d = g + weight_decay * *p;
            *m = kept * *m + d;
            *p -= rate * if nesterov { d + kept * *m } else { *m };
        }
    }
}

impl AdamWStep {
    /// The update of some elements.
    #[inline]
    fn apply(&self, value: &mut [f32], mean: &mut [f32], square: &mut [f32], gradient: &[f32]) {
        let Self { keep, rate, beta1, beta2, new1, new2, root_correction, epsilon } = *self;
        for (((p, m), v), &g) in value.iter_mut().zip(mean).zip(square).zip(gradient) {
            *m = beta1 * *m + new1 * g;
            *v = beta2 * *v + new2 * (g * g);
            *p = *p * keep - rate * *m / (v.sqrt() / root_correction + epsilon);
        }
    }
}

/// Numbers in 8 bits: their codes, and a scale for each [`BLOCK`] of them.
pub type CodedSlices<'a> = (&'a mut [u8], &'a mut [f32]);

/// [`update`] where the state is in 8 bits between updates: the momentum, or the mean and the mean square. The value changes
/// by the state before it is rounded.
///
/// # Errors
/// A number of states that does not fit the step.
pub fn update_coded(
    value: &mut [f32],
    state: &mut [CodedSlices<'_>],
    gradient: &[f32],
    step: &Step,
) -> Result<()> {
    let pieces = value.chunks_mut(CHUNK).zip(gradient.chunks(CHUNK));
    match (step, state) {
        (Step::Sgd(step), [momentum]) => {
            all(pieces.zip(chunks(momentum, CHUNK)), |((value, gradient), momentum)| {
                sgd_coded(value, gradient, momentum, step);
            })
        }
        (Step::AdamW(step), [mean, square]) => {
            let states = chunks(mean, CHUNK).zip(chunks(square, CHUNK));
            all(pieces.zip(states), |((value, gradient), (mean, square))| {
                adamw_coded(value, gradient, [mean, square], step);
            });
        }
        (_, state) => return Err(Error::internal(format!("an update met {} states in 8 bits", state.len()))),
    }
    Ok(())
}

/// Pieces of so many numbers, whole blocks but for the last.
fn chunks<'a>(
    (codes, scales): &'a mut CodedSlices<'_>,
    numbers: usize,
) -> impl ExactSizeIterator<Item = CodedSlices<'a>> {
    codes.chunks_mut(numbers).zip(scales.chunks_mut(numbers.div_ceil(BLOCK)))
}

fn sgd_coded(value: &mut [f32], gradient: &[f32], mut momentum: CodedSlices<'_>, step: &SgdStep) {
    let mut numbers = [0.0; BLOCK];
    let blocks = value.chunks_mut(BLOCK).zip(gradient.chunks(BLOCK));
    for ((value, gradient), (codes, scale)) in blocks.zip(chunks(&mut momentum, BLOCK)) {
        let momentum = &mut numbers[..value.len()];
        widen(codes, scale[0], &SIGNED, momentum);
        step.apply(value, momentum, gradient);
        scale[0] = narrow(Isa::best(), momentum, &SIGNED, codes);
    }
}

fn adamw_coded(
    value: &mut [f32],
    gradient: &[f32],
    [mut mean, mut square]: [CodedSlices<'_>; 2],
    step: &AdamWStep,
) {
    let (mut means, mut squares) = ([0.0; BLOCK], [0.0; BLOCK]);
    let blocks = value.chunks_mut(BLOCK).zip(gradient.chunks(BLOCK));
    let states = chunks(&mut mean, BLOCK).zip(chunks(&mut square, BLOCK));
    for ((value, gradient), ((mean, mean_scale), (square, square_scale))) in blocks.zip(states) {
        let (means, squares) = (&mut means[..value.len()], &mut squares[..value.len()]);
        widen(mean, mean_scale[0], &SIGNED, means);
        widen(square, square_scale[0], &UNSIGNED, squares);
        step.apply(value, means, squares, gradient);
        mean_scale[0] = narrow(Isa::best(), means, &SIGNED, mean);
        square_scale[0] = narrow(Isa::best(), squares, &UNSIGNED, square);
    }
}

/// sum += factor·x.
pub fn add_scaled(sum: &mut [f32], x: &[f32], factor: f32) {
    pairs((sum, CHUNK), (x, CHUNK), &|sum, x| {
        for (s, &x) in sum.iter_mut().zip(x) {
            *s += factor * x;
        }
    });
}
