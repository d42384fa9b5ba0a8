//! What a block, or a step of it, changed.

use alloy_primitives::{
    Address, B256, Bytes, U256,
    map::{AddressMap, B256Map},
};

use crate::{Account, Slots};

/// What became of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountDiff {
    /// The account afterwards; `None` where it does not exist (any more).
    pub account: Option<Account>,
    /// Whether the account existed before and its whole storage was cleared on the way, by a
    /// self-destruct or by a creation over it. [`storage`](Self::storage) then lists every
    /// non-zero slot there is.
    pub storage_wiped: bool,
    /// The slots whose value differs from the one before; after a wipe, all non-zero slots.
    pub storage: Slots,
}

/// The changes of a block against its parent state, in canonical form: an account is listed if,
/// and only if, it, its storage or both differ from before, so that two diffs are equal exactly
/// when they say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDiff {
    /// By [`StateDiff::shard_of`], so that several threads can fill one diff.
    shards: [AddressMap<AccountDiff>; Self::SHARDS],
    codes: B256Map<Bytes>,
}

/// The first place where two diffs disagree, in address order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiffMismatch {
    /// One side lists the account and the other does not, or they differ in it.
    #[error("account {address}: expected {expected:?}, found {found:?}")]
    Account {
        /// Whose.
        address: Address,
        /// The left side; `None` where it lists no change.
        expected: Option<Option<Account>>,
        /// The right side.
        found: Option<Option<Account>>,
    },
    /// Only one side cleared the account's storage.
    #[error("storage of {address} wiped: expected {expected}, found {found}")]
    Wipe {
        /// Whose.
        address: Address,
        /// The left side.
        expected: bool,
        /// The right side.
        found: bool,
    },
    /// A slot differs.
    #[error("slot {slot:#x} of {address}: expected {expected:?}, found {found:?}")]
    Slot {
        /// Whose.
        address: Address,
        /// Which slot.
        slot: U256,
        /// The left side; `None` where it lists no change.
        expected: Option<U256>,
        /// The right side.
        found: Option<U256>,
    },
    /// New code is listed on one side only, or with other bytes.
    #[error("new code {hash} differs")]
    Code {
        /// Its hash.
        hash: B256,
    },
}

impl StateDiff {
    /// In how many parts a diff can be made: see [`from_shards`](Self::from_shards).
    pub const SHARDS: usize = 16;

    /// The part that lists `address`.
    pub fn shard_of(address: &Address) -> usize {
        usize::from(address[0]) % Self::SHARDS
    }

    /// Joins parts made apart from each other. Each must list only the addresses that
    /// [`shard_of`](Self::shard_of) puts there.
    pub fn from_shards(shards: [AddressMap<AccountDiff>; Self::SHARDS]) -> Self {
        debug_assert!(
            shards
                .iter()
                .enumerate()
                .all(|(at, shard)| { shard.keys().all(|address| Self::shard_of(address) == at) }),
            "an address is in the wrong part"
        );
        Self { shards, codes: B256Map::default() }
    }

    /// An empty diff with room for about `accounts` accounts.
    pub fn with_capacity(accounts: usize) -> Self {
        let mut diff = Self::default();
        let room = accounts / Self::SHARDS;
        if room > 0 {
            // A little more, for addresses are spread evenly only on average.
            diff.shards.iter_mut().for_each(|shard| shard.reserve(room + room / 8));
        }
        diff
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(AddressMap::is_empty)
    }

    /// How many accounts are listed.
    pub fn len(&self) -> usize {
        self.shards.iter().map(AddressMap::len).sum()
    }

    /// What became of `address`, or `None` where nothing did.
    pub fn account(&self, address: &Address) -> Option<&AccountDiff> {
        self.shards[Self::shard_of(address)].get(address)
    }

    /// The entry of `address`, made if there is none.
    pub fn account_mut(&mut self, address: Address) -> &mut AccountDiff {
        self.shards[Self::shard_of(&address)].entry(address).or_default()
    }

    /// Lists `address`, replacing what was listed of it.
    pub fn insert_account(&mut self, address: Address, diff: AccountDiff) {
        self.shards[Self::shard_of(&address)].insert(address, diff);
    }

    /// All listed accounts, in no particular order.
    pub fn accounts(&self) -> impl Iterator<Item = (&Address, &AccountDiff)> {
        self.shards.iter().flatten()
    }

    /// All listed accounts by address.
    pub fn sorted_accounts(&self) -> Vec<(&Address, &AccountDiff)> {
        let mut accounts: Vec<_> = self.accounts().collect();
        accounts.sort_unstable_by_key(|(address, _)| **address);
        accounts
    }

    /// Adds new code that a listed account names.
    pub fn insert_code(&mut self, code_hash: B256, code: Bytes) {
        self.codes.insert(code_hash, code);
    }

    /// The code of listed accounts that came into being: deployed contracts and delegations.
    pub const fn codes(&self) -> &B256Map<Bytes> {
        &self.codes
    }

    /// Number of storage slots listed over all accounts.
    pub fn slots(&self) -> usize {
        self.accounts().map(|(_, diff)| diff.storage.len()).sum()
    }

    /// Compares with `found`, and names the first difference in address order.
    ///
    /// # Errors
    /// The first [`DiffMismatch`], `self` being the expected side.
    pub fn compare(&self, found: &Self) -> Result<(), Box<DiffMismatch>> {
        if self == found {
            return Ok(());
        }
        let mut addresses: Vec<_> =
            self.accounts().chain(found.accounts()).map(|(address, _)| *address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses {
            compare_account(address, self.account(&address), found.account(&address))?;
        }
        let mut hashes: Vec<_> = self.codes.keys().chain(found.codes.keys()).copied().collect();
        hashes.sort_unstable();
        let differing =
            hashes.into_iter().find(|hash| self.codes.get(hash) != found.codes.get(hash));
        differing.map_or(Ok(()), |hash| Err(Box::new(DiffMismatch::Code { hash })))
    }
}

fn compare_account(
    address: Address,
    expected: Option<&AccountDiff>,
    found: Option<&AccountDiff>,
) -> Result<(), Box<DiffMismatch>> {
    let account = |diff: Option<&AccountDiff>| diff.map(|diff| diff.account);
    if account(expected) != account(found) {
        let (expected, found) = (account(expected), account(found));
        return Err(Box::new(DiffMismatch::Account { address, expected, found }));
    }
    let (Some(expected), Some(found)) = (expected, found) else { return Ok(()) };
    if expected.storage_wiped != found.storage_wiped {
        let (expected, found) = (expected.storage_wiped, found.storage_wiped);
        return Err(Box::new(DiffMismatch::Wipe { address, expected, found }));
    }
    let mut slots: Vec<_> = expected.storage.keys().chain(found.storage.keys()).copied().collect();
    slots.sort_unstable();
    for slot in &slots {
        let (expected, found) = (expected.storage.get(slot), found.storage.get(slot));
        let (expected, found) = (expected.copied(), found.copied());
        if expected != found {
            return Err(Box::new(DiffMismatch::Slot { address, slot: *slot, expected, found }));
        }
    }
    Ok(())
}
