//! Chains as files: the RLP of one block after the other, as geth's `export` writes them and its `import` reads
//! them.
//!
//! A chain is longer than memory, so a [`ChainFile`] holds one block at a time, and never allocates more than
//! there are bytes to fill it. It looks at nothing but the length of each block: what is in the bytes is for
//! [`decode_block`](crate::decode_block), wherever and on whichever thread it is called. Where a block begins is
//! part of what is read, so that errors can name the place and an import can be taken up there again.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    mem,
    path::{Path, PathBuf},
};

use flate2::write::GzEncoder;

use crate::{
    InputProblem,
    documents::{Peeked, Stream, compression},
};

/// The largest block read unless somebody asks for another limit: what a gas limit of a thousand million pays for,
/// at four gas for a byte.
pub const DEFAULT_MAX_BLOCK_BYTES: u64 = 1 << 28;

/// Bytes read ahead of the block that is being read.
const BUFFER_BYTES: usize = 1 << 20;

/// The first bytes, in which compression shows.
const MAGIC_BYTES: usize = 4;

/// The payload length from which RLP writes the length in bytes of its own.
const LONG_LIST: u64 = 56;

/// The blocks of a chain file, one after the other. After an error there are no more.
///
/// Offsets are counted in bytes from the beginning, after decompression.
///
/// ```
/// use warpline_replay::{ChainFile, ChainFileWriter};
///
/// let mut writer = ChainFileWriter::plain(Vec::new());
/// writer.append(&[0xc2, 1, 2])?;
/// writer.append(&[0xc1, 3])?;
/// let bytes = writer.finish()?;
///
/// let mut file = ChainFile::from_reader(std::io::Cursor::new(bytes));
/// file.skip_to(3)?;
/// for block in file {
///     let block = block?;
///     assert_eq!((block.offset, block.rlp.as_slice()), (3, [0xc1, 3].as_slice()));
/// }
/// # Ok::<(), warpline_replay::ChainFileError>(())
/// ```
pub struct ChainFile {
    source: Source,
    /// Where the next block begins.
    offset: u64,
    max_block_bytes: u64,
    failed: bool,
}

/// A block as it stands in a chain file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawBlock {
    /// Where it begins.
    pub offset: u64,
    /// Its encoding: one RLP list, whatever is in it.
    pub rlp: Vec<u8>,
}

/// Why a chain file cannot be read on, or written.
#[derive(Debug, thiserror::Error)]
pub enum ChainFileError {
    /// The file system or a decompressor gave up.
    #[error("the chain file cannot be read on from byte {offset}: {source}")]
    Unreadable {
        /// How far it was read.
        offset: u64,
        /// Why it was not read on.
        source: io::Error,
    },
    /// The file cannot be decompressed.
    #[error(transparent)]
    Compression(Box<InputProblem>),
    /// Something other than an RLP list stands where a block must begin. The file is not a chain file, or the
    /// offset is not that of a block.
    #[error(
        "no block begins at byte {offset}: found {found:#04x}, an RLP list begins with 0xc0 or more"
    )]
    NotAList {
        /// The place.
        offset: u64,
        /// The byte there.
        found: u8,
    },
    /// The length of the list is written in more bytes than it needs.
    #[error("the block at byte {offset} has a malformed length")]
    Length {
        /// Where the block begins.
        offset: u64,
    },
    /// The block claims to be longer than what is read.
    #[error("the block at byte {offset} claims {claimed} bytes, at most {limit} are read")]
    TooLong {
        /// Where it begins.
        offset: u64,
        /// How long it claims to be.
        claimed: u64,
        /// The longest that is read.
        limit: u64,
    },
    /// The file ends within a block.
    #[error("the file ends within the block at byte {offset}, {found} of {expected} bytes into it")]
    Truncated {
        /// Where the block begins. What comes before it is whole.
        offset: u64,
        /// How long the block is, or its length prefix where that is cut off.
        expected: u64,
        /// How much of that there is.
        found: u64,
    },
    /// The place to skip to has been read already.
    #[error("cannot go back from byte {offset} to byte {to}")]
    Backwards {
        /// Where the next block begins.
        offset: u64,
        /// The place to skip to.
        to: u64,
    },
    /// The place to skip to is beyond the end.
    #[error("cannot go on at byte {to}: the file has {length}")]
    BeyondEnd {
        /// The place to skip to.
        to: u64,
        /// How long the file is.
        length: u64,
    },
    /// What is to be appended is not one RLP list.
    #[error("not appended: {found} bytes that are not exactly one RLP list")]
    NotABlock {
        /// How many bytes they are.
        found: usize,
    },
    /// The chain file cannot be written.
    #[error("the chain file cannot be written: {0}")]
    Unwritable(#[source] io::Error),
}

/// Where the bytes come from: only an uncompressed file can be jumped around in.
enum Source {
    File(BufReader<File>),
    Stream(BufReader<Stream>),
    /// A stream that nobody has looked at: whether it is compressed is seen when something comes.
    Unread(Stream),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Stream(stream) => stream.read(buffer),
            Self::Unread(stream) => stream.read(buffer),
        }
    }
}

/// What has a name and is no file: to open a pipe takes as long as nobody writes to it.
struct Named {
    path: PathBuf,
    file: Option<File>,
}

impl Read for Named {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path)?),
        };
        file.read(buffer)
    }
}

impl ChainFile {
    /// The chain file at `path`; gzip and zstd are recognised by their first bytes. A pipe with a name is not
    /// opened before the first block is asked for.
    ///
    /// # Errors
    /// When it cannot be opened, or not be decompressed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ChainFileError> {
        let path = path.as_ref();
        let unreadable = |source| ChainFileError::Unreadable { offset: 0, source };
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Ok(Self::from_reader(Named { path: path.to_owned(), file: None }));
        }
        let open = || {
            let mut file = File::open(path)?;
            let mut head = Vec::new();
            Read::by_ref(&mut file).take(MAGIC_BYTES as u64).read_to_end(&mut head)?;
            file.rewind()?;
            Ok((file, compression(&head).is_none()))
        };
        let (file, seekable) = open().map_err(unreadable)?;
        if seekable {
            return Ok(Self::new(Source::File(BufReader::with_capacity(BUFFER_BYTES, file))));
        }
        let mut file = Self::from_reader(BufReader::new(file));
        file.begin()?;
        Ok(file)
    }

    /// A chain file that comes from `reader`, for one standard input, compressed or not. Nothing is read
    /// before the first block is asked for.
    pub fn from_reader(reader: impl Read + Send + 'static) -> Self {
        Self::new(Source::Unread(Box::new(reader)))
    }

    /// Looks whether a stream is compressed, unless somebody did.
    fn begin(&mut self) -> Result<(), ChainFileError> {
        if let Source::Unread(stream) = &mut self.source {
            let stream = mem::replace(stream, Box::new(io::empty()));
            let peeked = Peeked::uncompressed(stream, MAGIC_BYTES)
                .map_err(|problem| ChainFileError::Compression(Box::new(problem)))?;
            let stream = BufReader::with_capacity(BUFFER_BYTES, peeked.into_stream());
            self.source = Source::Stream(stream);
        }
        Ok(())
    }

    const fn new(source: Source) -> Self {
        Self { source, offset: 0, max_block_bytes: DEFAULT_MAX_BLOCK_BYTES, failed: false }
    }

    /// Reads blocks of up to `bytes` bytes instead of [`DEFAULT_MAX_BLOCK_BYTES`].
    #[must_use]
    pub const fn with_max_block_bytes(mut self, bytes: u64) -> Self {
        self.max_block_bytes = bytes;
        self
    }

    /// Where the next block begins, or the file ends.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes on at byte `to`, where a block must begin. Of an uncompressed file what lies between is not read.
    ///
    /// # Errors
    /// When `to` is before [`offset`](Self::offset) or beyond the end, or what lies between cannot be read.
    pub fn skip_to(&mut self, to: u64) -> Result<(), ChainFileError> {
        let from = self.offset;
        let Some(count) = to.checked_sub(from) else {
            return Err(ChainFileError::Backwards { offset: from, to });
        };
        self.begin()?;
        let reached = match &mut self.source {
            Source::File(file) => file
                .get_ref()
                .metadata()
                .and_then(|metadata| file.seek(SeekFrom::Start(to.min(metadata.len())))),
            stream => {
                io::copy(&mut stream.by_ref().take(count), &mut io::sink()).map(|read| from + read)
            }
        };
        let unreadable = |source| ChainFileError::Unreadable { offset: from, source };
        self.offset = reached.map_err(unreadable)?;
        if self.offset < to {
            return Err(ChainFileError::BeyondEnd { to, length: self.offset });
        }
        Ok(())
    }

    fn read_block(&mut self) -> Result<Option<RawBlock>, ChainFileError> {
        self.begin()?;
        let offset = self.offset;
        let mut rlp = Vec::new();
        self.extend(&mut rlp, 1)?;
        let Some(first) = rlp.first().copied() else { return Ok(None) };
        let payload = match first {
            0..0xc0 => return Err(ChainFileError::NotAList { offset, found: first }),
            0xc0..=0xf7 => u64::from(first - 0xc0),
            0xf8.. => {
                let digits = u64::from(first - 0xf7);
                self.extend(&mut rlp, 1 + digits)?;
                if (rlp.len() as u64) < 1 + digits {
                    let found = rlp.len() as u64;
                    return Err(ChainFileError::Truncated { offset, expected: 1 + digits, found });
                }
                let length = rlp.iter().skip(1).fold(0, |sum, digit| sum << 8 | u64::from(*digit));
                if rlp.get(1) == Some(&0) || length < LONG_LIST {
                    return Err(ChainFileError::Length { offset });
                }
                length
            }
        };
        let expected = payload.saturating_add(rlp.len() as u64);
        if expected > self.max_block_bytes {
            let limit = self.max_block_bytes;
            return Err(ChainFileError::TooLong { offset, claimed: expected, limit });
        }
        self.extend(&mut rlp, expected)?;
        let found = rlp.len() as u64;
        if found < expected {
            return Err(ChainFileError::Truncated { offset, expected, found });
        }
        self.offset += expected;
        Ok(Some(RawBlock { offset, rlp }))
    }

    /// Reads on until `rlp` has `length` bytes or the file ends. The buffer grows with what is read, not with
    /// what a length prefix claims.
    fn extend(&mut self, rlp: &mut Vec<u8>, length: u64) -> Result<(), ChainFileError> {
        let (offset, missing) = (self.offset, length.saturating_sub(rlp.len() as u64));
        let read = self.source.by_ref().take(missing).read_to_end(rlp);
        read.map_err(|source| ChainFileError::Unreadable { offset, source })?;
        Ok(())
    }
}

impl Iterator for ChainFile {
    type Item = Result<RawBlock, ChainFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let block = self.read_block().transpose();
        self.failed = block.as_ref().is_some_and(Result::is_err);
        block
    }
}

impl RawBlock {
    /// Where the block after it begins.
    pub const fn end(&self) -> u64 {
        self.offset + self.rlp.len() as u64
    }
}

/// Writes blocks one after the other, so that a [`ChainFile`] reads them again.
pub struct ChainFileWriter<W: Write> {
    sink: Sink<W>,
    offset: u64,
}

enum Sink<W: Write> {
    Plain(BufWriter<W>),
    Gzip(GzEncoder<BufWriter<W>>),
}

impl<W: Write> ChainFileWriter<W> {
    /// Writes blocks to `writer` as they are.
    pub fn plain(writer: W) -> Self {
        Self { sink: Sink::Plain(BufWriter::with_capacity(BUFFER_BYTES, writer)), offset: 0 }
    }

    /// Writes blocks to `writer` through gzip.
    pub fn gzip(writer: W) -> Self {
        let writer = BufWriter::with_capacity(BUFFER_BYTES, writer);
        Self { sink: Sink::Gzip(GzEncoder::new(writer, flate2::Compression::default())), offset: 0 }
    }

    /// Where the next block will begin, before compression.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Appends the block with this encoding and returns where it begins.
    ///
    /// # Errors
    /// When the bytes are not exactly one RLP list, or cannot be written.
    pub fn append(&mut self, rlp: &[u8]) -> Result<u64, ChainFileError> {
        let mut rest = rlp;
        let list = alloy_rlp::Header::decode(&mut rest);
        if !list.is_ok_and(|header| header.list && header.payload_length == rest.len()) {
            return Err(ChainFileError::NotABlock { found: rlp.len() });
        }
        match &mut self.sink {
            Sink::Plain(writer) => writer.write_all(rlp),
            Sink::Gzip(writer) => writer.write_all(rlp),
        }
        .map_err(ChainFileError::Unwritable)?;
        let offset = self.offset;
        self.offset += rlp.len() as u64;
        Ok(offset)
    }

    /// Writes out what is buffered and gives the writer back. Dropping the writer instead hides errors.
    ///
    /// # Errors
    /// When not everything can be written.
    pub fn finish(self) -> Result<W, ChainFileError> {
        let writer = match self.sink {
            Sink::Plain(writer) => writer,
            Sink::Gzip(writer) => writer.finish().map_err(ChainFileError::Unwritable)?,
        };
        let mut writer =
            writer.into_inner().map_err(|error| ChainFileError::Unwritable(error.into_error()))?;
        writer.flush().map_err(ChainFileError::Unwritable)?;
        Ok(writer)
    }
}
