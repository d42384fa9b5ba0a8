//! Following keys through a trie: reading, and fetching what is on the way.

use std::sync::Arc;

use alloy_primitives::B256;
use alloy_trie::Nibbles;
use rayon::prelude::*;

use crate::{
    TrieError, TrieId, TrieKey,
    node::{Known, Link, Node},
    source::{Resolved, Source},
};

/// Nibbles in a key: every key is a Keccak-256 hash.
pub(crate) const KEY_NIBBLES: usize = 64;

/// From how many keys below a node on several threads walk on from it. Tests
/// have few keys, and want all of the code.
pub(crate) const PARALLEL_KEYS: usize = if cfg!(test) { 3 } else { 96 };

/// A trie being read or changed: where its hashes are resolved, what databases and errors call it,
/// and whether much work is spread over threads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'a> {
    pub(crate) source: &'a Source,
    pub(crate) trie: TrieId,
    pub(crate) key: TrieKey,
    pub(crate) parallel: bool,
}

impl<'a> Walk<'a> {
    /// What `found` makes of the value of `key` in the trie below `root`; `None` where there is no
    /// such key. `seen` is shown each node on the way, with its link.
    ///
    /// # Errors
    /// As [`Source::resolve`]; [`TrieError::Misplaced`] where a node does not fit its depth.
    pub(crate) fn get<T>(
        &self,
        root: &Link,
        key: &Nibbles,
        seen: &mut dyn FnMut(&Link, &Node),
        found: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, TrieError> {
        self.get_below(root, key, 0, seen, found)
    }

    fn get_below<T>(
        &self,
        link: &Link,
        key: &Nibbles,
        depth: usize,
        seen: &mut dyn FnMut(&Link, &Node),
        found: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>, TrieError> {
        let resolved;
        let node: &Node = match link {
            Link::Empty => return Ok(None),
            Link::Hash(hash) => {
                resolved = self.resolve(*hash, key.slice(..depth))?;
                &resolved
            }
            Link::Node(known) => &known.node,
        };
        self.check_depth(node, key, depth)?;
        seen(link, node);
        match node {
            Node::Leaf { path, value } => Ok((key.slice(depth..) == *path).then(|| found(value))),
            Node::Extension { path, child } if key.slice(depth..).starts_with(path) => {
                self.get_below(child, key, depth + path.len(), seen, found)
            }
            Node::Extension { .. } => Ok(None),
            Node::Branch(children) => {
                self.get_below(children.get(nibble(key, depth)), key, depth + 1, seen, found)
            }
        }
    }

    /// Fetches the nodes on the way to sorted `keys` that `root` does not hold, and keeps them
    /// there. What is fetched before an error is kept, too.
    ///
    /// # Errors
    /// As [`get`](Self::get): that of the first key that has one.
    pub(crate) fn fetch(&self, root: &mut Link, keys: &[Nibbles]) -> Result<(), TrieError> {
        // Asking first leaves alone what is here already and perhaps shared with other tries.
        let needed: Vec<_> = keys.iter().filter(|key| meets_hash(root, key)).copied().collect();
        self.fetch_below(root, &needed, 0)
    }

    fn fetch_below(
        &self,
        link: &mut Link,
        keys: &[Nibbles],
        depth: usize,
    ) -> Result<(), TrieError> {
        let Some(first) = keys.first() else { return Ok(()) };
        let Some(known) = self.known(link, &first.slice(..depth))? else { return Ok(()) };
        if known.node.is_leaf() {
            return Ok(());
        }
        match Arc::make_mut(&mut known.node) {
            Node::Leaf { .. } => Ok(()),
            Node::Extension { path, child } => {
                let depth_below = depth + path.len();
                let start = keys.partition_point(|key| key.slice(depth..depth_below) < *path);
                let keys = &keys[start..];
                let end = keys.partition_point(|key| key.slice(depth..depth_below) == *path);
                self.fetch_below(child, &keys[..end], depth_below)
            }
            Node::Branch(children) => {
                let mut groups = keys.chunk_by(|a, b| nibble(a, depth) == nibble(b, depth));
                let mut group = groups.next();
                let work = children.iter_mut().filter_map(move |(at, link)| {
                    let at_of = |keys: &[Nibbles]| nibble(&keys[0], depth);
                    while group.is_some_and(|keys| at_of(keys) < at) {
                        group = groups.next();
                    }
                    Some((link, group.filter(|keys| at_of(keys) == at)?))
                });
                let fetch = |(link, keys)| self.fetch_below(link, keys, depth + 1);
                if !self.parallel || keys.len() < PARALLEL_KEYS {
                    return work.map(fetch).find(Result::is_err).unwrap_or(Ok(()));
                }
                let work: Vec<_> = work.collect();
                let results: Vec<_> = work.into_par_iter().map(fetch).collect();
                results.into_iter().collect()
            }
        }
    }

    /// The node with this hash, which stands at `path`.
    pub(crate) fn resolve(&self, hash: B256, path: Nibbles) -> Result<Resolved<'a>, TrieError> {
        self.source.resolve((self.trie, self.key), path, hash)
    }

    /// The node of `link`, which stands at `path`; `None` where there is nothing. One known by
    /// hash is fetched and kept.
    pub(crate) fn known<'l>(
        &self,
        link: &'l mut Link,
        path: &Nibbles,
    ) -> Result<Option<&'l mut Known>, TrieError> {
        if let Link::Hash(hash) = link {
            let node = self.resolve(*hash, *path)?.into_shared();
            *link = Link::Node(Known::resolved(node, hash));
        }
        let Link::Node(known) = link else { return Ok(None) };
        self.check_depth(&known.node, path, path.len())?;
        Ok(Some(known))
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

/// Whether the way to `key` leads to a node known only by its hash.
fn meets_hash(root: &Link, key: &Nibbles) -> bool {
    let (mut link, mut depth) = (root, 0);
    loop {
        let Link::Node(known) = link else { return matches!(link, Link::Hash(_)) };
        match &*known.node {
            Node::Leaf { .. } => return false,
            Node::Extension { path, child } => {
                depth += path.len();
                link = child;
            }
            Node::Branch(children) if depth < KEY_NIBBLES => {
                link = children.get(nibble(key, depth));
                depth += 1;
            }
            // Too deep to be a node of this trie; whoever goes there says so.
            Node::Branch(_) => return false,
        }
    }
}

/// The nibble of `key` at `depth`, which must be less than the key's length.
pub(crate) fn nibble(key: &Nibbles, depth: usize) -> u8 {
    key.get_unchecked(depth)
}
