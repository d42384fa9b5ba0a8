//! `warpline import`: chain files into the database.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use warpline_node::{
    Chain, ChainOptions, ImportError, ImportFileError, ImportProgress, import_file,
};

use super::{DatadirArgs, TakingInArgs, stop::Stop};
use crate::{
    FAILURE, SUCCESS,
    args::{ConditionArgs, EngineArgs},
    signals::Signal,
    table::{BAD, Printer, Styled},
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
    for path in &args.files {
        let opened = stop.open(path);
        if stop.asked().is_some() {
            break;
        }
        let file = opened.with_context(|| path.display().to_string())?;
        let start = Instant::now();
        let bar = progress_bar()?;
        let mut done = ImportProgress::default();
        let imported = import_file(&mut chain, file, |progress| {
            done = *progress;
            show(&bar, progress, start.elapsed());
            stop.asked().is_none()
        });
        bar.finish_and_clear();
        printer.line(summary(path, &done, start.elapsed()))?;
        if done.beside > 0 || done.taken_back > 0 {
            printer.line(format_args!(
                "{} of them beside the chain when they came; {} blocks of the chain taken back",
                done.beside, done.taken_back
            ))?;
        }
        match imported {
            // Where it was to stop, what is read may have ended within a block.
            Err(ImportFileError::File(_)) if stop.asked().is_some() => {}
            Err(error) => return failed(&printer, path, &chain, error),
            Ok(_) => {}
        }
    }
    let asked = stop.asked();
    if let Some(signal) = asked {
        printer.line(format_args!("stopped by {}", signal.name()))?;
    }
    let head = chain.head();
    printer.line(format_args!("head: block {} {}", head.header.number, head.hash))?;
    Ok(asked.map_or(SUCCESS, Signal::status))
}

/// Says why an import ended early, and where the chain is now.
fn failed(
    printer: &Printer,
    path: &Path,
    chain: &Chain,
    error: ImportFileError,
) -> anyhow::Result<u8> {
    match error {
        ImportFileError::Storage(error) => Err(error.into()),
        ImportFileError::Block { source, .. } if matches!(*source, ImportError::Storage(_)) => {
            Err((*source).into())
        }
        error => {
            let head = chain.head();
            printer.line(format_args!("{} {}: {error}", Styled(BAD, "failed"), path.display()))?;
            printer.line(format_args!("head: block {} {}", head.header.number, head.hash))?;
            Ok(FAILURE)
        }
    }
}

/// indicatif draws on standard error, and only if that is a terminal.
fn progress_bar() -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}")?;
    Ok(ProgressBar::new_spinner().with_style(style))
}

fn show(bar: &ProgressBar, progress: &ImportProgress, elapsed: Duration) {
    bar.set_message(format!(
        "block {}, {} new, {:.1} Mgas/s, {:.1} MiB read",
        progress.number,
        progress.imported,
        rate(progress.gas, elapsed) / 1e6,
        rate(progress.offset, Duration::from_secs(1)) / f64::from(1 << 20),
    ));
    bar.tick();
}

fn summary(path: &Path, done: &ImportProgress, elapsed: Duration) -> String {
    format!(
        "{}: {} blocks imported, {} known already; {} transactions, {:.1} Mgas in {:.2} s ({:.1} Mgas/s)",
        path.display(),
        done.imported,
        done.known,
        done.transactions,
        rate(done.gas, Duration::from_secs(1)) / 1e6,
        elapsed.as_secs_f64(),
        rate(done.gas, elapsed) / 1e6,
    )
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9)
}
