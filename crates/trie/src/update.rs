//! Changing a trie: building it, setting and removing keys.
//!
//! All functions recurse along a key, so at most 64 levels deep: no node consumes nothing of it.

use std::{mem, sync::Arc};

use alloy_primitives::B256;
use alloy_trie::{Nibbles, nodes::RlpNode};

use crate::{
    TrieError,
    node::{Link, Node},
    walk::{KEY_NIBBLES, Walk, nibble},
};

/// A complete trie of these keys and values. Of a key given twice the last value counts.
pub(crate) fn build(mut entries: Vec<(B256, Box<[u8]>)>) -> Link {
    entries.sort_by_key(|(key, _)| *key);
    let mut items: Vec<(Nibbles, Box<[u8]>)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let key = Nibbles::unpack(key);
        match items.last_mut() {
            Some((last, latest)) if *last == key => *latest = value,
            _ => items.push((key, value)),
        }
    }
    build_below(&mut items, 0)
}

/// The subtree of sorted, distinct keys that share their first `depth` nibbles.
fn build_below(items: &mut [(Nibbles, Box<[u8]>)], depth: usize) -> Link {
    let (first, last) = match items {
        [] => return Link::Empty,
        [(key, value)] => {
            return Node::Leaf { path: key.slice(depth..), value: mem::take(value) }.into();
        }
        [(first, _), .., (last, _)] => (*first, *last),
    };
    let fork = first.common_prefix_length(&last);
    let mut children = Box::<[Link; 16]>::default();
    for group in items.chunk_by_mut(|(a, _), (b, _)| nibble(a, fork) == nibble(b, fork)) {
        let index = nibble(&group[0].0, fork);
        children[index] = build_below(group, fork + 1);
    }
    Node::branch_below(first.slice(depth..fork), children).into()
}

impl Walk<'_> {
    /// Sets `key` to `value` in the subtree below `link`, which stands `depth` nibbles down the
    /// key. Says whether that changed anything.
    pub(crate) fn insert(
        &self,
        link: &mut Link,
        key: &Nibbles,
        depth: usize,
        value: Box<[u8]>,
    ) -> Result<bool, TrieError> {
        let rest = key.slice(depth..);
        let Some(node) = self.own(link, key, depth)? else {
            *link = Node::Leaf { path: rest, value }.into();
            return Ok(true);
        };
        let changed = match node {
            Node::Leaf { path, value: old } if *path == rest => {
                let changed = *old != value;
                *old = value;
                changed
            }
            Node::Leaf { path, value: old } => {
                let (path, old) = (*path, mem::take(old));
                *node = split(&path, &rest, value, |path| Node::Leaf { path, value: old }.into());
                true
            }
            Node::Extension { path, child } if rest.starts_with(path) => {
                let depth = depth + path.len();
                self.insert(child, key, depth, value)?
            }
            Node::Extension { path, child } => {
                let (path, child) = (*path, mem::take(child));
                *node = split(&path, &rest, value, |path| {
                    if path.is_empty() { child } else { Node::Extension { path, child }.into() }
                });
                true
            }
            Node::Branch(children) => {
                self.insert(&mut children[nibble(key, depth)], key, depth + 1, value)?
            }
        };
        link.forget_encoding_if(changed);
        Ok(changed)
    }

    /// Removes `key` from the subtree below `link`, which stands `depth` nibbles down the key.
    /// Says whether it was there.
    ///
    /// A branch left with one child merges with it. That takes the child's node, and is why a
    /// removal can need a node that is on no key's path.
    pub(crate) fn remove(
        &self,
        link: &mut Link,
        key: &Nibbles,
        depth: usize,
    ) -> Result<bool, TrieError> {
        let Some(node) = self.own(link, key, depth)? else { return Ok(false) };
        let rest = key.slice(depth..);
        match node {
            Node::Leaf { path, .. } if *path == rest => *link = Link::Empty,
            Node::Leaf { .. } => return Ok(false),
            Node::Extension { path, child } => {
                let path = *path;
                if !rest.starts_with(&path) || !self.remove(child, key, depth + path.len())? {
                    return Ok(false);
                }
                *link = self.extend(path, mem::take(child), key, depth)?;
            }
            Node::Branch(children) => {
                if !self.remove(&mut children[nibble(key, depth)], key, depth + 1)? {
                    return Ok(false);
                }
                let mut left = (0_u8..).zip(children.iter_mut()).filter(|(_, c)| !c.is_empty());
                match (left.next(), left.next()) {
                    (Some((index, child)), None) => {
                        let path = Nibbles::from_nibbles([index]);
                        *link = self.extend(path, mem::take(child), key, depth)?;
                    }
                    (None, _) => *link = Link::Empty,
                    _ => link.forget_encoding_if(true),
                }
            }
        }
        Ok(true)
    }

    /// The subtree `child` with `path` before it, standing `depth` nibbles down `key`: paths of
    /// leaves and extensions merge, a branch gets an extension above it.
    fn extend(
        &self,
        path: Nibbles,
        child: Link,
        key: &Nibbles,
        depth: usize,
    ) -> Result<Link, TrieError> {
        let place = key.slice(..depth).join(&path);
        let node: &Node = match &child {
            Link::Empty => return Ok(Link::Empty),
            Link::Hash(hash) => self.resolve(*hash, place)?,
            Link::Node(node, _) => node,
        };
        self.check_depth(node, &place, place.len())?;
        let merged = match node {
            Node::Leaf { path: below, value } => {
                Node::Leaf { path: path.join(below), value: value.clone() }
            }
            Node::Extension { path: below, child } => {
                Node::Extension { path: path.join(below), child: child.clone() }
            }
            Node::Branch(_) => Node::Extension { path, child },
        };
        Ok(merged.into())
    }

    /// The node below `link` for changing; `None` where there is nothing. A node known by hash is
    /// copied into the trie, a node another trie shares is copied from it.
    fn own<'l>(
        &self,
        link: &'l mut Link,
        key: &Nibbles,
        depth: usize,
    ) -> Result<Option<&'l mut Node>, TrieError> {
        if let Link::Hash(hash) = link {
            let node = Arc::clone(self.resolve(*hash, key.slice(..depth))?);
            *link = Link::Node(node, Some(RlpNode::word_rlp(hash)));
        }
        let Link::Node(node, _) = link else { return Ok(None) };
        self.check_depth(node, key, depth)?;
        Ok(Some(Arc::make_mut(node)))
    }
}

impl Link {
    fn forget_encoding_if(&mut self, changed: bool) {
        if let (true, Self::Node(_, encoding)) = (changed, self) {
            *encoding = None;
        }
    }
}

/// A branch where `path` and `rest` part, below what they share: one child is what `old` makes of
/// the remaining `path`, the other a leaf of `rest`. Neither is a prefix of the other.
fn split(
    path: &Nibbles,
    rest: &Nibbles,
    value: Box<[u8]>,
    old: impl FnOnce(Nibbles) -> Link,
) -> Node {
    let fork = path.common_prefix_length(rest);
    debug_assert!(fork < path.len() && fork < rest.len() && rest.len() <= KEY_NIBBLES);
    let mut children = Box::<[Link; 16]>::default();
    children[nibble(path, fork)] = old(path.slice(fork + 1..));
    children[nibble(rest, fork)] = Node::Leaf { path: rest.slice(fork + 1..), value }.into();
    Node::branch_below(path.slice(..fork), children)
}

#[cfg(test)]
mod tests;
