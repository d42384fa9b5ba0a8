//! Where captures are written: a folder with one file for each block, or one file for all. Files appear whole; one
//! in which blocks are missing is called `.partial`.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{MAIN_SEPARATOR, Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use alloy_primitives::B256;
use anyhow::Context as _;

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
            Self::File(file) => file.writer.write_all(bytes).context("cannot write the captures"),
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
        let Self::File(mut file) = self else { return Ok(None) };
        file.target.as_mut_os_string().push(".partial");
        let target = file.target.clone();
        file.finish().context("cannot write the captures")?;
        Ok(Some(target))
    }
}

/// Writes a file that appears whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Unfinished::create(path)?;
    file.writer.write_all(bytes)?;
    file.finish()
}

/// A file beside the place where it will be. It is gone if it is not finished, unless the process is killed.
pub(crate) struct Unfinished {
    writer: BufWriter<File>,
    temporary: PathBuf,
    target: PathBuf,
    is_finished: bool,
}

impl Unfinished {
    fn create(target: &Path) -> io::Result<Self> {
        // Neither another process nor another thread writes to a file of this name.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{}-{}.tmp", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let temporary = target.with_file_name(name);
        let writer = BufWriter::new(File::create(&temporary)?);
        Ok(Self { writer, temporary, target: target.to_owned(), is_finished: false })
    }

    fn finish(mut self) -> io::Result<()> {
        self.writer.flush()?;
        // Renamed before the data is on the disk, the file could be there and empty after a loss of power.
        self.writer.get_ref().sync_all()?;
        fs::rename(&self.temporary, &self.target)?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_finished {
            // There is nobody to tell, and nothing to be done.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
