//! The memory that candle has in use on a GPU.

use candle_core::Device;

/// Lets the most that `device` remembers begin again at what is in use now, for the whole process.
pub(crate) fn reset(_device: &Device) {
    #[cfg(feature = "cuda")]
    if let Device::Cuda(device) = _device {
        cuda::reset(device);
    }
}

/// Bytes in use on a GPU now, or the most where the driver remembers it; 0 on the CPU.
pub(crate) fn used_bytes(device: &Device) -> usize {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => cuda::most_bytes(device).or_else(|| cuda::card_bytes(device)).unwrap_or(0),
        #[cfg(feature = "metal")]
        Device::Metal(device) => device.metal_device().current_allocated_size(),
        #[allow(unreachable_patterns)] // which arms exist depends on the features
        _ => 0,
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    use candle_core::CudaDevice;
    use candle_core::cuda::cudarc::driver::result::{device, mem_pool};
    use candle_core::cuda::cudarc::driver::sys::{CUmemPool_attribute as Attribute, CUmemoryPool};
    use std::ptr::from_mut;

    /// The pool that this process's tensors on the card come from, if it has pools.
    fn pool(card: &CudaDevice) -> Option<CUmemoryPool> {
        let stream = card.cuda_stream();
        let context = stream.context();
        if !context.has_async_alloc() {
            return None;
        }
        context.bind_to_thread().ok()?;
        // SAFETY: the number is that of a device that is open.
        unsafe { device::get_mem_pool(context.cu_device()) }.ok()
    }

    /// Lets the most begin again at what is in use now.
    pub(super) fn reset(card: &CudaDevice) {
        let Some(pool) = pool(card) else { return };
        let mut zero = 0u64;
        // SAFETY: the pool is the driver's own, and this attribute is a u64 that may be set to 0. Should the driver
        // refuse, the most is that since the process began.
        let _ = unsafe {
            mem_pool::set_attribute(
                pool,
                Attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH,
                from_mut(&mut zero).cast(),
            )
        };
    }

    /// The most bytes of the pool that were in use since the last reset.
    pub(super) fn most_bytes(card: &CudaDevice) -> Option<usize> {
        let pool = pool(card)?;
        let mut bytes = 0u64;
        let attribute = Attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
        // SAFETY: the pool is the driver's own, and this attribute is a u64, for which there is room.
        unsafe { mem_pool::get_attribute(pool, attribute, from_mut(&mut bytes).cast()) }.ok()?;
        usize::try_from(bytes).ok()
    }

    /// What is in use on the card, by whomever.
    pub(super) fn card_bytes(card: &CudaDevice) -> Option<usize> {
        let (free, total) = card.cuda_stream().context().mem_get_info().ok()?;
        Some(total.saturating_sub(free))
    }
}
