//! Maps as flat features, in the order of the canonical weights, channel by channel, and back.

use super::Map;
use super::place::make;
#[cfg(feature = "device")]
use crate::device::operations::reorder::reversed;
use crate::error::Result;

/// Whether the channels of a map of this shape lie as those of its flat features do.
fn is_flat(dims: &[usize]) -> bool {
    match *dims {
        [_, h, w, c] => h * w == 1 || c == 1,
        _ => true,
    }
}

/// `x: [N, H, W, C]` -> `[N, C·H·W]`; flat features stay as they are. Copies where there are several channels and pixels.
///
/// # Errors
/// Those of the device.
pub fn forward(x: Map) -> Result<Map> {
    let [n, h, w, c] = *x.dims() else { return Ok(x) };
    let dims = [n, c * h * w];
    if is_flat(x.dims()) {
        return x.contiguous()?.reshape(&dims[..]);
    }
    #[cfg(feature = "device")]
    if let Map::Device(x) = &x {
        return reversed(x, &dims, [c, 1, h * w]).map(Map::Device);
    }
    let run = || Ok(x.tensor()?.permute((0, 3, 1, 2))?.contiguous()?.flatten_from(1)?);
    make(&x, &dims, run, |counter| counter.sweep(2 * x.elem_count()))
}

/// The gradient of an input of the shape `input_shape` from `d_y: [N, F]`.
///
/// # Errors
/// Those of the device.
pub fn backward(d_y: Map, input_shape: &[usize]) -> Result<Map> {
    let [n, h, w, c] = *input_shape else { return Ok(d_y) };
    if is_flat(input_shape) {
        return d_y.contiguous()?.reshape(input_shape);
    }
    #[cfg(feature = "device")]
    if let Map::Device(d_y) = &d_y {
        return reversed(d_y, input_shape, [h * w, 1, c]).map(Map::Device);
    }
    let run = || Ok(d_y.tensor()?.reshape((n, c, h, w))?.permute((0, 2, 3, 1))?.contiguous()?);
    make(&d_y, input_shape, run, |counter| counter.sweep(2 * d_y.elem_count()))
}
