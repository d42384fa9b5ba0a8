//! Reading a trie along a key.

use std::sync::Arc;

use alloy_primitives::B256;
use alloy_trie::Nibbles;

use crate::{
    TrieError, TrieId,
    node::{Link, Node, Nodes},
};

/// Nibbles in a key: every key is a Keccak-256 hash.
pub(crate) const KEY_NIBBLES: usize = 64;

/// A trie being read or changed: where its hashes are resolved, and what errors call it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'a> {
    pub(crate) nodes: &'a Nodes,
    pub(crate) trie: TrieId,
}

impl<'a> Walk<'a> {
    /// The value of `key` in the trie below `root`.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] where a node on the way is not known, [`TrieError::Misplaced`]
    /// where one does not fit.
    pub(crate) fn get(&self, root: &'a Link, key: &Nibbles) -> Result<Option<&'a [u8]>, TrieError> {
        let (mut link, mut depth) = (root, 0);
        loop {
            let node: &Node = match link {
                Link::Empty => return Ok(None),
                Link::Hash(hash) => self.resolve(*hash, key.slice(..depth))?,
                Link::Node(node, _) => node,
            };
            self.check_depth(node, key, depth)?;
            match node {
                Node::Leaf { path, value } => {
                    return Ok((key.slice(depth..) == *path).then_some(value));
                }
                Node::Extension { path, child } => {
                    if !key.slice(depth..).starts_with(path) {
                        return Ok(None);
                    }
                    depth += path.len();
                    link = child;
                }
                Node::Branch(children) => {
                    link = &children[nibble(key, depth)];
                    depth += 1;
                }
            }
        }
    }

    /// The node with this hash, which stands at `path`.
    pub(crate) fn resolve(&self, hash: B256, path: Nibbles) -> Result<&'a Arc<Node>, TrieError> {
        let missing = || TrieError::MissingNode { trie: self.trie, path, hash };
        self.nodes.get(hash)?.ok_or_else(missing)
    }

    /// Whether keys through `node`, which stands `depth` nibbles down `key`, can have the length
    /// of a key. Every step of a walk asks this, so that a walk ends and no path grows too long,
    /// whatever the witness contains.
    pub(crate) fn check_depth(
        &self,
        node: &Node,
        key: &Nibbles,
        depth: usize,
    ) -> Result<(), TrieError> {
        let fits = match node {
            Node::Leaf { path, .. } => depth + path.len() == KEY_NIBBLES,
            Node::Extension { path, .. } => depth + path.len() < KEY_NIBBLES,
            Node::Branch(_) => depth < KEY_NIBBLES,
        };
        let misplaced = || TrieError::Misplaced { trie: self.trie, path: key.slice(..depth) };
        fits.then_some(()).ok_or_else(misplaced)
    }
}

/// The nibble of `key` at `depth`, which must be less than the key's length, as an index.
pub(crate) fn nibble(key: &Nibbles, depth: usize) -> usize {
    usize::from(key.get_unchecked(depth))
}
