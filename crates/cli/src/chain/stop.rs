//! An import that can be stopped: between two blocks, and while it waits for what does not come.

use std::{
    fs::{self, File},
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
    thread,
};

use tokio::{
    runtime::{self, Handle, Runtime},
    sync::{mpsc, watch},
};
use warpline_replay::{ChainFile, ChainFileError};

use crate::signals::{self, Signal};

/// The bytes read at once of what is no file: as many as a pipe holds.
const CHUNK_BYTES: usize = 1 << 16;
/// How many times that may be read ahead.
const CHUNKS_AHEAD: usize = 4;

/// Listens for signals as long as it lives.
pub(super) struct Stop {
    runtime: Runtime,
    asked: watch::Receiver<Option<Signal>>,
}

impl Stop {
    /// Listens from now on.
    pub(super) fn at_signals() -> io::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build()?;
        let guard = runtime.enter();
        let first = signals::first()?;
        drop(guard);
        let (sender, asked) = watch::channel(None);
        runtime.spawn(async move { sender.send_replace(Some(first.await)) });
        Ok(Self { runtime, asked })
    }

    /// The signal, once there was one.
    pub(super) fn asked(&self) -> Option<Signal> {
        *self.asked.borrow()
    }

    /// The chain file at `path`, or of standard input. One that others write to at their own pace seems to end where
    /// somebody asks to stop.
    ///
    /// # Errors
    /// As [`ChainFile::open`].
    pub(super) fn open(&self, path: &Path) -> Result<ChainFile, ChainFileError> {
        let is_stdin = path == Path::new("-");
        // Whatever is wrong with the path is said where it is opened.
        let is_stream = || fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        if !is_stdin && !is_stream() {
            return ChainFile::open(path);
        }
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let source = (!is_stdin).then(|| path.to_owned());
        let reading = thread::Builder::new().name("read".into());
        reading
            .spawn(move || read_all(source, &sender))
            .map_err(|source| ChainFileError::Unreadable { offset: 0, source })?;
        ChainFile::from_reader(Stream {
            chunks,
            chunk: Cursor::default(),
            asked: self.asked.clone(),
            runtime: self.runtime.handle().clone(),
        })
    }
}

/// Reads a file, or standard input, until it ends or nobody wants more. A named pipe is not even opened before somebody
/// writes to it.
fn read_all(path: Option<PathBuf>, sender: &mpsc::Sender<io::Result<Vec<u8>>>) {
    let open = |path| Ok(Box::new(File::open(path)?) as Box<dyn Read>);
    let mut source = match path.map_or_else(|| Ok(Box::new(io::stdin()) as _), open) {
        Ok(source) => source,
        Err(error) => {
            // Whoever reads may have been stopped.
            let _ = sender.blocking_send(Err(error));
            return;
        }
    };
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = match source.read(&mut chunk) {
            Ok(0) => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read,
        };
        let failed = read.is_err();
        let chunk = read.map(|length| {
            chunk.truncate(length);
            chunk
        });
        if sender.blocking_send(chunk).is_err() || failed {
            return;
        }
    }
}

/// What another thread reads, which may wait for ever: no read can be broken off.
struct Stream {
    chunks: mpsc::Receiver<io::Result<Vec<u8>>>,
    chunk: Cursor<Vec<u8>>,
    asked: watch::Receiver<Option<Signal>>,
    runtime: Handle,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.chunk.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let (chunks, asked) = (&mut self.chunks, &mut self.asked);
            let next = self.runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = asked.wait_for(Option::is_some) => None,
                    chunk = chunks.recv() => chunk,
                }
            });
            match next {
                Some(chunk) => self.chunk = Cursor::new(chunk?),
                None => return Ok(0),
            }
        }
    }
}
