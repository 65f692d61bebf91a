//! Activations, sums of two maps, and sums over one.
//!
//! Functions that take a map by value may write into its memory: the caller must be its only user.

#[cfg(feature = "device")]
use crate::device::operations::{elementwise as device, sums};
use crate::error::{Error, Result};
use crate::kernels::elementwise as kernels;
use crate::maps::Map;
use crate::maps::activation::Activation;
use crate::maps::place::{apart, change, make, read};
use crate::maps::slices::{copied, elements, tensor, update_in_place};
use std::sync::OnceLock;

/// `activation(x)`, of the shape of `x`.
pub fn activate(x: &Map, activation: Activation) -> Result<Map> {
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return device::activate(x, activation).map(Map::Device);
    }
    make(
        x,
        x.dims(),
        || tensor(kernels::activate(&elements(x)?, activation), x.dims()),
        |counter| counter.sweep(2 * x.elem_count()),
    )
}

/// The gradient of `x` from `d_y`, that of `activation(x)`; both of one shape, else a shape error.
pub fn activate_backward(d_y: Map, x: &Map, activation: Activation) -> Result<Map> {
    #[cfg(feature = "device")]
    if let Map::Device(d) = &d_y {
        check_apart(&d_y, x)?;
        device::activate_backward(d, x.array()?, activation)?;
        return Ok(d_y);
    }
    combine(d_y, x, |d, x| kernels::activate_backward(d, x, activation))
}

/// `a + b`, of one shape.
pub fn add(a: Map, b: &Map) -> Result<Map> {
    add_activate(a, b, None)
}

/// `activation(a + b)`, or the sum alone; `a` and `b` of one shape.
pub fn add_activate(a: Map, b: &Map, activation: Option<Activation>) -> Result<Map> {
    #[cfg(feature = "device")]
    if let Map::Device(sum) = &a {
        check_apart(&a, b)?;
        device::add_activate(sum, b.array()?, activation)?;
        return Ok(a);
    }
    combine(a, b, |a, b| kernels::add_activate(a, b, activation))
}

/// `factor · x`.
pub fn scale(x: Map, factor: f64) -> Result<Map> {
    #[cfg(feature = "device")]
    if let Map::Device(array) = &x {
        device::scale(array, factor as f32)?;
        return Ok(x);
    }
    let elements = x.elem_count();
    change(
        x,
        |x| update_in_place(x, |x| kernels::scale(x, factor as f32)),
        |counter| counter.sweep(2 * elements),
    )
}

/// `factor · x` in memory of its own, contiguous.
pub fn scaled(x: &Map, factor: f64) -> Result<Map> {
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return device::scaled(x, factor as f32).map(Map::Device);
    }
    make(
        x,
        x.dims(),
        || {
            let mut numbers = copied(x)?;
            kernels::scale(&mut numbers, factor as f32);
            tensor(numbers, x.dims())
        },
        |counter| counter.sweep(2 * x.elem_count()),
    )
}

/// `a + factor · b`, of one shape.
pub fn add_scaled(a: Map, b: &Map, factor: f64) -> Result<Map> {
    #[cfg(feature = "device")]
    if let Map::Device(sum) = &a {
        check_apart(&a, b)?;
        device::add_scaled(sum, b.array()?, factor as f32)?;
        return Ok(a);
    }
    combine(a, b, |a, b| kernels::add_scaled(a, b, factor as f32))
}

/// The sum of `x: [.., C]` over all dimensions but the last: `[C]`. The gradient of a bias.
pub fn sum_rows(x: &Map) -> Result<Map> {
    let (_, channels) = rows_and_channels(x)?;
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return sums::sum_rows(x, channels).map(Map::Device);
    }
    make(
        x,
        &[channels],
        || tensor(kernels::sum_rows(&elements(x)?, channels), channels),
        |counter| counter.sum_rows(x.elem_count(), channels),
    )
}

/// The sum of the products of `a` and `b`, of one shape. On the host in f64 and in a fixed order; 1 where maps are counted.
pub fn sum_of_products(a: &Map, b: &Map) -> Result<f64> {
    same_shape(a, b)?;
    #[cfg(feature = "device")]
    if let Map::Device(a) = a {
        let sum = sums::sum_of_products(a, b.array()?)?.floats()?;
        return Ok(sum.iter().map(|&sum| f64::from(sum)).sum());
    }
    read(
        a,
        || Ok(kernels::sum_of_products(&elements(a)?, &elements(b)?)),
        |counter| {
            counter.sweep(2 * a.elem_count());
            1.0
        },
    )
}

/// The sum of the squares of `x`; as [`sum_of_products`].
pub fn sum_of_squares(x: &Map) -> Result<f64> {
    sum_of_products(x, x)
}

/// Refuses maps that an operation in place cannot have both: of different shapes, and in one memory, whose lock cannot be
/// held both ways at once.
pub(super) fn check_apart(a: &Map, b: &Map) -> Result<()> {
    same_shape(a, b)?;
    match a.shares_memory(b) {
        true => Err(Error::internal("an operation in place got the same storage twice; copy one operand")),
        false => Ok(()),
    }
}

/// Runs `kernel` on the elements of `a`, to be changed, and of `b`, and returns what it returns.
///
/// # Errors
/// Those of [`check_apart`].
pub(super) fn combine_with<R: Send + Sync>(
    a: &Map,
    b: &Map,
    kernel: impl Fn(&mut [f32], &[f32]) -> R + Sync,
) -> Result<R> {
    check_apart(a, b)?;
    let result = OnceLock::new();
    let b = elements(b)?;
    update_in_place(a.tensor()?, |a| {
        let _ = result.set(kernel(a, &b));
    })?;
    result.into_inner().ok_or_else(|| Error::internal("an operation in place did not run"))
}

/// What becomes of `a` together with `b`, in the memory of `a` where a kernel does it.
fn combine(a: Map, b: &Map, kernel: impl Fn(&mut [f32], &[f32]) + Sync) -> Result<Map> {
    check_apart(&a, b)?;
    let other = a.clone();
    let elements = a.elem_count();
    change(a, |_| combine_with(&other, b, kernel), |counter| counter.sweep(3 * elements))
}

/// A shape error unless `a` and `b` have one shape; they must be in one place.
pub(super) fn same_shape(a: &Map, b: &Map) -> Result<()> {
    if std::mem::discriminant(a) != std::mem::discriminant(b) {
        return Err(apart());
    }
    if a.dims() == b.dims() {
        return Ok(());
    }
    Err(Error::shape(format!("two tensors of one shape are needed, got {:?} and {:?}", a.dims(), b.dims())))
}

/// Rows and channels of `x: [.., C]`, which must have elements.
pub(super) fn rows_and_channels(x: &Map) -> Result<(usize, usize)> {
    match x.dims().last() {
        Some(&channels) if x.elem_count() > 0 => Ok((x.elem_count() / channels, channels)),
        _ => Err(Error::shape(format!("rows of channels are needed, got the shape {:?}", x.dims()))),
    }
}

/// A shape error unless the maps `named` all have the shape `[channels]`.
pub(super) fn one_per_channel(channels: usize, named: &[(&str, &Map)]) -> Result<()> {
    for (name, x) in named {
        if x.dims() != [channels] {
            return Err(Error::shape(format!(
                "{name} must be [{channels}], one a channel, got {:?}",
                x.dims()
            )));
        }
    }
    Ok(())
}
