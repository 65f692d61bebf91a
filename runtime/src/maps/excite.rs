//! A gate on the channels of each sample of a map that is read through its batch norm (squeeze-and-excitation, Hu et al.
//! 2018): what is squeezed and what is gated is made of `z: [N, H, W, C]` as it is read. On the host.

use super::Map;
use super::elementwise::same_shape;
use super::norm::Norm;
use super::per_channel::grouped;
use super::place::{change, make};
use super::resample::image_dims;
use super::slices::{elements, output, tensor, update_in_place};
use crate::error::Result;
use crate::kernels::excite as kernels;
use crate::kernels::simd::Isa;

/// The mean over each image of what `by` makes of z, `[N, 1, 1, C]`.
///
/// # Errors
/// `Shape` where `z` has no images.
pub fn means(z: &Map, by: &Norm) -> Result<Map> {
    let [images, height, width, channels] = image_dims(z.dims())?;
    let dims = [images, 1, 1, channels];
    let rows = height * width;
    sums(z, by, None, &dims, |sum| sum / rows as f32)
}

/// The gradient of `gate`, of its shape, from `d_y`, that of [`multiply`]'s output.
///
/// # Errors
/// `Shape` where they do not fit.
pub fn d_gate(d_y: &Map, z: &Map, by: &Norm, gate: &Map) -> Result<Map> {
    same_shape(d_y, z)?;
    sums(z, by, Some(d_y), gate.dims(), |sum| sum)
}

fn sums(z: &Map, by: &Norm, d: Option<&Map>, dims: &[usize], each: impl Fn(f32) -> f32) -> Result<Map> {
    let [images, height, width, channels] = image_dims(z.dims())?;
    let rows = height * width;
    make(
        z,
        dims,
        || {
            let (x, by) = (elements(z)?, by.host()?);
            let d = d.map(elements).transpose()?;
            let sums = kernels::sums(Isa::best(), &x, by, d.as_deref(), rows);
            tensor(sums.into_iter().map(each).collect(), dims)
        },
        |counter| {
            counter.scratch(kernels::sums_bytes(images, [rows, channels], counter.threads));
            counter.sweep((1 + usize::from(d.is_some())) * z.elem_count());
        },
    )
}

/// `gate` times what `by` makes of z, of the shape of `z: [N, H, W, C]`, for `gate: [N, C]` or `[N, 1, 1, C]`.
///
/// # Errors
/// `Shape` where they do not fit.
pub fn multiply(z: &Map, by: &Norm, gate: &Map) -> Result<Map> {
    let [_, rows, _] = grouped(z, gate)?;
    make(
        z,
        z.dims(),
        || {
            let (x, by, gate) = (elements(z)?, by.host()?, elements(gate)?);
            let run = |y: &mut _| {
                kernels::forward(Isa::best(), &x, by, &gate, rows, y);
                Ok(())
            };
            // SAFETY: the kernel writes every element.
            tensor(unsafe { output(x.len(), run) }?.0, z.dims())
        },
        |counter| counter.sweep(2 * z.elem_count()),
    )
}

/// The gradient of what was squeezed and gated, in the memory of `d_y`, whose only user the caller must be: `d_y` times the gate,
/// plus the share of each number of `d_means`, the gradient of [`means`].
///
/// # Errors
/// `Shape` where they do not fit.
pub fn d_input(d_y: Map, gate: &Map, d_means: &Map) -> Result<Map> {
    let [_, rows, channels] = grouped(&d_y, gate)?;
    grouped(&d_y, d_means)?;
    let count = d_y.elem_count();
    change(
        d_y,
        |d_y| {
            let (gate, d_means) = (elements(gate)?, elements(d_means)?);
            let shares: Vec<f32> = d_means.iter().map(|d| d / rows as f32).collect();
            let run = |d: &mut [f32]| kernels::backward(Isa::best(), d, &gate, &shares, [rows, channels]);
            update_in_place(d_y, run)
        },
        |counter| counter.sweep(2 * count),
    )
}
