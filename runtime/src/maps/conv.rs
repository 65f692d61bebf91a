//! Two-dimensional convolution of channels-last images, and its three gradients.

use super::Map;
use super::place::make;
use super::slices::{elements, output, tensor};
#[cfg(feature = "device")]
use crate::device::operations::{
    conv as device,
    read::{GradientRead, Read},
    sums,
};
use crate::error::{Error, Result};
use crate::kernels::conv as kernels;
use crate::kernels::conv::{Geometry, PassKind, Path};
use serde::{Deserialize, Serialize};

/// More zeros than this on one side of an image are taken for a mistake.
const MOST_PADDING: usize = u16::MAX as usize;

/// Shape of a convolution; both entries of a pair are rows first, columns second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConvConfig {
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Input pixels from one output pixel to the next.
    pub stride: [usize; 2],
    /// Zeros put on each side of the input.
    pub padding: [usize; 2],
    /// Input pixels from one tap of the kernel to the next.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other; as many as channels makes it depthwise.
    pub groups: usize,
}

impl Default for ConvConfig {
    fn default() -> Self {
        Self { kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 }
    }
}

impl ConvConfig {
    /// Rows and columns of the output for an input of `height` rows and `width` columns:
    /// `(size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1`.
    ///
    /// # Errors
    /// `Shape` when the kernel is larger than the padded input, when anything but the padding is zero, when the
    /// padding is above 65,535, and when a size overflows.
    pub fn output_size(&self, height: usize, width: usize) -> Result<[usize; 2]> {
        let nonzero = [height, width, self.groups];
        let pairs = [self.kernel, self.stride, self.dilation];
        if nonzero.iter().chain(pairs.as_flattened()).any(|&size| size == 0) {
            return Err(Error::shape(format!(
                "a convolution needs sizes, kernel, stride, dilation and groups above 0, got {self:?} on \
                 {height}x{width}"
            )));
        }
        if self.padding.iter().any(|&padding| padding > MOST_PADDING) {
            return Err(Error::shape(format!(
                "a padding of {:?} is more than the {MOST_PADDING} that a convolution takes",
                self.padding
            )));
        }
        let axis = |i: usize, size: usize| -> Option<usize> {
            let reach = (self.kernel[i] - 1).checked_mul(self.dilation[i])?.checked_add(1)?;
            let padded = self.padding[i].checked_mul(2)?.checked_add(size)?;
            Some(padded.checked_sub(reach)? / self.stride[i] + 1)
        };
        match (axis(0, height), axis(1, width)) {
            (Some(rows), Some(cols)) => Ok([rows, cols]),
            _ => Err(Error::shape(format!(
                "a {}x{} kernel with dilation {:?} does not fit into a {height}x{width} input with padding {:?}; \
                 pad more or use a smaller kernel",
                self.kernel[0], self.kernel[1], self.dilation, self.padding
            ))),
        }
    }

    /// The checked geometry of this convolution of `x: [N, H, W, I]` with `weight: [O, I/groups, KH, KW]`.
    ///
    /// # Errors
    /// `Shape` when the shapes do not fit each other or the configuration.
    pub fn geometry(&self, x: &[usize], weight: &[usize]) -> Result<Geometry> {
        let (&[images, height, width, in_channels], &[out_channels, group_in, kernel_rows, kernel_cols]) =
            (x, weight)
        else {
            return Err(Error::shape(format!(
                "a convolution takes x [N, H, W, I] and weight [O, I/groups, KH, KW], got {x:?} and {weight:?}"
            )));
        };
        let output = self.output_size(height, width)?;
        if [kernel_rows, kernel_cols] != self.kernel {
            return Err(Error::shape(format!(
                "weight {weight:?} does not have the kernel {:?}",
                self.kernel
            )));
        }
        if group_in.checked_mul(self.groups) != Some(in_channels) || !out_channels.is_multiple_of(self.groups)
        {
            return Err(Error::shape(format!(
                "weight {weight:?} in {} groups does not fit x {x:?}: it needs [O, {in_channels}/{}, KH, KW] with O \
                 a multiple of {}",
                self.groups, self.groups, self.groups
            )));
        }
        let y = [images, output[0], output[1], out_channels];
        let countable = |shape: &[usize]| {
            // Half of isize::MAX bytes leaves room for all offsets between.
            let bytes = shape.iter().try_fold(8usize, |product, &size| product.checked_mul(size));
            bytes.is_some_and(|bytes| bytes > 0 && bytes < isize::MAX as usize)
        };
        if !countable(x) || !countable(weight) || !countable(&y) {
            return Err(Error::shape(format!(
                "x {x:?}, weight {weight:?} and y {y:?} must have at least one element each, and a countable number"
            )));
        }
        Ok(Geometry {
            images,
            input: [height, width],
            output,
            in_channels,
            out_channels,
            kernel: self.kernel,
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        })
    }
}

/// Convolves `x: [N, H, W, I]` with `weight: [O, I/groups, KH, KW]`, adds `bias: [O]`; gives `[N, OH, OW, O]`.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn forward(x: &Map, weight: &Map, bias: Option<&Map>, config: &ConvConfig) -> Result<Map> {
    let geometry = config.geometry(x.dims(), weight.dims())?;
    if let Some(bias) = bias.filter(|bias| bias.dims() != [geometry.out_channels]) {
        let found = bias.dims();
        return Err(Error::shape(format!("bias {found:?} must be [O] = [{}]", geometry.out_channels)));
    }
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        let bias = bias.map(Map::array).transpose()?;
        let (y, _) = device::forward(Read::Plain(x), weight.array()?, bias, &geometry, None)?;
        return Ok(Map::Device(y));
    }
    let (x, weight) = (x.clone().contiguous()?, weight.clone().contiguous()?);
    let bias = bias.cloned().map(Map::contiguous).transpose()?;
    make(
        &x,
        &y_dims(&geometry),
        || {
            let bias = bias.as_ref().map(elements).transpose()?;
            let (x, weight) = (elements(&x)?, elements(&weight)?);
            // SAFETY: the kernel writes every element, or fails.
            let y = unsafe {
                output(geometry.y_len(), |y| {
                    kernels::forward(Path::best(), &geometry, &*x, &weight, bias.as_deref(), y)
                })
            };
            tensor(y?.0, &y_dims(&geometry)[..])
        },
        |counter| counter.convolve(&geometry, PassKind::Forward),
    )
}

/// The gradient with respect to x, of shape `input_shape: [N, H, W, I]`, from `d_y: [N, OH, OW, O]`.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn d_input(d_y: &Map, weight: &Map, input_shape: &[usize], config: &ConvConfig) -> Result<Map> {
    let geometry = config.geometry(input_shape, weight.dims())?;
    check_d_y(d_y, &geometry)?;
    #[cfg(feature = "device")]
    if let Map::Device(d_y) = d_y {
        let (d_y, weight) = (GradientRead::Plain(d_y), weight.array()?);
        return Ok(Map::Device(device::d_input(d_y, weight, &geometry, None, None)?.0));
    }
    let (d_y, weight) = (d_y.clone().contiguous()?, weight.clone().contiguous()?);
    make(
        &d_y,
        input_shape,
        || {
            let (d_y, weight) = (elements(&d_y)?, elements(&weight)?);
            // SAFETY: the kernel writes every element, or fails.
            let d_x = unsafe {
                output(geometry.x_len(), |d_x| kernels::d_input(Path::best(), &geometry, &*d_y, &weight, d_x))
            };
            tensor(d_x?.0, input_shape)
        },
        |counter| counter.convolve(&geometry, PassKind::DInput),
    )
}

/// The gradient with respect to the weight, of shape `weight_shape: [O, I/groups, KH, KW]`, from
/// `x: [N, H, W, I]` and `d_y: [N, OH, OW, O]`.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn d_weight(x: &Map, d_y: &Map, weight_shape: &[usize], config: &ConvConfig) -> Result<Map> {
    let geometry = config.geometry(x.dims(), weight_shape)?;
    check_d_y(d_y, &geometry)?;
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        let (x, d_y) = (Read::Plain(x), GradientRead::Plain(d_y.array()?));
        return device::d_weight(x, d_y, weight_shape, &geometry).map(Map::Device);
    }
    let (x, d_y) = (x.clone().contiguous()?, d_y.clone().contiguous()?);
    make(
        &x,
        weight_shape,
        || {
            let (x, d_y) = (elements(&x)?, elements(&d_y)?);
            let run = |d_weight: &mut _| kernels::d_weight(Path::best(), &geometry, &*x, &*d_y, d_weight);
            // SAFETY: the kernel writes every element, or fails.
            tensor(unsafe { output(geometry.weight_len(), run) }?.0, weight_shape)
        },
        |counter| counter.convolve(&geometry, PassKind::DWeight),
    )
}

/// The gradient with respect to the bias, `[O]`: sums of `d_y: [N, OH, OW, O]` over all pixels.
///
/// # Errors
/// `Shape` when `d_y` has no element or is no batch of images.
pub fn d_bias(d_y: &Map) -> Result<Map> {
    let &[_, _, _, channels] = d_y.dims() else {
        return Err(Error::shape(format!("a convolution's d_y is [N, OH, OW, O], got {:?}", d_y.dims())));
    };
    if d_y.elem_count() == 0 {
        return Err(Error::shape(format!("d_y {:?} has no element", d_y.dims())));
    }
    #[cfg(feature = "device")]
    if let Map::Device(d_y) = d_y {
        return sums::sum_rows(d_y, channels).map(Map::Device);
    }
    let d_y = d_y.clone().contiguous()?;
    make(
        &d_y,
        &[channels],
        || {
            let mut d_bias = vec![0.0; channels];
            kernels::d_bias(&elements(&d_y)?, &mut d_bias);
            tensor(d_bias, channels)
        },
        |counter| counter.sum_rows(d_y.elem_count(), channels),
    )
}

/// Bytes that the passes of this convolution allocate on the CPU beside their tensors, at most at a time, with
/// `threads` worker threads: packed weights, partial sums and each worker's scratch. For memory planners.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn workspace_bytes(
    input_shape: &[usize],
    weight_shape: &[usize],
    config: &ConvConfig,
    threads: usize,
) -> Result<usize> {
    let geometry = config.geometry(input_shape, weight_shape)?;
    let passes = [kernels::PassKind::Forward, kernels::PassKind::DInput, kernels::PassKind::DWeight];
    let bytes = passes.map(|pass| kernels::workspace(Path::best(), &geometry, pass).bytes(threads));
    Ok(bytes.into_iter().max().unwrap_or(0))
}

pub(super) fn y_dims(g: &Geometry) -> [usize; 4] {
    [g.images, g.output[0], g.output[1], g.out_channels]
}

fn check_d_y(d_y: &Map, geometry: &Geometry) -> Result<()> {
    let expected = y_dims(geometry);
    if d_y.dims() == expected {
        return Ok(());
    }
    Err(Error::shape(format!("d_y {:?} must have the output's shape {expected:?}", d_y.dims())))
}
