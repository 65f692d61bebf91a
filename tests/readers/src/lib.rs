//! What must hold of every reader of untrusted bytes, whatever they are: each module has a `check`, which panics where it does
//! not. The fuzzer calls them with its own bytes, and this crate's test with bytes near those of the fuzzer's corpus.

pub mod api;
pub mod archive;
pub mod block;
pub mod cifar;
pub mod idx;
pub mod journal;
pub mod list;
pub mod manifest;
pub mod matlab;
pub mod network;
pub mod npy;
pub mod parquet;
pub mod pickle;
pub mod picture;
pub mod tensors;
pub mod torch;
pub mod weights;
