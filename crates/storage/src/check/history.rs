//! What was before: that each version is named by the block that made it, and leads to its root.

use std::sync::Arc;

use alloy_primitives::keccak256;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use redb::ReadableTableMetadata;
use warpline_trie::TrieKey;

use super::{CheckError, CheckReport, blocks::engine, check_count};
use crate::{
    View,
    tables::{slot_key, versioned, versioned_node},
    view::{damaged, missing},
    write::Changed,
};

impl View {
    pub(super) fn check_history(
        self: &Arc<Self>,
        report: &mut CheckReport,
    ) -> Result<(), CheckError> {
        let (mut accounts, mut slots, mut nodes) = (0, 0, 0);
        let (earliest, head) = (self.earliest_state(), self.head().header.number);
        for block in earliest + 1..=head {
            let changed = self.changed(block)?;
            for key in &changed.accounts {
                let at: [u8; 40] = versioned(&key.0, block);
                let version = self.account_history.get(&at).map_err(engine)?;
                version.ok_or_else(|| missing("account_history", block))?;
                accounts += 1;
            }
            for of_one in &changed.slots {
                for slot in &of_one.slots {
                    let at: [u8; 72] = versioned(&slot_key(of_one.account, *slot), block);
                    let version = self.slot_history.get(&at).map_err(engine)?;
                    version.ok_or_else(|| missing("slot_history", block))?;
                    slots += 1;
                }
            }
            for key in &changed.nodes {
                let version =
                    self.node_history.get(&*versioned_node(key, block)).map_err(engine)?;
                version.ok_or_else(|| missing("node_history", block))?;
                nodes += 1;
            }
            self.check_root_at(block - 1)?;
        }
        check_count("changes", head - earliest, self.changes.len().map_err(engine)?)?;
        check_count("account_history", accounts, self.account_history.len().map_err(engine)?)?;
        check_count("slot_history", slots, self.slot_history.len().map_err(engine)?)?;
        check_count("node_history", nodes, self.node_history.len().map_err(engine)?)?;
        report.versions = accounts + slots + nodes;
        Ok(())
    }

    /// Whether the root of the state after block `number` can still be put together.
    fn check_root_at(self: &Arc<Self>, number: u64) -> Result<(), CheckError> {
        let state = self.state_at(number)?;
        let root = state.stored_node(TrieKey::Accounts, &Nibbles::default())?;
        let (expected, found) = (state.root(), root.map(keccak256));
        // Without a branch there is at most one account.
        let Some(found) = found.filter(|_| expected != EMPTY_ROOT_HASH) else { return Ok(()) };
        if expected == found { Ok(()) } else { Err(CheckError::StateRoot { expected, found }) }
    }

    /// The keys that a block changed.
    fn changed(&self, block: u64) -> Result<Changed, CheckError> {
        let changed = self.changes.get(block).map_err(engine)?;
        let changed = changed.ok_or_else(|| missing("changes", block))?;
        let decoded = alloy_rlp::decode_exact(changed.value());
        Ok(decoded.map_err(|error| damaged("changes", block, error))?)
    }
}
