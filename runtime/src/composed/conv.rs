//! Convolution and its gradients from padding, narrowing, concatenation and matrix products.
//!
//! The taps of a pass are slices of one padded image, put side by side as columns of a matrix. Strides become
//! phases: the padded image is split once into its pixels of every remainder, after which a strided tap is a
//! plain slice. Images are taken a few at a time, so that the columns stay below a fixed size.

use crate::error::{Error, Result};
use crate::kernels::conv::Geometry;
use candle_core::Tensor;

/// The columns of one matrix product have at most as many elements, or belong to one image.
const COLUMN_ELEMENTS: usize = 16 << 20;

/// Convolves x `[N, H, W, I]` with weight `[O, I/groups, KH, KW]`; gives `[N, OH, OW, O]`.
pub(crate) fn forward(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: &Geometry,
) -> Result<Tensor> {
    let g = geometry;
    let taps = forward_taps(g);
    let all: Vec<usize> = (0..g.taps()).collect();
    let weight = tap_weights(weight, g, &all, Side::In)?;
    let parts = image_parts(g, g.in_channels).map(|(start, len)| {
        let phases = split(&x.narrow(0, start, len)?, g)?;
        product(&phases, &taps, g.output, &weight)
    });
    let y = Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?;
    Ok(match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    })
}

/// The gradient with respect to x `[N, H, W, I]` from d_y `[N, OH, OW, O]` and weight `[O, I/groups, KH, KW]`.
pub(crate) fn d_input(d_y: &Tensor, weight: &Tensor, geometry: &Geometry) -> Result<Tensor> {
    let g = geometry;
    let axes = [Backward::new(g, 0), Backward::new(g, 1)];
    let size = [axes[0].count, axes[1].count];
    let parts = image_parts(g, g.out_channels).map(|(start, len)| {
        let d_y = d_y.narrow(0, start, len)?;
        let padded = [fit(&fit(&d_y, 1, axes[0].origin, axes[0].lines)?, 2, axes[1].origin, axes[1].lines)?];
        let mut phases = Vec::with_capacity(g.stride[0] * g.stride[1]);
        for rows in &axes[0].phases {
            for cols in &axes[1].phases {
                let pairs = rows.iter().flat_map(|r| cols.iter().map(move |c| (r, c)));
                let (at, taps): (Vec<_>, Vec<_>) = pairs
                    .map(|(r, c)| (r.kernel * g.kernel[1] + c.kernel, Tap { phase: 0, at: [r.line, c.line] }))
                    .unzip();
                phases.push(if taps.is_empty() {
                    Tensor::zeros((len, size[0], size[1], g.in_channels), d_y.dtype(), d_y.device())?
                } else {
                    product(&padded, &taps, size, &tap_weights(weight, g, &at, Side::Out)?)?
                });
            }
        }
        join(&phases, g)
    });
    Ok(Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?)
}

/// The gradient with respect to the weight `[O, I/groups, KH, KW]` from x `[N, H, W, I]` and d_y `[N, OH, OW, O]`.
pub(crate) fn d_weight(x: &Tensor, d_y: &Tensor, geometry: &Geometry) -> Result<Tensor> {
    let g = geometry;
    let taps = forward_taps(g);
    let mut total: Option<Tensor> = None;
    for (start, len) in image_parts(g, g.in_channels) {
        let phases = split(&x.narrow(0, start, len)?, g)?;
        let d_y = d_y.narrow(0, start, len)?.contiguous()?;
        let pixels = len * g.output[0] * g.output[1];
        let part = if g.is_depthwise() {
            let sums = taps.iter().map(|tap| {
                let product = (tap.slice(&phases, g.output)? * &d_y)?;
                Ok(product.reshape((pixels, g.out_channels))?.sum(0)?)
            });
            Tensor::stack(&sums.collect::<Result<Vec<_>>>()?, 1)?.unsqueeze(2)?
        } else {
            let columns = columns(&phases, &taps, g.output, g.groups)?;
            let d_y = d_y.reshape((pixels, g.groups, g.group_out()))?.transpose(0, 1)?.contiguous()?;
            columns.transpose(1, 2)?.contiguous()?.matmul(&d_y)?
        };
        total = Some(match total {
            Some(total) => (total + part)?,
            None => part,
        });
    }
    let total = total.ok_or_else(|| Error::internal("a weight gradient of no image"))?;
    // [groups, taps * I/groups, O/groups] -> [O, I/groups, KH, KW]
    let total = total.reshape((g.groups, g.taps(), g.group_in(), g.group_out()))?;
    let total = total.permute((0, 3, 2, 1))?.contiguous()?;
    Ok(total.reshape((g.out_channels, g.group_in(), g.kernel[0], g.kernel[1]))?)
}

/// The gradient with respect to the bias `[O]`: sums of d_y `[N, OH, OW, O]`.
pub(crate) fn d_bias(d_y: &Tensor) -> Result<Tensor> {
    let (images, rows, cols, channels) = d_y.dims4()?;
    Ok(d_y.reshape((images * rows * cols, channels))?.sum(0)?)
}

/// First image and number of images of every part whose columns, of `channels` channels a tap, are not too many.
fn image_parts(g: &Geometry, channels: usize) -> impl Iterator<Item = (usize, usize)> {
    let pixels = (g.output[0] * g.output[1]).max(g.input[0] * g.input[1]);
    let at_once = (COLUMN_ELEMENTS / (pixels * g.taps() * channels)).max(1);
    let images = g.images;
    (0..images).step_by(at_once).map(move |start| (start, at_once.min(images - start)))
}

/// A tap: the slice of a phase that it reads begins at row and column `at`.
#[derive(Clone, Copy)]
struct Tap {
    phase: usize,
    at: [usize; 2],
}

impl Tap {
    fn slice(&self, phases: &[Tensor], size: [usize; 2]) -> Result<Tensor> {
        let phase = &phases[self.phase];
        Ok(phase.narrow(1, self.at[0], size[0])?.narrow(2, self.at[1], size[1])?.contiguous()?)
    }
}

/// The taps of the forward pass, row by row.
fn forward_taps(g: &Geometry) -> Vec<Tap> {
    let [rows, cols] = g.kernel;
    let tap = |r: usize, c: usize| {
        let (r, c) = (r * g.dilation[0], c * g.dilation[1]);
        Tap { phase: r % g.stride[0] * g.stride[1] + c % g.stride[1], at: [r / g.stride[0], c / g.stride[1]] }
    };
    (0..rows * cols).map(|i| tap(i / cols, i % cols)).collect()
}

/// Pads x and splits it into phases, by remainder of row and column.
fn split(x: &Tensor, g: &Geometry) -> Result<Vec<Tensor>> {
    let lines = |i: usize| (g.kernel[i] - 1) * g.dilation[i] / g.stride[i] + g.output[i];
    let ([rows, cols], [s_rows, s_cols]) = ([lines(0), lines(1)], g.stride);
    let x = fit(x, 1, -(g.padding[0] as isize), rows * s_rows)?;
    let x = fit(&x, 2, -(g.padding[1] as isize), cols * s_cols)?;
    if g.stride == [1, 1] {
        return Ok(vec![x]);
    }
    let x = x.contiguous()?.reshape(vec![x.dim(0)?, rows, s_rows, cols, s_cols, x.dim(3)?])?;
    let x = x.permute(vec![2, 4, 0, 1, 3, 5])?.contiguous()?;
    let phases = (0..s_rows * s_cols).map(|i| Ok(x.get(i / s_cols)?.get(i % s_cols)?));
    phases.collect()
}

/// Weaves the phases of an input gradient together, the inverse of [`split`], and cuts off what sticks out.
fn join(phases: &[Tensor], g: &Geometry) -> Result<Tensor> {
    let (images, rows, cols, channels) = phases[0].dims4()?;
    let [s_rows, s_cols] = g.stride;
    let d_x = Tensor::stack(phases, 0)?.reshape(vec![s_rows, s_cols, images, rows, cols, channels])?;
    let d_x = d_x.permute(vec![2, 3, 0, 4, 1, 5])?.contiguous()?;
    let d_x = d_x.reshape((images, rows * s_rows, cols * s_cols, channels))?;
    Ok(d_x.narrow(1, 0, g.input[0])?.narrow(2, 0, g.input[1])?.contiguous()?)
}

/// `len` lines of dimension `dim` from line `origin` on, zero where x has none.
fn fit(x: &Tensor, dim: usize, origin: isize, len: usize) -> Result<Tensor> {
    let size = x.dim(dim)? as isize;
    let end = origin + len as isize;
    let (from, to) = (origin.clamp(0, size), end.clamp(0, size));
    if from >= to {
        let mut shape = x.dims().to_vec();
        shape[dim] = len;
        return Ok(Tensor::zeros(shape, x.dtype(), x.device())?);
    }
    let x = x.narrow(dim, from as usize, (to - from) as usize)?.contiguous()?;
    Ok(x.pad_with_zeros(dim, (from - origin) as usize, (end - to) as usize)?)
}

/// One axis of the input gradient: input line `first + t * stride` reads line `line + t` of the padded d_y.
struct Backward {
    /// The line of d_y that the padded d_y begins with.
    origin: isize,
    /// Lines of the padded d_y.
    lines: usize,
    /// Input lines of a phase.
    count: usize,
    /// The taps of every phase.
    phases: Vec<Vec<AxisTap>>,
}

#[derive(Clone, Copy)]
struct AxisTap {
    kernel: usize,
    line: usize,
}

impl Backward {
    fn new(g: &Geometry, axis: usize) -> Self {
        let [kernel, stride, padding, dilation] =
            [g.kernel[axis], g.stride[axis], g.padding[axis], g.dilation[axis]].map(|v| v as isize);
        let origin = (padding - (kernel - 1) * dilation).div_euclid(stride);
        let count = g.input[axis].div_ceil(g.stride[axis]);
        let tap = |first: isize, k: isize| {
            let at = first + padding - k * dilation;
            let line = (at.div_euclid(stride) - origin) as usize;
            (at.rem_euclid(stride) == 0).then_some(AxisTap { kernel: k as usize, line })
        };
        let phase = |first: isize| (0..kernel).filter_map(|k| tap(first, k)).collect();
        let lines = ((stride - 1 + padding).div_euclid(stride) - origin) as usize + count;
        Self { origin, lines, count, phases: (0..stride).map(phase).collect() }
    }
}

/// Which channels of the weight meet the columns: those of x, or those of d_y.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    In,
    Out,
}

/// The taps `at` of weight `[O, I/groups, KH, KW]` as `[groups, taps * columns' channels, other channels]`.
fn tap_weights(weight: &Tensor, g: &Geometry, at: &[usize], side: Side) -> Result<Tensor> {
    let weight = weight.reshape((g.groups, g.group_out(), g.group_in(), g.taps()))?;
    let taps = at.iter().map(|&tap| Ok(weight.narrow(3, tap, 1)?));
    let weight = Tensor::cat(&taps.collect::<Result<Vec<_>>>()?, 3)?;
    let (weight, from, to) = match side {
        Side::In => (weight.permute((0, 3, 2, 1))?, g.group_in(), g.group_out()),
        Side::Out => (weight.permute((0, 3, 1, 2))?, g.group_out(), g.group_in()),
    };
    Ok(weight.contiguous()?.reshape((g.groups, at.len() * from, to))?)
}

/// The taps side by side: `[groups, pixels, taps * channels of a group]`.
fn columns(phases: &[Tensor], taps: &[Tap], size: [usize; 2], groups: usize) -> Result<Tensor> {
    let slices = taps.iter().map(|tap| tap.slice(phases, size));
    let slices = slices.collect::<Result<Vec<_>>>()?;
    let columns = Tensor::cat(&slices, 3)?;
    let (images, rows, cols, all) = columns.dims4()?;
    let (pixels, group) = (images * rows * cols, all / taps.len() / groups);
    let columns = columns.reshape((pixels, taps.len(), groups, group))?;
    Ok(columns.permute((2, 0, 1, 3))?.contiguous()?.reshape((groups, pixels, taps.len() * group))?)
}

/// Sums over taps and channels: `weight: [groups, taps * from, to]` gives `[N, rows, cols, groups * to]`.
fn product(phases: &[Tensor], taps: &[Tap], size: [usize; 2], weight: &Tensor) -> Result<Tensor> {
    let (groups, weight_rows, to) = weight.dims3()?;
    let images = phases[0].dim(0)?;
    if groups > 1 && weight_rows == taps.len() && to == 1 {
        // Depthwise: a product a tap, no matrix.
        let mut total: Option<Tensor> = None;
        for (i, tap) in taps.iter().enumerate() {
            let weight = weight.narrow(1, i, 1)?.contiguous()?.reshape(groups)?;
            let part = tap.slice(phases, size)?.broadcast_mul(&weight)?;
            total = Some(match total {
                Some(total) => (total + part)?,
                None => part,
            });
        }
        return total.ok_or_else(|| Error::internal("a convolution without taps"));
    }
    let y = columns(phases, taps, size, groups)?.matmul(weight)?;
    let y = y.transpose(0, 1)?.contiguous()?;
    Ok(y.reshape((images, size[0], size[1], groups * to))?)
}
