//! Operations on tensors, forward and backward: each calls our kernel on the CPU and composes candle's
//! primitives elsewhere, as [`place`] says. Ops know nothing of layers, tapes or weights' names.
//!
//! Activations are channels-last, `[N, H, W, C]`; convolution weights are `[O, I, H, W]`.

pub mod place;
pub mod slices;
pub mod packed;
pub mod activation;
pub mod conv;
pub mod conv_norm;
pub mod batch_norm;
pub mod linear;
pub mod elementwise;
pub mod mask;
pub mod dropout;
mod resample;
pub mod pool;
pub mod upsample;
pub mod upsampled_conv;
pub mod loss;
pub mod cross_entropy;
pub mod binary_cross_entropy;
pub mod contrastive;
pub mod similarity;
