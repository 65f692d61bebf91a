//! Files of the world as data sets, well made and hostile.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

#[path = "../files/mod.rs"]
mod files;

mod archives;
mod arrays;
mod decoding;
mod folders;
mod lists;
mod parquet;
mod photos;
mod reduced;
mod sets;
mod torch;
