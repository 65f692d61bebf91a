//! Memory that a kernel only writes, and need not be filled before.

use std::mem::MaybeUninit;

/// `data`, to be written over.
pub fn unwritten(data: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    let len = data.len();
    // SAFETY: a `MaybeUninit<f32>` is laid out like an f32, and kernels write nothing but numbers.
    unsafe { std::slice::from_raw_parts_mut(data.as_mut_ptr().cast(), len) }
}

/// What has been written.
///
/// # Safety
/// Every element has been written.
pub(crate) unsafe fn written(data: &[MaybeUninit<f32>]) -> &[f32] {
    // SAFETY: laid out like an f32, and the caller promises that all are numbers.
    unsafe { std::slice::from_raw_parts(data.as_ptr().cast(), data.len()) }
}

/// What has been written, to be changed.
///
/// # Safety
/// Every element has been written.
pub(crate) unsafe fn overwritten(data: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    // SAFETY: laid out like an f32, and the caller promises that all are numbers.
    unsafe { std::slice::from_raw_parts_mut(data.as_mut_ptr().cast(), data.len()) }
}
