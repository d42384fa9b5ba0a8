//! Fetched blocks on the disk: a folder for each chain, and in it a file for each block.
//!
//! A file appears whole or not at all, so that an interrupted run goes on where it was. It is a capture, whose
//! checksum notices damage; then the block is fetched again. So it is if the capture was made under other rules than
//! those asked for now, as with a genesis file that has been corrected since; and if a replay of it fails.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use warpline_chain::ChainSpec;
use warpline_replay::{BlockHead, Capture};

use super::args::NodeArgs;
use crate::output::write_whole;

/// Nothing takes so long to be written.
const LEFTOVER_AGE: Duration = Duration::from_secs(3600);

/// The cache, or none.
pub(crate) struct Cache {
    folder: Option<PathBuf>,
}

/// What the cache has of a block.
pub(crate) enum Cached {
    Sound(Box<Capture>, Vec<u8>, PathBuf),
    Absent,
    /// A file that is not what it must be, and why.
    Damaged(String),
}

impl Cache {
    /// The cache of one chain's blocks that the arguments ask for, or none if they ask for none.
    ///
    /// # Errors
    /// When there is no folder that could be the user's, or it cannot be made.
    pub(crate) fn open(args: &NodeArgs, chain_id: u64) -> anyhow::Result<Self> {
        let (named, wanted) = args.cache();
        if !wanted {
            return Ok(Self::none());
        }
        let root = named.map(Path::to_owned).or_else(users_folder);
        let root = root.context("there is no folder for caches: name one with --cache")?;
        let folder = root.join(chain_id.to_string());
        fs::create_dir_all(&folder).with_context(|| {
            format!(
                "cannot make the folder {} for the cache: name another with --cache, or do without by --no-cache",
                folder.display()
            )
        })?;
        remove_leftovers(&folder);
        Ok(Self { folder: Some(folder) })
    }

    /// No cache at all.
    pub(crate) const fn none() -> Self {
        Self { folder: None }
    }

    fn path(&self, head: &BlockHead) -> Option<PathBuf> {
        let name = format!("{}-{:x}.capture", head.header.number, head.hash);
        self.folder.as_ref().map(|folder| folder.join(name))
    }

    /// What is kept of the block, whose rules are these.
    pub(crate) fn load(&self, head: &BlockHead, rules: &ChainSpec) -> Cached {
        let Some(path) = self.path(head) else { return Cached::Absent };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Cached::Absent,
            Err(error) => return Cached::Damaged(fetched_again(&path, &error)),
        };
        match decode(head, rules, &bytes) {
            Ok(capture) => Cached::Sound(Box::new(capture), bytes, path),
            Err(error) => Cached::Damaged(fetched_again(&path, &*error)),
        }
    }

    /// Keeps a block, and returns where.
    pub(crate) fn store(&self, head: &BlockHead, bytes: &[u8]) -> anyhow::Result<Option<PathBuf>> {
        let Some(path) = self.path(head) else { return Ok(None) };
        write_whole(&path, bytes).with_context(|| {
            format!("cannot write {} to the cache (--no-cache does without)", path.display())
        })?;
        Ok(Some(path))
    }
}

/// Drops the capture at `path`, which did not stand the test, and returns what to say about that. A snapshot proves
/// nothing until it is executed: with a wrong one of the right block every replay would fail from now on.
pub(crate) fn forget(path: &Path) -> String {
    match fs::remove_file(path) {
        Ok(()) => format!("{} is dropped from the cache, to be fetched again", path.display()),
        Err(error) => format!("{} should be deleted from the cache: {error}", path.display()),
    }
}

fn decode(head: &BlockHead, rules: &ChainSpec, bytes: &[u8]) -> anyhow::Result<Capture> {
    let (capture, length) = Capture::decode(bytes)?;
    anyhow::ensure!(length == bytes.len(), "there is something after the capture");
    let found = (capture.chain.chain_id(), capture.id()?.1);
    anyhow::ensure!(found == (rules.chain_id(), head.hash), "it is another block's");
    anyhow::ensure!(capture.is_under(rules), "it was fetched under other rules of the chain");
    Ok(capture)
}

/// Removes what runs that were killed while writing have left behind. Somebody else may be writing, so only what is
/// old enough goes; that it does not go is no reason to stop.
fn remove_leftovers(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let age = || fs::metadata(&path).ok()?.modified().ok()?.elapsed().ok();
        let is_temporary = path.extension().is_some_and(|ending| ending == "tmp");
        if is_temporary && age().is_some_and(|age| age > LEFTOVER_AGE) {
            let _ = fs::remove_file(&path);
        }
    }
}

fn fetched_again(path: &Path, reason: &dyn std::fmt::Display) -> String {
    format!("{} in the cache cannot be used, fetched again: {reason}", path.display())
}

/// Where the user's caches are, after the XDG base directory specification.
fn users_folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("warpline").join("blocks"))
}
