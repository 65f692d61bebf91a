//! Rules: how a block's output becomes a loss. Each rule only writes [`AuxiliarySpec`]s from the network's
//! spec; one runtime ([`auxiliary`]) trains them all.
//!
//! Rules know specs, layers and losses. They know nothing of optimizers, data or the training loop.

pub mod config;
pub mod heads;
pub mod auglocal;
pub mod criterion;
pub mod spec;
pub mod auxiliary;
pub mod exit;
pub mod pair;
pub mod judge;

pub use config::{Head, Rule, RuleConfig};
pub use spec::{AuxiliarySpec, PairSpec, Task, auxiliary_specs};
