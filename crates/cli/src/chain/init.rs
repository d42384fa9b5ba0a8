//! `warpline init`: a database with a genesis block.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use warpline_node::Adopted;
use warpline_storage::{Database, StorageError};

use super::{DatadirArgs, chain_source};
use crate::{SUCCESS, table::Printer};

/// The arguments of `init`.
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    datadir: DatadirArgs,
    /// The chain: `mainnet`, or a genesis file in geth's format.
    #[arg(long, value_name = "mainnet|FILE", default_value = "mainnet")]
    chain: PathBuf,
}

/// Runs the command and returns the exit status.
pub(crate) fn run(args: &InitArgs) -> anyhow::Result<u8> {
    let source = chain_source(&args.chain)?;
    let named = || args.chain.display().to_string();
    let genesis = source.genesis_block().with_context(named)?;
    let directory = args.datadir.directory()?;
    let printer = Printer::new(true);
    match Database::create(&directory, &genesis, args.datadir.options()) {
        Ok(database) => {
            let view = database.view()?;
            let head = view.head();
            printer.line(format_args!(
                "genesis block {} with state root {} in {}",
                head.hash,
                head.header.state_root,
                directory.display()
            ))?;
        }
        Err(StorageError::Exists { .. }) => {
            let database = Database::open(&directory, args.datadir.options())?;
            let adopted = source
                .adopt(&database)
                .with_context(|| format!("{} with {}", directory.display(), named()))?;
            let said = match adopted {
                Adopted::Same => "has this chain already",
                Adopted::Updated => "has this chain, now with these forks",
            };
            printer.line(format_args!("the database in {} {said}", directory.display()))?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(SUCCESS)
}
