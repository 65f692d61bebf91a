//! The memory plan: how many bytes a run will have allocated at its worst moment, known before anything is.
//!
//! The trainer itself takes a step, on maps that only count: each is a shape and a claim in a ledger, given back when it
//! is dropped; kernels say themselves what they allocate beside their maps. The plan is an upper bound: it counts every
//! thread's scratch at once.
//!
//! On a device with kernels of our own the trainer takes steps where nothing is done, but all memory is taken
//! (`plan/rehearsed.rs`); what to rehearse is chosen by counting (`plan/likely.rs`).
//!
//! Plans know the trainer. They know nothing of single layers, files or command lines.

pub use crate::maps::counted::ledger;
pub mod workload;
mod counted;
pub mod rehearsed;
pub mod cuts;
pub mod rates;
pub mod size;
pub mod choose;
mod likely;
mod least;

pub use choose::{Candidate, Choice, Freedom, choose, fastest};
pub use least::least;
pub use ledger::{Moment, MomentPeak, Part, PartBytes, Work};
pub use rates::Rates;
pub use rehearsed::{Rehearsed, rehearse};
pub use workload::{BlockBytes, Plan, Workload, evaluation_beside, host_bytes, plan};
