//! CPU kernels: free functions on slices. They know shapes and numbers, never tensors or layers.
//!
//! Results never depend on the number of threads: work is cut by shape, and partial sums are added in a
//! fixed order.

pub mod simd;
pub mod conv;
