//! The sum of two branches with its activation, the two normalized on the way if need be.

use super::Map;
use super::activation::Activation;
use super::conv_norm::SHARES;
use super::elementwise::{self, same_shape};
use super::map_read::MapRead;
use super::mask;
use super::place::{make, make_bytes, make_with_bytes};
use super::slices::{elements, output, tensor};
#[cfg(feature = "device")]
use crate::device::operations::norm as device;
use crate::error::Result;
use crate::kernels::batch_norm::clamp;
use crate::kernels::residual::{self, Summand};
use crate::kernels::simd::Isa;
use crate::kernels::unwritten::unwritten;
use candle_core::Tensor;

/// A summand, or some of its elements.
fn summand<'a>(of: &'a MapRead, elements: &'a [f32]) -> Result<Summand<'a>> {
    Ok(match of {
        MapRead::Plain(_) | MapRead::Sum(..) => Summand::Plain(elements),
        MapRead::Normalized(_, by) => Summand::Normalized(elements, by.host()?),
    })
}

/// The [`mask`] of [`add_activate`] alone, made without the sum as a whole.
///
/// # Errors
/// As for [`add_activate`].
pub fn sum_mask(main: MapRead, around: MapRead, activation: Option<Activation>) -> Result<Option<Map>> {
    let images = main.stored().dims().first().copied().unwrap_or(0);
    let each = main.stored().elem_count() / images.max(1);
    let bounds = clamp(activation).filter(|_| activation.is_some());
    let (MapRead::Normalized(x, by), Some(bounds), true) = (&main, bounds, each.is_multiple_of(8)) else {
        return Ok(add_activate(main, around, activation, true)?.1);
    };
    same_shape(x, around.stored())?;
    #[cfg(feature = "device")]
    if let Map::Device(_) = x {
        return Ok(add_activate(main, around, activation, true)?.1);
    }
    let at_once = images.div_ceil(SHARES) * each;
    let mask = make_bytes(
        x,
        &[x.elem_count() / 8],
        || {
            let (main_elements, around_elements) = (elements(x)?, elements(around.stored())?);
            let mut bits = Vec::with_capacity(main_elements.len() / 8);
            let mut scratch = vec![0.0; at_once];
            for (main, other) in main_elements.chunks(at_once).zip(around_elements.chunks(at_once)) {
                // SAFETY: the kernel stores nothing but numbers.
                let sum = unsafe { unwritten(&mut scratch[..main.len()]).room() };
                let other = summand(&around, other)?;
                bits.extend(residual::sum(Isa::best(), main, by.host()?, other, bounds, sum, true));
            }
            mask::of_bits(bits)
        },
        |counter| {
            counter.scratch(at_once * size_of::<f32>());
            counter.sweep(2 * x.elem_count());
        },
    )?;
    Ok(Some(mask))
}

/// `activation(main + around)`, the two normalized on the way if need be, and the activation's [`mask`] if
/// asked for.
///
/// # Errors
/// `Shape` when the two differ in shape, `Config` where the activation has no mask.
pub fn add_activate(
    main: MapRead,
    around: MapRead,
    activation: Option<Activation>,
    with_mask: bool,
) -> Result<(Map, Option<Map>)> {
    let (main, around) = match (main, around) {
        (MapRead::Plain(main), MapRead::Normalized(around, by)) => {
            (MapRead::Normalized(around, by), MapRead::Plain(main))
        }
        pair => pair,
    };
    let (MapRead::Normalized(x, by), Some(bounds)) = (&main, clamp(activation)) else {
        let y = elementwise::add_activate(main.resolve()?, &around.resolve()?, activation)?;
        let wanted = activation.filter(|_| with_mask);
        let mask = wanted.map(|activation| mask::of_output(&y, activation)).transpose()?;
        return Ok((y, mask));
    };
    same_shape(x, around.stored())?;
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        let around_by = match &around {
            MapRead::Normalized(_, by) => Some(by.device()?),
            MapRead::Plain(_) | MapRead::Sum(..) => None,
        };
        let around = (around.stored().array()?, around_by);
        let with_mask = with_mask && activation.is_some();
        let (y, mask) = device::residual_sum((x, by.device()?), around, bounds, with_mask)?;
        return Ok((Map::Device(y), mask.map(Map::Device)));
    }
    let run = |with_mask: bool| -> Result<(Tensor, Vec<u8>)> {
        let (main, other) = (elements(x)?, elements(around.stored())?);
        let (by, other) = (by.host()?, summand(&around, &other)?);
        let run = |y: &mut _| Ok(residual::sum(Isa::best(), &main, by, other, bounds, y, with_mask));
        // SAFETY: the kernel writes every element.
        let (y, bits) = unsafe { output(main.len(), run) }?;
        Ok((tensor(y, x.dims())?, bits))
    };
    let elements = x.elem_count();
    if !(with_mask && activation.is_some()) {
        let y = make(x, x.dims(), || Ok(run(false)?.0), |counter| counter.sweep(3 * elements))?;
        return Ok((y, None));
    }
    let (y, mask) = make_with_bytes(
        x,
        (x.dims(), &[elements.div_ceil(8)]),
        || {
            let (y, bits) = run(true)?;
            Ok((y, mask::of_bits(bits)?))
        },
        |counter| counter.sweep(3 * elements),
    )?;
    Ok((y, Some(mask)))
}
