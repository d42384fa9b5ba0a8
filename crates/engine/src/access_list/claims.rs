//! What a given access list claims, ready to be looked up and checked step by step.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use alloy_eip7928::{
    AccountChanges, BlockAccessIndex, BlockAccessListGasError, SlotChanges, StorageChange,
    total_bal_items, validate_block_access_list,
};
use alloy_primitives::{
    Address, B256, U256,
    map::{AddressMap, B256Map},
};
use revm::{
    bytecode::Bytecode,
    state::{Account as RevmAccount, AccountId, AccountInfo, EvmState},
};
use warpline_primitives::Account;

use super::{AccessListError, FeePayment, ListedChange, ListedField};
use crate::vm::{analysed, name_of};

/// A list whose form was found in order, indexed. Nothing in it is known to be true.
///
/// Its order is the index, as far as possible: accounts have the places that they have in the list,
/// and the slots of all accounts are counted in one row, for each account those that change before
/// those that are only read.
#[derive(Debug)]
pub(crate) struct Claims<'l> {
    list: &'l [AccountChanges],
    accounts: Vec<ClaimedAccount<'l>>,
    /// Where in `accounts` an address is.
    places: AddressMap<u32>,
    /// Whether any step accessed it, for all slots.
    accessed_slots: Vec<AtomicBool>,
    codes: B256Map<Bytecode>,
    /// How many changes there are at each step.
    changes_at: Vec<u32>,
}

/// What the list claims of an account.
#[derive(Debug)]
pub(crate) struct ClaimedAccount<'l> {
    changes: &'l AccountChanges,
    /// Hashes of the codes in `changes`.
    code_hashes: Box<[B256]>,
    /// The place of its first slot among those of all accounts.
    first_slot: usize,
    accessed: AtomicBool,
}

/// What the list claims of a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClaimedSlot<'l> {
    /// Its place among the slots of all accounts.
    pub(crate) place: usize,
    changes: &'l [StorageChange],
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
            accounts: Vec::with_capacity(list.len()),
            places: AddressMap::with_capacity_and_hasher(list.len(), Default::default()),
            accessed_slots: Vec::new(),
            codes: B256Map::default(),
            changes_at: vec![0; transactions + 2],
        };
        let mut slots = 0;
        for (place, changes) in (0..).zip(list) {
            let account = claims.index(changes, slots);
            claims.accounts.push(account);
            claims.places.insert(changes.address, place);
            slots += changes.storage_changes.len() + changes.storage_reads.len();
        }
        claims.accessed_slots.resize_with(slots, AtomicBool::default);
        Ok(claims)
    }

    fn index(&mut self, changes: &'l AccountChanges, first_slot: usize) -> ClaimedAccount<'l> {
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
        let (code_hashes, accessed) = (code_hashes.into(), AtomicBool::new(false));
        ClaimedAccount { changes, code_hashes, first_slot, accessed }
    }

    /// The list.
    pub(crate) const fn list(&self) -> &'l [AccountChanges] {
        self.list
    }

    /// Where an account is in the list; `None` where it is not listed.
    pub(crate) fn place(&self, address: &Address) -> Option<usize> {
        self.places.get(address).map(|place| *place as usize)
    }

    /// What is claimed of the account at that place of the list.
    pub(crate) fn at(&self, place: usize) -> &ClaimedAccount<'l> {
        &self.accounts[place]
    }

    /// How many slots there are, of all accounts.
    pub(crate) const fn slots(&self) -> usize {
        self.accessed_slots.len()
    }

    /// What is claimed of an account, which may be named by its place; `None` where it is not
    /// listed.
    fn account(&self, address: &Address, id: Option<AccountId>) -> Option<&ClaimedAccount<'l>> {
        // A name is a hint: it may be from somewhere else.
        let named = id.and_then(|id| self.accounts.get(name_of(id) as usize));
        let named = named.filter(|account| account.changes.address == *address);
        named.or_else(|| Some(self.at(self.place(address)?)))
    }

    /// The code of this hash, if the list has it.
    pub(crate) fn code(&self, hash: &B256) -> Option<&Bytecode> {
        self.codes.get(hash)
    }

    /// All accounts that are listed.
    pub(crate) fn accounts(&self) -> &[ClaimedAccount<'l>] {
        &self.accounts
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
        let claimed = self.account(&address, account.info.account_id);
        let claimed = claimed.ok_or(AccessListError::Undeclared { step, address, slot: None })?;
        set(&claimed.accessed);
        let gone = account.is_selfdestructed_locally();
        let before = Fields::of(&account.original_info());
        let after = if gone { Fields::default() } else { Fields::of(&account.info) };
        let mut agreed = claimed.check_fields(step, before, after)?;
        // Of several errors the one at the lowest slot is reported, whatever the map's order.
        let mut error = None;
        #[expect(clippy::iter_over_hash_type, reason = "the lowest error counts")]
        for (slot, value) in &account.storage {
            let after = if gone { U256::ZERO } else { value.present_value };
            let found = (after != value.original_value).then_some(after);
            match self.check_slot(step, claimed, slot, found) {
                Ok(changes) => agreed += changes,
                Err(new) if error.as_ref().is_none_or(|(at, _)| slot < *at) => {
                    error = Some((slot, new));
                }
                Err(_) => {}
            }
        }
        error.map_or(Ok(agreed), |(_, error)| Err(error))
    }

    /// Compares one slot of the account of which that is claimed.
    fn check_slot(
        &self,
        step: u64,
        claimed: &ClaimedAccount<'_>,
        slot: &U256,
        found: Option<U256>,
    ) -> Result<u32, AccessListError> {
        let address = claimed.changes.address;
        let undeclared = || AccessListError::Undeclared { step, address, slot: Some(*slot) };
        let ClaimedSlot { place, changes } = claimed.slot(slot).ok_or_else(undeclared)?;
        set(&self.accessed_slots[place]);
        let listed = at(changes, |it| it.block_access_index, step);
        let listed = listed.map(|index| changes[index].new_value);
        agree(step, address, ListedField::Slot(*slot), listed, found)
    }

    fn check_fee(&self, step: u64, fee: FeePayment) -> Result<u32, AccessListError> {
        let address = fee.beneficiary;
        let claimed = self.account(&address, None);
        let claimed = claimed.ok_or(AccessListError::Undeclared { step, address, slot: None })?;
        set(&claimed.accessed);
        let (before, after) = fee.balances();
        let fields = |balance| Fields { balance, ..Fields::default() };
        claimed.check_fields(step, fields(before), fields(after))
    }

    /// The first change that is listed for `step` although the step makes none there.
    fn excess(&self, step: u64, state: &EvmState, fee: Option<FeePayment>) -> AccessListError {
        for (changes, claimed) in self.list.iter().zip(&self.accounts) {
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
                    let hash = claimed.code_hashes[index];
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
        let accounts = self.accounts.iter().map(|account| &account.accessed);
        accounts.chain(&self.accessed_slots).for_each(|accessed| accessed.store(false, Relaxed));
    }

    /// Finds what is listed and was not accessed by any step.
    pub(crate) fn check_all_used(&self) -> Result<(), AccessListError> {
        for claimed in &self.accounts {
            let AccountChanges { address, storage_changes, storage_reads, .. } = claimed.changes;
            let unused = |slot| AccessListError::Unused { address: *address, slot };
            if !claimed.accessed.load(Relaxed) {
                return Err(unused(None));
            }
            let reads = &self.accessed_slots[claimed.first_slot + storage_changes.len()..];
            let mut reads = storage_reads.iter().zip(reads);
            if let Some((slot, _)) = reads.find(|(_, accessed)| !accessed.load(Relaxed)) {
                return Err(unused(Some(*slot)));
            }
        }
        Ok(())
    }
}

impl<'l> ClaimedAccount<'l> {
    /// Whose claims these are.
    pub(crate) const fn address(&self) -> Address {
        self.changes.address
    }

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

    /// What is claimed of a slot; `None` where it is not listed.
    pub(crate) fn slot(&self, slot: &U256) -> Option<ClaimedSlot<'l>> {
        let AccountChanges { storage_changes, storage_reads, .. } = self.changes;
        if let Ok(index) = storage_changes.binary_search_by(|it| it.slot.cmp(slot)) {
            let changes = storage_changes[index].changes.as_slice();
            return Some(ClaimedSlot { place: self.first_slot + index, changes });
        }
        let index = storage_reads.binary_search(slot).ok()?;
        let place = self.first_slot + storage_changes.len() + index;
        Some(ClaimedSlot { place, changes: &[] })
    }

    /// Whether anything of the account changes in `step` or later.
    pub(crate) fn changes_from(&self, step: u64) -> bool {
        steps(self.changes).any(|at| at >= step)
    }

    /// The slots that change, with their places among those of all accounts and their last values.
    pub(crate) fn last_values(&self) -> impl ExactSizeIterator<Item = (usize, U256, U256)> {
        // That there is a last change was checked with the form of the list.
        let last = |slot: &SlotChanges| slot.changes.last().map(|change| change.new_value);
        let slots = self.changes.storage_changes.iter().enumerate();
        slots.map(move |(at, it)| (self.first_slot + at, it.slot, last(it).unwrap_or_default()))
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

impl ClaimedSlot<'_> {
    /// The slot before `step`; `None` where it is the parent state's.
    pub(crate) fn before(&self, step: u64) -> Option<U256> {
        let index = last_before(self.changes, |it| it.block_access_index, step)?;
        Some(self.changes[index].new_value)
    }
}

/// Sets a flag that many set, without taking its cache line from them where it is set already.
fn set(flag: &AtomicBool) {
    if !flag.load(Relaxed) {
        flag.store(true, Relaxed);
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
