//! `localgrad`: trains neural networks on the device it runs on, block by block.

use clap::Parser;
use localgrad::memory::Pooled;
use localgrad_cli::arguments::Arguments;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Pooled = Pooled;

fn main() -> ExitCode {
    localgrad_cli::logging::start();
    match localgrad_cli::run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("localgrad: {fault}");
            ExitCode::from(fault.code())
        }
    }
}
