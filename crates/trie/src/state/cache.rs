//! Bounding what a trie on a database holds in memory.
//!
//! Nodes near a root are on the way to everything, so the cut is made by level: all nodes above it
//! stay, and all clean ones below it are hashes again. Storages that nobody used go first.

use std::sync::Arc;

use super::StateTrie;
use crate::{
    node::{Link, Node},
    source::Source,
    walk::KEY_NIBBLES,
};

/// The level of the root of a storage, those of accounts being counted from the state root: about
/// as deep as the leaf that names it, in a state of a million accounts.
const STORAGE_LEVEL: usize = 5;

/// How many nodes stand at each level.
type Levels = [usize; STORAGE_LEVEL + KEY_NIBBLES + 1];

impl StateTrie {
    /// How many nodes the trie holds, changed ones included.
    pub fn cached_nodes(&self) -> usize {
        self.levels().iter().sum()
    }

    /// Forgets nodes until about `limit` are left, where the trie holds more: at first the
    /// storages that no change or prefetch has used since the last call, then the nodes furthest
    /// from the roots. Changes that are not committed stay, however many they are. Does nothing to
    /// a complete trie or a witness, which could not get back what is forgotten.
    ///
    /// What is forgotten is asked of the database again, so it must have written the last
    /// [`commit`](Self::commit). Costs a visit to each node that is held.
    pub fn shrink(&mut self, limit: usize) {
        let now = self.generation;
        self.generation += 1;
        if !matches!(self.source, Source::Database(_)) || self.cached_nodes() <= limit {
            return;
        }
        self.storages.retain(|_, storage| storage.ledger.changed || storage.used >= now);
        let mut held = 0;
        let levels = self.levels();
        let fits = levels.iter().take_while(|nodes| {
            held += **nodes;
            held <= limit
        });
        let kept_levels = fits.count();
        forget(&mut self.accounts, 0, kept_levels);
        self.storages.retain(|_, storage| {
            forget(&mut storage.root, STORAGE_LEVEL, kept_levels);
            storage.ledger.changed || !matches!(storage.root, Link::Hash(_))
        });
    }

    fn levels(&self) -> Levels {
        let mut levels = [0; _];
        count(&self.accounts, 0, &mut levels);
        self.storages.values().for_each(|storage| count(&storage.root, STORAGE_LEVEL, &mut levels));
        levels
    }
}

fn count(link: &Link, level: usize, levels: &mut Levels) {
    let Link::Node(known) = link else { return };
    // What stands inside its parent goes with it.
    levels[level] += usize::from(known.changed || known.has_hash());
    match &*known.node {
        Node::Leaf { .. } => {}
        Node::Extension { path, child } => count(child, level + path.len(), levels),
        Node::Branch(children) => {
            children.iter().for_each(|(_, child)| count(child, level + 1, levels));
        }
    }
}

/// Makes the clean nodes from `kept_levels` on, of which the first is at `level`, hashes again.
fn forget(link: &mut Link, level: usize, kept_levels: usize) {
    let Link::Node(known) = link else { return };
    if let (true, false, Some(hash)) = (level >= kept_levels, known.changed, known.hash()) {
        *link = Link::Hash(hash);
        return;
    }
    if known.node.is_leaf() {
        return;
    }
    match Arc::make_mut(&mut known.node) {
        Node::Leaf { .. } => {}
        Node::Extension { path, child } => forget(child, level + path.len(), kept_levels),
        Node::Branch(children) => {
            children.iter_mut().for_each(|(_, child)| forget(child, level + 1, kept_levels));
        }
    }
}
