//! What has to do with a chain in a database: `init`, `import`, `export` and `db`.

pub(crate) mod db;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod init;
mod progress;
mod stop;

use std::{
    env,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use warpline_node::{ChainOptions, ChainSource};
use warpline_storage::{Database, DatabaseOptions};

/// Where a chain is kept.
#[derive(Args, Debug)]
pub(crate) struct DatadirArgs {
    /// The folder of the chain's database. Default: `warpline` in the folder for data of users,
    /// `$XDG_DATA_HOME` or `~/.local/share`.
    #[arg(long, value_name = "DIR", env = "WARPLINE_DATADIR")]
    datadir: Option<PathBuf>,
    /// Memory for pages of the database, in MiB. The system keeps pages of the file besides.
    #[arg(long = "db.cache", value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(16..))]
    cache_mib: u32,
    /// Check the sums of all pages of the database first, which reads the whole file.
    #[arg(long = "db.verify")]
    verify: bool,
}

impl DatadirArgs {
    /// The folder.
    ///
    /// # Errors
    /// Where none is named and there is no home to put one in.
    pub(crate) fn directory(&self) -> anyhow::Result<PathBuf> {
        if let Some(directory) = &self.datadir {
            return Ok(directory.clone());
        }
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
        let data = data.context("there is no home folder: say where with --datadir")?;
        Ok(data.join("warpline"))
    }

    /// How the database is opened.
    pub(crate) const fn options(&self) -> DatabaseOptions {
        let cache_bytes = (self.cache_mib as usize) << 20;
        DatabaseOptions { cache_bytes, check_integrity: self.verify }
    }

    /// The database.
    ///
    /// # Errors
    /// Where there is none, or it cannot be opened.
    pub(crate) fn open(&self) -> anyhow::Result<Database> {
        Ok(Database::open(&self.directory()?, self.options())?)
    }

    /// The database, once the sums of all its pages are checked.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn open_checked(&self) -> anyhow::Result<Database> {
        let options = DatabaseOptions { check_integrity: true, ..self.options() };
        Ok(Database::open(&self.directory()?, options)?)
    }
}

/// What becomes of blocks that come in.
#[derive(Args, Debug)]
pub(crate) struct TakingInArgs {
    /// Keep the states of this many blocks before the newest, at least 64: no branch that begins further
    /// back can become the chain. Default: of all.
    #[arg(long = "prune.blocks", value_name = "N", value_parser = clap::value_parser!(u64).range(64..))]
    prune_blocks: Option<u64>,
    /// Verify the proof of work (Ethash) of blocks before the merge and of their ommers: some milliseconds for
    /// each, and a second or more for each 30,000 blocks.
    #[arg(long)]
    verify_pow: bool,
}

impl TakingInArgs {
    /// How blocks are taken in, by these arguments and the defaults.
    pub(crate) fn options(&self) -> ChainOptions {
        ChainOptions {
            keep_states: self.prune_blocks,
            verify_pow: self.verify_pow,
            ..ChainOptions::default()
        }
    }
}

/// Runs a command on a database. redb panics where a page is not what it must be.
pub(crate) fn guarded(command: impl FnOnce() -> anyhow::Result<u8>) -> anyhow::Result<u8> {
    let result = panic::catch_unwind(AssertUnwindSafe(command));
    result.unwrap_or_else(|_| {
        Err(anyhow::anyhow!(
            "the program broke off: `warpline db check` says if the database is damaged"
        ))
    })
}

/// The chain that `--chain` names: `mainnet`, or a genesis file.
pub(crate) fn chain_source(name: &Path) -> anyhow::Result<ChainSource> {
    if name == Path::new("mainnet") {
        return Ok(ChainSource::Mainnet);
    }
    let json = std::fs::read(name)
        .with_context(|| format!("{}: neither `mainnet` nor a genesis file", name.display()))?;
    Ok(ChainSource::Json(json))
}
