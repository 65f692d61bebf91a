//! The same operations composed from candle's primitives, for CUDA and Metal. When they are taken is said by
//! `ops::place`.
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
