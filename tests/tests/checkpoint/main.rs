//! Checkpoints: exact resume, faults at every system call, damage of every bit, numbers that are none.
#![allow(clippy::unwrap_used)]

mod run;
mod faulty;
mod exact;
mod faults;
mod damage;
mod writers;
mod readers;
mod refused;
mod blob;
mod not_finite;
