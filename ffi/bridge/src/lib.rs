//! What every binding of localgrad stands on: the C ABI, whose header `ffi/include/localgrad.h` is generated from this
//! crate, and bindings in Rust, such as that for Java.
//!
//! `guard` is the only door: whatever a binding does happens inside it, so that a panic becomes a status. `handles` knows
//! which objects live, so that no pointer of the caller's is believed to be one. `pointers` reads all other arguments of
//! C. `session` trains; it knows nothing of C.
//!
//! A binding in Rust opens the door by [`guard::run`], keeps its objects ([`network::NetworkObject`],
//! [`trainer::TrainerObject`]) in [`handles`], and works by [`trainer::on`] with a [`session::Session`]. The structs of
//! the header that hold results are its results, too; of those that hold pointers it uses the numbers alone.
#![allow(non_camel_case_types)] // the names are the header's
#![allow(clippy::missing_safety_doc)] // what holds for all pointers is said once, at the top of the header

pub mod status;
pub mod pointers;
pub mod handles;
pub mod guard;
pub mod error;
pub mod library;
pub mod log_sink;
pub mod network;
pub mod card;
pub mod config;
mod budget;
mod made;
pub mod plan;
pub mod samples;
pub mod frames;
pub mod control;
pub mod events;
pub mod inbox;
mod weight_names;
mod stored;
pub mod session;
pub mod trainer;
pub mod poll;
pub mod feed;
pub mod run;
pub mod steer;
pub mod settings;
pub mod judge;
pub mod exits;
pub mod features;
pub mod weights;
pub mod named;
pub mod checkpoints;

/// Of this library's own code; the program around it keeps its allocator.
#[cfg(feature = "pooled-memory")]
#[global_allocator]
static ALLOCATOR: localgrad_runtime::memory::Pooled = localgrad_runtime::memory::Pooled;
