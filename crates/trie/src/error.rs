//! What can be wrong with a trie.

use std::fmt;

use alloy_primitives::{Address, B256};
use alloy_trie::Nibbles;

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
    /// A node is needed of which only the hash is known. The witness lacks it.
    #[error("node {hash} at path {path:?} of {trie} is missing")]
    MissingNode {
        /// The trie it belongs to.
        trie: TrieId,
        /// Its place: the nibbles of the hashed key from the root to it.
        path: Nibbles,
        /// Its hash.
        hash: B256,
    },
    /// The bytes of a witness node are no node.
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
