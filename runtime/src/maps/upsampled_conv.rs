//! Bilinear up-sampling and convolution as one on the CPU: the up-sampled map is never in memory.

use super::Map;
use super::conv::{ConvConfig, y_dims};
use super::conv_norm::ConvGradients;
use super::map_read::GradRead;
use super::place::make;
use super::resample::image_dims;
#[cfg(feature = "device")]
use super::resample::resample;
use super::slices::{elements, output, tensor};
use super::upsample::{Resize, taps};
#[cfg(feature = "device")]
use crate::device::{
    array::Array,
    launches::elements::upsampling as upsampling_table,
    operations::conv as device,
    operations::read::{GradientRead, Read},
};
use crate::error::{Error, Result};
use crate::kernels::conv::{self as kernels, Geometry, Upsampling};
use crate::kernels::simd::Isa;

/// Resizes `x: [N, h, w, I]`, convolves it with `weight: [O, I, KH, KW]` and adds `bias: [O]`; gives `[N, OH, OW, O]`.
///
/// # Errors
/// `Shape` when the shapes do not fit, `Config` for a size of 0 and for groups.
pub fn forward(
    x: &Map,
    resize: Resize,
    weight: &Map,
    bias: Option<&Map>,
    config: &ConvConfig,
) -> Result<Map> {
    let (geometry, upsampling) = plan(x.dims(), resize, weight, config)?;
    if let Some(bias) = bias.filter(|bias| bias.dims() != [geometry.out_channels]) {
        let found = bias.dims();
        return Err(Error::shape(format!("bias {found:?} must be [O] = [{}]", geometry.out_channels)));
    }
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        let table = upsampling_table(&upsampling.rows, &upsampling.columns);
        let (x, bias) = (Read::Upsampled(x, &table), bias.map(Map::array).transpose()?);
        return Ok(Map::Device(device::forward(x, weight.array()?, bias, &geometry, None)?.0));
    }
    let [_, height, width, _] = image_dims(x.dims())?;
    make(
        x,
        &y_dims(&geometry),
        || {
            let bias = bias.map(elements).transpose()?;
            let (x, weight) = (elements(x)?, elements(weight)?);
            let bias = bias.as_deref();
            let run = |y: &mut _| {
                kernels::upsampled_forward(Isa::best(), &geometry, &upsampling, &x, &weight, bias, y)
            };
            // SAFETY: the kernel writes every element, or fails.
            let (y, ()) = unsafe { output(geometry.y_len(), run) }?;
            tensor(y, &y_dims(&geometry)[..])
        },
        |counter| counter.convolve_upsampled(&geometry, [height, width], None),
    )
}

/// The gradient of the weight if `x` is given, and that of the input, of shape `input_shape: [N, h, w, I]`, if it is
/// needed.
///
/// # Errors
/// As for [`forward`].
pub fn backward<'a>(
    x: Option<&Map>,
    d_y: impl Into<GradRead<'a>>,
    weight: &Map,
    input_shape: &[usize],
    (resize, config): (Resize, &ConvConfig),
    need_input: bool,
) -> Result<ConvGradients> {
    let (geometry, upsampling) = plan(input_shape, resize, weight, config)?;
    let d_y = d_y.into();
    if let Map::Counted(outline) = d_y.stored() {
        let place = d_y.stored().place();
        let d_weight = x.map(|_| place.empty(weight.dims())).transpose()?;
        let d_x = need_input.then(|| place.empty(input_shape)).transpose()?;
        let gradients = usize::from(d_weight.is_some()) + usize::from(need_input);
        let size = [input_shape[1], input_shape[2]];
        outline.counter.convolve_upsampled(&geometry, size, Some(gradients));
        return Ok(ConvGradients { d_weight, d_x, sums: None });
    }
    #[cfg(feature = "device")]
    if let Map::Device(weight) = weight {
        return on_device(x, d_y.device()?, weight, (&geometry, &upsampling), need_input);
    }
    let d_y = d_y.elements()?;
    let x = x.map(elements).transpose()?;
    let mut d_weight = x.as_ref().map(|_| vec![0.0; geometry.weight_len()]);
    let d_x_len = if need_input { input_shape.iter().product() } else { 0 };
    // SAFETY: the kernel writes every element that it is given, or fails.
    let (d_x, ()) = unsafe {
        output(d_x_len, |d_x| {
            kernels::upsampled_backward(
                Isa::best(),
                &geometry,
                &upsampling,
                x.as_deref(),
                d_y.source(),
                &elements(weight)?,
                d_weight.as_deref_mut(),
                need_input.then_some(d_x),
            )
        })
    }?;
    Ok(ConvGradients {
        d_weight: d_weight.map(|d_weight| tensor(d_weight, weight.dims()).map(Map::Host)).transpose()?,
        d_x: need_input.then(|| tensor(d_x, input_shape).map(Map::Host)).transpose()?,
        sums: None,
    })
}

/// [`backward`] on a device.
#[cfg(feature = "device")]
fn on_device(
    x: Option<&Map>,
    d_y: GradientRead<'_>,
    weight: &Array,
    (geometry, upsampling): (&Geometry, &Upsampling),
    need_input: bool,
) -> Result<ConvGradients> {
    let Upsampling { rows, columns } = upsampling;
    let table = upsampling_table(rows, columns);
    let of_weight = |x: &Map| {
        let x = Read::Upsampled(x.array()?, &table);
        device::d_weight(x, d_y, weight.dims(), geometry).map(Map::Device)
    };
    let of_input = || {
        let (d_large, _) = device::d_input(d_y, weight, geometry, None, None)?;
        resample(&Map::Device(d_large), &rows.transposed(), &columns.transposed())
    };
    let d_x = need_input.then(of_input).transpose()?;
    Ok(ConvGradients { d_weight: x.map(of_weight).transpose()?, d_x, sums: None })
}

/// The convolution's geometry, and how its input is made.
fn plan(
    input_shape: &[usize],
    resize: Resize,
    weight: &Map,
    config: &ConvConfig,
) -> Result<(Geometry, Upsampling)> {
    let [n, height, width, channels] = image_dims(input_shape)?;
    let [rows, columns] = taps([height, width], resize)?;
    let [upsampled_height, upsampled_width] = resize.size;
    let geometry = config.geometry(&[n, upsampled_height, upsampled_width, channels], weight.dims())?;
    if geometry.groups > 1 {
        return Err(Error::config("a convolution of up-sampled images takes one group of channels"));
    }
    Ok((geometry, Upsampling { rows, columns }))
}
