//! Where a clamping activation lets gradients pass, in a bit an element: all that backward needs of an output
//! that nobody else keeps.

#[cfg(feature = "device")]
use crate::device::operations::mask as device;
use crate::error::{Error, Result};
use crate::kernels::mask as kernels;
use crate::kernels::simd::Isa;
use crate::maps::Map;
use crate::maps::activation::Activation;
use crate::maps::place::{change, make_bytes};
use crate::maps::slices::{elements, update_in_place};
use candle_core::{CpuStorage, Device, Storage, Tensor};

/// The mask of `y`, the output of ReLU or ReLU6: a bit an element, lowest first, `[ceil(elements / 8)]` of u8.
///
/// # Errors
/// Config for activations whose slope is more than 0 or 1.
pub fn of_output(y: &Map, activation: Activation) -> Result<Map> {
    let upper = match activation {
        Activation::Relu => f32::INFINITY,
        Activation::Relu6 => 6.0,
        activation => {
            return Err(Error::config(format!("{activation:?} has no mask; use ReLU or ReLU6 after a sum")));
        }
    };
    #[cfg(feature = "device")]
    if let Map::Device(y) = y {
        return device::of_output(y, upper).map(Map::Device);
    }
    make_bytes(
        y,
        &[y.elem_count().div_ceil(8)],
        || of_bits(kernels::pack(Isa::best(), &elements(y)?, upper)),
        |counter| counter.sweep(y.elem_count()),
    )
}

/// The mask that a kernel's bits are.
pub(super) fn of_bits(bits: Vec<u8>) -> Result<Tensor> {
    let len = bits.len();
    Ok(Tensor::from_vec(bits, len, &Device::Cpu)?)
}

/// `d_y` where the mask lets it pass, 0 elsewhere. Writes into `d_y`, whose only user the caller must be.
pub fn apply(d_y: Map, mask: &Map) -> Result<Map> {
    let elements = d_y.elem_count();
    let misfit = || Error::shape(format!("a mask of {:?} does not fit {elements} elements", mask.dims()));
    #[cfg(feature = "device")]
    if let Map::Device(d) = &d_y {
        if mask.dims() != [elements.div_ceil(8)] || !mask.is_bytes() {
            return Err(misfit());
        }
        device::apply(d, mask.array()?)?;
        return Ok(d_y);
    }
    change(
        d_y,
        |d_y| {
            let (storage, _) = mask.tensor()?.storage_and_layout();
            match &*storage {
                Storage::Cpu(CpuStorage::U8(bits)) if bits.len() == elements.div_ceil(8) => {
                    update_in_place(d_y, |d| kernels::apply(Isa::best(), d, bits))
                }
                _ => Err(misfit()),
            }
        },
        |counter| counter.sweep(2 * elements),
    )
}
