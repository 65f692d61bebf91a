//! Trains neural networks on the device they run on, one gradient-isolated local block at a time.

pub mod error;
pub mod tape;
pub mod ops;
pub mod kernels;
pub mod composed;
pub mod data;

pub use candle_core::{DType, Device, Tensor};
pub use error::{Error, ErrorKind, Result};
