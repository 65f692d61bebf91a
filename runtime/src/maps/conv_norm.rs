//! Convolution and batch norm as one: a convolution reads its input through the batch norm before it
//! and takes the statistics for the one after it, so that normalized maps and their gradients are never in memory.
//!
//! Backward makes d_weight and d_x, both from d_y, which may be made as it is read, from `d` and `z` ([`Through`]). Which
//! comes first depends on memory, and on whether d_x may take the place of `z` (`last_use`):
//!
//! | | when | how |
//! |---|---|---|
//! | in one pass | `is_joint` | a few images at a time, d_x written over their part of `z` |
//! | in one pass | `is_apart` | the same, d_x in memory of its own |
//! | d_x first | `is_input_first` | the smaller one waits for the larger one |
//! | d_weight first | else | d_x then takes the place of `z`, some images at a time (`images_at_once`), or gets its own |

use super::Map;
use super::batch_norm::{Statistics, counted_statistics, of_moments, pre_activation_sums};
use super::conv::{ConvConfig, y_dims};
use super::elementwise::{self, same_shape};
use super::map_read::{Input, MapRead, Through};
#[cfg(feature = "device")]
use super::norm::Norm;
use super::norm::{NormParameters, NormSums};
use super::place::{make, read};
use super::slices::{elements, output, tensor, update_in_place};
#[cfg(feature = "device")]
use crate::device::operations::{conv as device, read::GradientRead};
use crate::error::{Error, Result};
use crate::kernels::conv::{self as kernels, Geometry, Given, PassKind, Path};
use std::sync::{Mutex, PoisonError};

fn elsewhere<T>() -> Result<T> {
    Err(Error::internal("a convolution and what it reads through are not in one place"))
}

/// Convolves `x: [N, H, W, I]` with `weight: [O, I/groups, KH, KW]` and adds `bias: [O]`; gives `[N, OH, OW, O]`, with
/// the statistics of its channels for the norm that is to be `behind` it, if there is one.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn forward(
    x: &MapRead,
    weight: &Map,
    bias: Option<&Map>,
    config: &ConvConfig,
    behind: Option<&NormParameters<'_>>,
) -> Result<(Map, Option<Statistics>)> {
    let geometry = config.geometry(x.stored().dims(), weight.dims())?;
    #[cfg(feature = "device")]
    if let Map::Device(weight) = weight {
        let bias = bias.map(Map::array).transpose()?;
        let behind = behind.map(NormParameters::device).transpose()?;
        let (y, made) = device::forward(x.device()?, weight, bias, &geometry, behind.as_ref())?;
        let statistics = made.map(|(both, norm)| {
            let [mean, variance] = both.map(Map::Device);
            Statistics { mean, variance, norm: Some(Norm::Device(norm)) }
        });
        return Ok((Map::Device(y), statistics));
    }
    let mut statistics = None;
    let y = make(
        x.stored(),
        &y_dims(&geometry),
        || {
            let (input, weight) = (elements(x.stored())?, elements(weight)?);
            let bias = bias.map(elements).transpose()?;
            let (source, bias) = (x.source(&input)?, bias.as_deref());
            let run = |y: &mut _| -> Result<_> {
                if behind.is_some() {
                    kernels::forward_with_moments(Path::best(), &geometry, source, &weight, bias, y).map(Some)
                } else {
                    kernels::forward(Path::best(), &geometry, source, &weight, bias, y).map(|()| None)
                }
            };
            // SAFETY: the kernels write every element, or fail.
            let (y, moments) = unsafe { output(geometry.y_len(), run) }?;
            statistics = moments.map(of_moments).transpose()?;
            tensor(y, &y_dims(&geometry)[..])
        },
        |counter| {
            counter.convolve(&geometry, PassKind::Forward);
            if behind.is_some() {
                counter.sum_rows(geometry.y_len(), geometry.out_channels);
            }
        },
    )?;
    if let (Map::Counted(_), true) = (&y, behind.is_some()) {
        statistics = Some(counted_statistics(&y, geometry.out_channels)?);
    }
    Ok((y, statistics))
}

/// What the backward pass of a convolution gives.
#[derive(Debug)]
pub struct ConvGradients {
    /// Of the weight, `[O, I/groups, KH, KW]`, if it was asked for.
    pub d_weight: Option<Map>,
    /// Of what the convolution read, if it was asked for.
    pub d_x: Option<Map>,
    /// What the normalization that the input came through needs for its own gradient, if `d_x` was asked for.
    pub sums: Option<NormSums>,
}

/// The gradients of a convolution with `weight: [O, I/groups, KH, KW]` of `x: [N, H, W, I]`; `beside`, of that shape, is
/// added to that of x.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn backward(
    x: Input<'_>,
    d_y: Through<'_>,
    weight: &Map,
    config: &ConvConfig,
    need_weight: bool,
    need_input: bool,
    beside: Option<&Map>,
) -> Result<ConvGradients> {
    let geometry = config.geometry(x.dims(), weight.dims())?;
    same_shape(d_y.d, d_y.z)?;
    #[cfg(feature = "device")]
    if let Map::Device(_) = weight {
        return on_device(x, d_y, weight, &geometry, need_weight, need_input, beside);
    }
    if d_y.by.is_some() && need_input && (is_joint(&geometry, d_y.last_use) || is_apart(&geometry, x)) {
        return joint(x, d_y, weight, &geometry, need_weight, beside);
    }
    let d_y = if need_weight && need_input && d_y.last_use { d_y.settled()? } else { d_y };
    let of_weight = || match x {
        Input::Shape(_) => Ok(None),
        _ => need_weight.then(|| d_weight_through(x, d_y, weight.dims(), &geometry)).transpose(),
    };
    let of_input = || -> Result<(Option<Map>, Option<NormSums>)> {
        if !need_input {
            return Ok((None, None));
        }
        let d_x = d_input(d_y, weight, x.dims(), &geometry)?;
        let sums = match x {
            Input::Normalized(input, by) => Some(pre_activation_sums(&d_x, input, by)?),
            _ => None,
        };
        let d_x = match beside {
            Some(beside) => elementwise::add(d_x, beside)?,
            None => d_x,
        };
        Ok((Some(d_x), sums))
    };
    let (d_weight, (d_x, sums)) = if is_input_first(&geometry, d_y.last_use) {
        let of_input = of_input()?;
        (of_weight()?, of_input)
    } else {
        (of_weight()?, of_input()?)
    };
    Ok(ConvGradients { d_weight, d_x, sums })
}

/// [`backward`] on a device.
#[cfg(feature = "device")]
fn on_device(
    x: Input<'_>,
    d_y: Through<'_>,
    weight: &Map,
    geometry: &Geometry,
    need_weight: bool,
    need_input: bool,
    beside: Option<&Map>,
) -> Result<ConvGradients> {
    let (through, array) = (d_y.device()?, weight.array()?);
    let read = x.device()?.filter(|_| need_weight);
    if let Some(read) = read.filter(|_| need_input) {
        let beside = beside.map(Map::array).transpose()?;
        let both = device::backward(read, through, (array, weight.dims()), geometry, beside)?;
        let (d_weight, d_x, sums) = both;
        let [d_weight, d_x] = [d_weight, d_x].map(|array| Some(Map::Device(array)));
        return Ok(ConvGradients { d_weight, d_x, sums: sums.map(NormSums::Device) });
    }
    let d_weight = match read {
        Some(read) => Some(Map::Device(device::d_weight(read, through, weight.dims(), geometry)?)),
        None => None,
    };
    if !need_input {
        return Ok(ConvGradients { d_weight, d_x: None, sums: None });
    }
    let before = match x {
        Input::Normalized(z, by) => Some((z.array()?, by.device()?)),
        _ => None,
    };
    let beside = beside.map(Map::array).transpose()?;
    let (d_x, sums) = device::d_input(through, array, geometry, beside, before)?;
    Ok(ConvGradients { d_weight, d_x: Some(Map::Device(d_x)), sums: sums.map(NormSums::Device) })
}

/// The gradient of the weight, read through what input and output came through.
fn d_weight_through(
    x: Input<'_>,
    d_y: Through<'_>,
    weight_dims: &[usize],
    geometry: &Geometry,
) -> Result<Map> {
    make(
        d_y.z,
        weight_dims,
        || {
            let input = x.elements()?;
            let Some(source) = input.source() else { return elsewhere() };
            let (d, z) = (elements(d_y.d)?, elements(d_y.z)?);
            let gradient = d_y.source(&d, &z)?;
            let run =
                |d_weight: &mut _| kernels::d_weight(Path::best(), geometry, source, gradient, d_weight);
            // SAFETY: the kernel writes every element, or fails.
            tensor(unsafe { output(geometry.weight_len(), run) }?.0, weight_dims)
        },
        |counter| counter.convolve(geometry, PassKind::DWeight),
    )
}

/// Whether the gradient of a convolution's input is made before that of its weight: the larger of the two should not
/// wait for the other, which may take memory. What takes the place of what both are made from is made last.
pub(crate) fn is_input_first(geometry: &Geometry, last_use: bool) -> bool {
    geometry.x_len() < geometry.weight_len() && images_at_once(geometry, last_use).is_none()
}

/// Whether both gradients are made in one pass over the images, of which that of the input takes the place of what it
/// is made from. `last_use` as in [`Through`].
pub(crate) fn is_joint(geometry: &Geometry, last_use: bool) -> bool {
    last_use && kernels::joint_applies(Path::best(), geometry)
}

/// Whether both gradients are made in one pass over the images, of which that of the input has memory of its own, beside
/// an input that is kept anyhow or is small.
pub(crate) fn is_apart(geometry: &Geometry, x: Input<'_>) -> bool {
    let is_bearable = match x {
        Input::Normalized(..) => true,
        Input::Shape(_) => false,
        _ => 4 * geometry.x_len() <= geometry.y_len(),
    };
    is_bearable && kernels::apart_applies(Path::best(), geometry)
}

/// Whether both gradients are made in one launch, which reads what both are made from once.
pub(crate) fn is_one_launch(d_y: Through<'_>) -> bool {
    #[cfg(feature = "device")]
    return matches!(d_y.z, Map::Device(_));
    #[cfg(not(feature = "device"))]
    {
        let _ = d_y;
        false
    }
}

/// [`backward`] in one pass.
fn joint(
    x: Input<'_>,
    d_y: Through<'_>,
    weight: &Map,
    geometry: &Geometry,
    need_weight: bool,
    beside: Option<&Map>,
) -> Result<ConvGradients> {
    let need_weight = need_weight && !matches!(x, Input::Shape(_));
    let is_apart = is_apart(geometry, x);
    if let Map::Counted(_) = d_y.z {
        let place = d_y.z.place();
        let d_x = if is_apart { place.empty(x.dims())? } else { d_y.z.reshape(x.dims())? };
        let d_weight = need_weight.then(|| place.empty(weight.dims())).transpose()?;
        let sums = match x {
            Input::Normalized(_, by) => Some(NormSums::Counted { channels: by.channels() }),
            _ => None,
        };
        read(d_y.z, elsewhere, |counter| {
            counter.convolve_for(geometry, PassKind::Joint, 1 + usize::from(need_weight));
            counter.sum_rows(geometry.x_len(), geometry.in_channels);
        })?;
        return Ok(ConvGradients { d_weight, d_x: Some(d_x), sums });
    }
    let Some(by) = d_y.by else { return elsewhere() };
    let input = x.elements()?;
    let (d, weight_elements) = (elements(d_y.d)?, elements(weight)?);
    let beside = beside.map(elements).transpose()?;
    let (x_source, by) = (input.source(), by.host()?);
    let given = Given { x: x_source, d: &d, by, weight: &weight_elements, beside: beside.as_deref() };
    let mut d_weight = vec![0.0; if need_weight { geometry.weight_len() } else { 0 }];
    let (d_x, sums) = if is_apart {
        let z = elements(d_y.z)?;
        let d_weight = need_weight.then_some(&mut d_weight[..]);
        let run = |d_x: &mut _| kernels::backward_apart(Path::best(), geometry, given, &z, d_x, d_weight);
        // SAFETY: the kernel writes every element, or fails.
        let (d_x, sums) = unsafe { output(geometry.x_len(), run) }?;
        (Map::Host(tensor(d_x, x.dims())?), sums)
    } else {
        let answers = Mutex::new((&mut d_weight, Ok(None)));
        update_in_place(d_y.z.tensor()?, |z| {
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            let (d_weight, sums) = &mut *answers;
            *sums = kernels::backward(Path::best(), geometry, given, z, need_weight.then_some(d_weight));
        })?;
        let (_, sums) = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        (d_y.z.reshape(x.dims())?, sums?)
    };
    let d_weight = need_weight.then(|| tensor(d_weight, weight.dims()).map(Map::Host)).transpose()?;
    Ok(ConvGradients { d_weight, d_x: Some(d_x), sums: sums.map(NormSums::Host) })
}

/// Gradients of at least so many bytes take the place of what they are made from, where they may.
const LARGE_BYTES: usize = 4 << 20;
/// The shares of the images in which they do.
pub(crate) const SHARES: usize = 4;

/// The images whose gradients are made at once before they take the place of what they are made from; none where they
/// get memory of their own. `last_use` as in [`Through`].
pub(crate) fn images_at_once(geometry: &Geometry, last_use: bool) -> Option<usize> {
    let len = geometry.x_len();
    let in_place = last_use && len == geometry.y_len() && len * size_of::<f32>() >= LARGE_BYTES;
    in_place.then(|| geometry.images.div_ceil(SHARES))
}

/// The gradient of a convolution's input, of shape `dims`, in memory of its own or in that of `d_y.z`.
fn d_input(d_y: Through<'_>, weight: &Map, dims: &[usize], geometry: &Geometry) -> Result<Map> {
    let Some(at_once) = images_at_once(geometry, d_y.last_use) else {
        return d_input_of(d_y, weight, dims, 0, geometry);
    };
    for first in (0..geometry.images).step_by(at_once) {
        let share = Geometry { images: at_once.min(geometry.images - first), ..*geometry };
        let d_x = d_input_of(d_y, weight, &[share.x_len()], first, &share)?;
        let start = first * (geometry.x_len() / geometry.images);
        read(
            &d_x,
            || {
                let d_x = elements(&d_x)?;
                update_in_place(d_y.z.tensor()?, |z| z[start..start + d_x.len()].copy_from_slice(&d_x))
            },
            |counter| counter.sweep(2 * d_x.elem_count()),
        )?;
    }
    d_y.z.reshape(dims)
}

/// The same of as many images as `geometry` has, from the number `first` on, in memory of its own.
fn d_input_of(
    d_y: Through<'_>,
    weight: &Map,
    dims: &[usize],
    first: usize,
    geometry: &Geometry,
) -> Result<Map> {
    make(
        d_y.z,
        dims,
        || {
            let start = first * (geometry.y_len() / geometry.images);
            let range = start..start + geometry.y_len();
            let (d, z, weight) = (elements(d_y.d)?, elements(d_y.z)?, elements(weight)?);
            let gradient = d_y.source(&d[range.clone()], &z[range])?;
            let run = |d_x: &mut _| kernels::d_input(Path::best(), geometry, gradient, &weight, d_x);
            // SAFETY: the kernel writes every element, or fails.
            tensor(unsafe { output(geometry.x_len(), run) }?.0, dims)
        },
        |counter| counter.convolve(geometry, PassKind::DInput),
    )
}

/// The gradient of a convolution's weight, of shape `weight_shape: [O, I/groups, KH, KW]`, from that of its output,
/// `d_y: [N, OH, OW, O]`.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn d_weight(x: &MapRead, d_y: &Map, weight_shape: &[usize], config: &ConvConfig) -> Result<Map> {
    let geometry = config.geometry(x.stored().dims(), weight_shape)?;
    #[cfg(feature = "device")]
    if let Map::Device(d_y) = d_y {
        let d_y = GradientRead::Plain(d_y);
        return device::d_weight(x.device()?, d_y, weight_shape, &geometry).map(Map::Device);
    }
    make(
        d_y,
        weight_shape,
        || {
            let (d_y, input) = (elements(d_y)?, elements(x.stored())?);
            let source = x.source(&input)?;
            let run = |d_weight: &mut _| kernels::d_weight(Path::best(), &geometry, source, &*d_y, d_weight);
            // SAFETY: the kernel writes every element, or fails.
            tensor(unsafe { output(geometry.weight_len(), run) }?.0, weight_shape)
        },
        |counter| counter.convolve(&geometry, PassKind::DWeight),
    )
}
