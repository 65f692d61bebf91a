//! Networks by name, as specs for `localgrad`; the published places to cut them; names of pretrained weights.
//!
//! This crate only writes specs: it knows nothing of tensors, training or files.

pub mod adapt;
pub mod config;
pub mod catalogue;
pub mod cut;
pub mod mobilenet;
pub mod mobilenet_v3;
pub mod efficientnet;
pub mod efficientnet_pytorch;
pub mod convnext;
pub mod shufflenet;
pub mod densenet;
pub mod hugging_face;
pub mod squeezenet;
pub mod mobilenet_v1;
pub mod mnasnet;
pub mod regnet;
pub mod temporal;
pub mod tiny;
pub mod timm;
pub mod names;
pub mod identify;
pub mod published;
pub mod resnet;
pub mod vgg;
mod scaled;
#[cfg(test)]
mod counted;

pub use catalogue::{MODELS, network};
pub use config::{ModelConfig, Stem};
