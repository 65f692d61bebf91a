//! What operations on maps are on a device: which launches, in which order. Arguments were checked by who asks.
//!
//! What is changed in place is the array that is given, whose memory nobody else may read.

pub mod elementwise;
pub mod embedding;
pub mod sums;
pub mod read;
pub mod conv;
pub mod linear;
pub mod reorder;
pub mod pool;
pub mod mask;
pub mod norm;
pub mod group_norm;
pub mod loss;
pub mod update;
