//! Each part alone, held against its definition in double precision: ops, losses, layers, optimizers, random numbers.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

#[path = "../common/mod.rs"]
mod common;

mod batch_norm;
mod binary_cross_entropy;
mod chain;
mod channels;
mod contrastive;
mod conv;
mod cross_entropy;
mod dropout;
mod eight_bit;
mod elementwise;
mod embedding;
mod errors;
mod excite;
mod group_norm;
mod initial;
mod joint;
mod layered;
mod linear;
mod loss;
mod maps;
mod mask;
mod optimizer;
mod per_channel;
mod pool;
mod prelu;
mod random;
mod residual;
mod response_norm;
mod scale;
mod schedule;
mod similarity;
mod soft_cross_entropy;
mod still;
mod upsample;
mod upsampled_conv;
