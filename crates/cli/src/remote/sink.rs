//! Where captures are written: a folder with one file for each block, or one file for all. Files appear whole; one
//! in which blocks are missing is called `.partial`.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{MAIN_SEPARATOR, Path, PathBuf},
};

use alloy_primitives::B256;
use anyhow::Context as _;

use crate::output::{Unfinished, write_whole};

/// A folder or a file.
pub(crate) enum Sink {
    Folder {
        path: PathBuf,
        /// How many were written under each name: the same block may come in several forms.
        names: BTreeMap<String, u32>,
    },
    File(Unfinished),
}

impl Sink {
    /// What `path` names: a file if it has an ending and is no folder already.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot write to {}", path.display());
        let ends_as_folder = path.as_os_str().to_string_lossy().ends_with(['/', MAIN_SEPARATOR]);
        if path.is_dir() || ends_as_folder || path.extension().is_none() {
            fs::create_dir_all(path).with_context(cannot)?;
            return Ok(Self::Folder { path: path.to_owned(), names: BTreeMap::new() });
        }
        Ok(Self::File(Unfinished::create(path).with_context(cannot)?))
    }

    /// Adds the capture of a block.
    pub(crate) fn write(&mut self, number: u64, hash: B256, bytes: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::File(file) => file.write_all(bytes).context("cannot write the captures"),
            Self::Folder { path, names } => {
                let name = format!("{number}-{}", alloy_primitives::hex::encode(&hash[..4]));
                let count = names.entry(name.clone()).or_default();
                *count += 1;
                let name = match *count {
                    1 => format!("{name}.capture"),
                    count => format!("{name}-{count}.capture"),
                };
                let path = path.join(name);
                write_whole(&path, bytes)
                    .with_context(|| format!("cannot write to {}", path.display()))
            }
        }
    }

    /// Makes a file appear.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Folder { .. } => Ok(()),
            Self::File(file) => file.finish().context("cannot write the captures"),
        }
    }

    /// Makes a file appear that lacks some of the blocks, under a name that says so, and returns that. Under its own
    /// name it could be taken for all of them, and would replace one that is whole.
    pub(crate) fn finish_partial(self) -> anyhow::Result<Option<PathBuf>> {
        let Self::File(file) = self else { return Ok(None) };
        let mut target = file.target().to_owned();
        target.as_mut_os_string().push(".partial");
        file.finish_as(&target).context("cannot write the captures")?;
        Ok(Some(target))
    }
}
