//! What a given access list claims, ready to be looked up and checked step by step.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use alloy_eip7928::{
    AccountChanges, BlockAccessIndex, BlockAccessListGasError, StorageChange, total_bal_items,
    validate_block_access_list,
};
use alloy_primitives::{
    Address, B256, U256,
    map::{AddressMap, B256Map, U256Map},
};
use revm::{
    bytecode::Bytecode,
    state::{Account as RevmAccount, AccountInfo, EvmState},
};
use warpline_primitives::Account;

use super::{AccessListError, FeePayment, ListedChange, ListedField};
use crate::vm::analysed;

/// A list whose form was found in order, indexed. Nothing in it is known to be true.
#[derive(Debug)]
pub(crate) struct Claims<'l> {
    list: &'l [AccountChanges],
    accounts: AddressMap<ClaimedAccount<'l>>,
    codes: B256Map<Bytecode>,
    /// How many changes there are at each step.
    changes_at: Vec<u32>,
}

/// What the list claims of an account.
#[derive(Debug)]
pub(crate) struct ClaimedAccount<'l> {
    changes: &'l AccountChanges,
    /// Hashes of the codes in `changes`.
    code_hashes: Vec<B256>,
    slots: U256Map<ClaimedSlot<'l>>,
    accessed: AtomicBool,
}

#[derive(Debug)]
struct ClaimedSlot<'l> {
    changes: &'l [StorageChange],
    accessed: AtomicBool,
}

/// The fields of an account that a list follows.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fields {
    balance: U256,
    nonce: u64,
    code_hash: B256,
}

impl<'l> Claims<'l> {
    /// Indexes `list`, given for a block of so many transactions and with this gas limit.
    ///
    /// The work is proportional to the list, and [the gas limit bounds the
    /// list](BlockAccessListGasError); what it says is not looked at yet.
    pub(crate) fn new(
        list: &'l [AccountChanges],
        transactions: usize,
        gas_limit: u64,
    ) -> Result<Self, AccessListError> {
        let items = total_bal_items(list);
        if items > gas_limit / alloy_eip7928::ITEM_COST as u64 {
            return Err(BlockAccessListGasError::new(items, gas_limit).into());
        }
        validate_block_access_list(list, transactions)?;
        let mut claims = Self {
            list,
            accounts: AddressMap::with_capacity_and_hasher(list.len(), Default::default()),
            codes: B256Map::default(),
            changes_at: vec![0; transactions + 2],
        };
        for changes in list {
            let account = claims.index(changes);
            claims.accounts.insert(changes.address, account);
        }
        Ok(claims)
    }

    fn index(&mut self, changes: &'l AccountChanges) -> ClaimedAccount<'l> {
        for step in steps(changes) {
            if let Some(count) =
                usize::try_from(step).ok().and_then(|at| self.changes_at.get_mut(at))
            {
                *count += 1;
            }
        }
        let mut code_hashes = Vec::with_capacity(changes.code_changes.len());
        for change in &changes.code_changes {
            let code = analysed(change.new_code.clone());
            let hash = code.hash_slow();
            self.codes.insert(hash, code);
            code_hashes.push(hash);
        }
        let unaccessed = |changes| ClaimedSlot { changes, accessed: AtomicBool::new(false) };
        let written = changes.storage_changes.iter();
        let written = written.map(|slot| (slot.slot, unaccessed(slot.changes.as_slice())));
        let read = changes.storage_reads.iter().map(|slot| (*slot, unaccessed(&[])));
        ClaimedAccount {
            changes,
            code_hashes,
            slots: written.chain(read).collect(),
            accessed: AtomicBool::new(false),
        }
    }

    /// The list.
    pub(crate) const fn list(&self) -> &'l [AccountChanges] {
        self.list
    }

    /// What is claimed of an account; `None` where it is not listed.
    pub(crate) fn account(&self, address: &Address) -> Option<&ClaimedAccount<'l>> {
        self.accounts.get(address)
    }

    /// The code of this hash, if the list has it.
    pub(crate) fn code(&self, hash: &B256) -> Option<&Bytecode> {
        self.codes.get(hash)
    }

    /// All accounts that are listed.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = (Address, &ClaimedAccount<'l>)> {
        self.accounts.iter().map(|(address, account)| (*address, account))
    }

    /// All codes that are listed.
    pub(crate) fn codes(&self) -> impl Iterator<Item = (&B256, &Bytecode)> {
        self.codes.iter()
    }

    /// Compares what `step` did with what is claimed of it, and notes what it accessed.
    ///
    /// `state` is the step's whole journal, and `fee` one that is not part of it.
    pub(crate) fn check_step(
        &self,
        step: u64,
        state: &EvmState,
        fee: Option<FeePayment>,
    ) -> Result<(), AccessListError> {
        let mut agreed = 0;
        let mut error = None;
        // Of several errors the one at the lowest address is reported, whatever the map's order.
        let mut note = |address: Address, result: Result<u32, AccessListError>| match result {
            Ok(changes) => agreed += changes,
            Err(new) if error.as_ref().is_none_or(|(at, _)| address < *at) => {
                error = Some((address, new));
            }
            Err(_) => {}
        };
        #[expect(clippy::iter_over_hash_type, reason = "the lowest error counts")]
        for (address, account) in state {
            note(*address, self.check_account(step, *address, account));
        }
        if let Some(fee) = fee {
            note(fee.beneficiary, self.check_fee(step, fee));
        }
        match error {
            Some((_, error)) => Err(error),
            None if self.changes_at.get(usize_of(step)) == Some(&agreed) => Ok(()),
            None => Err(self.excess(step, state, fee)),
        }
    }

    /// Compares one account, and returns how many changes were listed and made.
    fn check_account(
        &self,
        step: u64,
        address: Address,
        account: &RevmAccount,
    ) -> Result<u32, AccessListError> {
        let claimed = self.accounts.get(&address);
        let claimed = claimed.ok_or(AccessListError::Undeclared { step, address, slot: None })?;
        claimed.accessed.store(true, Relaxed);
        let gone = account.is_selfdestructed_locally();
        let before = Fields::of(&account.original_info());
        let after = if gone { Fields::default() } else { Fields::of(&account.info) };
        let mut agreed = claimed.check_fields(step, before, after)?;
        let mut slots: Vec<_> = account.storage.iter().collect();
        if slots.len() > 1 {
            slots.sort_unstable_by_key(|(slot, _)| **slot);
        }
        for (slot, value) in slots {
            let undeclared = || AccessListError::Undeclared { step, address, slot: Some(*slot) };
            let claimed = claimed.slots.get(slot).ok_or_else(undeclared)?;
            claimed.accessed.store(true, Relaxed);
            let after = if gone { U256::ZERO } else { value.present_value };
            let found = (after != value.original_value).then_some(after);
            let listed = at(claimed.changes, |it| it.block_access_index, step);
            let listed = listed.map(|index| claimed.changes[index].new_value);
            agreed += agree(step, address, ListedField::Slot(*slot), listed, found)?;
        }
        Ok(agreed)
    }

    fn check_fee(&self, step: u64, fee: FeePayment) -> Result<u32, AccessListError> {
        let address = fee.beneficiary;
        let claimed = self.accounts.get(&address);
        let claimed = claimed.ok_or(AccessListError::Undeclared { step, address, slot: None })?;
        claimed.accessed.store(true, Relaxed);
        let (before, after) = fee.balances();
        let fields = |balance| Fields { balance, ..Fields::default() };
        claimed.check_fields(step, fields(before), fields(after))
    }

    /// The first change that is listed for `step` although the step makes none there.
    fn excess(&self, step: u64, state: &EvmState, fee: Option<FeePayment>) -> AccessListError {
        for changes in self.list {
            let address = changes.address;
            let account = state.get(&address);
            let is_paid = fee.is_some_and(|fee| fee.beneficiary == address);
            let listed = |field, listed| {
                ListedChange { step, address, field, listed: Some(listed), found: None }.into()
            };
            if account.is_none() && !is_paid {
                if let Some(index) = at(&changes.balance_changes, |it| it.block_access_index, step)
                {
                    let balance = changes.balance_changes[index].post_balance;
                    return listed(ListedField::Balance, balance);
                }
                if let Some(index) = at(&changes.nonce_changes, |it| it.block_access_index, step) {
                    let nonce = U256::from(changes.nonce_changes[index].new_nonce);
                    return listed(ListedField::Nonce, nonce);
                }
                if let Some(index) = at(&changes.code_changes, |it| it.block_access_index, step) {
                    let hash = self.accounts[&address].code_hashes[index];
                    return listed(ListedField::Code, hash.into());
                }
            }
            for slot in &changes.storage_changes {
                let accessed = account.is_some_and(|it| it.storage.contains_key(&slot.slot));
                let index = at(&slot.changes, |it| it.block_access_index, step);
                if let (false, Some(index)) = (accessed, index) {
                    return listed(ListedField::Slot(slot.slot), slot.changes[index].new_value);
                }
            }
        }
        unreachable!("all listed changes of step {step} were made, but their number differs")
    }

    /// Nothing was accessed yet: the block begins anew.
    pub(crate) fn forget_accesses(&self) {
        let slots = |account: &ClaimedAccount<'_>| {
            account.accessed.store(false, Relaxed);
            account.slots.values().for_each(|slot| slot.accessed.store(false, Relaxed));
        };
        self.accounts.values().for_each(slots);
    }

    /// Finds what is listed and was not accessed by any step.
    pub(crate) fn check_all_used(&self) -> Result<(), AccessListError> {
        for changes in self.list {
            let address = changes.address;
            let claimed = &self.accounts[&address];
            if !claimed.accessed.load(Relaxed) {
                return Err(AccessListError::Unused { address, slot: None });
            }
            let unused = |slot: &&U256| !claimed.slots[*slot].accessed.load(Relaxed);
            if let Some(slot) = changes.storage_reads.iter().find(unused) {
                return Err(AccessListError::Unused { address, slot: Some(*slot) });
            }
        }
        Ok(())
    }
}

impl ClaimedAccount<'_> {
    /// The account before `step`, given what the parent state has.
    pub(crate) fn before(&self, step: u64, parent: Option<Account>) -> Option<Account> {
        let changes = self.changes;
        let balance = last_before(&changes.balance_changes, |it| it.block_access_index, step);
        let nonce = last_before(&changes.nonce_changes, |it| it.block_access_index, step);
        let code = last_before(&changes.code_changes, |it| it.block_access_index, step);
        if balance.is_none() && nonce.is_none() && code.is_none() {
            return parent;
        }
        let mut account = parent.unwrap_or_default();
        if let Some(index) = balance {
            account.balance = changes.balance_changes[index].post_balance;
        }
        if let Some(index) = nonce {
            account.nonce = changes.nonce_changes[index].new_nonce;
        }
        if let Some(index) = code {
            account.code_hash = self.code_hashes[index];
        }
        (!account.is_empty()).then_some(account)
    }

    /// A slot before `step`; `None` where it is the parent state's.
    pub(crate) fn slot_before(&self, slot: &U256, step: u64) -> Option<U256> {
        let changes = self.slots.get(slot)?.changes;
        let index = last_before(changes, |it| it.block_access_index, step)?;
        Some(changes[index].new_value)
    }

    /// The slots that change, with their last values.
    pub(crate) fn last_values(&self) -> impl Iterator<Item = (U256, U256)> {
        self.changes.storage_post_states()
    }

    fn check_fields(
        &self,
        step: u64,
        before: Fields,
        after: Fields,
    ) -> Result<u32, AccessListError> {
        let AccountChanges { address, balance_changes, nonce_changes, code_changes, .. } =
            self.changes;
        let listed = at(balance_changes, |it| it.block_access_index, step);
        let listed = listed.map(|index| balance_changes[index].post_balance);
        let found = (before.balance != after.balance).then_some(after.balance);
        let mut agreed = agree(step, *address, ListedField::Balance, listed, found)?;

        let listed = at(nonce_changes, |it| it.block_access_index, step);
        let listed = listed.map(|index| U256::from(nonce_changes[index].new_nonce));
        let found = (before.nonce != after.nonce).then(|| U256::from(after.nonce));
        agreed += agree(step, *address, ListedField::Nonce, listed, found)?;

        let listed = at(code_changes, |it| it.block_access_index, step);
        let listed = listed.map(|index| self.code_hashes[index].into());
        let found = (before.code_hash != after.code_hash).then(|| after.code_hash.into());
        Ok(agreed + agree(step, *address, ListedField::Code, listed, found)?)
    }
}

impl Fields {
    fn of(info: &AccountInfo) -> Self {
        Self { balance: info.balance, nonce: info.nonce, code_hash: info.code_hash }
    }
}

impl Default for Fields {
    fn default() -> Self {
        Self::of(&AccountInfo::default())
    }
}

/// Whether listed and found change are the same: the number of changes, 0 or 1, if so.
fn agree(
    step: u64,
    address: Address,
    field: ListedField,
    listed: Option<U256>,
    found: Option<U256>,
) -> Result<u32, AccessListError> {
    if listed == found {
        return Ok(found.is_some().into());
    }
    Err(ListedChange { step, address, field, listed, found }.into())
}

/// Where in `changes`, which ascend, the change of `step` is.
fn at<C>(changes: &[C], step_of: impl Fn(&C) -> BlockAccessIndex, step: u64) -> Option<usize> {
    let index = last_before(changes, &step_of, step.saturating_add(1))?;
    (step_of(&changes[index]).get() == step).then_some(index)
}

/// Where in `changes`, which ascend, the last change before `step` is.
fn last_before<C>(
    changes: &[C],
    step_of: impl Fn(&C) -> BlockAccessIndex,
    step: u64,
) -> Option<usize> {
    changes.partition_point(|change| step_of(change).get() < step).checked_sub(1)
}

/// The step of each change of an account.
fn steps(changes: &AccountChanges) -> impl Iterator<Item = u64> {
    let storage = changes.storage_changes.iter().flat_map(|slot| &slot.changes);
    let storage = storage.map(|change| change.block_access_index);
    let balances = changes.balance_changes.iter().map(|change| change.block_access_index);
    let nonces = changes.nonce_changes.iter().map(|change| change.block_access_index);
    let codes = changes.code_changes.iter().map(|change| change.block_access_index);
    storage.chain(balances).chain(nonces).chain(codes).map(BlockAccessIndex::get)
}

fn usize_of(step: u64) -> usize {
    usize::try_from(step).unwrap_or(usize::MAX)
}
