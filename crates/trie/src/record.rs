//! Noting which nodes an execution needed.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use alloy_primitives::{B256, Bytes, map::B256Map};
use alloy_trie::Nibbles;

use crate::{NodeSource, NodeSourceError, TrieKey};

/// A source that keeps every node that it was asked for: the nodes of an execution witness.
///
/// What a trie holds already it does not ask for, so the trie must be opened on the recorder for
/// the block in question. The nodes recorded are those that [`StateTrie`](crate::StateTrie) needs
/// for the same reads and changes, which are few: changes are applied a block at a time, and a
/// verifier that applies them key by key may need siblings that were never asked for here.
#[derive(Debug)]
pub struct Recorder {
    source: Arc<dyn NodeSource>,
    nodes: Mutex<B256Map<Bytes>>,
}

impl Recorder {
    /// A recorder that has seen nothing yet.
    pub fn new(source: Arc<dyn NodeSource>) -> Self {
        Self { source, nodes: Mutex::default() }
    }

    /// The RLP of all nodes since the beginning, or since this was last asked, by hash.
    pub fn take(&self) -> Vec<Bytes> {
        let nodes = mem::take(&mut *self.nodes.lock().unwrap_or_else(PoisonError::into_inner));
        let mut nodes: Vec<_> = nodes.into_iter().collect();
        nodes.sort_unstable_by_key(|(hash, _)| *hash);
        nodes.into_iter().map(|(_, rlp)| rlp).collect()
    }
}

impl NodeSource for Recorder {
    fn node(
        &self,
        trie: TrieKey,
        path: &Nibbles,
        hash: B256,
    ) -> Result<Option<Bytes>, NodeSourceError> {
        let rlp = self.source.node(trie, path, hash)?;
        if let Some(rlp) = &rlp {
            let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
            nodes.insert(hash, rlp.clone());
        }
        Ok(rlp)
    }
}
