//! Every stride-th row and column of images, with channels of zeros added on both sides; and the way back.

use crate::deal::all;

/// Sizes of a subsampling: the large image, and the small one with its channels.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// `[H, W, C]` of the large image.
    pub large: [usize; 3],
    /// `[OH, OW, channels]` of the small one.
    pub small: [usize; 3],
    /// Rows and columns from one that is kept to the next.
    pub stride: [usize; 2],
}

impl Sizes {
    /// Where the large image's channels start among the small one's.
    pub fn before(&self) -> usize {
        (self.small[2] - self.large[2]) / 2
    }
}

/// `x: [N, H, W, C]` -> `[N, OH, OW, channels]`.
pub fn forward(x: &[f32], sizes: Sizes) -> Vec<f32> {
    let ([height, width, c], [out_height, out_width, channels]) = (sizes.large, sizes.small);
    let images = x.len() / (height * width * c);
    let before = sizes.before();
    let mut y = vec![0.0; images * out_height * out_width * channels];
    all(y.chunks_mut(out_width * channels).enumerate(), |(row, y)| {
        let row = row / out_height * height + row % out_height * sizes.stride[0];
        let x = x[row * width * c..][..width * c].chunks_exact(c).step_by(sizes.stride[1]);
        for (y, x) in y.chunks_exact_mut(channels).zip(x) {
            y[before..before + c].copy_from_slice(x);
        }
    });
    y
}

/// `d_y: [N, OH, OW, channels]` -> `[N, H, W, C]`, zero where the forward pass did not look.
pub fn backward(d_y: &[f32], sizes: Sizes) -> Vec<f32> {
    let ([height, width, c], [out_height, out_width, channels]) = (sizes.large, sizes.small);
    let images = d_y.len() / (out_height * out_width * channels);
    let before = sizes.before();
    let mut d_x = vec![0.0; images * height * width * c];
    all(d_x.chunks_mut(width * c).enumerate(), |(row, d_x)| {
        let (image, row) = (row / height, row % height);
        if row % sizes.stride[0] != 0 {
            return;
        }
        let line = (image * out_height + row / sizes.stride[0]) * out_width * channels;
        let d_y = d_y[line..][..out_width * channels].chunks_exact(channels);
        for (d_x, d_y) in d_x.chunks_exact_mut(c).step_by(sizes.stride[1]).zip(d_y) {
            d_x.copy_from_slice(&d_y[before..before + c]);
        }
    });
    d_x
}
