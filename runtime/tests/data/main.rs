//! Readers of data, and what becomes of images on their way to a batch.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

#[path = "../common/mod.rs"]
mod common;

mod ahead;
mod embedded;
mod files;
mod formats;
mod hostile;
mod images;
mod loader;
mod tokens;
mod varied;
