//! Activations, sums of two tensors, and sums over one.
//!
//! Functions that take a tensor by value may write into its storage: the caller must be its only user.

use crate::composed::elementwise as composed;
use crate::error::{Error, Result};
use crate::kernels::elementwise as kernels;
use crate::ops::activation::Activation;
use crate::ops::place::{Place, place};
use crate::ops::slices::{elements, share_storage, tensor, update_in_place};
use candle_core::Tensor;
use std::sync::OnceLock;

/// `activation(x)`, of the shape of `x`.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match place(x.device())? {
        Place::Kernels => tensor(kernels::activate(&elements(x)?, activation), x.shape()),
        Place::Composed => composed::activate(x, activation),
    }
}

/// The gradient of `x` from `d_y`, that of `activation(x)`; both of one shape, else a shape error.
pub fn activate_backward(d_y: Tensor, x: &Tensor, activation: Activation) -> Result<Tensor> {
    match place(d_y.device())? {
        Place::Kernels => combine(d_y, x, |d, x| kernels::activate_backward(d, x, activation)),
        Place::Composed => composed::activate_backward(&d_y, x, activation),
    }
}

/// `a + b`, of one shape.
pub fn add(a: Tensor, b: &Tensor) -> Result<Tensor> {
    add_activate(a, b, None)
}

/// `activation(a + b)`, or the sum alone; `a` and `b` of one shape.
pub fn add_activate(a: Tensor, b: &Tensor, activation: Option<Activation>) -> Result<Tensor> {
    match place(a.device())? {
        Place::Kernels => combine(a, b, |a, b| kernels::add_activate(a, b, activation)),
        Place::Composed => composed::add_activate(&a, b, activation),
    }
}

/// `factor · x`.
pub fn scale(x: Tensor, factor: f64) -> Result<Tensor> {
    match place(x.device())? {
        Place::Kernels => {
            update_in_place(&x, |x| kernels::scale(x, factor as f32))?;
            Ok(x)
        }
        Place::Composed => Ok(x.affine(factor, 0.0)?),
    }
}

/// `a + factor · b`, of one shape.
pub fn add_scaled(a: Tensor, b: &Tensor, factor: f64) -> Result<Tensor> {
    match place(a.device())? {
        Place::Kernels => combine(a, b, |a, b| kernels::add_scaled(a, b, factor as f32)),
        Place::Composed => composed::add_scaled(&a, b, factor),
    }
}

/// The sum of `x: [.., C]` over all dimensions but the last: `[C]`. The gradient of a bias.
pub fn sum_rows(x: &Tensor) -> Result<Tensor> {
    let (_, channels) = rows_and_channels(x)?;
    match place(x.device())? {
        Place::Kernels => tensor(kernels::sum_rows(&elements(x)?, channels), channels),
        Place::Composed => composed::sum_rows(x),
    }
}

/// The sum of the products of `a` and `b`, of one shape. On the CPU in f64 and in a fixed order.
pub fn sum_of_products(a: &Tensor, b: &Tensor) -> Result<f64> {
    same_shape(a, b)?;
    match place(a.device())? {
        Place::Kernels => Ok(kernels::sum_of_products(&elements(a)?, &elements(b)?)),
        Place::Composed => composed::sum_of_products(a, b),
    }
}

/// The sum of the squares of `x`. On the CPU in f64 and in a fixed order.
pub fn sum_of_squares(x: &Tensor) -> Result<f64> {
    sum_of_products(x, x)
}

/// Runs `kernel` on the elements of `a`, to be changed, and of `b`, and returns what it returns.
///
/// # Errors
/// Shapes that differ, and tensors that share one storage (its lock cannot be held both ways at once).
pub(super) fn combine_with<R: Send + Sync>(
    a: &Tensor,
    b: &Tensor,
    kernel: impl Fn(&mut [f32], &[f32]) -> R + Sync,
) -> Result<R> {
    same_shape(a, b)?;
    if share_storage(a, b) {
        return Err(Error::internal("an operation in place got the same storage twice; copy one operand"));
    }
    let result = OnceLock::new();
    let b = elements(b)?;
    update_in_place(a, |a| {
        let _ = result.set(kernel(a, &b));
    })?;
    result.into_inner().ok_or_else(|| Error::internal("an operation in place did not run"))
}

fn combine(a: Tensor, b: &Tensor, kernel: impl Fn(&mut [f32], &[f32]) + Sync) -> Result<Tensor> {
    combine_with(&a, b, kernel)?;
    Ok(a)
}

/// A shape error unless `a` and `b` have one shape.
pub(super) fn same_shape(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dims() == b.dims() {
        return Ok(());
    }
    Err(Error::shape(format!("two tensors of one shape are needed, got {:?} and {:?}", a.dims(), b.dims())))
}

/// Rows and channels of `x: [.., C]`, which must have elements.
pub(super) fn rows_and_channels(x: &Tensor) -> Result<(usize, usize)> {
    match x.dims().last() {
        Some(&channels) if x.elem_count() > 0 => Ok((x.elem_count() / channels, channels)),
        _ => Err(Error::shape(format!("rows of channels are needed, got the shape {:?}", x.dims()))),
    }
}

/// A shape error unless the tensors `named` all have the shape `[channels]`.
pub(super) fn one_per_channel(channels: usize, named: &[(&str, &Tensor)]) -> Result<()> {
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
