//! Networks, rules and ways to wait against each other: what must not change a result does not.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

#[path = "../common/mod.rs"]
mod common;

mod averages;
mod cached;
#[cfg(feature = "emulated")]
mod device;
#[cfg(feature = "emulated")]
mod device_families;
#[cfg(feature = "emulated")]
mod device_graphs;
#[cfg(feature = "emulated")]
mod device_precision;
#[cfg(feature = "emulated")]
mod device_runs;
mod drawn;
mod eight_bit;
mod exits;
mod objectives;
mod pooled;
mod selection;
mod side_by_side;
mod specs;
mod tokens;
mod trained;
mod trains;
mod waiting;
mod windows;
