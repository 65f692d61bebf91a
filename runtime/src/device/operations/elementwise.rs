//! Operations on each element alone.

use crate::device::array::{Array, Order};
use crate::device::engine::Operand;
use crate::device::launch::Launch;
use crate::device::launches::elements as launches;
use crate::device::table::body::{Body, Element};
use crate::error::Result;
use crate::kernels::activation::Activation;

/// An array like `x`, whose elements are yet to be written.
pub(super) fn like(x: &Array) -> Result<Array> {
    Array::empty(x.engine(), Element::F32, x.dims())
}

/// `x`, as its shape says.
pub(super) fn rows(x: &Array) -> Result<Array> {
    x.ordered(Order::Rows)
}

/// Launches on `x` and `other`, unless there is nothing to do.
fn pair(launch: impl FnOnce(usize) -> Result<Launch>, x: &Array, other: &Array) -> Result<()> {
    match x.len() {
        0 => Ok(()),
        elements => x.engine().launch(&launch(elements)?, &[Operand::from(x), Operand::from(other)]),
    }
}

/// `activation(x)`.
///
/// # Errors
/// Those of the device.
pub fn activate(x: &Array, activation: Activation) -> Result<Array> {
    let (x, y) = (rows(x)?, like(x)?);
    pair(|elements| launches::activate(Body::Activate, elements, Some(activation)), &x, &y)?;
    Ok(y)
}

/// `d`, the gradient of `activation(x)`, becomes that of `x`.
///
/// # Errors
/// Those of the device.
pub fn activate_backward(d: &Array, x: &Array, activation: Activation) -> Result<()> {
    let x = x.ordered(d.order())?;
    pair(|elements| launches::activate(Body::ActivateBackward, elements, Some(activation)), d, &x)
}

/// `a` becomes `activation(a + b)`.
///
/// # Errors
/// Those of the device.
pub fn add_activate(a: &Array, b: &Array, activation: Option<Activation>) -> Result<()> {
    let b = b.ordered(a.order())?;
    pair(|elements| launches::activate(Body::AddActivate, elements, activation), a, &b)
}

/// `a` becomes `a + factor · b`.
///
/// # Errors
/// Those of the device.
pub fn add_scaled(a: &Array, b: &Array, factor: f32) -> Result<()> {
    let b = b.ordered(a.order())?;
    pair(|elements| launches::scaled(Body::AddScaled, elements, factor), a, &b)
}

/// `x` becomes `factor · x`.
///
/// # Errors
/// Those of the device.
pub fn scale(x: &Array, factor: f32) -> Result<()> {
    pair(|elements| launches::scaled(Body::Scale, elements, factor), x, x)
}

/// `factor · x`.
///
/// # Errors
/// Those of the device.
pub fn scaled(x: &Array, factor: f32) -> Result<Array> {
    let (x, y) = (rows(x)?, like(x)?);
    pair(|elements| launches::scaled(Body::Scale, elements, factor), &x, &y)?;
    Ok(y)
}

/// The bits of `x` in 16: f16, or bf16. What is too large for f16 becomes infinite.
///
/// # Errors
/// Those of the device.
pub fn narrow(x: &Array, is_bf16: bool) -> Result<Array> {
    let (x, y) = (rows(x)?, Array::empty(x.engine(), Element::U16, x.dims())?);
    pair(|elements| launches::sixteen_bits(Body::Narrow, elements, is_bf16), &x, &y)?;
    Ok(y)
}

/// The numbers whose 16 bits `x` has.
///
/// # Errors
/// Those of the device.
pub fn widen(x: &Array, is_bf16: bool) -> Result<Array> {
    let y = like(x)?;
    pair(|elements| launches::sixteen_bits(Body::Widen, elements, is_bf16), x, &y)?;
    Ok(y)
}

/// `x` becomes its product with the mask of inverted dropout.
///
/// # Errors
/// Those of the device.
pub fn dropout(x: &Array, probability: f64, seed: u64, first: usize) -> Result<()> {
    pair(|elements| launches::dropout(elements, probability, seed, first as u64), x, x)
}
