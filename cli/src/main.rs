//! `localgrad`: trains neural networks on the device it runs on, block by block.

use clap::Parser;
use localgrad_cli::allocator::Counting;
use localgrad_cli::arguments::Arguments;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    localgrad_cli::allocator::keep_freed_memory();
    localgrad_cli::logging::start();
    match localgrad_cli::run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("localgrad: {fault}");
            ExitCode::from(fault.code())
        }
    }
}
