//! Nodes, and the links between them.
//!
//! A link says what is known of the subtree below it. A trie begins with links that are hashes,
//! resolved through the [`Nodes`] of a witness, or with nodes it owns. Changing a subtree makes it
//! owned; its encoding is then forgotten up to the root, and found again by [`Link::rlp`].
//!
//! ```text
//! Hash ──── change ────▶ Node(encoding unknown) ──── rlp() ────▶ Node(encoding known)
//!                              ▲                                        │
//!                              └──────────────── change ───────────────┘
//! ```

use std::sync::Arc;

use alloy_primitives::{B256, Bytes, keccak256, map::B256Map};
use alloy_rlp::{EMPTY_LIST_CODE, EMPTY_STRING_CODE};
use alloy_trie::{
    EMPTY_ROOT_HASH, Nibbles, TrieMask,
    nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode, TrieNode},
};

use crate::TrieError;

/// The first byte of an encoded hash: a string of 32 bytes.
const HASH_CODE: u8 = EMPTY_STRING_CODE + 32;

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
        child: Link,
    },
    /// A fork in the path, with at least two children.
    Branch(Box<[Link; 16]>),
}

/// A subtree, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) enum Link {
    /// There is nothing.
    #[default]
    Empty,
    /// Its hash; the node may or may not be among the [`Nodes`].
    Hash(B256),
    /// The node itself, and how a parent refers to it unless that is to be found out again.
    Node(Arc<Node>, Option<RlpNode>),
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

impl Node {
    /// A branch below `path`, which may be empty.
    pub(crate) fn branch_below(path: Nibbles, children: Box<[Link; 16]>) -> Self {
        let branch = Self::Branch(children);
        if path.is_empty() { branch } else { Self::Extension { path, child: branch.into() } }
    }

    /// Decodes a node and those inside it. Each is shorter than the one around it, which bounds
    /// the recursion.
    fn decode(rlp: &[u8]) -> alloy_rlp::Result<Self> {
        match alloy_rlp::decode_exact::<TrieNode>(rlp)? {
            TrieNode::EmptyRoot => Err(alloy_rlp::Error::UnexpectedString),
            TrieNode::Leaf(leaf) => Ok(Self::Leaf { path: leaf.key, value: leaf.value.into() }),
            TrieNode::Extension(extension) if extension.key.is_empty() => {
                Err(alloy_rlp::Error::Custom("extension without a path"))
            }
            TrieNode::Extension(extension) => {
                let child = Link::decode(&extension.child)?;
                Ok(Self::Extension { path: extension.key, child })
            }
            TrieNode::Branch(branch) if branch.stack.len() < 2 => {
                Err(alloy_rlp::Error::Custom("branch with fewer than two children"))
            }
            TrieNode::Branch(branch) => {
                let mut children = Box::<[Link; 16]>::default();
                for (nibble, child) in branch.as_ref().children() {
                    if let Some(child) = child {
                        children[usize::from(nibble)] = Link::decode(child)?;
                    }
                }
                Ok(Self::Branch(children))
            }
        }
    }

    /// Encodes the node as its parent refers to it, after everything below it that has changed.
    /// `buffer` is scratch space.
    pub(crate) fn rlp(&mut self, buffer: &mut Vec<u8>) -> RlpNode {
        match self {
            Self::Leaf { path, value } => {
                buffer.clear();
                LeafNodeRef::new(path, value).rlp(buffer)
            }
            Self::Extension { path, child } => {
                let child = child.rlp(buffer);
                buffer.clear();
                ExtensionNodeRef::new(path, &child).rlp(buffer)
            }
            Self::Branch(children) => {
                let mut stack = Vec::with_capacity(16);
                let mut mask = TrieMask::default();
                for (nibble, child) in (0_u8..).zip(children.iter_mut()) {
                    if !child.is_empty() {
                        stack.push(child.rlp(buffer));
                        mask.set_bit(nibble);
                    }
                }
                buffer.clear();
                BranchNodeRef::new(&stack, mask).rlp(buffer)
            }
        }
    }
}

impl From<Node> for Link {
    fn from(node: Node) -> Self {
        Self::Node(Arc::new(node), None)
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

    /// Decodes a reference to a node: its hash, or itself where it is shorter than a hash.
    fn decode(reference: &RlpNode) -> alloy_rlp::Result<Self> {
        let rlp = reference.as_slice();
        match rlp.first() {
            Some(&HASH_CODE) if rlp.len() == 33 => Ok(Self::Hash(B256::from_slice(&rlp[1..]))),
            Some(EMPTY_LIST_CODE..) if rlp.len() < 32 => {
                Ok(Self::Node(Arc::new(Node::decode(rlp)?), Some(reference.clone())))
            }
            _ => Err(alloy_rlp::Error::Custom("neither a hash nor a short node")),
        }
    }

    /// How a parent refers to this subtree. Only what has changed is encoded.
    pub(crate) fn rlp(&mut self, buffer: &mut Vec<u8>) -> RlpNode {
        match self {
            Self::Empty => RlpNode::from_rlp(&[EMPTY_STRING_CODE]),
            Self::Hash(hash) => RlpNode::word_rlp(hash),
            Self::Node(_, Some(rlp)) => rlp.clone(),
            Self::Node(node, unknown) => {
                let rlp = Arc::make_mut(node).rlp(buffer);
                unknown.insert(rlp).clone()
            }
        }
    }

    /// The hash of this subtree taken as a whole trie.
    pub(crate) fn hash(&mut self, buffer: &mut Vec<u8>) -> B256 {
        let rlp = self.rlp(buffer);
        rlp.as_hash().unwrap_or_else(|| keccak256(&rlp))
    }
}
