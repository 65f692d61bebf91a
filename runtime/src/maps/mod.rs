//! Maps and the one list of operations on them, forward and backward: each checks its arguments, and says by which kernel
//! it is carried out on the host, what it launches on a device, and what it counts where maps are counted. Operations know nothing of layers, tapes or weights' names.
//!
//! Activations are channels-last, `[N, H, W, C]`; convolution weights are `[O, I, H, W]`.

pub mod map;
pub mod place;
mod open;
pub mod peak;
mod rehearsal;
#[cfg(feature = "device")]
mod self_check;
#[cfg(feature = "device")]
mod on_device;
pub mod counted;
pub mod slices;
pub mod packed;
pub mod coded;
pub mod conv;
pub mod map_read;
pub mod conv_norm;
pub mod residual_sum;
pub mod batch_norm;
pub mod norm;
pub mod shares;
pub mod group_norm;
pub mod linear;
pub mod embedding;
pub mod elementwise;
pub mod per_channel;
pub mod excite;
pub mod prelu;
pub mod response_norm;
pub mod mask;
pub mod dropout;
pub mod flatten;
pub mod channels;
pub mod resample;
pub mod pool;
pub mod upsample;
pub mod upsampled_conv;
pub mod loss;
pub mod cross_entropy;
pub mod soft_cross_entropy;
pub mod errors;
pub mod binary_cross_entropy;
pub mod contrastive;
pub mod similarity;
pub mod update;
pub mod speed;

pub use crate::kernels::activation;
pub use map::Map;
pub use place::Place;
