//! Pooling over windows of pixels, and the strided slice that parameter-free shortcuts use.

pub mod max;
pub mod average;
pub mod subsample;

pub use average::{
    adaptive_average_backward, adaptive_average_forward, average_backward, average_forward,
    global_average_backward, global_average_forward,
};
pub use max::{max_backward, max_forward};
pub use subsample::{subsample_backward, subsample_forward};

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Windows of pixels; each pair is (rows, columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolConfig {
    /// Size of a window.
    pub kernel: [usize; 2],
    /// Distance from one window to the next.
    pub stride: [usize; 2],
    /// Pixels added on each side; at most half the kernel, so that no window lies in the padding alone.
    pub padding: [usize; 2],
}

/// The most pixels of a window that a maximum is taken over: a place in it is a byte.
pub const MOST_WINDOW_PIXELS: usize = 256;

impl Default for PoolConfig {
    /// Windows of 2 by 2, side by side.
    fn default() -> Self {
        Self { kernel: [2, 2], stride: [2, 2], padding: [0, 0] }
    }
}

impl PoolConfig {
    /// The size of the output for images of the size `input`, both (rows, columns): (input + 2 · padding -
    /// kernel) / stride + 1, rounded down.
    ///
    /// # Errors
    /// A configuration error where kernel or stride is 0, the padding is more than half the kernel, or no
    /// window fits.
    pub fn output_size(&self, input: [usize; 2]) -> Result<[usize; 2]> {
        let mut output = [0; 2];
        for axis in 0..2 {
            let (kernel, stride, padding) = (self.kernel[axis], self.stride[axis], self.padding[axis]);
            if kernel == 0 || stride == 0 || padding > kernel / 2 {
                return Err(Error::config(format!(
                    "a pool needs a kernel and a stride of at least 1 and a padding of at most half the \
                     kernel, got kernel {kernel}, stride {stride}, padding {padding}"
                )));
            }
            let padded = padding.checked_mul(2).and_then(|both| both.checked_add(input[axis]));
            let Some(room) = padded.and_then(|padded| padded.checked_sub(kernel)) else {
                return Err(Error::config(format!(
                    "a pooling window of {kernel} does not fit {} pixels padded by {padding}",
                    input[axis]
                )));
            };
            output[axis] = room / stride + 1;
        }
        Ok(output)
    }
}
