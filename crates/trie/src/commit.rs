//! What a database has to write so that it holds the nodes of a changed trie.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{B256, Bytes};
use alloy_trie::Nibbles;
use rayon::prelude::*;

use crate::node::{Link, Node, PARALLEL_HASHES};

/// What became of the nodes of one trie since it was opened or last committed. No path is in both
/// lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeUpdates {
    /// The branches and extensions that are new or different, with their RLP, by path. Leaves are
    /// not among them, nor are nodes of less than 32 bytes, which stand inside their parents. One
    /// that was changed and changed back may be listed.
    pub written: Vec<(Nibbles, Bytes)>,
    /// The paths at which a stored branch or extension stands no longer, in order.
    pub removed: Vec<Nibbles>,
}

/// What became of the storage of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageUpdates {
    /// The root it has now; that of an empty trie where the account is gone.
    pub root: B256,
    /// Whether all of its nodes that were stored are void. That comes first: what is
    /// [`written`](NodeUpdates::written) was written later.
    pub wiped: bool,
    /// Its nodes. After a wipe none is listed as removed.
    pub nodes: NodeUpdates,
}

/// The nodes that a commit changes, for a [`NodeSource`](crate::NodeSource) to hold afterwards.
///
/// The flat tables, of which the source makes leaves, change as the diffs say that were applied;
/// the storage root that belongs to an account is in [`storages`](Self::storages) where it
/// changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrieUpdates {
    /// The state root.
    pub root: B256,
    /// The trie of accounts.
    pub accounts: NodeUpdates,
    /// The storages that changed, by hashed address.
    pub storages: BTreeMap<B256, StorageUpdates>,
}

impl NodeUpdates {
    /// Whether there is nothing to write or remove.
    pub const fn is_empty(&self) -> bool {
        self.written.is_empty() && self.removed.is_empty()
    }
}

impl TrieUpdates {
    /// Whether there is nothing to write, remove or wipe.
    pub fn is_empty(&self) -> bool {
        let void = |storage: &StorageUpdates| !storage.wiped && storage.nodes.is_empty();
        self.accounts.is_empty() && self.storages.values().all(void)
    }

    /// How many nodes are written, over all tries.
    pub fn written(&self) -> usize {
        let storages = self.storages.values().map(|storage| storage.nodes.written.len());
        self.accounts.written.len() + storages.sum::<usize>()
    }

    /// How many nodes are removed one by one, over all tries.
    pub fn removed(&self) -> usize {
        let storages = self.storages.values().map(|storage| storage.nodes.removed.len());
        self.accounts.removed.len() + storages.sum::<usize>()
    }
}

/// What a trie has to remember for its next commit, besides its own nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Whether anything was changed since the last commit.
    pub(crate) changed: bool,
    /// Whether the database had anything of this trie at the last commit.
    pub(crate) existed: bool,
    /// Whether all that the database had is void.
    pub(crate) wiped: bool,
    /// Places whose stored nodes were dissolved; there may be new ones. They repeat.
    pub(crate) dissolved: Vec<Nibbles>,
    /// How many keys were changed, about.
    pub(crate) weight: usize,
}

impl Ledger {
    /// The updates that turn what the database has into the trie below `root`, which must be
    /// settled. Its nodes count as stored afterwards.
    pub(crate) fn commit(&mut self, root: &mut Link) -> NodeUpdates {
        let mut found = NodeUpdates::default();
        collect(root, Nibbles::new(), &mut found, &mut Vec::new(), self.weight);
        let NodeUpdates { written, mut removed } = found;
        removed.append(&mut self.dissolved);
        removed.sort_unstable();
        removed.dedup();
        removed.retain(|path| written.binary_search_by(|(other, _)| other.cmp(path)).is_err());
        *self = Self::default();
        NodeUpdates { written, removed }
    }
}

/// Lists the changed nodes below `link`, which stands at `path`, parents first, so in the order of
/// paths, and those that were stored at their place and are not any more. `buffer` is scratch space,
/// `weight` as for [`Link::settle`].
fn collect(
    link: &mut Link,
    path: Nibbles,
    found: &mut NodeUpdates,
    buffer: &mut Vec<u8>,
    weight: usize,
) {
    let Link::Node(known) = link else { return };
    if !known.changed {
        return;
    }
    // The root has no parent to stand in, however short it is.
    let stored = !known.node.is_leaf() && (known.has_hash() || path.is_empty());
    if stored {
        buffer.clear();
        known.node.encode(buffer);
        found.written.push((path, Bytes::copy_from_slice(buffer)));
    } else if known.stored {
        found.removed.push(path);
    }
    (known.changed, known.stored) = (false, stored);
    if known.node.is_leaf() {
        return;
    }
    match Arc::make_mut(&mut known.node) {
        Node::Leaf { .. } => {}
        Node::Extension { path: below, child } => {
            collect(child, path.join(below), found, buffer, weight)
        }
        Node::Branch(children) => {
            let changed = |link: &Link| matches!(link, Link::Node(known) if known.changed);
            let count = children.iter().filter(|(_, link)| changed(link)).count();
            let weight = weight / count.max(1);
            let place = |nibble: u8| path.join(&Nibbles::from_nibbles([nibble]));
            if weight < PARALLEL_HASHES {
                for (nibble, child) in children.iter_mut() {
                    collect(child, place(nibble), found, buffer, weight);
                }
                return;
            }
            let children = children.iter_mut().filter(|(_, link)| changed(link));
            let children: Vec<_> = children.collect();
            let parts = children.into_par_iter().map(|(nibble, child)| {
                let mut part = NodeUpdates::default();
                collect(child, place(nibble), &mut part, &mut Vec::new(), weight);
                part
            });
            for mut part in parts.collect::<Vec<_>>() {
                found.written.append(&mut part.written);
                found.removed.append(&mut part.removed);
            }
        }
    }
}
