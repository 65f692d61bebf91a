//! The border between maps on the host, which are candle tensors, and kernels on slices.

use super::map::Map;
use crate::error::{Error, Result};
use crate::memory;
use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Shape, Storage, StorageRef, Tensor};
use std::mem::MaybeUninit;
use std::ops::Deref;

/// The elements of a contiguous f32 tensor on the CPU, borrowed for as long as this lives.
pub struct Elements<'a> {
    storage: StorageRef<'a>,
    start: usize,
    len: usize,
}

/// Borrows the elements of `x`, which must be contiguous, f32 and on the host.
pub fn elements(x: &Map) -> Result<Elements<'_>> {
    match x {
        Map::Host(x) => tensor_elements(x),
        _ => Err(Error::internal("a kernel got a map that is not on the host")),
    }
}

/// The same of a tensor.
pub fn tensor_elements(x: &Tensor) -> Result<Elements<'_>> {
    let (storage, layout) = x.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        return Err(Error::internal(format!("a kernel got a strided tensor of shape {:?}", x.shape())));
    };
    match &*storage {
        Storage::Cpu(CpuStorage::F32(all)) if end <= all.len() => {}
        _ => return Err(Error::internal(format!("a CPU kernel got {:?} on {:?}", x.dtype(), x.device()))),
    }
    Ok(Elements { storage, start, len: end - start })
}

impl Deref for Elements<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(all)) => &all[self.start..self.start + self.len],
            _ => &[],
        }
    }
}

/// Whether two tensors lie in one storage, so that writing into one may change the other.
pub fn share_storage(a: &Tensor, b: &Tensor) -> bool {
    std::ptr::eq(&*a.storage_and_layout().0, &*b.storage_and_layout().0)
}

/// A CPU tensor that takes over `data` without a copy.
pub fn tensor(data: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Ok(Tensor::from_vec(data, shape, &Device::Cpu)?)
}

/// The elements of `x`, on the host, in memory of their own.
pub fn copied(x: &Map) -> Result<Vec<f32>> {
    let x = x.clone().contiguous()?;
    let x = elements(&x)?;
    memory::claim(size_of_val(&*x))?;
    let mut numbers = memory::room_for(x.len())?;
    numbers.extend_from_slice(&x);
    Ok(numbers)
}

/// A vector of `len` elements that `kernel` writes, and what else it answers.
///
/// # Safety
/// `kernel` writes every element unless it fails.
pub unsafe fn output<T>(
    len: usize,
    kernel: impl FnOnce(&mut [MaybeUninit<f32>]) -> Result<T>,
) -> Result<(Vec<f32>, T)> {
    memory::claim(len * size_of::<f32>())?;
    let mut data = memory::room_for(len)?;
    let answer = kernel(&mut data.spare_capacity_mut()[..len])?;
    // SAFETY: there is room for `len`, and the caller promises that they are written.
    unsafe { data.set_len(len) };
    Ok((data, answer))
}

/// Runs `kernel` on the elements of `x`, in place. Whoever shares the storage of `x` sees the change.
pub fn update_in_place(x: &Tensor, kernel: impl Fn(&mut [f32]) + Sync) -> Result<()> {
    Ok(x.inplace_op1(&InPlace { kernel })?)
}

struct InPlace<F> {
    kernel: F,
}

impl<F: Fn(&mut [f32])> InplaceOp1 for InPlace<F> {
    fn name(&self) -> &'static str {
        "localgrad-in-place"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        match (storage, layout.contiguous_offsets()) {
            (CpuStorage::F32(all), Some((start, end))) => {
                (self.kernel)(&mut all[start..end]);
                Ok(())
            }
            _ => candle_core::bail!("in-place kernels need contiguous f32 tensors"),
        }
    }
}
