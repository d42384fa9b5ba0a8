//! Taking blocks back.

use redb::ReadableTable;

use super::{Writer, state::Changed};
use crate::{
    StorageError, nodes,
    tables::{self, slot_key, versioned, versioned_node},
    view::{damaged, earliest_state, missing},
};

impl Writer {
    /// Takes back all blocks after block `number`, newest first: everything is as it was before they
    /// were appended, but for code, which is kept by its hash.
    ///
    /// # Errors
    /// [`StorageError::Ahead`] where there is no such block, [`StorageError::Pruned`] where its state is
    /// no longer kept.
    pub fn revert_to(&mut self, number: u64) -> Result<(), StorageError> {
        let head = self.head()?.header.number;
        if number > head {
            return Err(StorageError::Ahead { number, head });
        }
        let earliest = earliest_state(&self.transaction.open_table(tables::META)?)?;
        if number < earliest {
            return Err(StorageError::Pruned { number, earliest });
        }
        for block in (number + 1..=head).rev() {
            self.revert_state(block)?;
            self.remove_block(block)?;
        }
        Ok(())
    }

    fn revert_state(&mut self, block: u64) -> Result<(), StorageError> {
        let Changed { accounts, slots, nodes } = self.take_changes(block)?;
        let tables = &self.transaction;

        let mut present = tables.open_table(tables::ACCOUNTS)?;
        let mut history = tables.open_table(tables::ACCOUNT_HISTORY)?;
        for key in accounts {
            let at: [u8; 40] = versioned(&key.0, block);
            let old = history.remove(&at)?;
            let old = old.ok_or_else(|| StorageError::missing("account_history", &at))?;
            match old.value() {
                [] => drop(present.remove(&key.0)?),
                old => drop(present.insert(&key.0, old)?),
            }
        }

        let mut present = tables.open_table(tables::SLOTS)?;
        let mut history = tables.open_table(tables::SLOT_HISTORY)?;
        let of_all = slots
            .iter()
            .flat_map(|of_one| of_one.slots.iter().map(|slot| slot_key(of_one.account, *slot)));
        for key in of_all {
            let at: [u8; 72] = versioned(&key, block);
            let old = history.remove(&at)?;
            let old = old.ok_or_else(|| StorageError::missing("slot_history", &at))?;
            match old.value() {
                [] => drop(present.remove(&key)?),
                old => drop(present.insert(&key, old)?),
            }
        }

        let mut present = tables.open_table(tables::NODES)?;
        let mut history = tables.open_table(tables::NODE_HISTORY)?;
        for key in nodes {
            let key: &[u8] = &key;
            let at = versioned_node(key, block);
            let version = history.remove(&*at)?;
            let version = version.ok_or_else(|| StorageError::missing("node_history", &at))?;
            let old = {
                let present = present.get(key)?;
                nodes::revert(version.value(), present.as_ref().map(|node| node.value()))
                    .map_err(|error| StorageError::damaged("node_history", &at, error))?
            };
            match old {
                None => drop(present.remove(key)?),
                Some(old) => drop(present.insert(key, &*old)?),
            }
        }
        Ok(())
    }

    /// Removes and returns the keys that a block changed.
    pub(super) fn take_changes(&mut self, block: u64) -> Result<Changed, StorageError> {
        let mut changes = self.transaction.open_table(tables::CHANGES)?;
        let changed = changes.remove(block)?.ok_or_else(|| missing("changes", block))?;
        alloy_rlp::decode_exact(changed.value()).map_err(|error| damaged("changes", block, error))
    }
}
