//! What can be wrong with an input, and where.

use std::{fmt, io};

use alloy_primitives::B256;
use warpline_chain::UnknownNetwork;
use warpline_trie::TrieError;

use crate::{CaptureError, JsonPath, Origin, block::BlockDecodeError};

/// An input that could not be understood: which file, which place in it, and why.
#[derive(Debug)]
pub struct InputError {
    /// The file, the archive member and the case.
    pub origin: Origin,
    /// The place within the JSON document.
    pub place: JsonPath,
    /// What is wrong there. Boxed, so that results stay small.
    pub problem: Box<InputProblem>,
}

/// What is wrong with an input.
#[derive(Debug, thiserror::Error)]
pub enum InputProblem {
    /// The file system, a decompressor or an archive reader gave up.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// More compression layers than anybody nests on purpose.
    #[error("more than {limit} compression layers")]
    TooDeep {
        /// How many are followed.
        limit: usize,
    },
    /// The decompressed document is larger than what is read into memory.
    #[error("larger than {limit} bytes when decompressed")]
    TooLarge {
        /// How many bytes are read.
        limit: u64,
    },
    /// Not JSON, or not with the fields and values its format has.
    #[error("{0}")]
    Json(JsonFault),
    /// JSON, but neither a snapshot nor a witness nor a blockchain test.
    #[error("not a known format (snapshot, execution witness, blockchain test or capture)")]
    UnknownFormat,
    /// A capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A member that the format needs is not there.
    #[error("`{0}` is missing")]
    MissingMember(&'static str),
    /// A block does not decode, or a sender cannot be recovered.
    #[error("{0}")]
    Block(#[from] BlockDecodeError),
    /// A hash given beside some data is not the hash of the data.
    #[error("hash mismatch: the file says {stated}, the data has {computed}")]
    Hash {
        /// What the file says.
        stated: B256,
        /// What the data hashes to.
        computed: B256,
    },
    /// The witness has no header of the block's parent.
    #[error("no header of the parent block {parent}")]
    NoParentHeader {
        /// The parent's hash.
        parent: B256,
    },
    /// An ancestor header is not the parent of the one before it.
    #[error("header chain broken: expected the header of {expected}, found {found}")]
    HeaderChain {
        /// The parent hash named by the header below.
        expected: B256,
        /// The hash of the header that stands here.
        found: B256,
    },
    /// The trie nodes of a witness do not hold together.
    #[error("{0}")]
    Witness(#[source] TrieError),
    /// No chain rules are known under this name.
    #[error(transparent)]
    UnknownNetwork(#[from] UnknownNetwork),
    /// The blob schedule names a fork that is not known, or has an update fraction of zero.
    #[error("not a blob schedule entry: {fork}")]
    BlobSchedule {
        /// The fork as named.
        fork: String,
    },
    /// The case neither encodes its genesis block nor lists the fields of its header.
    #[error("neither `genesisRLP` nor `genesisBlockHeader` is there")]
    NoGenesis,
}

/// A JSON error with its position in the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} column {column}: {reason}")]
pub struct JsonFault {
    /// Line, counted from 1.
    pub line: usize,
    /// Column, counted from 1.
    pub column: usize,
    /// What the JSON decoder says.
    pub reason: String,
}

impl InputError {
    /// A problem with the input as a whole.
    pub fn new(origin: Origin, problem: impl Into<InputProblem>) -> Self {
        Self::at(origin, JsonPath::root(), problem)
    }

    /// A problem at one place in it.
    pub fn at(
        origin: Origin,
        place: impl Into<JsonPath>,
        problem: impl Into<InputProblem>,
    ) -> Self {
        Self { origin, place: place.into(), problem: Box::new(problem.into()) }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_root() {
            write!(f, "{}: {}", self.origin, self.problem)
        } else {
            write!(f, "{}: {}: {}", self.origin, self.place, self.problem)
        }
    }
}

impl std::error::Error for InputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.problem)
    }
}

/// A problem and its place, before anybody has said which file it is in.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) place: JsonPath,
    pub(crate) kind: InputProblem,
}

impl Problem {
    pub(crate) fn at(place: impl Into<JsonPath>, kind: impl Into<InputProblem>) -> Self {
        Self { place: place.into(), kind: kind.into() }
    }

    /// The same problem, seen from outside `place`.
    pub(crate) fn below(self, place: &JsonPath) -> Self {
        Self { place: place.join(&self.place), kind: self.kind }
    }

    pub(crate) fn in_origin(self, origin: Origin) -> InputError {
        InputError::at(origin, self.place, self.kind)
    }
}
