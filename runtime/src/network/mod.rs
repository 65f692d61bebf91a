//! Networks as data: units and a head, and where a network is cut into local blocks.
//!
//! Specs know layers' specs. They know nothing of rules, tensors or training.

pub mod unit;
pub mod limits;
pub mod spec;
pub mod blocks;

pub use spec::NetworkSpec;
pub use unit::{UnitKind, UnitSpec};
