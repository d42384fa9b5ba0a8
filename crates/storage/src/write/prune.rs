//! Forgetting what states were long ago.

use super::{EARLIEST_STATE, Writer, state::Changed};
use crate::{
    StorageError,
    tables::{self, slot_key, versioned, versioned_node},
    view::earliest_state,
};

impl Writer {
    /// Forgets the states before block `earliest`, of at most `most` blocks: they can no longer be
    /// read, proven or reverted to. The blocks themselves are kept. Returns the first block whose state
    /// is kept now.
    ///
    /// # Errors
    /// When the tables cannot be read or written.
    pub fn prune(&mut self, earliest: u64, most: u64) -> Result<u64, StorageError> {
        let kept = earliest_state(&self.transaction.open_table(tables::META)?)?;
        let head = self.head()?.header.number;
        let until = earliest.min(head).min(kept.saturating_add(most));
        if until <= kept {
            return Ok(kept);
        }
        for block in kept + 1..=until {
            self.forget_history(block)?;
        }
        self.put_meta(EARLIEST_STATE, &until.to_be_bytes())?;
        Ok(until)
    }

    /// Removes what keys were before `block`.
    pub(super) fn forget_history(&mut self, block: u64) -> Result<(), StorageError> {
        let Changed { accounts, slots, nodes } = self.take_changes(block)?;
        let tables = &self.transaction;
        let mut history = tables.open_table(tables::ACCOUNT_HISTORY)?;
        for key in accounts {
            history.remove(&versioned::<32, 40>(&key.0, block))?;
        }
        let mut history = tables.open_table(tables::SLOT_HISTORY)?;
        for of_one in slots {
            for slot in of_one.slots {
                let key = slot_key(of_one.account, slot);
                history.remove(&versioned::<64, 72>(&key, block))?;
            }
        }
        let mut history = tables.open_table(tables::NODE_HISTORY)?;
        for key in nodes {
            history.remove(&*versioned_node(&key, block))?;
        }
        Ok(())
    }
}
