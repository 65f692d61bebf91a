//! Similarity matching, composed: what is as large as an activation stays on the device, the rest is read back.

use crate::error::Result;
use crate::kernels::similarity as kernel;
use candle_core::{DType, Device, Tensor};

/// See [`crate::maps::similarity::predsim`].
pub(crate) fn predsim(features: &Tensor, labels: &[u32], classes: usize) -> Result<(f64, Tensor)> {
    let (n, h, w, c) = features.dims4()?;
    let x = features.reshape((n, h * w, c))?;
    let centred = x.broadcast_sub(&x.mean_keepdim(1)?)?;
    let variance = (centred.sqr()?.sum(1)? / (h * w - 1) as f64)?;
    let deviation = variance.sqrt()?.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    let deviation: Vec<f64> = deviation.flatten_all()?.to_vec1()?;
    let (value, d_deviation) = kernel::match_labels(&deviation, labels, classes);
    let factor = kernel::deviation_factor(h * w, &deviation, &d_deviation);
    let factor: Vec<f32> = factor.iter().map(|&f| f as f32).collect();
    let factor = Tensor::from_vec(factor, (n, 1, c), features.device())?;
    Ok((value, centred.broadcast_mul(&factor)?.reshape(features.shape())?))
}
