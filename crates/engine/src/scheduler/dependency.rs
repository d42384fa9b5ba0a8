//! Who waits for whom.
//!
//! A transaction waits for at most one other, so the waiting lists are intrusive: each
//! transaction has a head (who waits for it) and a link (who waits beside it). A transaction that
//! is on a list already is not put on another, whoever asks: its link is in use. It then simply
//! stays pending, to be freed from the list it is on or taken by the commit role in its turn.

use smallvec::SmallVec;

use crate::{
    hooks::{Hooks, Site},
    sync::atomic::{
        AtomicBool, AtomicU32,
        Ordering::{AcqRel, Acquire, Release},
    },
};

/// No further waiter.
const NONE: u32 = u32::MAX;
/// The transaction is settled: nobody needs to wait.
const CLOSED: u32 = u32::MAX - 1;

/// One transaction's part in the waiting lists.
#[derive(Debug)]
pub(super) struct Waiters {
    head: AtomicU32,
    link: AtomicU32,
    enrolled: AtomicBool,
}

impl Default for Waiters {
    fn default() -> Self {
        let none = || AtomicU32::new(NONE);
        Self { head: none(), link: none(), enrolled: AtomicBool::new(false) }
    }
}

impl Waiters {
    /// Whether the transaction is on a list.
    pub(super) fn is_enrolled(&self) -> bool {
        self.enrolled.load(Acquire)
    }
}

/// Transactions set free, lowest first.
pub(crate) type Freed = SmallVec<[u32; 4]>;

/// Puts `waiter` on the list of `on`; `false` where `on` is settled and there is nothing to wait
/// for.
pub(super) fn wait(lists: &[impl AsRef<Waiters>], waiter: u32, on: u32, hooks: &Hooks) -> bool {
    let head = &lists[on as usize].as_ref().head;
    let Waiters { link, enrolled, .. } = lists[waiter as usize].as_ref();
    if enrolled.swap(true, AcqRel) {
        return true;
    }
    let mut first = head.load(Acquire);
    loop {
        if first == CLOSED {
            enrolled.store(false, Release);
            return false;
        }
        link.store(first, Release);
        hooks.at(Site::Link, waiter);
        match head.compare_exchange_weak(first, waiter, AcqRel, Acquire) {
            Ok(_) => return true,
            Err(now) => first = now,
        }
    }
}

/// Closes the list of `settled` and returns who was on it.
pub(super) fn close(lists: &[impl AsRef<Waiters>], settled: u32, hooks: &Hooks) -> Freed {
    let mut freed = Freed::new();
    let mut next = lists[settled as usize].as_ref().head.swap(CLOSED, AcqRel);
    while next != NONE && next != CLOSED {
        hooks.at(Site::Unlink, next);
        freed.push(next);
        let Waiters { link, enrolled, .. } = lists[next as usize].as_ref();
        next = link.load(Acquire);
        // Only now may the transaction wait elsewhere and use its link again.
        enrolled.store(false, Release);
    }
    freed.sort_unstable();
    freed
}

/// Opens the list of a transaction that is executed again.
pub(super) fn reopen(lists: &[impl AsRef<Waiters>], again: u32) {
    // Only the owner of `again` opens it, and a list that is open already stays as it is.
    let head = &lists[again as usize].as_ref().head;
    let _ = head.compare_exchange(CLOSED, NONE, AcqRel, Acquire);
}
