//! Where nodes come from that a trie does not hold itself.
//!
//! A trie is asked for along keys, and knows of most subtrees only the hash. A witness is a set of
//! nodes by hash, all in memory and decoded once. A database is asked for one node at a time, by
//! the place where it stands, and what it says is held against the hash that the parent names: a
//! damaged or mixed-up database is noticed where it is read.

use std::{error::Error, fmt, ops::Deref, sync::Arc};

use alloy_primitives::{B256, Bytes, keccak256, map::B256Map};
use alloy_trie::Nibbles;

use crate::{DamagedNode, TrieError, TrieId, node::Node};

/// One of the tries of a state, as a database tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrieKey {
    /// The trie of all accounts.
    Accounts,
    /// The storage of the account whose address has this Keccak-256 hash.
    Storage(B256),
}

/// A database of trie nodes.
///
/// It holds what [`TrieUpdates`](crate::TrieUpdates) told it: branches and extensions that have a
/// hash of their own. Leaves it makes from the flat tables of accounts and slots, with
/// [`account_leaf_node`](crate::account_leaf_node) and
/// [`storage_leaf_node`](crate::storage_leaf_node): where no node is stored at `path`, the node
/// there is the leaf of the one key that begins with `path`. It shows the state that the trie was
/// opened or last committed with, whatever is written in the meantime.
///
/// It is called from many threads at once, those of a rayon pool among them, and must not wait for
/// work that the same pool has to do.
pub trait NodeSource: fmt::Debug + Send + Sync {
    /// The RLP of the node with this `hash`, which stands `path` nibbles down `trie`. `None` where
    /// there is none. The hash is for sources that find nodes by it; others need not look at it,
    /// for the caller compares.
    ///
    /// # Errors
    /// When reading fails.
    fn node(
        &self,
        trie: TrieKey,
        path: &Nibbles,
        hash: B256,
    ) -> Result<Option<Bytes>, NodeSourceError>;
}

/// What a [`NodeSource`] failed with, shared by all copies of the [`TrieError`] that tells of it.
/// Two are equal when they are copies of one.
#[derive(Clone, Debug)]
pub struct NodeSourceError(Arc<dyn Error + Send + Sync>);

impl NodeSourceError {
    /// Wraps what the source failed with.
    pub fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }

    /// The error within, for looking at its type.
    pub fn inner(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl PartialEq for NodeSourceError {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for NodeSourceError {}

impl fmt::Display for NodeSourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// It stands for the error within, so its source is that one's source.
impl Error for NodeSourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// Nodes by hash, decoded once and shared by every place that has them.
///
/// A witness is a set: whoever made it may let one node stand in many places, so that the tree it
/// describes is far larger than itself. Nodes are therefore looked up on the way and never
/// expanded ahead of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nodes(Arc<B256Map<Decoded>>);

/// Real witnesses hold a few strings that are no nodes, such as values of leaves. They do no harm
/// unless something refers to them.
type Decoded = Result<Arc<Node>, alloy_rlp::Error>;

impl Nodes {
    /// Decodes every node, reached from a root or not.
    pub(crate) fn decode(nodes: impl IntoIterator<Item = Bytes>) -> Self {
        let decode = |rlp: Bytes| (keccak256(&rlp), Node::decode(&rlp).map(Arc::new));
        Self(Arc::new(nodes.into_iter().map(decode).collect()))
    }

    /// The node with this hash, `None` where it is not known.
    ///
    /// # Errors
    /// [`TrieError::MalformedNode`] where the bytes with this hash are no node.
    pub(crate) fn get(&self, hash: B256) -> Result<Option<&Arc<Node>>, TrieError> {
        let decoded = self.0.get(&hash).map(Result::as_ref).transpose();
        decoded.map_err(|error| TrieError::MalformedNode { hash, error: *error })
    }
}

/// What a state trie resolves hashes through.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// Nothing but these; a complete trie has none and needs none.
    Witness(Nodes),
    /// A database, which is asked each time.
    Database(Arc<dyn NodeSource>),
}

impl Default for Source {
    fn default() -> Self {
        Self::Witness(Nodes::default())
    }
}

/// A node that was looked up: shared with a witness, which all readers do without touching a
/// count, or made for whoever asked.
#[derive(Debug)]
pub(crate) enum Resolved<'a> {
    Shared(&'a Arc<Node>),
    Read(Arc<Node>),
}

impl Resolved<'_> {
    pub(crate) fn into_shared(self) -> Arc<Node> {
        match self {
            Self::Shared(node) => Arc::clone(node),
            Self::Read(node) => node,
        }
    }
}

impl Deref for Resolved<'_> {
    type Target = Node;

    fn deref(&self) -> &Node {
        match self {
            Self::Shared(node) => node,
            Self::Read(node) => node,
        }
    }
}

impl Source {
    /// The node with this hash, which stands at `path` of the trie that a database knows as `key`
    /// and an error as `trie`.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] where it is not known, [`TrieError::Source`] where reading
    /// fails, [`TrieError::DamagedNode`] and [`TrieError::MalformedNode`] where what is there is
    /// not the node.
    pub(crate) fn resolve(
        &self,
        (trie, key): (TrieId, TrieKey),
        path: Nibbles,
        hash: B256,
    ) -> Result<Resolved<'_>, TrieError> {
        let missing = || TrieError::MissingNode { trie, path, hash };
        let source = match self {
            Self::Witness(nodes) => {
                return nodes.get(hash)?.map(Resolved::Shared).ok_or_else(missing);
            }
            Self::Database(source) => source,
        };
        let rlp = source.node(key, &path, hash);
        let rlp = rlp.map_err(|error| TrieError::Source { trie, path, error })?;
        let rlp = rlp.ok_or_else(missing)?;
        let found = keccak256(&rlp);
        if found != hash {
            let damaged = DamagedNode { trie, path, expected: hash, found };
            return Err(TrieError::DamagedNode(Box::new(damaged)));
        }
        let node = Node::decode(&rlp).map_err(|error| TrieError::MalformedNode { hash, error })?;
        Ok(Resolved::Read(Arc::new(node)))
    }
}
