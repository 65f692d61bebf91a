//! The memory plan: how many bytes a run will have allocated at its worst moment, known before anything is.
//!
//! A step is replayed without data. Each layer has a twin here that takes and gives back memory where the layer does,
//! in the same order; kernels say themselves what they allocate beside their tensors. The plan is an upper bound: it
//! counts every thread's scratch at once.
//!
//! Plans know layers, rules and the trainer. They know nothing of tensors' contents, files or command lines.

pub use crate::maps::counted::ledger;
pub mod workload;
mod outline;
mod context;
mod replay;
mod layers;
mod chain;
mod residual;
mod sequential;
mod auxiliary;
mod waiting;
mod residence;
mod step;
pub mod cuts;
pub mod rates;
pub mod size;
pub mod choose;

pub use choose::{Candidate, Choice, Freedom, choose, fastest, least};
pub use ledger::{Moment, MomentPeak, Part, PartBytes, Work};
pub use rates::Rates;
pub use workload::{BlockBytes, Plan, Workload, evaluation_beside, plan};
