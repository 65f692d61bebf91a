//! Bilinear resizing of images, with the conventions of PyTorch's `interpolate`.

use crate::error::{Error, Result};
use crate::kernels::resample::Taps;
use crate::maps::Map;
use crate::maps::resample::{expect_gradient, image_dims, resample};

/// To which size images are resized, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// Rows and columns of the output.
    pub size: [usize; 2],
    /// Whether the centres of the corner pixels coincide, or the corners of the images.
    pub align_corners: bool,
}

/// `x: [N, H, W, C]` -> `[N, OH, OW, C]` for `output: [OH, OW]`, by linear interpolation along each axis.
///
/// With `align_corners` the centres of the corner pixels coincide; without, the corners of the images do,
/// and coordinates left of the first centre or right of the last take that pixel. No smoothing is done
/// before images are made smaller.
pub fn bilinear_forward(x: &Map, output: [usize; 2], align_corners: bool) -> Result<Map> {
    let [_, height, width, _] = image_dims(x.dims())?;
    let [rows, columns] = taps([height, width], Resize { size: output, align_corners })?;
    resample(x, &rows, &columns)
}

/// The gradient of an input of the shape `input_shape: [N, H, W, C]` from `d_y: [N, OH, OW, C]`.
pub fn bilinear_backward(d_y: &Map, input_shape: &[usize], align_corners: bool) -> Result<Map> {
    let [n, height, width, c] = image_dims(input_shape)?;
    let [_, oh, ow, _] = image_dims(d_y.dims())?;
    expect_gradient(d_y, [n, oh, ow, c])?;
    let [rows, columns] = taps([height, width], Resize { size: [oh, ow], align_corners })?;
    resample(d_y, &rows.transposed(), &columns.transposed())
}

/// The rows' and the columns' taps.
pub(super) fn taps(input: [usize; 2], Resize { size, align_corners }: Resize) -> Result<[Taps; 2]> {
    if size.contains(&0) {
        return Err(Error::config(format!("images cannot be resized to {} by {}", size[0], size[1])));
    }
    Ok([0, 1].map(|axis| axis_taps(input[axis], size[axis], align_corners)))
}

/// Two neighbours for each output position, or one where they coincide.
fn axis_taps(inputs: usize, outputs: usize, align_corners: bool) -> Taps {
    Taps::new(inputs, outputs, |output| {
        let source = match align_corners {
            true if outputs == 1 => 0.0,
            true => output as f64 * (inputs - 1) as f64 / (outputs - 1) as f64,
            false => ((output as f64 + 0.5) * inputs as f64 / outputs as f64 - 0.5).max(0.0),
        };
        let first = (source as usize).min(inputs - 1);
        let fraction = if first + 1 < inputs { source - first as f64 } else { 0.0 };
        let second = (fraction > 0.0).then_some((first + 1, fraction as f32));
        [(first, (1.0 - fraction) as f32)].into_iter().chain(second)
    })
}
