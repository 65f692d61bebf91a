//! Batch normalization over rows of channels: moments, the normalization and its gradient.

mod cyclic;
mod gradient;
mod moments;
mod normalization;

pub use gradient::{
    Gradient, Sums, add_rows, d_input, d_input_over, d_input_to, pre_activation_sums, rows_to_pre_activation,
    sums, sums_bytes,
};
pub use moments::{Accumulator, Moments, finish, moments, part_bytes, part_len, with_parts};
pub use normalization::{
    Normalization, clamp, clamped, forward, is_readable, normalization_bytes, normalized_rows,
};
