//! Memory that a kernel only writes, and need not be filled before.

use std::mem::MaybeUninit;

/// Room for the numbers of a kernel. Safe code does not reach into it: who could leave something else there could read
/// it back as a number.
pub struct Unwritten<'a>(&'a mut [MaybeUninit<f32>]);

impl<'a> Unwritten<'a> {
    /// The room itself.
    ///
    /// # Safety
    /// Nothing but numbers is stored in it.
    pub(crate) unsafe fn room(self) -> &'a mut [MaybeUninit<f32>] {
        self.0
    }
}

impl<'a> From<&'a mut [MaybeUninit<f32>]> for Unwritten<'a> {
    fn from(data: &'a mut [MaybeUninit<f32>]) -> Self {
        Self(data)
    }
}

/// `data`, to be written over.
pub fn unwritten(data: &mut [f32]) -> Unwritten<'_> {
    let len = data.len();
    // SAFETY: a `MaybeUninit<f32>` is laid out like an f32, and who takes the room out promises to store only numbers.
    Unwritten(unsafe { std::slice::from_raw_parts_mut(data.as_mut_ptr().cast(), len) })
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

/// `data` with zeros written to it, to be changed.
pub(crate) fn filled(data: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    data.fill(MaybeUninit::new(0.0));
    // SAFETY: every element has been written just now.
    unsafe { overwritten(data) }
}
