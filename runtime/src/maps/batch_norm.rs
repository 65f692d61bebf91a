//! Batch normalization (Ioffe and Szegedy, 2015) with its activation, over the channels of the last
//! dimension: `[N, F]` and `[N, H, W, C]` are one code.

#[cfg(feature = "device")]
use crate::device::operations::{elementwise as on_elements, norm as device};
use crate::error::Result;
use crate::kernels::batch_norm as kernels;
use crate::kernels::simd::Isa;
use crate::maps::Map;
use crate::maps::activation::Activation;
use crate::maps::elementwise::{check_apart, combine_with, one_per_channel, rows_and_channels, same_shape};
use crate::maps::norm::{self, Norm, NormSums};
use crate::maps::place::{make, read};
use crate::maps::slices::{elements, output, tensor};

/// Mean and variance of each channel, `[C]` both. The variance is the biased one (divided by the rows).
#[derive(Clone, Debug)]
pub struct Statistics {
    /// The mean over all rows.
    pub mean: Map,
    /// The mean of the squared deviations.
    pub variance: Map,
    /// The norm that they make, where it was made with them.
    pub norm: Option<Norm>,
}

impl Statistics {
    /// Of numbers alone.
    pub fn new(mean: Map, variance: Map) -> Self {
        Self { mean, variance, norm: None }
    }
}

/// What `backward` returns; `d_x` is missing where it was not asked for.
#[derive(Debug)]
pub struct BatchNormGradients {
    /// Of the input, of its shape.
    pub d_x: Option<Map>,
    /// Of the weight, `[C]`.
    pub d_weight: Map,
    /// Of the bias, `[C]`.
    pub d_bias: Map,
}

/// Turns the sums of an input, and its number of rows, into those of the batch that it is a share of.
pub type WholeSums<'a> = dyn FnMut(&NormSums, usize) -> Result<(NormSums, usize)> + 'a;

/// The [`WholeSums`] of an input that is the whole batch.
///
/// # Errors
/// None.
pub fn own_sums(sums: &NormSums, rows: usize) -> Result<(NormSums, usize)> {
    Ok((sums.clone(), rows))
}

/// The statistics of a batch, `x: [.., C]`.
pub fn statistics(x: &Map) -> Result<Statistics> {
    let (_, channels) = rows_and_channels(x)?;
    match x {
        Map::Host(_) => of_moments(kernels::moments(Isa::best(), &elements(x)?, channels)),
        #[cfg(feature = "device")]
        Map::Device(x) => {
            let [mean, variance] = device::statistics(x, channels)?.map(Map::Device);
            Ok(Statistics::new(mean, variance))
        }
        Map::Counted(outline) => {
            outline.counter.sum_rows(x.elem_count(), channels);
            counted_statistics(x, channels)
        }
    }
}

/// y = activation(weight · (x - mean) / sqrt(variance + epsilon) + bias), of the shape of `x: [.., C]`.
///
/// With the statistics of the batch this is the forward pass of training, with running ones that of
/// evaluation.
pub fn forward(
    x: &Map,
    statistics: &Statistics,
    weight: &Map,
    bias: &Map,
    epsilon: f64,
    activation: Option<Activation>,
) -> Result<Map> {
    check(x, statistics, weight, bias)?;
    apply(x, &Norm::new(statistics, weight, bias, epsilon, activation)?)
}

/// A map after its normalization, of its shape.
pub(super) fn apply(x: &Map, by: &Norm) -> Result<Map> {
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return device::apply(x, by.device()?).map(Map::Device);
    }
    make(
        x,
        x.dims(),
        || {
            let (input, by) = (elements(x)?, by.host()?);
            let run = |y: &mut _| {
                kernels::forward(Isa::best(), &input, by, y);
                Ok(())
            };
            // SAFETY: the kernel writes every element.
            let y = unsafe { output(input.len(), run) };
            tensor(y?.0, x.dims())
        },
        |counter| counter.sweep(2 * x.elem_count()),
    )
}

/// The gradients of `forward` for the same arguments, from `d_y`, that of its output.
///
/// The pre-activation is computed anew from `x`. With `whole` the gradient flows through the statistics, which must be
/// those of the batch that `x` is or has a share of, and `whole` gives that batch's sums; without, they are constants.
/// `d_y` may be written into: the caller must be its only user. `d_x` then has its memory.
#[expect(clippy::too_many_arguments, reason = "those of the forward pass and two switches")]
pub fn backward(
    d_y: Map,
    x: &Map,
    statistics: &Statistics,
    weight: &Map,
    bias: &Map,
    epsilon: f64,
    activation: Option<Activation>,
    whole: Option<&mut WholeSums<'_>>,
    need_input: bool,
) -> Result<BatchNormGradients> {
    let channels = check(x, statistics, weight, bias)?;
    same_shape(&d_y, x)?;
    let by = Norm::new(statistics, weight, bias, epsilon, activation)?;
    let rows = x.elem_count() / channels;
    let sums = pre_activation_sums(&d_y, x, &by)?;
    let of_all = whole.map(|whole| whole(&sums, rows)).transpose()?;
    if need_input {
        let gradient = match &of_all {
            Some((sums, rows)) => by.gradient(Some(sums), *rows, x)?,
            None => by.gradient(None, rows, x)?,
        };
        #[cfg(feature = "device")]
        if let Map::Device(x) = x {
            device::d_input(d_y.array()?, x, gradient.device()?)?;
            let (d_weight, d_bias) = sums.gradients(&d_y)?;
            return Ok(BatchNormGradients { d_x: Some(d_y), d_weight, d_bias });
        }
        read(
            x,
            || {
                let gradient = gradient.host()?;
                combine_with(&d_y, x, |d, x| kernels::d_input(Isa::best(), d, x, gradient))
            },
            |counter| counter.sweep(3 * x.elem_count()),
        )?;
    }
    let (d_weight, d_bias) = sums.gradients(x)?;
    Ok(BatchNormGradients { d_x: need_input.then_some(d_y), d_weight, d_bias })
}

/// Turns `d_y` into the gradient of the pre-activation, where it is, unless the activation is a clamp, and sums it.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn pre_activation_sums(d_y: &Map, x: &Map, by: &Norm) -> Result<NormSums> {
    same_shape(d_y, x)?;
    check_apart(d_y, x)?;
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return device::sums(d_y.array()?, x, by.device()?).map(NormSums::Device);
    }
    read(
        x,
        || {
            let numbers = by.host()?;
            if numbers.clamp().is_some() {
                return norm::sums(d_y, x, by);
            }
            let run = |d: &mut [f32], x: &[f32]| kernels::pre_activation_sums(Isa::best(), d, x, numbers);
            combine_with(d_y, x, run).map(NormSums::Host)
        },
        |counter| {
            counter.sum_rows(x.elem_count(), by.channels());
            NormSums::Counted { channels: by.channels() }
        },
    )
}

/// (1 - momentum) · running + momentum · observed, `[C]` all. Where it is said of how many `rows` it is, `observed` is the biased
/// variance, and the running one the [`unbiased`].
///
/// # Errors
/// `Shape` where the two differ, and those of the device.
pub fn update_running(running: &Map, observed: &Map, rows: Option<usize>, momentum: f64) -> Result<Map> {
    same_shape(running, observed)?;
    #[cfg(feature = "device")]
    if let Map::Device(running) = running {
        let (factor, keep) = (rows.map_or(1.0, unbiasing) as f32, (1.0 - momentum) as f32);
        return device::averaged(running, observed.array()?, factor, keep).map(Map::Device);
    }
    let observed = &rows.map_or(Ok(observed.clone()), |rows| unbiased(observed, rows))?;
    make(
        running,
        running.dims(),
        || {
            let (keep, take) = ((1.0 - momentum) as f32, momentum as f32);
            let (running, observed) = (elements(running)?, elements(observed)?);
            let numbers: Vec<f32> =
                running.iter().zip(observed.iter()).map(|(r, o)| r * keep + o * take).collect();
            let channels = numbers.len();
            tensor(numbers, channels)
        },
        |_| (),
    )
}

/// What the biased variance of so many rows is multiplied by; of one row there is no other.
fn unbiasing(rows: usize) -> f64 {
    if rows < 2 { 1.0 } else { rows as f64 / (rows - 1) as f64 }
}

/// The unbiased variance, `variance · rows / (rows - 1)`. Of one row there is none: the biased one stays.
pub fn unbiased(variance: &Map, rows: usize) -> Result<Map> {
    if rows < 2 {
        return Ok(variance.clone());
    }
    #[cfg(feature = "device")]
    if let Map::Device(variance) = variance {
        return on_elements::scaled(variance, unbiasing(rows) as f32).map(Map::Device);
    }
    let factor = unbiasing(rows);
    make(
        variance,
        variance.dims(),
        || {
            let numbers: Vec<f32> = elements(variance)?.iter().map(|v| v * factor as f32).collect();
            tensor(numbers, variance.dims())
        },
        |_| (),
    )
}

/// Statistics of so many channels, counted where `like` is.
pub(super) fn counted_statistics(like: &Map, channels: usize) -> Result<Statistics> {
    let place = like.place();
    Ok(Statistics::new(place.empty(&[channels])?, place.empty(&[channels])?))
}

pub(super) fn of_moments(moments: kernels::Moments) -> Result<Statistics> {
    let channels = moments.mean.len();
    let map = |numbers| tensor(numbers, channels).map(Map::Host);
    Ok(Statistics::new(map(moments.mean)?, map(moments.variance)?))
}

/// The channels of `x`, once everything fits.
fn check(x: &Map, statistics: &Statistics, weight: &Map, bias: &Map) -> Result<usize> {
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
