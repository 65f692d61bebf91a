//! The C ABI of localgrad: every function of `include/localgrad.h`, which is generated from this crate.
//!
//! `guard` is the only door: each function runs inside it, so that a panic becomes a status. `handles` knows which
//! objects live, so that no pointer of the caller's is believed to be one. `pointers` reads all other arguments.
//! `session` trains; it knows nothing of C.
#![allow(non_camel_case_types)] // the names are the header's
#![allow(clippy::missing_safety_doc)] // what holds for all pointers is said once, at the top of the header

pub mod status;
mod pointers;
mod handles;
mod guard;
pub mod error;
pub mod library;
pub mod log_sink;
pub mod network;
pub mod config;
mod budget;
pub mod plan;
pub mod samples;
mod control;
pub mod events;
mod session;
mod stored;
pub mod trainer;
pub mod feed;
pub mod run;
pub mod steer;
pub mod settings;
pub mod judge;
pub mod weights;
pub mod checkpoints;

/// Of this library's own code; the program around it keeps its allocator.
#[cfg(feature = "pooled-memory")]
#[global_allocator]
static ALLOCATOR: localgrad_runtime::memory::Pooled = localgrad_runtime::memory::Pooled;
