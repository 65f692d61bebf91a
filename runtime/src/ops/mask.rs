//! Where a clamping activation lets gradients pass, in a bit an element: all that backward needs of an output
//! that nobody else keeps.

use crate::composed::mask as composed;
use crate::error::{Error, Result};
use crate::kernels::mask as kernels;
use crate::kernels::simd::Isa;
use crate::ops::activation::Activation;
use crate::ops::place::{Place, place};
use crate::ops::slices::{elements, update_in_place};
use candle_core::{CpuStorage, Device, Storage, Tensor};

/// The mask of `y`, the output of ReLU or ReLU6. By a kernel a bit an element, lowest first, `[ceil(elements / 8)]`
/// of u8; composed a byte an element, of the shape of `y`.
///
/// # Errors
/// Config for activations whose slope is more than 0 or 1.
pub fn of_output(y: &Tensor, activation: Activation) -> Result<Tensor> {
    let upper = match activation {
        Activation::Relu => f32::INFINITY,
        Activation::Relu6 => 6.0,
        Activation::Silu | Activation::Sigmoid => {
            return Err(Error::config(format!("{activation:?} has no mask; use ReLU or ReLU6 after a sum")));
        }
    };
    match place(y.device())? {
        Place::Kernels => of_bits(kernels::pack(Isa::best(), &elements(y)?, upper)),
        Place::Composed => composed::of_output(y, upper),
    }
}

/// The mask that a kernel's bits are.
pub(super) fn of_bits(bits: Vec<u8>) -> Result<Tensor> {
    let len = bits.len();
    Ok(Tensor::from_vec(bits, len, &Device::Cpu)?)
}

/// `d_y` where the mask lets it pass, 0 elsewhere. Writes into `d_y`, whose only user the caller must be.
pub fn apply(d_y: Tensor, mask: &Tensor) -> Result<Tensor> {
    if place(d_y.device())? == Place::Composed {
        return composed::apply(&d_y, mask);
    }
    let (storage, _) = mask.storage_and_layout();
    match &*storage {
        Storage::Cpu(CpuStorage::U8(bits)) if bits.len() == d_y.elem_count().div_ceil(8) => {
            update_in_place(&d_y, |d| kernels::apply(Isa::best(), d, bits))?;
        }
        _ => {
            return Err(Error::shape(format!("a mask of {:?} does not fit {:?}", mask.dims(), d_y.dims())));
        }
    }
    Ok(d_y)
}
