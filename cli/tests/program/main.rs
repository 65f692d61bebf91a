//! The program as people run it, and its reports.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

mod common;
#[path = "../../../data/tests/files/mod.rs"]
mod made;

mod bench;
mod board;
mod budget;
mod checkpoints;
mod commands;
mod exits;
mod files;
mod limits;
mod objectives;
mod photos;
mod pictures;
mod published;
mod report;
mod side_by_side;
mod tokens;
mod torch;
