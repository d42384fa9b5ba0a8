//! `warpline import`: chain files into the database.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use warpline_node::{
    Chain, ChainOptions, ImportError, ImportFileError, ImportProgress, import_file,
};
use warpline_replay::{ChainFile, ChainFileError, Rejection};
use warpline_storage::StorageError;

use super::{
    DatadirArgs, TakingInArgs,
    progress::{Display, rate},
    stop::Stop,
};
use crate::{
    FAILURE, SUCCESS,
    args::{ConditionArgs, EngineArgs},
    table::{BAD, Printer, Styled, counted},
};

/// The arguments of `import`.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// Files of blocks, as geth's `export` writes them, compressed or not; `-` for standard input.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    datadir: DatadirArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    taking_in: TakingInArgs,
    /// Wait for the disk after this many blocks, and in the end. A crash loses what came since.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    durable_every: u64,
}

/// Runs the command and returns the exit status.
pub(crate) fn run(args: &ImportArgs) -> anyhow::Result<u8> {
    let options = ChainOptions { durable_every: args.durable_every, ..args.taking_in.options() };
    let engine = args.engine.config(ConditionArgs::default());
    let directory = args.datadir.directory()?;
    // Before anything else, so that no signal is missed.
    let stop = Stop::at_signals()?;
    let mut chain = Chain::open(&directory, args.datadir.options(), engine, options)?;
    let printer = Printer::new(true);
    let imported = import_files(args, &stop, &mut chain, &printer);
    let head = match &imported {
        // What the chain has in memory need not have been kept. The database has to be opened again to say.
        Err(error) if error.is::<StorageError>() => {
            drop(chain);
            let stored = args.datadir.open().and_then(|database| Ok(database.view()?));
            stored.ok().map(|view| view.head().clone())
        }
        _ => Some(chain.head().clone()),
    };
    if let Some(head) = head {
        printer.line(format_args!("head: block {} {}", head.header.number, head.hash))?;
    }
    imported
}

/// Imports the files as long as nothing fails and nobody asks to stop, and returns the exit status.
fn import_files(
    args: &ImportArgs,
    stop: &Stop,
    chain: &mut Chain,
    printer: &Printer,
) -> anyhow::Result<u8> {
    let mut display = Display::new();
    for path in &args.files {
        let named = || path.display().to_string();
        if stop.asked().is_some() {
            break;
        }
        let file = open(path).with_context(named)?;
        display.begin()?;
        let mut done = ImportProgress::default();
        let imported = import_file(chain, file, |progress| {
            done = *progress;
            display.show(progress);
            stop.asked().is_none()
        });
        let elapsed = display.end();
        // Nothing is said of what may not have been kept.
        let failed = imported.map_or_else(unless_storage, |_| Ok(None)).with_context(named)?;
        printer.line(summary(path, &done, elapsed))?;
        if done.beside > 0 || done.taken_back > 0 {
            printer.line(format_args!(
                "{} of them beside the chain when they came; {} of the chain taken back",
                done.beside,
                counted(done.taken_back, "block"),
            ))?;
        }
        if let Some(error) = failed {
            printer.line(format_args!("{} {}: {error}", Styled(BAD, "failed"), named()))?;
            // Once a block of the file has come in, the file is of this chain.
            if let Some(number) = unconnected(&error).filter(|_| done.imported == 0) {
                printer.line(hint(number, chain.head().header.number))?;
            }
            return Ok(FAILURE);
        }
    }
    let Some(signal) = stop.asked() else { return Ok(SUCCESS) };
    printer.line(format_args!("stopped by {}", signal.name()))?;
    Ok(signal.status())
}

fn open(path: &Path) -> Result<ChainFile, ChainFileError> {
    if path == Path::new("-") {
        return Ok(ChainFile::from_reader(std::io::stdin()));
    }
    ChainFile::open(path)
}

/// Tells a database that failed from everything else. After that, what was imported is on the disk.
fn unless_storage(error: ImportFileError) -> Result<Option<ImportFileError>, StorageError> {
    match error {
        ImportFileError::Storage(error) => Err(error),
        ImportFileError::Block { number, offset, source } => match *source {
            ImportError::Storage(error) => Err(error),
            other => Ok(Some(ImportFileError::Block { number, offset, source: Box::new(other) })),
        },
        other => Ok(Some(other)),
    }
}

/// The number of a block that was refused because it follows none that is here.
fn unconnected(error: &ImportFileError) -> Option<u64> {
    let ImportFileError::Block { number, source, .. } = error else { return None };
    let is_unconnected = matches!(**source, ImportError::Rejected(Rejection::UnknownParent { .. }));
    number.filter(|_| is_unconnected)
}

/// Why the first new block of a file may follow none that is here.
fn hint(number: u64, head: u64) -> String {
    if number > head + 1 {
        format!("the file begins beyond block {head}, the head, or is of another chain")
    } else {
        format!("the file may be of another chain: the parent is no block up to {head}, the head")
    }
}

fn summary(path: &Path, done: &ImportProgress, elapsed: Duration) -> String {
    format!(
        "{}: {} imported, {} known already; {}, {:.1} Mgas in {:.2} s ({:.1} Mgas/s)",
        path.display(),
        counted(done.imported, "block"),
        done.known,
        counted(done.transactions, "transaction"),
        rate(done.gas, Duration::from_secs(1)) / 1e6,
        elapsed.as_secs_f64(),
        rate(done.gas, elapsed) / 1e6,
    )
}
