//! The commands: each takes its words, does its work through the library, and prints.

pub mod train;
pub mod finetune;
pub mod eval;
pub mod eval_exits;
pub mod predict;
pub mod plan;
pub mod compare;
pub mod inspect;
pub mod export;
pub mod bench;
pub mod devices;
pub mod report;
pub mod trained;
