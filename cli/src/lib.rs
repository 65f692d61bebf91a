//! The parts of the command line program, as a library so that tests can reach them.

pub mod allocator;
pub mod metrics;
pub mod report;
