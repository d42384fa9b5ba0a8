//! What a block, or a step of it, changed.

use alloy_primitives::{
    Address, B256, Bytes, U256,
    map::{AddressMap, B256Map, HashMap, U256Map},
};

use crate::Account;

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
    pub storage: U256Map<U256>,
}

/// The changes of a block against its parent state, in canonical form: an account is listed if,
/// and only if, it, its storage or both differ from before, so that two diffs are equal exactly
/// when they say the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDiff {
    accounts: AddressMap<AccountDiff>,
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
    /// An empty diff with room for `accounts` accounts.
    pub fn with_capacity(accounts: usize) -> Self {
        let mut map = AddressMap::default();
        map.reserve(accounts);
        Self { accounts: map, codes: B256Map::default() }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// How many accounts are listed.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// What became of `address`, or `None` where nothing did.
    pub fn account(&self, address: &Address) -> Option<&AccountDiff> {
        self.accounts.get(address)
    }

    /// The entry of `address`, made if there is none.
    pub fn account_mut(&mut self, address: Address) -> &mut AccountDiff {
        self.accounts.entry(address).or_default()
    }

    /// Lists `address`, replacing what was listed of it.
    pub fn insert_account(&mut self, address: Address, diff: AccountDiff) {
        self.accounts.insert(address, diff);
    }

    /// All listed accounts, in no particular order.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = (&Address, &AccountDiff)> {
        self.accounts.iter()
    }

    /// All listed accounts by address.
    pub fn sorted_accounts(&self) -> Vec<(&Address, &AccountDiff)> {
        let mut accounts: Vec<_> = self.accounts.iter().collect();
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
        self.accounts.values().map(|diff| diff.storage.len()).sum()
    }

    /// Compares with `found`, and names the first difference in address order.
    ///
    /// # Errors
    /// The first [`DiffMismatch`], `self` being the expected side.
    pub fn compare(&self, found: &Self) -> Result<(), Box<DiffMismatch>> {
        if self == found {
            return Ok(());
        }
        let mut addresses: Vec<_> = self.accounts.keys().chain(found.accounts.keys()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses {
            compare_account(*address, self.accounts.get(address), found.accounts.get(address))?;
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
    let value = |storage: &HashMap<U256, U256, _>, slot| storage.get(slot).copied();
    for slot in &slots {
        let (expected, found) = (value(&expected.storage, slot), value(&found.storage, slot));
        if expected != found {
            return Err(Box::new(DiffMismatch::Slot { address, slot: *slot, expected, found }));
        }
    }
    Ok(())
}
