//! Sums over maps. Parts are added in an order that shapes fix, by a second launch.

use super::elementwise::rows;
use crate::device::array::Array;
use crate::device::engine::Operand;
use crate::device::launches::elements::{parts, scaled};
use crate::device::launches::norm;
use crate::device::table::body::{Body, Element};
use crate::error::Result;

/// The sum of `x: [.., channels]`, which is not empty, over all dimensions but the last: `[channels]`.
///
/// # Errors
/// Those of the device.
pub fn sum_rows(x: &Array, channels: usize) -> Result<Array> {
    let (x, p) = (rows(x)?, norm::arguments(x.len() / channels, channels)?);
    let tiles = p.tiles as usize;
    let parts = Array::empty(x.engine(), Element::F32, &[tiles, channels])?;
    x.engine().launch(&norm::parts(Body::ColumnParts, &p)?, &[Operand::from(&x), Operand::from(&parts)])?;
    let sums = Array::sum_of(&parts, tiles, &[channels])?;
    sums.ordered(sums.order())
}

/// The sum of the products of `a` and `b`, of one shape, on the device: `[1]`.
///
/// # Errors
/// Those of the device.
pub fn sum_of_products(a: &Array, b: &Array) -> Result<Array> {
    let (engine, count, b) = (a.engine(), parts(a.len()), b.ordered(a.order())?);
    if count == 0 {
        return Array::of_floats(engine, &[0.0], &[1]);
    }
    let of_blocks = Array::empty(engine, Element::F32, &[count])?;
    let operands = [Operand::from(a), Operand::from(&b), Operand::from(&of_blocks)];
    engine.launch(&scaled(Body::ProductParts, a.len(), 1.0)?, &operands)?;
    let sum = Array::empty(engine, Element::F32, &[1])?;
    let operands = [Operand::from(&of_blocks), Operand::from(&sum)];
    engine.launch(&scaled(Body::SumParts, count, 1.0)?, &operands)?;
    Ok(sum)
}
