//! Changing a trie: building it, and applying changes of many keys at once.
//!
//! A batch goes down a branch with all keys below it, and the branch looks at what is left of it
//! when they are through. So it merges with a sibling only if it has to in the end, each node on
//! the way is touched once, and the children of a branch are independent work for threads.
//!
//! All functions recurse along keys, so at most 64 levels deep: no node consumes nothing of them.

use std::{mem, sync::Arc};

use alloy_primitives::B256;
use alloy_trie::Nibbles;
use rayon::prelude::*;

use crate::{
    TrieError,
    children::Children,
    node::{Known, Link, Node},
    walk::{PARALLEL_KEYS, Walk, nibble},
};

/// What one key becomes.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) key: Nibbles,
    /// Its new value; `None` where it goes.
    pub(crate) value: Option<Box<[u8]>>,
}

/// A key with its value.
type Item = (Nibbles, Box<[u8]>);

/// A complete trie of these keys and values. Of a key given twice the last value counts.
pub(crate) fn build(mut entries: Vec<(B256, Box<[u8]>)>) -> Link {
    entries.sort_by_key(|(key, _)| *key);
    let mut items: Vec<Item> = Vec::with_capacity(entries.len());
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
fn build_below(items: &mut [Item], depth: usize) -> Link {
    let (first, last) = match items {
        [] => return Link::Empty,
        [(key, value)] => {
            return Node::Leaf { path: key.slice(depth..), value: mem::take(value) }.into();
        }
        [(first, _), .., (last, _)] => (*first, *last),
    };
    let fork = first.common_prefix_length(&last);
    let mut children = Children::default();
    for group in items.chunk_by_mut(|(a, _), (b, _)| nibble(a, fork) == nibble(b, fork)) {
        children.push(nibble(&group[0].0, fork), build_below(group, fork + 1));
    }
    Node::branch_below(first.slice(depth..fork), children).into()
}

/// The subtree that `changes` make where nothing is.
fn build_changes(changes: &mut [Change], depth: usize) -> Link {
    let set = |change: &mut Change| change.value.take().map(|value| (change.key, value));
    let mut items: Vec<Item> = changes.iter_mut().filter_map(set).collect();
    build_below(&mut items, depth)
}

/// What a batch did to a subtree.
#[derive(Debug, Default)]
pub(crate) struct Effect {
    /// Whether it is another one now.
    pub(crate) changed: bool,
    /// Places where the database has a node and the trie has none any more, or had none for a
    /// while: it may have a new one there.
    pub(crate) dissolved: Vec<Nibbles>,
}

impl Walk<'_> {
    /// Applies sorted changes of distinct keys, which share their first `depth` nibbles, to the
    /// subtree there. Values are taken out of `changes`. After an error `link` is of no use.
    ///
    /// A branch left with one child merges with it. That takes the child's node, and is why a
    /// removal can need a node that is on no key's path.
    ///
    /// # Errors
    /// As [`get`](Self::get): that of the first key that has one.
    pub(crate) fn update(
        &self,
        link: &mut Link,
        changes: &mut [Change],
        depth: usize,
    ) -> Result<Effect, TrieError> {
        let mut effect = Effect::default();
        let Some(first) = changes.first() else { return Ok(effect) };
        let place = first.key.slice(..depth);
        let Some(known) = self.known(link, &place)? else {
            *link = build_changes(changes, depth);
            effect.changed = !link.is_empty();
            return Ok(effect);
        };
        let stored = known.stored;
        let (fork, sets) = match &*known.node {
            Node::Extension { path, .. } => fork_of(path, changes, depth),
            _ => (0, false),
        };
        if sets {
            split_extension(Arc::make_mut(&mut known.node), fork);
        }
        match &*known.node {
            Node::Leaf { .. } => effect.changed = update_leaf(link, changes, &place),
            Node::Extension { path, .. } => {
                let below = depth + path.len();
                let path = *path;
                let start = changes.partition_point(|c| c.key.slice(depth..below) < path);
                let changes = &mut changes[start..];
                let end = changes.partition_point(|c| c.key.slice(depth..below) == path);
                self.update_extension(link, &mut changes[..end], &place, &mut effect)?;
            }
            Node::Branch(_) => self.update_branch(link, changes, &place, &mut effect)?,
        }
        if effect.changed {
            match link {
                Link::Node(known) => {
                    known.mark_changed();
                    known.stored = stored;
                }
                _ if stored => effect.dissolved.push(place),
                _ => {}
            }
        }
        Ok(effect)
    }

    /// Applies changes that are all below the extension at `place`.
    fn update_extension(
        &self,
        link: &mut Link,
        changes: &mut [Change],
        place: &Nibbles,
        effect: &mut Effect,
    ) -> Result<(), TrieError> {
        let Link::Node(known) = link else { return Ok(()) };
        if changes.is_empty() {
            return Ok(());
        }
        let Node::Extension { path, child } = Arc::make_mut(&mut known.node) else { return Ok(()) };
        *effect = self.update(child, changes, place.len() + path.len())?;
        if effect.changed {
            let (path, child) = (*path, mem::take(&mut **child));
            *link = self.lift(path, child, &place.join(&path), effect)?;
        }
        Ok(())
    }

    /// Applies changes below the branch at `place`.
    fn update_branch(
        &self,
        link: &mut Link,
        changes: &mut [Change],
        place: &Nibbles,
        effect: &mut Effect,
    ) -> Result<(), TrieError> {
        let Link::Node(known) = link else { return Ok(()) };
        let Node::Branch(children) = Arc::make_mut(&mut known.node) else { return Ok(()) };
        let depth = place.len();
        let sets = changes.iter().filter(|change| change.value.is_some());
        children.make_room(sets.fold(0, |mask, change| mask | 1 << nibble(&change.key, depth)));
        let parallel = self.parallel && changes.len() >= PARALLEL_KEYS;
        let work = pair_up(children, changes, depth);
        let update = |(link, changes)| self.update(link, changes, depth + 1);
        if parallel {
            let work: Vec<_> = work.collect();
            let results: Vec<_> = work.into_par_iter().map(update).collect();
            results.into_iter().try_for_each(|result| result.map(|below| effect.add(below)))?;
        } else {
            for pair in work {
                effect.add(update(pair)?);
            }
        }
        children.prune();
        if children.len() == 0 {
            *link = Link::Empty;
        } else if let Some((index, child)) = children.take_only() {
            let path = Nibbles::from_nibbles([index]);
            *link = self.lift(path, child, &place.join(&path), effect)?;
        }
        Ok(())
    }

    /// The subtree `child`, which stands at `place`, with `path` before it: paths of leaves and
    /// extensions merge, a branch gets an extension above it.
    fn lift(
        &self,
        path: Nibbles,
        mut child: Link,
        place: &Nibbles,
        effect: &mut Effect,
    ) -> Result<Link, TrieError> {
        let Some(known) = self.known(&mut child, place)? else { return Ok(Link::Empty) };
        let merged = match &*known.node {
            Node::Leaf { path: below, value } => {
                Node::Leaf { path: path.join(below), value: value.clone() }
            }
            Node::Extension { path: below, child } => {
                Node::Extension { path: path.join(below), child: child.clone() }
            }
            Node::Branch(_) => return Ok(Node::extension(path, child).into()),
        };
        if known.stored {
            effect.dissolved.push(*place);
        }
        Ok(merged.into())
    }
}

impl Effect {
    fn add(&mut self, mut below: Self) {
        self.changed |= below.changed;
        self.dissolved.append(&mut below.dissolved);
    }
}

/// Each child with the changes below it. Changes that have no child are removals of what is not.
fn pair_up<'c>(
    children: &'c mut Children,
    mut changes: &'c mut [Change],
    depth: usize,
) -> impl Iterator<Item = (&'c mut Link, &'c mut [Change])> {
    children.iter_mut().filter_map(move |(at, link)| {
        let start = changes.partition_point(|change| nibble(&change.key, depth) < at);
        let (_, rest) = mem::take(&mut changes).split_at_mut(start);
        let end = rest.partition_point(|change| nibble(&change.key, depth) == at);
        let (group, rest) = rest.split_at_mut(end);
        changes = rest;
        (!group.is_empty()).then_some((link, group))
    })
}

/// Applies changes to the leaf at `place`. Says whether they did anything.
fn update_leaf(link: &mut Link, changes: &mut [Change], place: &Nibbles) -> bool {
    let Link::Node(Known { node, .. }) = &*link else { return false };
    let Node::Leaf { path, value } = &**node else { return false };
    let key = place.join(path);
    let listed = changes.binary_search_by(|change| change.key.cmp(&key));
    let differs = listed.is_ok_and(|at| changes[at].value.as_ref() != Some(value));
    let adds = |change: &Change| change.value.is_some() && change.key != key;
    if !differs && !changes.iter().any(adds) {
        return false;
    }
    let kept = listed.is_err().then(|| (key, value.clone()));
    let set = |change: &mut Change| change.value.take().map(|value| (change.key, value));
    let mut items: Vec<Item> = changes.iter_mut().filter_map(set).collect();
    if let Some(kept) = kept {
        let at = items.partition_point(|(key, _)| *key < kept.0);
        items.insert(at, kept);
    }
    *link = build_below(&mut items, place.len());
    true
}

/// Where the first of the changes that set a key leaves the path of an extension at `depth`, and
/// whether one does.
fn fork_of(path: &Nibbles, changes: &[Change], depth: usize) -> (usize, bool) {
    let sets = changes.iter().filter(|change| change.value.is_some());
    let shared = sets.map(|change| change.key.slice(depth..).common_prefix_length(path));
    let fork = shared.min().unwrap_or(path.len());
    (fork, fork < path.len())
}

/// Makes the extension `node` a branch where its path parts at `fork`, or an extension above it.
/// The branch has one child, until a key is set beside it.
fn split_extension(node: &mut Node, fork: usize) {
    let Node::Extension { path, child } = node else { return };
    let (path, child) = (*path, mem::take(&mut **child));
    let rest = path.slice(fork + 1..);
    let old = if rest.is_empty() { child } else { Node::extension(rest, child).into() };
    let mut children = Children::default();
    children.push(nibble(&path, fork), old);
    *node = Node::branch_below(path.slice(..fork), children);
}

#[cfg(test)]
mod tests;
