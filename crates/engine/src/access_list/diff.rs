//! The block's result, read off the last values that a proven list claims.

use std::sync::OnceLock;

use alloy_primitives::{
    B256, U256,
    map::{AddressMap, AddressSet},
};
use warpline_primitives::{Account, AccountDiff, Slots, StateDiff, StateSource};

use super::claimed_state::ClaimedState;
use crate::pool::Pool;

/// Listed changes from which on it pays to wake other workers.
const PARALLEL_FROM: usize = 4096;

/// A part of the result, and the hashes of the code that came into being there.
type Part<E> = Result<(AddressMap<AccountDiff>, Vec<B256>), E>;

impl<S: StateSource> ClaimedState<'_, S> {
    /// What the last values that are claimed change against the parent state, worked out by up to
    /// `width` workers of `pool`. Of the accounts of the parent state `deleted` are those that were
    /// gone in between.
    pub(super) fn diff(
        &self,
        deleted: &AddressSet,
        pool: &Pool,
        width: usize,
    ) -> Result<StateDiff, S::Error> {
        let mut places: [Vec<usize>; StateDiff::SHARDS] = Default::default();
        let mut changes = 0;
        for (place, claimed) in self.claims.accounts().iter().enumerate() {
            if claimed.changes_from(0) {
                changes += 1 + claimed.last_values().len();
                places[StateDiff::shard_of(&claimed.address())].push(place);
            }
        }
        let width = if changes < PARALLEL_FROM { 1 } else { width };
        let parts: [OnceLock<Part<S::Error>>; StateDiff::SHARDS] =
            std::array::from_fn(|_| OnceLock::new());
        pool.for_each(width, StateDiff::SHARDS, |at| {
            // Each part is made once.
            let _ = parts[at].set(self.part(&places[at], deleted));
        });
        let mut new_codes = Vec::new();
        let mut shards: [AddressMap<AccountDiff>; StateDiff::SHARDS] = Default::default();
        for (shard, part) in shards.iter_mut().zip(parts) {
            let (accounts, codes) = part.into_inner().transpose()?.unwrap_or_default();
            *shard = accounts;
            new_codes.extend(codes);
        }
        let mut diff = StateDiff::from_shards(shards);
        for hash in new_codes {
            if let Some(code) = self.claims.code(&hash) {
                diff.insert_code(hash, code.original_bytes());
            }
        }
        Ok(diff)
    }

    /// The part that the accounts at these places make.
    fn part(&self, places: &[usize], deleted: &AddressSet) -> Part<S::Error> {
        let mut part = AddressMap::default();
        part.reserve(places.len());
        let mut new_codes = Vec::new();
        for place in places {
            let claimed = self.claims.at(*place);
            let address = claimed.address();
            let before = self.parent(*place)?.account;
            let account = claimed.before(u64::MAX, before);
            let storage_wiped = !deleted.is_empty() && deleted.contains(&address);
            let had_storage = before.is_some() && !storage_wiped;
            let mut storage = Slots::default();
            if account.is_some() {
                for (place, slot, value) in claimed.last_values() {
                    let before =
                        had_storage.then(|| self.parent_slot(place, address, slot)).transpose()?;
                    if value != before.unwrap_or(U256::ZERO) {
                        storage.insert(slot, value);
                    }
                }
            }
            if account != before || storage_wiped || !storage.is_empty() {
                let code = account.filter(Account::has_code).map(|account| account.code_hash);
                let had = before.map(|before| before.code_hash);
                new_codes.extend(code.filter(|code| had != Some(*code)));
                part.insert(address, AccountDiff { account, storage_wiped, storage });
            }
        }
        Ok((part, new_codes))
    }
}
