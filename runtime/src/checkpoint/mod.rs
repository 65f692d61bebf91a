//! Checkpoints that survive a kill, a loss of power and a full disk: `docs/checkpoint-format.md` is their page.
//!
//! ```text
//! block files ─▶ journal ─▶ manifest.part ─▶ sync of all of them and of the directory
//!             ─▶ rename to manifest ─▶ directory sync ─▶ old block files removed
//! ```
//! Until the rename the old checkpoint is whole, and from the rename on the new one. Checkpoints know trainers and
//! progress; they know nothing of loops, terminals or other files of a run.

pub mod files;
pub mod lock;
pub mod interval;
pub mod configuration;
pub mod manifest;
mod version_1;
pub mod journal;
mod block_file;
pub mod block_input;
pub mod store;
pub mod blob;

pub use configuration::{Configuration, DataDescription};
pub use interval::Interval;
pub use journal::Record;
pub use lock::Lock;
pub use manifest::{FORMAT_VERSION, Manifest};
pub use store::{Checkpoints, Saved};
