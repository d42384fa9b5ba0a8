//! Changes to the state that no transaction makes.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use warpline_primitives::{Account, StateSource};

use super::Overlay;
use crate::{commit::Fees, vm::analysed};

impl<S: StateSource> Overlay<'_, S> {
    /// The account at `address` as it is now, without fees that are owed to it.
    pub(crate) fn account_now(&mut self, address: Address) -> Result<Option<Account>, S::Error> {
        Ok(self.cached(address)?.now)
    }

    /// Changes the account at `address`, which exists from then on.
    pub(crate) fn edit_account(
        &mut self,
        address: Address,
        edit: impl FnOnce(&mut Account),
    ) -> Result<(), S::Error> {
        edit(self.cached(address)?.now.get_or_insert_default());
        Ok(())
    }

    /// Makes code known that accounts may name, and returns its hash.
    pub(crate) fn add_code(&mut self, code: Bytes) -> B256 {
        let hash = keccak256(&code);
        self.new_codes.insert(hash, analysed(code));
        hash
    }

    /// Clears the storage of the account at `address`.
    pub(crate) fn clear_storage(&mut self, address: Address) -> Result<(), S::Error> {
        self.cached(address)?.wipe();
        Ok(())
    }

    /// Sets a slot of the account at `address`.
    pub(crate) fn set_slot(
        &mut self,
        address: Address,
        slot: U256,
        value: U256,
    ) -> Result<(), S::Error> {
        let source = self.source;
        let cached = self.cached(address)?;
        let known = cached.slots.contains_key(&slot) || cached.starts_empty();
        let before = if known { U256::ZERO } else { source.storage(address, slot)? };
        cached.slots.entry(slot).or_insert((before, before)).1 = value;
        Ok(())
    }

    /// Owes the beneficiary these fees.
    pub(crate) const fn owe(&mut self, fees: Fees) {
        self.fees = fees;
    }
}
