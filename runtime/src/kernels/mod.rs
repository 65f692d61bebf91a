//! CPU kernels: free functions on slices. They know shapes and numbers, never tensors or layers.
//!
//! Results never depend on the number of threads: work is cut by shape, and partial sums are added in a
//! fixed order.

pub mod product;
pub mod cross_entropy;
pub mod soft_cross_entropy;
pub mod errors;
pub mod binary_cross_entropy;
pub mod contrastive;
pub mod similarity;
pub mod eight_bit;
pub mod optimizer;
pub mod pieces;
pub mod unwritten;
pub mod transpose;
pub mod normal;
pub mod activation;
pub mod elementwise;
pub mod per_channel;
pub mod batch_norm;
pub mod group_norm;
pub mod response_norm;
pub mod excite;
pub mod residual;
pub mod mask;
pub mod half;
pub mod dropout;
pub mod resample;
pub mod max_pool;
pub mod subsample;
pub mod channels;
pub mod embedding;
pub mod simd;
pub mod conv;
