//! What a transaction changes, written to the memory and taken back.

use alloy_primitives::map::AddressMap;
use revm::state::Account as RevmAccount;

use super::{Mark, changed_slots, classify, has, name_of, new_code};
use crate::memory::{AccountRef, Memory, SlotRef, Version, Writer};

/// What a transaction published, so that a later execution of it can take it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Written {
    Account(AccountRef),
    Slot(SlotRef),
}

/// Writes what `state` changed to `memory`, telling `written` each location.
#[expect(clippy::iter_over_hash_type, reason = "each location is written on its own")]
pub(crate) fn publish(
    memory: &Memory,
    writer: Writer,
    state: &AddressMap<RevmAccount>,
    suspects: &mut Vec<Version>,
    mut written: impl FnMut(Written),
) {
    for (address, account) in state {
        let Some(change) = classify(account) else { continue };
        let mut slots = changed_slots(account).peekable();
        let has_slots = change.account.is_some() && slots.peek().is_some();
        if !change.changed && !has_slots {
            continue;
        }
        // Whatever the journal holds was read through this memory.
        let at = account.info.account_id.map(|id| AccountRef(name_of(id)));
        let Some(at) = at.or_else(|| memory.find_account(*address)) else { continue };
        if let Some(code) = new_code(account) {
            memory.insert_code(account.info.code_hash, code.clone());
        }
        let is_held_back = account.info.account_id.is_some_and(|id| has(id, Mark::HeldBack));
        if change.changed && !is_held_back {
            memory.write_account(at, writer, change.account, change.wiped, suspects);
            written(Written::Account(at));
        }
        if has_slots {
            for (slot, value) in slots {
                written(Written::Slot(memory.write_slot(at, slot, writer, value, suspects)));
            }
        }
    }
}

/// Takes back what the transaction of `version` wrote.
pub(crate) fn take_back(
    memory: &Memory,
    version: Version,
    written: impl IntoIterator<Item = Written>,
    suspects: &mut Vec<Version>,
) {
    for at in written {
        match at {
            Written::Account(at) => memory.remove_account(at, version, suspects),
            Written::Slot(at) => memory.remove_slot(at, version, suspects),
        }
    }
}
