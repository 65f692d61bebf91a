//! The numbers of one convolution, checked by whoever makes them.

use crate::error::{Error, Result};

/// Sizes of one convolution. `ops::conv` checks that they fit each other; the kernels rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Images in the batch, N.
    pub images: usize,
    /// Rows and columns of x.
    pub input: [usize; 2],
    /// Rows and columns of y.
    pub output: [usize; 2],
    /// Channels of x, I.
    pub in_channels: usize,
    /// Channels of y, O.
    pub out_channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Input pixels from one output pixel to the next.
    pub stride: [usize; 2],
    /// Zeros put around x.
    pub padding: [usize; 2],
    /// Input pixels from one tap of the kernel to the next.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Geometry {
    /// Channels of x that one group reads.
    pub fn group_in(&self) -> usize {
        self.in_channels / self.groups
    }

    /// Channels of y that one group writes.
    pub fn group_out(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Taps of the kernel, KH * KW.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Elements of x.
    pub fn x_len(&self) -> usize {
        product([self.images, self.input[0], self.input[1], self.in_channels])
    }

    /// Elements of y.
    pub fn y_len(&self) -> usize {
        product([self.images, self.output[0], self.output[1], self.out_channels])
    }

    /// Elements of the weight.
    pub fn weight_len(&self) -> usize {
        product([self.out_channels, self.group_in(), self.kernel[0], self.kernel[1]])
    }

    /// Whether every channel has a filter of its own.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.in_channels && self.groups == self.out_channels
    }

    /// Multiplications of the forward pass; each gradient needs as many.
    pub fn multiplications(&self) -> usize {
        self.y_len() * self.group_in() * self.taps()
    }

    /// Refuses sizes that do not fit each other, or slices that do not fit the sizes: the kernels' unchecked
    /// reads and writes rest on this.
    pub(super) fn check(&self, x_len: usize, weight_len: usize, y_len: usize) -> Result<()> {
        let fits = |i: usize| {
            let reach = (self.kernel[i] - 1).saturating_mul(self.dilation[i]);
            let padded = self.padding[i].saturating_mul(2).saturating_add(self.input[i]);
            reach < padded
                && padded < isize::MAX as usize
                && self.output[i] == (padded - 1 - reach) / self.stride[i] + 1
        };
        let sizes = [self.images, self.groups, self.in_channels, self.out_channels];
        let axes = [self.input, self.kernel, self.stride, self.dilation];
        let good = sizes.iter().chain(axes.as_flattened()).all(|&size| size > 0)
            && self.in_channels.is_multiple_of(self.groups)
            && self.out_channels.is_multiple_of(self.groups)
            && fits(0)
            && fits(1)
            && x_len == self.x_len()
            && weight_len == self.weight_len()
            && y_len == self.y_len();
        if good {
            return Ok(());
        }
        let lens = format!("x, weight and y of {x_len}, {weight_len} and {y_len} elements");
        Err(Error::internal(format!("convolution kernel got {lens} for {self:?}")))
    }
}

/// A product that no slice is as long as, if it overflows.
fn product(sizes: [usize; 4]) -> usize {
    sizes.into_iter().fold(1, usize::saturating_mul)
}
