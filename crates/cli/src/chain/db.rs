//! `warpline db`: looking into a database.

use std::{io::Write as _, path::PathBuf};

use alloy_primitives::hex;
use clap::{Args, Subcommand};

use warpline_storage::{CheckError, StorageError};

use super::DatadirArgs;
use crate::{
    FAILURE, SUCCESS,
    output::Output,
    table::{BAD, GOOD, Printer, STRONG, Styled, counted},
};

/// What to do with a database.
#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Look through everything for what does not fit together: sums of pages, links of blocks, roots,
    /// indices, history.
    Check(DatadirArgs),
    /// Say how large each table is.
    Stats(DatadirArgs),
    /// Write the entries of tables, one JSON object a line: to compare databases, and to look inside.
    Export(DbExportArgs),
}

/// The arguments of `db export`.
#[derive(Args, Debug)]
pub(crate) struct DbExportArgs {
    /// The tables. Without any: all.
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    #[command(flatten)]
    datadir: DatadirArgs,
    /// Where the lines go. Default: standard output.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs the command and returns the exit status.
pub(crate) fn run(command: &DbCommand) -> anyhow::Result<u8> {
    match command {
        DbCommand::Check(args) => check(args),
        DbCommand::Stats(args) => stats(args),
        DbCommand::Export(args) => export(args),
    }
}

fn check(args: &DatadirArgs) -> anyhow::Result<u8> {
    let printer = Printer::new(true);
    let damaged = |error: &dyn std::fmt::Display| {
        printer.line(format_args!("{}: {error}", Styled(BAD, "damaged")))?;
        Ok(FAILURE)
    };
    let database = match args.open_checked() {
        Err(error) if error.downcast_ref().is_some_and(StorageError::is_damage) => {
            return damaged(&error);
        }
        opened => opened?,
    };
    let checked = database.check(|part| {
        // Whoever does not read it is not hindered.
        let _ = printer.line(format_args!("checking {part}"));
    });
    match checked {
        Ok(report) => {
            printer.line(format_args!(
                "{}: {} with {}, {}, {}, {}, {}",
                Styled(GOOD, "all in order"),
                counted(report.blocks, "block"),
                counted(report.transactions, "transaction"),
                counted(report.accounts, "account"),
                counted(report.slots, "slot"),
                counted(report.nodes, "node"),
                counted(report.versions, "version"),
            ))?;
            Ok(SUCCESS)
        }
        Err(CheckError::Storage(error)) if !error.is_damage() => Err(error.into()),
        Err(error) => damaged(&error),
    }
}

fn stats(args: &DatadirArgs) -> anyhow::Result<u8> {
    let database = args.open()?;
    let view = database.view()?;
    let printer = Printer::new(true);
    let head = view.head();
    printer.line(format_args!(
        "{}: blocks 0 to {}, states from {} on, head {}",
        database.path().display(),
        head.header.number,
        view.earliest_state(),
        head.hash
    ))?;
    let titles = format!("{:<16} {:>12} {:>14} {:>14}", "table", "entries", "bytes", "in the file");
    printer.line(Styled(STRONG, titles))?;
    for table in view.table_sizes()? {
        printer.line(format_args!(
            "{:<16} {:>12} {:>14} {:>14}",
            table.name, table.entries, table.stored_bytes, table.file_bytes
        ))?;
    }
    Ok(SUCCESS)
}

fn export(args: &DbExportArgs) -> anyhow::Result<u8> {
    let database = args.datadir.open()?;
    let view = database.view()?;
    let known = view.table_names();
    for table in &args.tables {
        anyhow::ensure!(
            known.contains(&table.as_str()),
            "there is no table {table:?}; there are {}",
            known.join(", ")
        );
    }
    let mut output = Output::open(args.out.as_deref(), &[database.path()])?;
    let mut written = Ok(());
    view.visit_entries(&args.tables, &mut |table, key, value| {
        if written.is_ok() {
            let (key, value) = (hex::encode_prefixed(key), hex::encode_prefixed(value));
            written = writeln!(output, r#"{{"table":"{table}","key":"{key}","value":"{value}"}}"#);
        }
    })?;
    written.and_then(|()| output.finish())?;
    Ok(SUCCESS)
}
