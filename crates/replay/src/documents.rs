//! Files, directories and archives, turned into a sequence of uncompressed documents.
//!
//! What a file is shows in its first bytes, not in its name: gzip and zstd layers are taken off
//! until a tar archive or plain data is left. Archives are read in one pass, one member in memory
//! at a time. Only in a directory or an archive does the name matter: there, whatever does not
//! look like JSON, a capture or an archive (a README, say) is passed over.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::{Path, PathBuf},
    vec,
};

use flate2::read::MultiGzDecoder;
use walkdir::WalkDir;

use crate::{InputError, InputProblem, Origin};

/// Compression layers around one document: `.tar.gz` holding `.json.gz` has three, the archive
/// itself not counted.
const MAX_LAYERS: usize = 4;
/// The largest document read into memory.
const MAX_DOCUMENT_BYTES: u64 = 1 << 30;
/// The fixtures are packed with a window of 2^27 bytes, more than zstd accepts unasked.
const ZSTD_WINDOW_LOG: u32 = 27;
const TAR_BLOCK: usize = 512;

pub(crate) type Stream = Box<dyn Read + Send>;

/// One uncompressed file or archive member.
pub(crate) struct Document {
    pub(crate) origin: Origin,
    pub(crate) bytes: Vec<u8>,
    /// Whether the caller named exactly this file, rather than a directory or archive it is in.
    pub(crate) named: bool,
}

/// The documents under a list of paths, in the order of the list, directories sorted by name.
pub(crate) struct Documents {
    roots: vec::IntoIter<PathBuf>,
    walk: Option<walkdir::IntoIter>,
    archive: Option<Archive>,
}

impl Documents {
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        Self { roots: paths.into_iter(), walk: None, archive: None }
    }

    fn open(&mut self, path: &Path, named: bool) -> Option<Result<Document, InputError>> {
        let origin = Origin::file(path);
        let content = File::open(path)
            .map_err(InputProblem::Unreadable)
            .and_then(|file| Content::of(Box::new(BufReader::new(file))));
        match content {
            Ok(Content::Tar(reader)) => {
                self.archive = Some(Archive { origin, reader });
                None
            }
            Ok(Content::Plain(reader)) => Some(read_document(reader, origin, named)),
            Err(problem) => Some(Err(InputError::new(origin, problem))),
        }
    }

    fn next_in_walk(&mut self) -> Option<Result<Document, InputError>> {
        while let Some(entry) = self.walk.as_mut()?.next() {
            let found = match entry {
                Ok(entry) if !entry.file_type().is_file() || !is_candidate(entry.path()) => None,
                Ok(entry) => self.open(entry.path(), false),
                Err(error) => {
                    let origin = Origin::file(error.path().unwrap_or_else(|| Path::new("")));
                    Some(Err(InputError::new(origin, InputProblem::Unreadable(error.into()))))
                }
            };
            if found.is_some() || self.archive.is_some() {
                return found;
            }
        }
        self.walk = None;
        None
    }
}

impl Iterator for Documents {
    type Item = Result<Document, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(archive) = &mut self.archive {
                match archive.next_member() {
                    Some(Ok(document)) => return Some(Ok(document)),
                    // The reader's position is unknown after an error, so the archive ends here.
                    Some(Err(error)) => {
                        if archive.broken(&error) {
                            self.archive = None;
                        }
                        return Some(Err(error));
                    }
                    None => self.archive = None,
                }
                continue;
            }
            let found = if self.walk.is_some() {
                self.next_in_walk()
            } else {
                let root = self.roots.next()?;
                if root.is_dir() {
                    let walk = WalkDir::new(root).follow_links(true).sort_by_file_name();
                    self.walk = Some(walk.into_iter());
                    None
                } else {
                    self.open(&root, true)
                }
            };
            if found.is_some() {
                return found;
            }
        }
    }
}

/// What is left when the compression layers are off.
enum Content {
    Plain(Stream),
    Tar(Stream),
}

impl Content {
    fn of(reader: Stream) -> Result<Self, InputProblem> {
        let reader = Peeked::uncompressed(reader, TAR_BLOCK)?;
        let tar = reader.head.get(257..262) == Some(b"ustar");
        let whole = reader.into_stream();
        Ok(if tar { Self::Tar(whole) } else { Self::Plain(whole) })
    }
}

/// A stream whose first bytes have been looked at.
pub(crate) struct Peeked {
    head: Vec<u8>,
    rest: Stream,
}

impl Peeked {
    fn new(mut reader: Stream, length: usize) -> Result<Self, InputProblem> {
        let mut head = Vec::with_capacity(length);
        let first = reader.by_ref().take(length as u64).read_to_end(&mut head);
        first.map_err(InputProblem::Unreadable)?;
        Ok(Self { head, rest: reader })
    }

    /// Takes off all layers of gzip and zstd. Looks at the first `length` bytes: what writes into a pipe may
    /// have no more to say for now.
    pub(crate) fn uncompressed(reader: Stream, length: usize) -> Result<Self, InputProblem> {
        let mut peeked = Self::new(reader, length)?;
        for _ in 0..=MAX_LAYERS {
            let decoder: Stream = match compression(&peeked.head) {
                None => return Ok(peeked),
                Some(Compression::Gzip) => Box::new(MultiGzDecoder::new(peeked.into_stream())),
                Some(Compression::Zstd) => {
                    let decoder = zstd_decoder(peeked.into_stream());
                    Box::new(decoder.map_err(InputProblem::Unreadable)?)
                }
            };
            peeked = Self::new(Box::new(BufReader::new(decoder)), length)?;
        }
        Err(InputProblem::TooDeep { limit: MAX_LAYERS })
    }

    /// The stream from its beginning.
    pub(crate) fn into_stream(self) -> Stream {
        Box::new(Cursor::new(self.head).chain(self.rest))
    }
}

/// How something is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
}

/// How what begins with `head` is compressed, if it is.
pub(crate) fn compression(head: &[u8]) -> Option<Compression> {
    if head.starts_with(&[0x1f, 0x8b]) {
        Some(Compression::Gzip)
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Some(Compression::Zstd)
    } else {
        None
    }
}

fn zstd_decoder(reader: Stream) -> io::Result<zstd::Decoder<'static, BufReader<Stream>>> {
    let mut decoder = zstd::Decoder::new(reader)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(decoder)
}

/// A tar archive read in one pass.
struct Archive {
    origin: Origin,
    reader: Stream,
}

impl Archive {
    /// The next member worth looking at.
    ///
    /// A fresh `tar::Archive` is put over the stream for each member: it borrows the reader for as
    /// long as an entry lives, which an iterator could not hand out otherwise.
    fn next_member(&mut self) -> Option<Result<Document, InputError>> {
        loop {
            match self.read_member() {
                Ok(Some(Member::Document(document))) => return Some(document),
                Ok(Some(Member::PassedOver)) => {}
                Ok(None) => return None,
                Err(error) => {
                    let problem = InputProblem::Unreadable(error);
                    return Some(Err(InputError::new(self.origin.clone(), problem)));
                }
            }
        }
    }

    /// Whether `error` is about the archive rather than about one of its members.
    fn broken(&self, error: &InputError) -> bool {
        error.origin.member.is_none()
    }

    fn read_member(&mut self) -> io::Result<Option<Member>> {
        let mut archive = tar::Archive::new(&mut self.reader);
        let Some(entry) = archive.entries()?.next() else { return Ok(None) };
        let mut entry = entry?;
        let size = entry.size();
        let path = entry.path()?.into_owned();
        let origin = || self.origin.with_member(path.display().to_string());
        let member = if !entry.header().entry_type().is_file() || !is_candidate(&path) {
            skip(&mut entry, size)?;
            Member::PassedOver
        } else if size > MAX_DOCUMENT_BYTES {
            skip(&mut entry, size)?;
            let problem = InputProblem::TooLarge { limit: MAX_DOCUMENT_BYTES };
            Member::Document(Err(InputError::new(origin(), problem)))
        } else {
            let mut raw = Vec::new();
            // The tar reader takes the end of the stream for the end of the member.
            if (entry.read_to_end(&mut raw)? as u64) < size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Member::Document(unwrap_member(raw, origin()))
        };
        let block = TAR_BLOCK as u64;
        let padding = (block - size % block) % block;
        skip(&mut self.reader.by_ref().take(padding), padding)?;
        Ok(Some(member))
    }
}

/// Reads past `count` bytes, which must be there.
fn skip(reader: &mut impl Read, count: u64) -> io::Result<()> {
    if io::copy(reader, &mut io::sink())? < count {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

enum Member {
    Document(Result<Document, InputError>),
    PassedOver,
}

fn unwrap_member(raw: Vec<u8>, origin: Origin) -> Result<Document, InputError> {
    match Content::of(Box::new(Cursor::new(raw))) {
        Ok(Content::Plain(reader)) => read_document(reader, origin, false),
        Ok(Content::Tar(_)) => Err(InputError::new(origin, InputProblem::UnknownFormat)),
        Err(problem) => Err(InputError::new(origin, problem)),
    }
}

fn read_document(reader: Stream, origin: Origin, named: bool) -> Result<Document, InputError> {
    let mut bytes = Vec::new();
    match reader.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes) {
        Ok(read) if read as u64 > MAX_DOCUMENT_BYTES => {
            let problem = InputProblem::TooLarge { limit: MAX_DOCUMENT_BYTES };
            Err(InputError::new(origin, problem))
        }
        Ok(_) => Ok(Document { origin, bytes, named }),
        Err(error) => Err(InputError::new(origin, InputProblem::Unreadable(error))),
    }
}

/// Whether a file met on the way is worth opening.
fn is_candidate(path: &Path) -> bool {
    const ENDINGS: [&str; 8] =
        [".json", ".json.gz", ".json.zst", ".capture", ".tar", ".tar.gz", ".tgz", ".tar.zst"];
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase());
    name.is_some_and(|name| ENDINGS.iter().any(|ending| name.ends_with(ending)))
}
