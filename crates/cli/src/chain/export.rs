//! `warpline export`: the chain of a database as a file that `import` reads.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use warpline_node::encode_block;
use warpline_replay::{ChainFileError, ChainFileWriter};

use super::DatadirArgs;
use crate::{
    SUCCESS,
    output::Output,
    table::{Printer, counted},
};

/// The arguments of `export`.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// Where the blocks go; compressed if it ends in `.gz`, to standard output if it is `-`.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    #[command(flatten)]
    datadir: DatadirArgs,
    /// The first block.
    #[arg(long, value_name = "N", default_value_t = 1)]
    first: u64,
    /// The last block. Default: the newest.
    #[arg(long, value_name = "N")]
    last: Option<u64>,
}

/// Runs the command and returns the exit status.
pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<u8> {
    let database = args.datadir.open()?;
    let view = database.view()?;
    let head = view.head().header.number;
    let last = args.last.unwrap_or(head);
    anyhow::ensure!(last <= head, "there is no block {last}: the newest is block {head}");
    anyhow::ensure!(
        args.first <= last || (args.last.is_none() && args.first == head + 1),
        "there are no blocks from {} to {last}",
        args.first
    );
    anyhow::ensure!(
        args.file.extension().is_none_or(|extension| extension != "zst"),
        "{}: only gzip is written, as `.gz`",
        args.file.display()
    );
    let named = || args.file.display().to_string();
    let path = (args.file.as_os_str() != "-").then_some(&*args.file);
    let output = Output::open(path, &[database.path()])?;
    let printer = Printer::new(!output.is_stdout());
    let is_compressed = args.file.extension().is_some_and(|extension| extension == "gz");
    let mut writer =
        if is_compressed { ChainFileWriter::gzip(output) } else { ChainFileWriter::plain(output) };
    let mut blocks = 0_u64;
    for number in args.first..=last {
        let block = view.block(number)?.with_context(|| format!("block {number} is missing"))?;
        writer.append(&encode_block(&block)).map_err(unwritable).with_context(named)?;
        blocks += 1;
    }
    let output = writer.finish().map_err(unwritable).with_context(named)?;
    output.finish().with_context(named)?;
    printer.line(format_args!("{} exported to {}", counted(blocks, "block"), named()))?;
    Ok(SUCCESS)
}

/// What the system says, so that a reader who has had enough is told from a full disk.
fn unwritable(error: ChainFileError) -> anyhow::Error {
    match error {
        ChainFileError::Unwritable(error) => error.into(),
        error => error.into(),
    }
}
