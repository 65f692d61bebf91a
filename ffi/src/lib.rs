//! The C library: what programs link with. Every function of `include/localgrad.h` is one of `bridge`, and what links
//! with this carries them along.

pub use localgrad_bridge::*;
