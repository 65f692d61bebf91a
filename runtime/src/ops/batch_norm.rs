//! Batch normalization (Ioffe and Szegedy, 2015) with its activation, over the channels of the last
//! dimension: `[N, F]` and `[N, H, W, C]` are one code.

use crate::composed::batch_norm as composed;
use crate::error::Result;
use crate::kernels::batch_norm as kernels;
use crate::kernels::simd::Isa;
use crate::ops::activation::Activation;
use crate::ops::elementwise::{combine_with, one_per_channel, rows_and_channels, same_shape};
use crate::ops::place::{Place, place};
use crate::ops::slices::{elements, output, tensor};
use candle_core::Tensor;

/// Mean and variance of each channel, `[C]` both. The variance is the biased one (divided by the rows).
#[derive(Clone, Debug)]
pub struct Statistics {
    /// The mean over all rows.
    pub mean: Tensor,
    /// The mean of the squared deviations.
    pub variance: Tensor,
}

/// What `backward` returns; `d_x` is missing where it was not asked for.
#[derive(Debug)]
pub struct Gradients {
    /// Of the input, of its shape.
    pub d_x: Option<Tensor>,
    /// Of the weight, `[C]`.
    pub d_weight: Tensor,
    /// Of the bias, `[C]`.
    pub d_bias: Tensor,
}

/// Turns the sums of an input, and its number of rows, into those of the batch that it is a share of.
pub type WholeSums<'a> = dyn FnMut(&kernels::Sums, usize) -> (kernels::Sums, usize) + 'a;

/// The [`WholeSums`] of an input that is the whole batch.
pub fn own_sums(sums: &kernels::Sums, rows: usize) -> (kernels::Sums, usize) {
    (sums.clone(), rows)
}

/// The statistics of a batch, `x: [.., C]`.
pub fn statistics(x: &Tensor) -> Result<Statistics> {
    let (_, channels) = rows_and_channels(x)?;
    match place(x.device())? {
        Place::Kernels => of_moments(kernels::moments(Isa::best(), &elements(x)?, channels)),
        Place::Composed => composed::statistics(x),
    }
}

/// y = activation(weight · (x - mean) / sqrt(variance + epsilon) + bias), of the shape of `x: [.., C]`.
///
/// With the statistics of the batch this is the forward pass of training, with running ones that of
/// evaluation.
pub fn forward(
    x: &Tensor,
    statistics: &Statistics,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
    activation: Option<Activation>,
) -> Result<Tensor> {
    check(x, statistics, weight, bias)?;
    match place(x.device())? {
        Place::Kernels => {
            let by = normalization(statistics, weight, bias, epsilon, activation)?;
            let x_elements = elements(x)?;
            // SAFETY: the kernel writes every element.
            let y = unsafe {
                output(x_elements.len(), |y| {
                    kernels::forward(Isa::best(), &x_elements, &by, y);
                    Ok(())
                })
            };
            tensor(y?.0, x.shape())
        }
        Place::Composed => composed::forward(x, statistics, weight, bias, epsilon, activation),
    }
}

/// The gradients of `forward` for the same arguments, from `d_y`, that of its output.
///
/// The pre-activation is computed anew from `x`. With `whole` the gradient flows through the statistics, which must be
/// those of the batch that `x` is or has a share of, and `whole` gives that batch's sums; without, they are constants.
/// `d_y` may be written into: the caller must be its only user. `d_x` then has its storage.
#[expect(clippy::too_many_arguments, reason = "those of the forward pass and two switches")]
pub fn backward(
    d_y: Tensor,
    x: &Tensor,
    statistics: &Statistics,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
    activation: Option<Activation>,
    whole: Option<&mut WholeSums<'_>>,
    need_input: bool,
) -> Result<Gradients> {
    let channels = check(x, statistics, weight, bias)?;
    same_shape(&d_y, x)?;
    if place(x.device())? == Place::Composed {
        let through = whole.is_some();
        return composed::backward(
            &d_y, x, statistics, weight, bias, epsilon, activation, through, need_input,
        );
    }
    let by = normalization(statistics, weight, bias, epsilon, activation)?;
    let rows = x.elem_count() / channels;
    let sums = combine_with(&d_y, x, |d, x| {
        kernels::to_pre_activation(d, x, &by);
        kernels::sums(Isa::best(), d, x, &by)
    })?;
    let of_all = whole.map(|whole| whole(&sums, rows));
    if need_input {
        let gradient = match &of_all {
            Some((sums, rows)) => kernels::Gradient::new(&by, Some(sums), *rows),
            None => kernels::Gradient::new(&by, None, rows),
        };
        combine_with(&d_y, x, |d, x| kernels::d_input(Isa::best(), d, x, &gradient))?;
    }
    let (d_weight, d_bias) = gradients_of(&sums)?;
    Ok(Gradients { d_x: need_input.then_some(d_y), d_weight, d_bias })
}

/// (1 - momentum) · running + momentum · observed, `[C]` all. The running variance wants the `unbiased` one.
pub fn update_running(running: &Tensor, observed: &Tensor, momentum: f64) -> Result<Tensor> {
    same_shape(running, observed)?;
    Ok((running.affine(1.0 - momentum, 0.0)? + observed.affine(momentum, 0.0)?)?)
}

/// The unbiased variance, `variance · rows / (rows - 1)`. Of one row there is none: the biased one stays.
pub fn unbiased(variance: &Tensor, rows: usize) -> Result<Tensor> {
    if rows < 2 {
        return Ok(variance.clone());
    }
    Ok(variance.affine(rows as f64 / (rows - 1) as f64, 0.0)?)
}

/// The kernels' view of a batch norm on the CPU.
pub(crate) fn normalization(
    statistics: &Statistics,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
    activation: Option<Activation>,
) -> Result<kernels::Normalization> {
    let (mean, variance) = (elements(&statistics.mean)?, elements(&statistics.variance)?);
    let (weight, bias) = (elements(weight)?, elements(bias)?);
    Ok(kernels::Normalization::new(&mean, &variance, &weight, &bias, epsilon, activation))
}

pub(crate) fn of_moments(moments: kernels::Moments) -> Result<Statistics> {
    let channels = moments.mean.len();
    Ok(Statistics { mean: tensor(moments.mean, channels)?, variance: tensor(moments.variance, channels)? })
}

/// The gradients of weight and bias that a kernel's sums are.
pub(crate) fn gradients_of(sums: &kernels::Sums) -> Result<(Tensor, Tensor)> {
    let rounded = |sums: &[f64]| tensor(sums.iter().map(|&sum| sum as f32).collect(), sums.len());
    Ok((rounded(&sums.gradient_times_normalized)?, rounded(&sums.gradient)?))
}

/// The channels of `x`, once everything fits.
fn check(x: &Tensor, statistics: &Statistics, weight: &Tensor, bias: &Tensor) -> Result<usize> {
    let (_, channels) = rows_and_channels(x)?;
    one_per_channel(
        channels,
        &[
            ("the mean", &statistics.mean),
            ("the variance", &statistics.variance),
            ("the weight", weight),
            ("the bias", bias),
        ],
    )?;
    Ok(channels)
}
