//! The table of kernels: what each is made of, what it is told, which memory it reads and writes, how many threads and how
//! much shared memory a block has. Entry points in every dialect are made from it, and so are launches.
//!
//! It needs nothing but the standard library: the build script of the emulator and the script that compiles the kernels
//! for cards include it, too.

pub mod tile;
pub mod body;
pub mod kernel;
pub mod all;
pub mod dialect;
