//! The same operations composed from candle's primitives, for CUDA and Metal.
//!
//! Only primitives whose results were found right everywhere are used: no candle convolution, pool,
//! up-sampling or autograd. Every function runs on the CPU device too, where the tests hold it to the twin.

pub mod binary_cross_entropy;
pub mod similarity;
pub mod optimizer;
pub mod elementwise;
pub mod linear;
pub mod batch_norm;
pub mod mask;
pub mod dropout;
pub mod resample;
pub mod max_pool;
pub mod subsample;
pub mod conv;

use crate::error::{Error, Result};

/// Runs a composition for a tensor that is not on the CPU. Where the build knows no other device it is left out of the
/// library, and with it what of candle it alone uses.
pub(crate) fn elsewhere<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    match cfg!(any(feature = "cuda", feature = "metal")) {
        true => run(),
        false => Err(Error::internal("a tensor is on a device that this build does not know")),
    }
}
