//! The parametric ReLU (He et al. 2015, "Delving deep into rectifiers"): a trained slope below 0.

use super::Map;
use super::elementwise::{combine_with, rows_and_channels, same_shape};
use super::per_channel::grouped;
use super::place::{make, read};
use super::slices::{elements, tensor};
#[cfg(feature = "device")]
use crate::device::operations::reorder as device;
use crate::error::Result;
use crate::kernels::per_channel as kernels;

/// What `backward` returns.
#[derive(Debug)]
pub struct PreluGradients {
    /// Of the input, of its shape.
    pub d_x: Map,
    /// Of the slopes, of their shape.
    pub d_slopes: Map,
}

/// `x` as rows of as many channels as there are slopes.
fn shape(x: &Map, slopes: &Map) -> Result<[usize; 3]> {
    match slopes.dims() {
        [1] => {
            rows_and_channels(x)?;
            Ok([1, x.elem_count(), 1])
        }
        _ => grouped(x, slopes),
    }
}

/// x where it is above 0 and slope · x elsewhere, of the shape of `x: [.., C]`; `slopes: [C]`, or `[1]` for all channels.
///
/// # Errors
/// `Shape` where the two do not fit.
pub fn forward(x: &Map, slopes: &Map) -> Result<Map> {
    let grouped = shape(x, slopes)?;
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return device::prelu(x, slopes.array()?, grouped).map(Map::Device);
    }
    let [_, rows, channels] = grouped;
    make(
        x,
        x.dims(),
        || {
            let mut y = vec![0.0; x.elem_count()];
            let bent = |_, x: f32, slope: f32| if x > 0.0 { x } else { slope * x };
            kernels::update(&mut y, &elements(x)?, &elements(slopes)?, [rows, channels], bent);
            tensor(y, x.dims())
        },
        |counter| counter.sweep(2 * x.elem_count()),
    )
}

/// The gradients of `forward` for the same arguments, from `d_y`, that of its output. The derivative at 0 is the slope.
///
/// `d_y` may be written into: the caller must be its only user. `d_x` then has its memory.
///
/// # Errors
/// As for [`forward`].
pub fn backward(d_y: Map, x: &Map, slopes: &Map) -> Result<PreluGradients> {
    same_shape(&d_y, x)?;
    let grouped = shape(x, slopes)?;
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        let d_slopes = device::prelu_backward(d_y.array()?, x, slopes.array()?, grouped)?;
        return Ok(PreluGradients { d_x: d_y, d_slopes: Map::Device(d_slopes) });
    }
    let [_, rows, channels] = grouped;
    let d_slopes = make(
        x,
        slopes.dims(),
        || {
            let part = |d: f32, x: f32| if x > 0.0 { 0.0 } else { d * x };
            tensor(kernels::sums(&elements(&d_y)?, &elements(x)?, [rows, channels], part), slopes.dims())
        },
        |counter| {
            counter.scratch(kernels::sums_bytes(1, [rows, channels], counter.threads));
            counter.sweep(2 * x.elem_count());
        },
    )?;
    let bend = |d: f32, x: f32, slope: f32| if x > 0.0 { d } else { slope * d };
    read(
        x,
        || {
            let slopes = elements(slopes)?;
            combine_with(&d_y, x, |d, x| kernels::update(d, x, &slopes, [rows, channels], bend))
        },
        |counter| counter.sweep(3 * x.elem_count()),
    )?;
    Ok(PreluGradients { d_x: d_y, d_slopes })
}
