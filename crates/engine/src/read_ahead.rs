//! Keys of the parent state that will be wanted, read before anybody asks for them.
//!
//! What comes of it is put into the memory and the cache of code, where executions find it. A read
//! that fails is forgotten: the execution that needs it asks again, and knows whose failure it is.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloy_consensus::Transaction;
use alloy_eip7928::AccountChanges;
use alloy_eips::eip2930::AccessListItem;
use alloy_primitives::{Address, U256};
use warpline_primitives::{Account, StateSource};

use crate::{
    execute::Job,
    hooks::Hooks,
    memory::{Memory, Reader},
    parent::Parent,
    pool::Pool,
    scheduler::{Leaving, Permits, Seat, WINDOW},
    vm::{BlockVm, load},
};

/// Keys of the parent state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// An account, and its code where it is going to run.
    Account { address: Address, runs: bool },
    /// A slot.
    Slot(Address, U256),
}

/// What `job`'s block says that it reads and does not ask for at once: who is paid fees and
/// withdrawals, and what transactions list themselves (EIP-2930), as far as they are speculated on from
/// the start. Everything else a transaction that is executed finds by itself.
pub(crate) fn of_block<V: BlockVm, S>(job: &Job<'_, V, S>) -> impl Iterator<Item = Key> {
    let paid = job.block.withdrawals.iter().flat_map(|list| list.iter()).map(|it| it.address);
    let paid = std::iter::once(job.rules.beneficiary).chain(paid);
    let started = job.block.transactions.iter().take(WINDOW as usize);
    let listed = started.flat_map(|tx| tx.access_list().into_iter().flat_map(|list| list.iter()));
    let listed = listed.flat_map(|AccessListItem { address, storage_keys }| {
        let slots = storage_keys.iter().map(|key| Key::Slot(*address, (*key).into()));
        std::iter::once(Key::Account { address: *address, runs: true }).chain(slots)
    });
    paid.map(|address| Key::Account { address, runs: false }).chain(listed)
}

/// What a block reads that does what `list` says.
pub(crate) fn of_list(list: &[AccountChanges]) -> Vec<Key> {
    let accounts = list.iter().map(|it| Key::Account { address: it.address, runs: true });
    let slots = list.iter().flat_map(|it| {
        let written = it.storage_changes.iter().map(|slot| slot.slot);
        written.chain(it.storage_reads.iter().copied()).map(|slot| Key::Slot(it.address, slot))
    });
    accounts.chain(slots).collect()
}

/// Calls `read` with each of `keys`, as many at once as may be outstanding, if that is more than
/// `width` workers make. Whoever reads has no permit to run, because there is next to nothing to do but
/// to wait.
pub(crate) fn run<V: BlockVm, S: StateSource>(
    job: &Job<'_, V, S>,
    keys: impl FnOnce() -> Vec<Key>,
    width: usize,
    (pool, hooks): (&Pool, &Hooks),
    read: impl Fn(&Seat<'_>, Key) + Sync,
) {
    let Some(workers) = pool.depth() else { return };
    let keys = keys();
    if keys.is_empty() {
        return;
    }
    let workers = workers.min(keys.len());
    let permits = Permits::new(width, workers, hooks.clone());
    let next = AtomicUsize::new(0);
    pool.run(workers, || {
        let seat = permits.seat(None);
        let _leaving = Leaving(seat);
        // Relaxed: to each another one, in whatever order.
        while let Some(key) = keys.get(next.fetch_add(1, Relaxed)) {
            if job.early_end.reason().is_some() {
                break;
            }
            read(&seat, *key);
        }
    });
}

/// Sees the parent state only.
const PARENT: Reader = Reader { below: 0, register: None };

/// Reads `key` into the memory and the cache of code.
pub(crate) fn read<V: BlockVm, S: StateSource>(
    job: &Job<'_, V, S>,
    memory: &Memory,
    seat: &Seat<'_>,
    key: Key,
) -> Result<(), S::Error> {
    let account = |address| memory.account(address, PARENT, || load(job.source, address));
    match key {
        Key::Account { address, runs: false } => account(address).map(|_| ()),
        Key::Account { address, runs: true } => read_code(job, seat, account(address)?.account),
        Key::Slot(address, slot) => {
            let at = account(address)?.at;
            memory.slot(at, slot, PARENT, || job.source.storage(address, slot)).map(|_| ())
        }
    }
}

/// Reads the code of `account` into the cache of code. Only its analysis takes a permit, for a
/// moment.
pub(crate) fn read_code<V: BlockVm, S: StateSource>(
    job: &Job<'_, V, S>,
    seat: &Seat<'_>,
    account: Option<Account>,
) -> Result<(), S::Error> {
    let Some(account) = account.filter(Account::has_code) else { return Ok(()) };
    let code = job.codes.get(account.code_hash, &Parent::new(job.source, Some(*seat)));
    seat.leave();
    code.map(|_| ())
}
