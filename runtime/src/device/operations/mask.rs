//! Masks of clamps, a bit an element.

use super::elementwise::rows;
use crate::device::arguments::Norm;
use crate::device::array::Array;
use crate::device::engine::Operand;
use crate::device::launches::norm::{arguments, masked};
use crate::device::table::body::{Body, Element};
use crate::error::Result;

/// Where 0 < y < `upper`: `[ceil(elements / 8)]` bytes, lowest bits first.
///
/// # Errors
/// Those of the device.
pub fn of_output(y: &Array, upper: f32) -> Result<Array> {
    let (y, p) = (rows(y)?, Norm { bounds: [0.0, upper], ..arguments(1, y.len())? });
    let mask = Array::empty(y.engine(), Element::U8, &[y.len().div_ceil(8)])?;
    y.engine().launch(&masked(Body::MaskOf, &p)?, &[Operand::from(&y), Operand::from(&mask)])?;
    Ok(mask)
}

/// `d` becomes 0 where the mask does not let it pass.
///
/// # Errors
/// Those of the device.
pub fn apply(d: &Array, mask: &Array) -> Result<()> {
    if d.engine().masks(d, mask) {
        return Ok(());
    }
    let launch = masked(Body::MaskApply, &arguments(1, d.len())?)?;
    d.engine().launch(&launch, &[Operand::from(d), Operand::from(mask)])
}
