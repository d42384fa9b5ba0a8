//! A block's changes as revm has them: as a `BundleState`, and as commits to a database.
//!
//! revm derives both from every transaction's journal. Here they are derived from the changes of
//! the whole block, and say the same but for how it came about:
//!
//! - Accounts and slots that end as they began are not there. (revm leaves most of them out, too.)
//! - An account that was destroyed is `Destroyed`, however often; revm says `DestroyedAgain` of one
//!   that came back and was destroyed once more. One that did not exist before the block and was
//!   destroyed and made again is `InMemoryChange`; revm says `DestroyedChanged`. There is nothing to
//!   destroy in the parent state, and the reverts are the same.
//! - An account that an earlier block touched and left as it was counts as loaded, not as changed.
//! - New accounts without code do not add the empty code to the new contracts.
//!
//! The reverts, statuses and sizes are revm's own work, which is given one transition an account.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloy_evm::block::StateDB;
use alloy_primitives::{
    Address, U256,
    map::{AddressMap, B256Map},
};
use parking_lot::Mutex;
use revm::{
    bytecode::Bytecode,
    database::{
        AccountStatus as BundleStatus, BundleState, TransitionAccount, TransitionState,
        states::{StorageSlot, bundle_state::BundleRetention},
    },
    primitives::KECCAK_EMPTY,
    state::{Account as RevmAccount, AccountInfo, EvmState, EvmStorageSlot, TransactionId},
};
use warpline_primitives::{Account, AccountDiff, StateDiff, StateSource};

use super::{SourceError, erased, parent::boxed};
use crate::{
    BlockVm, Engine, ExecutionError,
    engine::contain,
    pool::Pool,
    vm::{self, Overwritten},
};

/// Accounts that a worker reads before it looks for more.
const BATCH: usize = 16;
/// Waking another worker costs about as much as this many reads of a state in memory.
const READS_PER_WORKER: usize = 512;

/// What became of one account, with what it was.
struct Changed<'d> {
    address: Address,
    before: Option<Account>,
    diff: &'d AccountDiff,
    /// What the slots that `diff` lists held before, in its order. Zeros after a wipe, as revm has
    /// it: nothing is left of what was there.
    slots_before: Vec<U256>,
}

impl<V: BlockVm> Engine<V> {
    /// A block's changes as the `BundleState` that revm's `State` would hold after the block: with
    /// original and present accounts and slots, new contracts and, if `retention` asks for them,
    /// reverts by address.
    ///
    /// `parent` is the state before the block. Each account that is listed and each slot that
    /// survived is read from it once, before anything else is done, on several workers where there
    /// is much to read. Bundles of blocks that follow one another are joined with
    /// `BundleState::extend`.
    ///
    /// # Errors
    /// [`ExecutionError::StateRead`] when `parent` failed, [`ExecutionError::EngineBug`] when it
    /// panicked.
    pub fn bundle_state<S: StateSource>(
        &self,
        diff: &StateDiff,
        parent: &S,
        retention: BundleRetention,
    ) -> Result<BundleState, ExecutionError<S::Error>> {
        contain(|| {
            let changes = read(self.pool(), diff, parent).map_err(ExecutionError::StateRead)?;
            let codes = analysed(diff);
            let transitions = changes.iter().map(|it| (it.address, it.transition(&codes)));
            let transitions = TransitionState { transitions: transitions.collect() };
            let mut bundle = BundleState::default();
            bundle.apply_transitions_and_create_reverts(transitions, retention);
            bundle.reverts.sort();
            Ok(bundle)
        })
    }

    /// Commits a block's changes to `db`, so that a revm `State` holds and reports what it would
    /// after executing the block itself. A state hook is shown the whole block at once.
    ///
    /// Accounts that were destroyed and made again take two commits, because one cannot say both:
    /// then the hook is called twice, with the destroyed accounts first.
    ///
    /// # Errors
    /// As [`bundle_state`](Self::bundle_state), and [`ExecutionError::StateRead`] when `db` cannot
    /// be read; nothing was committed then.
    pub fn commit_to(
        &self,
        diff: &StateDiff,
        parent: &impl StateSource,
        db: &mut impl StateDB,
    ) -> Result<(), ExecutionError<SourceError>> {
        let commits = self.commits(diff, &erased(parent))?;
        commit(db, commits).map_err(ExecutionError::StateRead)
    }

    /// What [`commit_to`](Self::commit_to) commits, in this order.
    pub(super) fn commits<S: StateSource>(
        &self,
        diff: &StateDiff,
        parent: &S,
    ) -> Result<Vec<EvmState>, ExecutionError<S::Error>> {
        contain(|| {
            let changes = read(self.pool(), diff, parent).map_err(ExecutionError::StateRead)?;
            let codes = analysed(diff);
            let (mut destroyed, mut changed) = (EvmState::default(), EvmState::default());
            for change in changes {
                let Some(after) = change.diff.account else {
                    changed.insert(change.address, destroyed_account(change.before));
                    continue;
                };
                // revm keeps the code with an account once it was loaded. A delegation is stored
                // nowhere else until the block is, so that it must not get lost here.
                let code = match codes.get(&after.code_hash) {
                    _ if !after.has_code() => Bytecode::default(),
                    Some(code) => code.clone(),
                    None => {
                        let code = self.codes().get(after.code_hash, parent);
                        code.map_err(ExecutionError::StateRead)?
                    }
                };
                if change.diff.storage_wiped {
                    destroyed.insert(change.address, destroyed_account(change.before));
                }
                changed.insert(change.address, change.committed(after, code));
            }
            let commits = [destroyed, changed].into_iter().filter(|it| !it.is_empty());
            Ok(commits.collect())
        })
    }
}

/// Commits changes to a database that need not know the accounts yet.
pub(super) fn commit(db: &mut impl StateDB, commits: Vec<EvmState>) -> Result<(), SourceError> {
    // A `State` that was begun on a bundle would otherwise take the accounts for new to it, and
    // fail when the bundle is brought up to date.
    for address in commits.iter().flat_map(EvmState::keys) {
        db.basic(*address).map_err(boxed)?;
    }
    commits.into_iter().for_each(|changes| db.commit(changes));
    Ok(())
}

/// Reads what `diff` changed, in order of addresses.
fn read<'d, S: StateSource>(
    pool: &Pool,
    diff: &'d StateDiff,
    parent: &S,
) -> Result<Vec<Changed<'d>>, S::Error> {
    let accounts = diff.sorted_accounts();
    let width = ((accounts.len() + diff.slots()) / READS_PER_WORKER).clamp(1, pool.threads());
    // Only hands out work: what is found is handed over under the lock.
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Ok(Vec::with_capacity(accounts.len())));
    pool.run(width, || {
        let mut mine = Vec::new();
        loop {
            let from = next.fetch_add(BATCH, Relaxed).min(accounts.len());
            let batch = &accounts[from..(from + BATCH).min(accounts.len())];
            if batch.is_empty() {
                break;
            }
            for (address, diff) in batch {
                match Changed::read(**address, diff, parent) {
                    Ok(change) => mine.push(change),
                    Err(error) => {
                        next.store(accounts.len(), Relaxed);
                        *found.lock() = Err(error);
                        return;
                    }
                }
            }
        }
        if let Ok(found) = &mut *found.lock() {
            found.append(&mut mine);
        }
    });
    let mut found = found.into_inner()?;
    found.sort_unstable_by_key(|change| change.address);
    Ok(found)
}

/// New code by hash.
fn analysed(diff: &StateDiff) -> B256Map<Bytecode> {
    diff.codes().iter().map(|(hash, code)| (*hash, vm::analysed(code.clone()))).collect()
}

impl<'d> Changed<'d> {
    fn read<S: StateSource>(
        address: Address,
        diff: &'d AccountDiff,
        parent: &S,
    ) -> Result<Self, S::Error> {
        let before = parent.account(address)?;
        let slots_before = if before.is_none() || diff.storage_wiped {
            vec![U256::ZERO; diff.storage.len()]
        } else {
            diff.storage
                .keys()
                .map(|slot| parent.storage(address, *slot))
                .collect::<Result<_, _>>()?
        };
        Ok(Self { address, before, diff, slots_before })
    }

    /// The slots that changed: slot, value before, value now.
    fn slots(&self) -> impl Iterator<Item = (U256, U256, U256)> {
        let slots = self.diff.storage.iter().zip(&self.slots_before);
        slots.map(|((slot, now), before)| (*slot, *before, *now))
    }

    fn transition(&self, codes: &B256Map<Bytecode>) -> TransitionAccount {
        let previous_status = match &self.before {
            None => BundleStatus::LoadedNotExisting,
            Some(account) if account.is_empty() => BundleStatus::LoadedEmptyEIP161,
            Some(_) => BundleStatus::Loaded,
        };
        let status = match self.diff.account {
            None => BundleStatus::Destroyed,
            Some(_) if self.diff.storage_wiped => BundleStatus::DestroyedChanged,
            Some(_) => previous_status.on_changed(self.before.is_some_and(is_bare)),
        };
        let slots = self.slots();
        TransitionAccount {
            info: self.diff.account.map(|account| AccountInfo {
                code: codes.get(&account.code_hash).cloned(),
                ..info(account)
            }),
            status,
            previous_info: self.before.map(info),
            previous_status,
            storage: slots
                .map(|(slot, old, new)| (slot, StorageSlot::new_changed(old, new)))
                .collect(),
            storage_was_destroyed: self.diff.storage_wiped,
        }
    }

    /// The account as a journal would have it: `after` with `code` is what became of it.
    fn committed(&self, after: Account, code: Bytecode) -> RevmAccount {
        // After a wipe it is made from nothing.
        let before = self.before.filter(|_| !self.diff.storage_wiped);
        let is_new_contract = after.has_code()
            && before.is_none_or(|before| before.code_hash != after.code_hash && is_bare(before));
        let mut account = account_of(before, AccountInfo { code: Some(code), ..info(after) });
        if is_new_contract || after.is_empty() {
            // What makes revm remember the code, and keep an empty account.
            account.mark_created();
        }
        let slot =
            |(slot, old, new)| (slot, EvmStorageSlot::new_changed(old, new, TransactionId::ZERO));
        account.storage = self.slots().map(slot).collect();
        account
    }
}

/// Writes accounts past every rule, as the DAO fork did.
pub(super) fn overwritten(changes: Vec<Overwritten>) -> EvmState {
    let accounts = changes.into_iter().map(|(address, before, after)| {
        let code = if after.has_code() { None } else { Some(Bytecode::default()) };
        let mut account = account_of(before, AccountInfo { code, ..info(after) });
        if after.is_empty() {
            account.mark_created();
        }
        (address, account)
    });
    accounts.collect::<AddressMap<_>>()
}

/// An account that is touched, and was `before`.
fn account_of(before: Option<Account>, now: AccountInfo) -> RevmAccount {
    let mut account = match before {
        None => RevmAccount::new_not_existing(TransactionId::ZERO),
        Some(before) => {
            let mut account = RevmAccount::default();
            *account.original_info_mut() = info(before);
            account
        }
    };
    account.info = now;
    account.mark_touch();
    account
}

fn destroyed_account(before: Option<Account>) -> RevmAccount {
    account_of(before, AccountInfo::default()).with_selfdestruct_mark()
}

/// Neither nonce nor code: what alone can become a contract.
fn is_bare(account: Account) -> bool {
    account.nonce == 0 && !account.has_code()
}

fn info(account: Account) -> AccountInfo {
    let Account { balance, nonce, code_hash } = account;
    let code = (code_hash == KECCAK_EMPTY).then(Bytecode::default);
    AccountInfo { balance, nonce, code_hash, account_id: None, code }
}
