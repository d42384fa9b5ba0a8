//! Nodes, and the links between them.
//!
//! A link says what is known of the subtree below it. A trie begins with links that are hashes,
//! resolved through its [`Source`](crate::source::Source), or with nodes it owns.
//!
//! ```text
//!                      ┌──────────────────── change ──────────────────┐
//!                      ▼                                              │
//! Hash ── resolve ─▶ clean ── change ──▶ changed ── settle ──▶ changed, encoded
//!  ▲                 │  ▲                                             │
//!  └──── forget ─────┘  └───────────────── commit ────────────────────┘
//! ```
//!
//! A *clean* node is what the database has: it is encoded, and so is everything below it. Changing
//! a subtree forgets the encodings up to the root. [`Link::settle`] finds them again; a commit
//! lists the nodes that are not clean, and makes them so.

use std::sync::Arc;

use alloy_primitives::{B256, keccak256};
use alloy_rlp::{EMPTY_LIST_CODE, EMPTY_STRING_CODE, Encodable, Header};
use alloy_trie::{
    EMPTY_ROOT_HASH, Nibbles,
    nodes::{ExtensionNodeRef, LeafNodeRef, RlpNode, TrieNode},
};

use crate::children::Children;

/// The first byte of an encoded hash: a string of 32 bytes.
const HASH_CODE: u8 = EMPTY_STRING_CODE + 32;

/// From how many changed keys on a subtree is hashed by several threads. Each takes some
/// microseconds on its way to the root, waking a thread takes about ten.
/// Tests have few keys, and want all of the code.
pub(crate) const PARALLEL_HASHES: usize = if cfg!(test) { 3 } else { 96 };

/// A node of a trie whose values are all at the leaves, as keys have one length.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// The end of a key, and its value.
    Leaf {
        /// The rest of the key.
        path: Nibbles,
        /// What it is mapped to.
        value: Box<[u8]>,
    },
    /// A stretch of path that all keys below share.
    Extension {
        /// The stretch, never empty.
        path: Nibbles,
        /// What is below, a branch.
        child: Box<Link>,
    },
    /// A fork in the path, with at least two children.
    Branch(Children),
}

/// A subtree, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) enum Link {
    /// There is nothing.
    #[default]
    Empty,
    /// Its hash; the source may or may not have the node.
    Hash(B256),
    /// The node itself.
    Node(Known),
}

/// A node that a trie holds, and how the database has it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) node: Arc<Node>,
    /// How a parent refers to it, unless that is to be found out again.
    encoding: Option<RlpNode>,
    /// Whether it may differ from what the database has at this place.
    pub(crate) changed: bool,
    /// Whether the database has a branch or extension of its own at this place, this or another.
    /// What stands inside its parent has no place of its own, and leaves are not stored.
    pub(crate) stored: bool,
}

impl Node {
    /// A branch below `path`, which may be empty.
    pub(crate) fn branch_below(path: Nibbles, children: Children) -> Self {
        let branch = Self::Branch(children);
        if path.is_empty() { branch } else { Self::extension(path, branch.into()) }
    }

    pub(crate) fn extension(path: Nibbles, child: Link) -> Self {
        Self::Extension { path, child: Box::new(child) }
    }

    pub(crate) const fn is_leaf(&self) -> bool {
        matches!(self, Self::Leaf { .. })
    }

    /// Decodes a node and those inside it. Each is shorter than the one around it, which bounds
    /// the recursion.
    ///
    /// # Errors
    /// Where the bytes are no node.
    pub(crate) fn decode(rlp: &[u8]) -> alloy_rlp::Result<Self> {
        match alloy_rlp::decode_exact::<TrieNode>(rlp)? {
            TrieNode::EmptyRoot => Err(alloy_rlp::Error::UnexpectedString),
            TrieNode::Leaf(leaf) => Ok(Self::Leaf { path: leaf.key, value: leaf.value.into() }),
            TrieNode::Extension(extension) if extension.key.is_empty() => {
                Err(alloy_rlp::Error::Custom("extension without a path"))
            }
            TrieNode::Extension(extension) => {
                Ok(Self::extension(extension.key, Link::decode(&extension.child)?))
            }
            TrieNode::Branch(branch) if branch.stack.len() < 2 => {
                Err(alloy_rlp::Error::Custom("branch with fewer than two children"))
            }
            TrieNode::Branch(branch) => {
                let mut children = Children::default();
                for (nibble, child) in branch.as_ref().children() {
                    if let Some(child) = child {
                        children.push(nibble, Link::decode(child)?);
                    }
                }
                Ok(Self::Branch(children))
            }
        }
    }

    /// Appends the RLP of this node. Whatever is below must be settled.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Leaf { path, value } => LeafNodeRef::new(path, value).encode(out),
            Self::Extension { path, child } => {
                let mut reference = Vec::with_capacity(33);
                child.write_reference(&mut reference);
                ExtensionNodeRef::new(path, &reference).encode(out);
            }
            Self::Branch(children) => {
                Header { list: true, payload_length: children.encoded_len() }.encode(out);
                children.encode(out);
            }
        }
    }
}

impl From<Node> for Link {
    /// A node that no database has.
    fn from(node: Node) -> Self {
        let node = Arc::new(node);
        Self::Node(Known { node, encoding: None, changed: true, stored: false })
    }
}

impl Known {
    /// A node with a hash of its own, as the source has it.
    pub(crate) fn resolved(node: Arc<Node>, hash: &B256) -> Self {
        let stored = !node.is_leaf();
        Self { node, encoding: Some(RlpNode::word_rlp(hash)), changed: false, stored }
    }

    /// Notes that the node, or one below it, is no longer what it was.
    pub(crate) fn mark_changed(&mut self) {
        self.encoding = None;
        self.changed = true;
    }

    /// Whether its parent refers to it by hash.
    pub(crate) fn has_hash(&self) -> bool {
        self.hash().is_some()
    }

    /// Its hash, where it is settled and no shorter than a hash.
    pub(crate) fn hash(&self) -> Option<B256> {
        self.encoding.as_ref().and_then(RlpNode::as_hash)
    }
}

impl Link {
    /// The trie with this root.
    pub(crate) fn root(hash: B256) -> Self {
        if hash == EMPTY_ROOT_HASH { Self::Empty } else { Self::Hash(hash) }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Whether its encoding is known.
    pub(crate) const fn is_settled(&self) -> bool {
        !matches!(self, Self::Node(Known { encoding: None, .. }))
    }

    /// Decodes a reference to a node: its hash, or itself where it is shorter than a hash.
    fn decode(reference: &RlpNode) -> alloy_rlp::Result<Self> {
        let rlp = reference.as_slice();
        match rlp.first() {
            Some(&HASH_CODE) if rlp.len() == 33 => Ok(Self::Hash(B256::from_slice(&rlp[1..]))),
            Some(EMPTY_LIST_CODE..) if rlp.len() < 32 => Ok(Self::Node(Known {
                node: Arc::new(Node::decode(rlp)?),
                encoding: Some(reference.clone()),
                changed: false,
                stored: false,
            })),
            _ => Err(alloy_rlp::Error::Custom("neither a hash nor a short node")),
        }
    }

    /// Finds the encodings of this subtree that are unknown. `buffer` is scratch space. `weight`
    /// is about how many keys below have changed: where there are many, branches spread them over
    /// the threads of the current rayon pool.
    pub(crate) fn settle(&mut self, buffer: &mut Vec<u8>, weight: usize) {
        let Self::Node(known @ Known { encoding: None, .. }) = self else { return };
        let node = Arc::make_mut(&mut known.node);
        match node {
            Node::Leaf { .. } => {}
            Node::Extension { child, .. } => child.settle(buffer, weight),
            Node::Branch(children) => children.settle(buffer, weight),
        }
        buffer.clear();
        node.encode(buffer);
        known.encoding = Some(RlpNode::from_rlp(buffer));
    }

    /// The hash of this subtree taken as a whole trie. It is settled for that.
    pub(crate) fn hash(&mut self, weight: usize) -> B256 {
        self.settle(&mut Vec::new(), weight);
        match self {
            Self::Empty => EMPTY_ROOT_HASH,
            Self::Hash(hash) => *hash,
            Self::Node(known) => {
                let short = || keccak256(known.encoding.as_deref().unwrap_or_default());
                known.hash().unwrap_or_else(short)
            }
        }
    }

    /// How many bytes [`write_reference`](Self::write_reference) writes.
    pub(crate) fn reference_len(&self) -> usize {
        match self {
            Self::Empty => 1,
            Self::Hash(_) => 33,
            Self::Node(known) => known.encoding.as_ref().map_or(0, |rlp| rlp.len()),
        }
    }

    /// Appends how a parent refers to this subtree, which must be settled.
    pub(crate) fn write_reference(&self, out: &mut Vec<u8>) {
        debug_assert!(self.is_settled(), "what is below is settled first");
        match self {
            Self::Empty => out.push(EMPTY_STRING_CODE),
            Self::Hash(hash) => {
                out.push(HASH_CODE);
                out.extend_from_slice(hash.as_slice());
            }
            Self::Node(known) => {
                out.extend_from_slice(known.encoding.as_deref().unwrap_or_default())
            }
        }
    }
}
