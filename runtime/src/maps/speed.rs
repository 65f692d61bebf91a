//! How fast this machine is at what operations on the host are made of.

use crate::error::Result;
use crate::kernels::conv::{self, Geometry, Path};
use crate::kernels::elementwise;
use crate::kernels::unwritten::unwritten;
use std::time::Instant;

/// What the kernels of the host do in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Multiply-adds of convolutions, counted as if done directly.
    pub multiply_adds_per_second: f64,
    /// Bytes read or written by passes over maps.
    pub bytes_per_second: f64,
    /// What a pass over next to nothing takes.
    pub seconds_per_pass: f64,
}

/// Each sample is repeated so often; the fastest counts.
const REPEATS: usize = 4;

impl Speed {
    /// Measured on the worker threads of the caller's pool, in some tens of milliseconds.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn measure() -> Result<Self> {
        let geometry = Geometry {
            images: 8,
            input: [32, 32],
            output: [32, 32],
            in_channels: 32,
            out_channels: 32,
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            dilation: [1, 1],
            groups: 1,
        };
        let (x, weight) = (vec![0.5; geometry.x_len()], vec![0.25; geometry.weight_len()]);
        let mut y = vec![0.0; geometry.y_len()];
        let convolution =
            fastest(|| conv::forward(Path::best(), &geometry, &x[..], &weight, None, unwritten(&mut y)))?;
        let sweep = fastest(|| {
            elementwise::add_scaled(&mut y, &x, 0.5);
            Ok(())
        })?;
        let nothing = fastest(|| {
            elementwise::scale(&mut y[..1], 0.5);
            Ok(())
        })?;
        let multiply_adds = (geometry.y_len() * geometry.group_in() * geometry.taps()) as f64;
        let moved_bytes = (3 * geometry.y_len() * size_of::<f32>()) as f64;
        Ok(Self {
            multiply_adds_per_second: multiply_adds / convolution,
            bytes_per_second: moved_bytes / sweep,
            seconds_per_pass: nothing,
        })
    }
}

/// Seconds of the fastest of a few runs.
///
/// # Errors
/// Those of running it.
pub fn fastest(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..REPEATS {
        let started = Instant::now();
        run()?;
        least = least.min(started.elapsed().as_secs_f64());
    }
    Ok(least.max(1e-9))
}
