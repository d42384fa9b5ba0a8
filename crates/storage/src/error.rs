//! Why something could not be stored or read.

use std::{io, path::PathBuf};

use alloy_primitives::{B256, hex};
use warpline_trie::TrieError;

use crate::SCHEMA_VERSION;

/// Why the database refused.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// There is no database at this place.
    #[error("no database at {}: make one with `warpline init`", .path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is a database already.
    #[error("there is a database at {} already", .path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Another process has it open.
    #[error("the database at {} is in use by another process", .path.display())]
    InUse {
        /// Where.
        path: PathBuf,
    },
    /// The file is no database of ours, or too damaged to be opened, or the system does not let it be opened:
    /// [`is_damage`](StorageError::is_damage) tells.
    #[error("cannot open the database at {}: {source}", .path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// What redb says.
        source: Box<redb::Error>,
    },
    /// Another version of the program laid the tables out.
    #[error(
        "the database has schema {found}, this program knows schema {SCHEMA_VERSION}: {}",
        if *.found > SCHEMA_VERSION { "use a newer warpline" } else { "import the chain again" }
    )]
    Schema {
        /// The version of the tables.
        found: u32,
    },
    /// The database engine failed.
    #[error("database: {0}")]
    Engine(#[source] Box<redb::Error>),
    /// What stands in a table is not what was written there.
    #[error("damaged entry in table {table}, key 0x{}: {source}", hex::encode(.key))]
    Damaged {
        /// Which table.
        table: &'static str,
        /// Under which key.
        key: Box<[u8]>,
        /// What is wrong with the bytes.
        source: alloy_rlp::Error,
    },
    /// An entry is not there although another one says so.
    #[error("missing entry in table {table}, key 0x{}", hex::encode(.key))]
    Missing {
        /// Which table.
        table: &'static str,
        /// Under which key.
        key: Box<[u8]>,
    },
    /// The chain does not reach so far.
    #[error("block {number} is not known, the head is block {head}")]
    Ahead {
        /// The block asked for.
        number: u64,
        /// The newest block.
        head: u64,
    },
    /// The block's state is no longer kept.
    #[error("the state of block {number} is pruned, the earliest kept is that of block {earliest}")]
    Pruned {
        /// The block asked for.
        number: u64,
        /// The first block whose state can be read.
        earliest: u64,
    },
    /// A search took longer than it may: see [`StateView::until`](crate::StateView::until).
    #[error("the search took too long")]
    Late,
    /// A block could not be written, and is not there.
    #[error("block {number} ({hash}) cannot be written: {source}")]
    Unwritten {
        /// The number of the block.
        number: u64,
        /// Its hash.
        hash: B256,
        /// Why.
        source: Box<StorageError>,
    },
    /// A block does not follow the head.
    #[error("block {number} with parent {parent} does not follow the head {head} {head_hash}")]
    Disconnected {
        /// The number of the block.
        number: u64,
        /// The parent it names.
        parent: B256,
        /// The newest block.
        head: u64,
        /// Its hash.
        head_hash: B256,
    },
    /// A trie could not be read or changed.
    #[error(transparent)]
    Trie(#[from] TrieError),
    /// The file system failed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl StorageError {
    /// Whether a search took longer than it may, at the bottom of whatever failed because of that.
    pub fn is_late(&self) -> bool {
        match self {
            Self::Late => true,
            Self::Trie(TrieError::Source { error, .. }) => {
                error.inner().downcast_ref::<Self>().is_some_and(Self::is_late)
            }
            _ => false,
        }
    }

    /// Whether what is stored is not what was written, so that reading it again will not help: unlike where the
    /// system does not let anybody read it.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Open { source, .. } | Self::Engine(source) => is_damage(source),
            Self::Unwritten { source, .. } => source.is_damage(),
            Self::Trie(_) => !self.is_late(),
            Self::Damaged { .. } | Self::Missing { .. } => true,
            Self::Absent { .. }
            | Self::Exists { .. }
            | Self::InUse { .. }
            | Self::Schema { .. }
            | Self::Ahead { .. }
            | Self::Pruned { .. }
            | Self::Late
            | Self::Disconnected { .. }
            | Self::Io { .. } => false,
        }
    }

    /// An entry that cannot be decoded.
    pub(crate) fn damaged(table: &'static str, key: &[u8], source: alloy_rlp::Error) -> Self {
        Self::Damaged { table, key: key.into(), source }
    }

    /// An entry that should be there.
    pub(crate) fn missing(table: &'static str, key: &[u8]) -> Self {
        Self::Missing { table, key: key.into() }
    }
}

fn is_damage(error: &redb::Error) -> bool {
    use redb::Error as E;
    match error {
        // A file that is too short, or none of redb's.
        E::Io(error) => {
            matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
        }
        E::Corrupted(_)
        | E::TableTypeMismatch { .. }
        | E::TypeDefinitionChanged { .. }
        | E::TableIsMultimap(_)
        | E::TableIsNotMultimap(_)
        | E::TableDoesNotExist(_) => true,
        _ => false,
    }
}

macro_rules! from_redb {
    ($($error:ty),+) => {$(
        impl From<$error> for StorageError {
            fn from(error: $error) -> Self {
                Self::Engine(Box::new(error.into()))
            }
        }
    )+};
}

from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::SetDurabilityError
);
