//! `localgrad`: trains neural networks on the device it runs on, block by block.

use clap::Parser;
use localgrad::memory::Pooled;
use localgrad_cli::arguments::Arguments;
use localgrad_cli::fault::{Fault, Outcome};
use localgrad_cli::output;
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Pooled = Pooled;

fn main() -> ExitCode {
    localgrad::memory::exit_when_exhausted();
    localgrad_cli::logging::start();
    match parsed().and_then(|arguments| arguments.map_or(Ok(()), |arguments| localgrad_cli::run(&arguments)))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            if !fault.to_string().is_empty() {
                output::complain(&format!("localgrad: {fault}"));
            }
            ExitCode::from(fault.code())
        }
    }
}

/// The words of the command line; none if they asked for help, or for the version, and got it.
fn parsed() -> Outcome<Option<Arguments>> {
    let found = match Arguments::try_parse() {
        Ok(arguments) => return Ok(Some(arguments)),
        Err(found) => found,
    };
    let printed = found.print().and_then(|()| std::io::stdout().flush());
    match u8::try_from(found.exit_code()) {
        Ok(0) => {
            output::note(printed);
            output::check().map(|()| None)
        }
        // What is wrong was said.
        _ => Err(Fault::usage("")),
    }
}
