//! Networks as data: units and a head, and where a network is cut into local blocks.
//!
//! Specs know layers' specs. They know nothing of rules, tensors or training.

pub mod conv_norm;
pub mod mobile;
pub mod convnext;
mod shuffle;
mod dense;
pub mod objective;
pub mod temporal;
pub mod regnet;
pub mod mnas;
mod separable;
mod fire;
pub mod unit;
pub mod head;
pub mod limits;
pub mod spec;
pub mod blocks;

pub use conv_norm::NormConfig;
pub use convnext::ConvNextBlock;
pub use mnas::MnasBlock;
pub use mobile::MobileBlock;
pub use objective::Objective;
pub use regnet::RegnetBlock;
pub use spec::NetworkSpec;
pub use temporal::TemporalBlock;
pub use unit::{UnitKind, UnitSpec};
