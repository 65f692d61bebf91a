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
    /// Whether a last window that begins on the image may reach beyond it (PyTorch's `ceil_mode`). What lies beyond the
    /// padding does not count. Left out where it is not so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub round_up: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The most pixels of a window that a maximum is taken over: a place in it is a byte.
pub const MOST_WINDOW_PIXELS: usize = 256;

impl Default for PoolConfig {
    /// Windows of 2 by 2, side by side.
    fn default() -> Self {
        Self { kernel: [2, 2], stride: [2, 2], padding: [0, 0], round_up: false }
    }
}

impl PoolConfig {
    /// The size of the output for images of the size `input`, both (rows, columns): (input + 2 · padding -
    /// kernel) / stride + 1, rounded down, or up as long as the last window begins on the image or before it.
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
            // The places where a window may begin, the first among them.
            let reach = if self.round_up { stride - 1 } else { 0 };
            let begins = padded.and_then(|padded| padded.checked_add(reach)?.checked_sub(kernel));
            let Some(windows) = begins.map(|begins| begins / stride + 1) else {
                return Err(Error::config(format!(
                    "a pooling window of {kernel} does not fit {} pixels padded by {padding}",
                    input[axis]
                )));
            };
            let on_image = |window: usize| window == 0 || window * stride < input[axis] + padding;
            output[axis] = if on_image(windows - 1) { windows } else { windows - 1 };
        }
        Ok(output)
    }
}
