//! Memory whose vectors never straddle two cache lines.

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

const LINE_BYTES: usize = 64;
const LINE: usize = LINE_BYTES / size_of::<f32>();

/// Floats that start on a cache line.
#[derive(Default)]
pub(in crate::kernels) struct Buffer {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub(in crate::kernels) fn zeros(len: usize) -> Self {
        let data = vec![0.0; len + LINE];
        // Where the platform cannot tell, any start is right, only slower.
        let start = data.as_ptr().align_offset(LINE_BYTES).min(LINE);
        Self { data, start, len }
    }

    /// `len` floats that `write` writes, without being filled before.
    ///
    /// # Safety
    /// `write` stores a number in every element.
    pub(super) unsafe fn written(len: usize, write: impl FnOnce(&mut [MaybeUninit<f32>])) -> Self {
        let mut data = Vec::<f32>::with_capacity(len + LINE);
        let start = data.as_ptr().align_offset(LINE_BYTES).min(LINE);
        let room = &mut data.spare_capacity_mut()[..len + LINE];
        room[..start].fill(MaybeUninit::new(0.0));
        room[start + len..].fill(MaybeUninit::new(0.0));
        write(&mut room[start..start + len]);
        // SAFETY: what lies around the buffer was written here, and the caller vouches for the rest.
        unsafe { data.set_len(len + LINE) };
        Self { data, start, len }
    }

    /// Bytes that a buffer of `len` floats takes.
    pub(super) fn bytes(len: usize) -> usize {
        (len + LINE) * size_of::<f32>()
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.len]
    }
}
