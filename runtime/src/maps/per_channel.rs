//! Products with a number of each channel: the same for all samples, as a layer's scale is, or each sample's own, as a gate's
//! values are.

#[cfg(feature = "device")]
use crate::device::operations::{norm as on_rows, reorder as device};
use crate::error::{Error, Result};
use crate::kernels::per_channel as kernels;
use crate::maps::Map;
use crate::maps::elementwise::{rows_and_channels, same_shape};
use crate::maps::place::{apart, change, make};
use crate::maps::slices::{copied, elements, tensor, update_in_place};

/// `x: [N, .., C]` as groups of rows of channels, each of which has numbers of its own: one group for `numbers: [C]`, N
/// of them for `[N, C]` or `[N, 1, 1, C]`.
pub(super) fn grouped(x: &Map, numbers: &Map) -> Result<[usize; 3]> {
    if std::mem::discriminant(x) != std::mem::discriminant(numbers) {
        return Err(apart());
    }
    let (rows, channels) = rows_and_channels(x)?;
    let samples = x.dims()[0];
    let groups = match *numbers.dims() {
        [c] if c == channels => 1,
        [n, c] | [n, 1, 1, c] if n == samples && c == channels && x.rank() > 1 => n,
        ref found => {
            return Err(Error::shape(format!(
                "{found:?} are no numbers of the channels of {:?}; give [{channels}] or [{samples}, {channels}]",
                x.dims()
            )));
        }
    };
    Ok([groups, rows / groups, channels])
}

/// `factors · x`, of the shape of `x: [N, .., C]`, for `factors: [C]`, `[N, C]` or `[N, 1, 1, C]`.
///
/// # Errors
/// `Shape` where the two do not fit.
pub fn multiply(x: &Map, factors: &Map) -> Result<Map> {
    let grouped = grouped(x, factors)?;
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return device::multiply(x, factors.array()?, grouped).map(Map::Device);
    }
    let [_, rows, channels] = grouped;
    make(
        x,
        x.dims(),
        || {
            let mut y = vec![0.0; x.elem_count()];
            let (x_elements, factors) = (elements(x)?, elements(factors)?);
            kernels::update(&mut y, &x_elements, &factors, [rows, channels], |_, x, factor| factor * x);
            tensor(y, x.dims())
        },
        |counter| counter.sweep(2 * x.elem_count()),
    )
}

/// The same in the memory of `x`, whose only user the caller must be. The gradient of a product's input, too, from that of
/// the product.
///
/// # Errors
/// As for [`multiply`].
pub fn multiply_into(x: Map, factors: &Map) -> Result<Map> {
    let grouped = grouped(&x, factors)?;
    #[cfg(feature = "device")]
    if let Map::Device(array) = &x {
        device::multiply_into(array, factors.array()?, grouped)?;
        return Ok(x);
    }
    let ([_, rows, channels], count) = (grouped, x.elem_count());
    change(
        x,
        |x| {
            let factors = elements(factors)?;
            update_in_place(x, |x| kernels::change(x, &factors, [rows, channels], |x, factor| factor * x))
        },
        |counter| counter.sweep(2 * count),
    )
}

/// The gradient of `factors`, of their shape, from `d_y`, that of their product with `x`: the sums of `d_y · x` over the
/// rows that a number served.
///
/// # Errors
/// As for [`multiply`].
pub fn d_factors(d_y: &Map, x: &Map, factors: &Map) -> Result<Map> {
    same_shape(d_y, x)?;
    let grouped = grouped(x, factors)?;
    let ([groups, rows, channels], dims) = (grouped, factors.dims());
    #[cfg(feature = "device")]
    if let (Map::Device(d_y), Map::Device(x)) = (d_y, x) {
        return device::d_factors(d_y, x, grouped, dims).map(Map::Device);
    }
    make(
        x,
        dims,
        || tensor(kernels::sums(&elements(d_y)?, &elements(x)?, [rows, channels], |d, x| d * x), dims),
        |counter| {
            counter.scratch(kernels::sums_bytes(groups, [rows, channels], counter.threads));
            counter.sweep(2 * x.elem_count());
        },
    )
}

/// `factors · x + shifts` with constants of each channel of `x: [.., C]`, of its shape.
///
/// # Errors
/// `Shape` where the counts differ, and those of the device.
pub fn affine(x: &Map, factors: &[f32], shifts: &[f32]) -> Result<Map> {
    let (_, channels) = rows_and_channels(x)?;
    if [factors.len(), shifts.len()] != [channels; 2] {
        return Err(Error::shape(format!(
            "{} factors and {} shifts do not fit {channels} channels",
            factors.len(),
            shifts.len()
        )));
    }
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return on_rows::affine(x, factors, shifts).map(Map::Device);
    }
    make(
        x,
        x.dims(),
        || {
            let mut numbers = copied(x)?;
            for row in numbers.chunks_exact_mut(channels) {
                for (value, (factor, shift)) in row.iter_mut().zip(factors.iter().zip(shifts)) {
                    *value = *value * factor + shift;
                }
            }
            tensor(numbers, x.dims())
        },
        |counter| counter.sweep(2 * x.elem_count()),
    )
}
