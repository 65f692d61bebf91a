//! Trains neural networks on the device they run on, one gradient-isolated local block at a time.

pub mod error;
pub mod memory;
pub mod random;
pub mod kernels;
mod composed;
pub mod maps;
pub mod precision;
pub mod parameter;
pub mod initial;
pub mod scratch;
pub mod shelf;
mod whole_batch;
pub mod tape;
pub mod layers;
pub mod network;
pub mod rules;
pub mod optimizer;
pub mod schedule;
pub mod model;
pub mod signature;
pub mod data;
mod depot;
pub mod trainer;
pub mod sweep;
pub mod evaluate;
mod cache;
pub mod progress;
pub mod fit;
pub mod plan;
pub mod weights;
pub mod checkpoint;
pub mod threads;
pub mod device;

pub use candle_core as candle;
pub use candle_core::{DType, Device, Tensor};
pub use error::{Error, ErrorKind, Result};
