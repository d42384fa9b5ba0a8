//! The nodes of tries that a block changed: what they are now, and what they were.
//!
//! Both tables are filled at the same time. What a node was is known when it is replaced, and is handed
//! over to whoever fills the history.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, Sender, channel},
};

use alloy_primitives::Bytes;
use redb::{ReadableTable, Table};
use warpline_trie::{NodeUpdates, TrieKey, TrieUpdates};

use super::{
    Writer,
    state::{both, is_large},
};
use crate::{
    StorageError, nodes,
    tables::{self, node_key, trie_prefix, versioned_node},
};

/// The key of a node, and what its history says of it.
type Version = (Bytes, Vec<u8>);

/// The table of nodes, and where it is told what they were.
struct NodeTable<'t> {
    present: Table<'t, &'static [u8], &'static [u8]>,
    versions: Sender<Version>,
    changed: Vec<Bytes>,
}

impl Writer {
    /// Branches and extensions, and which of them changed.
    pub(super) fn put_nodes(
        &self,
        block: u64,
        trie: &TrieUpdates,
    ) -> Result<Vec<Bytes>, StorageError> {
        let (sender, receiver) = channel();
        let present = || self.put_present_nodes(trie, sender);
        let history = || self.put_node_history(block, receiver);
        let (present, history) = both(is_large(trie), present, history);
        history?;
        present
    }

    fn put_present_nodes(
        &self,
        trie: &TrieUpdates,
        versions: Sender<Version>,
    ) -> Result<Vec<Bytes>, StorageError> {
        let present = self.transaction.open_table(tables::NODES)?;
        let mut nodes = NodeTable { present, versions, changed: Vec::new() };
        nodes.apply(TrieKey::Accounts, false, &trie.accounts)?;
        for (account, changes) in &trie.storages {
            nodes.apply(TrieKey::Storage(*account), changes.wiped, &changes.nodes)?;
        }
        Ok(nodes.changed)
    }

    fn put_node_history(
        &self,
        block: u64,
        versions: Receiver<Version>,
    ) -> Result<(), StorageError> {
        let mut history = self.transaction.open_table(tables::NODE_HISTORY)?;
        for (key, version) in versions {
            history.insert(&*versioned_node(&key, block), &*version)?;
        }
        Ok(())
    }
}

impl NodeTable<'_> {
    /// The keys of all nodes of a trie.
    fn keys_of(&self, trie: TrieKey) -> Result<Vec<Vec<u8>>, StorageError> {
        let first = trie_prefix(trie);
        let mut keys = Vec::new();
        for entry in self.present.range::<&[u8]>(&*first..)? {
            let (key, _) = entry?;
            if !key.value().starts_with(&first) {
                break;
            }
            keys.push(key.value().to_vec());
        }
        Ok(keys)
    }

    /// Writes what became of the nodes of a trie.
    fn apply(
        &mut self,
        trie: TrieKey,
        wiped: bool,
        updates: &NodeUpdates,
    ) -> Result<(), StorageError> {
        // What a wiped trie gets anew in the same block replaces what is cleared: both are one change,
        // from what was before the block to what is after it.
        let mut last = BTreeMap::new();
        if wiped {
            last.extend(self.keys_of(trie)?.into_iter().map(|node| (node, None)));
        }
        last.extend(updates.removed.iter().map(|path| (node_key(trie, path), None)));
        let written = updates.written.iter();
        last.extend(written.map(|(path, rlp)| (node_key(trie, path), Some(rlp.as_ref()))));
        for (node, rlp) in last {
            self.put(node, rlp)?;
        }
        Ok(())
    }

    /// Writes what a node is now, and tells what it was before.
    fn put(&mut self, key: Vec<u8>, rlp: Option<&[u8]>) -> Result<(), StorageError> {
        let old = match rlp {
            Some(rlp) => self.present.insert(&*key, rlp)?,
            None => self.present.remove(&*key)?,
        };
        let old = old.as_ref().map(|old| old.value());
        if old == rlp {
            return Ok(());
        }
        let version = nodes::version(old, rlp)
            .map_err(|error| StorageError::damaged("nodes", &key, error))?;
        let key = Bytes::from(key);
        // Whoever fills the history may have failed, and reports that.
        let _ = self.versions.send((key.clone(), version));
        self.changed.push(key);
        Ok(())
    }
}
