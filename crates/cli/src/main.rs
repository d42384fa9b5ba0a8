//! The `warpline` command.

mod analyze;
mod args;
mod bench;
mod chain;
mod compare;
mod conformance;
mod convert;
mod fetch;
mod fuzz;
mod json;
mod measure;
mod memory;
mod node;
mod output;
#[cfg_attr(not(feature = "rpc"), expect(dead_code, reason = "without it no node is asked"))]
mod remote;
mod replay;
mod report;
mod signals;
mod table;
mod trace;

use std::{io::Write as _, process::ExitCode};

use clap::{CommandFactory, Parser};
use clap_complete::Shell;

use args::{Cli, Command};

/// Blocks allocate and free a lot in little time, on several threads; the system's allocator returns
/// the memory and faults it in again for every block.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Everything asked for was done and found in order.
const SUCCESS: u8 = 0;
/// A block failed, or something was not as it must be.
const FAILURE: u8 = 1;
/// The input or the arguments cannot be used. clap exits with the same.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let arguments = match node::arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            table::complain(&error);
            return UNUSABLE.into();
        }
    };
    let result = match Cli::parse_from(arguments).command {
        Command::Replay(args) => replay::run(&args),
        Command::Fetch(args) => fetch::run(&args),
        Command::Convert(args) => convert::run(&args),
        Command::Conformance(args) => conformance::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Node(args) => chain::guarded(|| node::run(&args)),
        Command::Init(args) => chain::init::run(&args),
        Command::Import(args) => chain::guarded(|| chain::import::run(&args)),
        Command::Export(args) => chain::guarded(|| chain::export::run(&args)),
        Command::Db { command } => chain::guarded(|| chain::db::run(&command)),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Analyze { command } => analyze::run(&command),
        Command::Completions { shell } => print_completions(shell),
    };
    match result {
        Ok(code) => code.into(),
        // The reader of our output has had enough, as `head` does: nothing to complain about.
        Err(error) if table::is_broken_pipe(&error) => SUCCESS.into(),
        Err(error) => {
            table::complain(&error);
            UNUSABLE.into()
        }
    }
}

/// Prints the completion script for `shell`. clap would panic where nobody reads it.
fn print_completions(shell: Shell) -> anyhow::Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "warpline", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(SUCCESS)
}
