//! What can be wrong with a trie.

use std::fmt;

use alloy_primitives::{Address, B256};
use alloy_trie::Nibbles;

use crate::NodeSourceError;

/// One of the tries a state consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrieId {
    /// The trie of all accounts.
    Accounts,
    /// The storage of the account at this address.
    Storage(Address),
}

impl fmt::Display for TrieId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accounts => f.write_str("the account trie"),
            Self::Storage(address) => write!(f, "the storage trie of {address}"),
        }
    }
}

/// Why a trie could not be built, read or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrieError {
    /// A node is needed of which only the hash is known. The witness or database lacks it.
    #[error("node {hash} at path {path:?} of {trie} is missing")]
    MissingNode {
        /// The trie it belongs to.
        trie: TrieId,
        /// Its place: the nibbles of the hashed key from the root to it.
        path: Nibbles,
        /// Its hash.
        hash: B256,
    },
    /// The database failed to read a node.
    #[error("node at path {path:?} of {trie} cannot be read: {error}")]
    Source {
        /// The trie it belongs to.
        trie: TrieId,
        /// Its place.
        path: Nibbles,
        /// What the database says.
        error: NodeSourceError,
    },
    /// The database has another node than its parent names.
    #[error(transparent)]
    DamagedNode(Box<DamagedNode>),
    /// The bytes of a node are no node.
    #[error("node {hash} is malformed: {error}")]
    MalformedNode {
        /// The hash of the bytes.
        hash: B256,
        /// What decoding them says.
        error: alloy_rlp::Error,
    },
    /// A node is well-formed, but keys through it would have another length than 64 nibbles.
    #[error("node at path {path:?} of {trie} does not fit its depth")]
    Misplaced {
        /// The trie it stands in.
        trie: TrieId,
        /// Where it stands.
        path: Nibbles,
    },
    /// A leaf holds no account, or no storage value.
    #[error("leaf {key} of {trie} is malformed: {error}")]
    MalformedLeaf {
        /// The trie it belongs to.
        trie: TrieId,
        /// Its hashed key.
        key: B256,
        /// What decoding its value says.
        error: alloy_rlp::Error,
    },
}

/// A node of a database that is not what it should be: the database is damaged, or shows another
/// state than the one it was opened with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node at path {path:?} of {trie}: expected hash {expected}, found {found}")]
pub struct DamagedNode {
    /// The trie it belongs to.
    pub trie: TrieId,
    /// Its place.
    pub path: Nibbles,
    /// The hash that its parent, or the state, names.
    pub expected: B256,
    /// The hash of what is stored.
    pub found: B256,
}
