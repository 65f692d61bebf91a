//! The same operations composed from candle's primitives, for Metal. When they are taken is said by
//! `maps::place`.
//!
//! Only primitives whose results were found right everywhere are used: no candle convolution, pool,
//! up-sampling or autograd. Every function runs on the CPU device too, where the tests hold it to the twin.

pub(crate) mod binary_cross_entropy;
pub(crate) mod similarity;
pub(crate) mod optimizer;
pub(crate) mod elementwise;
pub(crate) mod embedding;
pub(crate) mod per_channel;
pub(crate) mod linear;
pub(crate) mod batch_norm;
pub(crate) mod group_norm;
pub(crate) mod response_norm;
pub(crate) mod mask;
pub(crate) mod dropout;
pub(crate) mod resample;
pub(crate) mod max_pool;
pub(crate) mod subsample;
pub(crate) mod channels;
pub(crate) mod conv;
