//! Files that commands write. A file appears whole or not at all: until then what stood under its name stays, so that
//! a full disk costs nobody an older file. What is no file (a pipe, a device, standard output by any name) is
//! written to as it comes.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, BufWriter, Stdout, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context as _, bail};

/// Where the result of a command goes. Nothing of it need be there before [`finish`](Self::finish).
pub(crate) enum Output {
    Stdout(BufWriter<Stdout>),
    /// A device, or a pipe with a name.
    Stream(BufWriter<File>),
    File(Unfinished),
}

impl Output {
    /// What `path` names, or standard output.
    ///
    /// # Errors
    /// Where it cannot be written, or is one of `sources`: what is to be read for it would be gone.
    pub(crate) fn open(path: Option<&Path>, sources: &[&Path]) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::stdout()) };
        for source in sources {
            ensure_other(path, source)?;
        }
        Self::at(path).with_context(|| format!("cannot write to {}", path.display()))
    }

    fn stdout() -> Self {
        Self::Stdout(BufWriter::new(io::stdout()))
    }

    fn at(path: &Path) -> io::Result<Self> {
        // Opened and not emptied: a file that may not be written may not be replaced either.
        let found = match OpenOptions::new().write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::File(Unfinished::create(path)?));
            }
            opened => opened?,
        };
        let metadata = found.metadata()?;
        if is_stdout(&metadata) {
            return Ok(Self::stdout());
        }
        if !metadata.is_file() {
            return Ok(Self::Stream(BufWriter::new(found)));
        }
        // A link stays one, and whoever may read what stands there may read what comes.
        let file = Unfinished::create(&fs::canonicalize(path)?)?;
        file.writer.get_ref().set_permissions(metadata.permissions())?;
        Ok(Self::File(file))
    }

    /// Whether this is standard output, where nothing else should be said.
    pub(crate) const fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout(_))
    }

    /// Makes a file appear, and writes out what is buffered.
    pub(crate) fn finish(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut writer) => writer.flush(),
            Self::Stream(mut writer) => writer.flush(),
            Self::File(file) => file.finish(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(writer) => writer.write(bytes),
            Self::Stream(writer) => writer.write(bytes),
            Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(writer) => writer.flush(),
            Self::Stream(writer) => writer.flush(),
            Self::File(file) => file.flush(),
        }
    }
}

/// Sees that writing to `path` does not replace `source`.
pub(crate) fn ensure_other(path: &Path, source: &Path) -> anyhow::Result<()> {
    if is_same_file(path, source) {
        bail!("{} is to be read, it cannot be written to: choose another name", path.display());
    }
    Ok(())
}

/// Whether there is one file under both names.
fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(first), Ok(second)) if first.is_file() && second.is_file() => {
            same_file(&first, &second).unwrap_or_else(|| {
                let (one, other) = (fs::canonicalize(one), fs::canonicalize(other));
                one.is_ok_and(|one| other.is_ok_and(|other| one == other))
            })
        }
        _ => false,
    }
}

/// Whether this is one file; `None` where the system does not say.
#[cfg(unix)]
fn same_file(one: &Metadata, other: &Metadata) -> Option<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Some((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

#[cfg(not(unix))]
fn same_file(_: &Metadata, _: &Metadata) -> Option<bool> {
    None
}

/// Whether this is what standard output is: `/dev/stdout`, or the file that it was sent to. A second handle to a file
/// would write over what the first one writes.
#[cfg(unix)]
fn is_stdout(metadata: &Metadata) -> bool {
    use std::os::fd::AsFd as _;
    let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    let stdout = stdout.and_then(|stdout| stdout.metadata());
    stdout.is_ok_and(|stdout| same_file(metadata, &stdout) == Some(true))
}

#[cfg(not(unix))]
fn is_stdout(_: &Metadata) -> bool {
    false
}

/// Writes a file that appears whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Unfinished::create(path)?;
    file.write_all(bytes)?;
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
    pub(crate) fn create(target: &Path) -> io::Result<Self> {
        // Neither another process nor another thread writes to a file of this name.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{}-{}.tmp", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let temporary = target.with_file_name(name);
        let writer = BufWriter::new(File::create(&temporary)?);
        Ok(Self { writer, temporary, target: target.to_owned(), is_finished: false })
    }

    /// Makes it appear.
    pub(crate) fn finish(self) -> io::Result<()> {
        let target = self.target.clone();
        self.finish_as(&target)
    }

    /// Makes it appear under another name.
    pub(crate) fn finish_as(mut self, target: &Path) -> io::Result<()> {
        self.writer.flush()?;
        // Renamed before the data is on the disk, the file could be there and empty after a loss of power.
        self.writer.get_ref().sync_all()?;
        match fs::rename(&self.temporary, target) {
            // A file that is mounted by itself keeps its place.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                fs::copy(&self.temporary, target)?;
            }
            renamed => {
                renamed?;
                self.is_finished = true;
            }
        }
        Ok(())
    }

    /// Its name once it is there.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
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
