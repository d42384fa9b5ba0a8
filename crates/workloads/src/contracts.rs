//! Contracts put in place without a transaction, and the calls to them.
//!
//! Each module here collects what a contract shall hold and writes it into a state at once: the
//! deployed code, and every variable in the slot the storage layout gives it. What the contract's
//! own rules would keep true holds afterwards too: a token's balances sum up to its supply, a pool
//! owns the reserves it believes in, and a log is as long as what it tells.
//!
//! The contracts of a field come in two forms, which hold the same for their users; where each puts
//! it is decided when it is written.

use std::{collections::BTreeMap, ops::AddAssign};

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue as _;
use warpline_primitives::{Account, MemoryState, StateSource as _};

use crate::{
    Form,
    artifact::{Artifact, COLLECTIBLE, POOL, TOKEN, mapping_slot},
};

mod collectible;
mod consent;
mod game;
mod lending;
mod pool;
mod remittance;
mod supply_chain;
mod token;

pub(crate) use collectible::{CollectibleState, mint_input};
pub(crate) use consent::{Consent, ConsentState, Consents};
pub(crate) use game::{Game, GameState};
pub(crate) use lending::{Lending, LendingState};
pub(crate) use pool::{PoolState, trade_input};
pub(crate) use remittance::{Order, Remittance, RemittanceState};
pub(crate) use supply_chain::{SupplyChain, SupplyChainState};
pub(crate) use token::{TokenState, approve_input, token_creation, transfer_input};

/// Adds the code that the default blocks and the [shapes](crate::Workload::SHAPES) use to `state`,
/// whether or not it is there at an address.
pub(crate) fn install_code(state: &mut MemoryState) {
    for artifact in [&TOKEN, &POOL, &COLLECTIBLE] {
        state.insert_code(artifact.deployed_bytecode.clone());
    }
}

/// One contract in a state.
struct Contract<'a> {
    artifact: &'a Artifact,
    address: Address,
    state: &'a mut MemoryState,
}

impl<'a> Contract<'a> {
    /// Makes the account, with the nonce a created contract starts with (EIP-161).
    fn place(artifact: &'a Artifact, address: Address, state: &'a mut MemoryState) -> Self {
        let code_hash = artifact.code_hash;
        if state.code(code_hash).is_err() {
            state.insert_code(artifact.deployed_bytecode.clone());
        }
        state.insert_account(address, Account { nonce: 1, code_hash, ..Account::default() });
        Self { artifact, address, state }
    }

    /// Sets variables by name; those that share a slot must be set in one call.
    fn set(&mut self, variables: &[(&str, U256)]) {
        let mut words: BTreeMap<U256, U256> = BTreeMap::new();
        for (label, value) in variables {
            let variable = self.artifact.variable(label);
            *words.entry(U256::from(variable.slot)).or_default() |= *value << (8 * variable.offset);
        }
        for (slot, word) in words {
            self.set_slot(slot, word);
        }
    }

    fn set_slot(&mut self, slot: U256, value: U256) {
        self.state.insert_storage(self.address, slot, value);
    }

    /// The slot in which the entry of `key` in the mapping named `label` starts.
    fn entry(&self, label: &str, key: impl Into<B256>) -> U256 {
        mapping_slot(key, self.artifact.slot(label))
    }

    /// Writes consecutive slots from `start` on. Zeros are left out, as they would be in a state.
    fn set_words(&mut self, start: U256, words: &[U256]) {
        let slots = (0_u64..).map(|offset| start + U256::from(offset));
        for (slot, word) in slots.zip(words).filter(|(_, word)| !word.is_zero()) {
            self.set_slot(slot, *word);
        }
    }

    /// Writes a dynamic array of structs.
    fn set_array<const WORDS: usize>(&mut self, label: &str, entries: &[[U256; WORDS]]) {
        let slot = self.artifact.slot(label);
        self.set_slot(slot, U256::from(entries.len()));
        let first = U256::from_be_bytes(keccak256(slot.to_be_bytes::<32>()).0);
        self.set_words(first, entries.as_flattened());
    }

    /// Writes a mapping from 0, 1, 2 and so on to structs, which is declared at `slot`.
    fn set_log<const WORDS: usize>(&mut self, slot: U256, entries: &[[U256; WORDS]]) {
        for (index, entry) in (0_u64..).zip(entries) {
            self.set_words(mapping_slot(U256::from(index), slot), entry);
        }
    }
}

/// Values as Solidity puts them into one slot, the first at the low end, each with its width in bits.
fn packed<const FIELDS: usize>(fields: [(U256, usize); FIELDS]) -> U256 {
    let (mut word, mut offset) = (U256::ZERO, 0);
    for (value, bits) in fields {
        debug_assert!(value.bit_len() <= bits, "{value} has more than {bits} bits");
        word |= value << offset;
        offset += bits;
    }
    debug_assert!(offset <= 256, "{offset} bits do not fit one slot");
    word
}

/// An address as a number, for [`packed`].
fn number(address: Address) -> U256 {
    address.into_word().into()
}

/// How many shards the parallel-friendly contracts cut what would be shared into.
const SHARDS: usize = 64;

/// The shard that those contracts keep for a user.
fn shard_of(user: Address) -> usize {
    usize::from(user[19]) % SHARDS
}

/// Moves what one shard in 16 has to the next one: as if it were used up, so that its users have to
/// turn to that one.
fn use_up<T: Default + AddAssign>(shards: &mut [T; SHARDS]) {
    for group in shards.chunks_mut(16) {
        let moved = std::mem::take(&mut group[0]);
        group[1] += moved;
    }
}

/// The ids that a contract hands out, the next of which is known before it is called.
///
/// Naive contracts number consecutively from 1. Parallel-friendly ones hash the caller, and how many
/// ids that caller has been given, so that callers need nothing of each other.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    form: Form,
    count: u64,
    by_caller: BTreeMap<Address, u64>,
}

impl Ids {
    /// None handed out yet.
    pub(crate) const fn new(form: Form) -> Self {
        Self { form, count: 0, by_caller: BTreeMap::new() }
    }

    /// The id that the next call of `caller` is given.
    pub(crate) fn next(&mut self, caller: Address) -> U256 {
        let own = self.by_caller.entry(caller).or_default();
        let hash = keccak256((caller, U256::from(*own)).abi_encode());
        *own += 1;
        self.count += 1;
        match self.form {
            Form::Naive => U256::from(self.count),
            Form::Parallel => hash.into(),
        }
    }

    /// How many were handed out.
    fn count(&self) -> U256 {
        U256::from(self.count)
    }

    /// How many were handed out to `caller`.
    fn given_to(&self, caller: Address) -> U256 {
        U256::from(self.by_caller.get(&caller).copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_packed_values_is_at_the_low_end() {
        let word = packed([(U256::from(0xab), 8), (U256::from(0xcd), 128), (U256::ONE, 8)]);
        assert_eq!(word, U256::from(0xcdab) | U256::ONE << 136);
    }

    #[test]
    fn naive_ids_are_consecutive_and_others_are_the_callers_own() {
        let [one, two] = [1, 2].map(Address::repeat_byte);
        let mut naive = Ids::new(Form::Naive);
        let given = [one, two, one].map(|caller| naive.next(caller));
        assert_eq!(given, [1, 2, 3].map(U256::from));
        assert_eq!((naive.count(), naive.given_to(one)), (U256::from(3), U256::from(2)));
        let mut own = Ids::new(Form::Parallel);
        let [first, other, second] = [one, two, one].map(|caller| own.next(caller));
        let mut without_the_other = Ids::new(Form::Parallel);
        assert_eq!([first, second], [one, one].map(|caller| without_the_other.next(caller)));
        assert!(first != other && other != second && first != second);
    }
}
