//! The kernels of devices on the emulated one: each against a naive f64 twin, in three orders of lanes and blocks, which give
//! the same bits; and without each barrier, which is seen.

#![allow(clippy::unwrap_used)] // nothing here is outside tests

#[path = "../common/mod.rs"]
mod common;
mod run;
mod reference;
mod conv;
mod depthwise;
mod norm;
mod group_norm;
mod elements;
mod loss;
mod update;
mod unit;
mod checks;
mod table;
mod arrays;
mod deferred;
mod finish;
mod graphs;
