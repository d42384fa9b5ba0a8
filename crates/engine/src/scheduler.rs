//! Which transaction runs next, and on whom it waits.
//!
//! Transactions are handed out in block order. One that is known to need an earlier one (same
//! sender, or paid by it) is not started before that one was executed; one that runs into a value
//! under revision waits for it; one whose reads came into doubt is handed out again. Everything
//! else is left to the ordered commit, which validates by value and executes what is left over.
//!
//! There is no coordinator: every worker takes what it finds, in this order of preference:
//! committing what it took itself, a transaction it set free itself (its inputs are in this
//! worker's caches), one that others set free, the next of its batch, a new batch in block order,
//! committing what others took, and taking over what these have not come to. What a worker executes
//! and commits itself need not travel between caches, which counts beside executing a short
//! transaction. Where reads are slow that is little, and whoever took a transaction may be reading: there a batch is one transaction, and
//! committing whatever can be committed comes first.
//!
//! *Termination.* The transaction next in line for the commit is always either owned by a worker
//! or free for the holder of the commit role to take, and the holder executes on final values, so
//! it never waits. Queues and waiting lists can therefore lose or repeat an entry and cost time
//! only.

mod ahead;
mod alone;
mod commit_role;
mod conflict;
mod dependency;
mod pause;
mod permits;
mod portion;
mod status;
mod wait;

use std::{cmp::Reverse, collections::BinaryHeap, ops::Range};

use crate::{
    hooks::{Hooks, Site},
    sync::{
        Mutex,
        atomic::{
            AtomicBool, AtomicU32, AtomicUsize,
            Ordering::{Acquire, Relaxed, SeqCst},
        },
    },
};

pub(crate) use ahead::Ahead;
pub(crate) use commit_role::CommitRole;
pub(crate) use conflict::{Classes, Conflicts, HotSlots, Reach};
pub(crate) use dependency::Freed;
use dependency::Waiters;
pub(crate) use permits::{Leaving, Permits, Seat};
pub(crate) use portion::{Forecast, Portion};
pub(crate) use status::CommitClaim;
use status::Status;

/// How far beyond the committed transactions others may be started: bounds what speculation
/// holds in memory. At no time has a transaction from `committed + WINDOW` on been started, and each
/// has one version of a location and one record, whatever the number of its executions.
pub(crate) const WINDOW: u32 = if cfg!(feature = "model") { 3 } else { 4096 };

/// How often a transaction may be executed speculatively, interrupted executions included; beyond
/// that it is left to the commit, which executes it once. Without a bound a transaction is executed
/// again whenever one before it publishes something else, which that one does once for each time
/// that one before *it* did: the number of executions is finite, but exponential in the depth of
/// such a chain.
pub(crate) const MAX_SPECULATIONS: u32 = if cfg!(feature = "model") { 3 } else { 16 };

/// How many transactions one who looks for one that others took looks at.
const MAX_SEARCHED: usize = 128;

/// Which earlier transaction to wait for before starting; `NO_DEPENDENCY` for none.
pub(crate) const NO_DEPENDENCY: u32 = u32::MAX;

/// One transaction's scheduling state.
#[derive(Debug, Default)]
struct Slot {
    status: Status,
    waiters: Waiters,
    /// How often it was executed speculatively. Counted by its owner.
    speculations: AtomicU32,
    /// Whether somebody was asked to execute it for its reads only.
    deferred: AtomicBool,
}

impl AsRef<Waiters> for Slot {
    fn as_ref(&self) -> &Waiters {
        &self.waiters
    }
}

/// The scheduler of one block.
#[derive(Debug)]
pub(crate) struct Scheduler {
    slots: Vec<Slot>,
    /// What the block taught so far.
    pub(crate) conflicts: Conflicts,
    /// The next transaction in block order that was never handed out.
    cursor: AtomicU32,
    /// How many transactions are committed.
    committed: AtomicU32,
    ready: Mutex<BinaryHeap<Reverse<u32>>>,
    /// Length of `ready`, to look without locking.
    ready_len: AtomicUsize,
    /// Whether somebody holds the commit role.
    committing: AtomicBool,
    halted: AtomicBool,
    parking: wait::Parking,
    /// Who may run, where there are more workers than that.
    permits: Option<Permits>,
    /// Whether it is any use to execute ahead.
    alone: alone::Alone,
    /// What those do who find nothing else.
    ahead: ahead::Queue,
    /// What happens at decision points.
    pub(crate) hooks: Hooks,
}

impl Scheduler {
    /// A scheduler for so many transactions.
    pub(crate) fn new(transactions: usize, hooks: Hooks, permits: Option<Permits>) -> Self {
        Self {
            slots: (0..transactions).map(|_| Slot::default()).collect(),
            conflicts: Conflicts::default(),
            cursor: AtomicU32::new(0),
            committed: AtomicU32::new(0),
            ready: Mutex::default(),
            ready_len: AtomicUsize::new(0),
            committing: AtomicBool::new(false),
            halted: AtomicBool::new(false),
            parking: wait::Parking::default(),
            permits,
            alone: alone::Alone::default(),
            ahead: ahead::Queue::default(),
            hooks,
        }
    }

    /// This scheduler for so many workers, of whom one goes on alone where the others are of no use.
    pub(crate) fn among(self, width: usize) -> Self {
        Self { alone: alone::Alone::among(width), ..self }
    }

    fn len(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "a block's gas bounds its length")]
        let len = self.slots.len() as u32;
        len
    }

    /// How many transactions are committed.
    pub(crate) fn committed(&self) -> u32 {
        self.committed.load(SeqCst)
    }

    /// Whether all is done, or was called off.
    pub(crate) fn is_over(&self) -> bool {
        self.is_halted() || self.committed() == self.len()
    }

    /// Whether everything was called off.
    pub(crate) fn is_halted(&self) -> bool {
        // Sequentially consistent as everything that `idle` looks at: see `wait::Parking`.
        self.halted.load(SeqCst)
    }

    /// Calls everything off.
    pub(crate) fn halt(&self) {
        self.halted.store(true, SeqCst);
        self.wake();
    }

    /// Whether values that `tx` wrote may be read.
    pub(crate) fn is_settled(&self, tx: u32) -> bool {
        self.slots[tx as usize].status.is_settled()
    }

    // The commit role.

    /// Takes the commit role if it is free and there is something to commit.
    pub(crate) fn try_enter_commit(&self) -> Option<CommitRole<'_>> {
        if !self.can_commit()
            || self.hooks.spuriously(Site::EnterCommit, self.committed())
            || self.committing.swap(true, SeqCst)
        {
            return None;
        }
        Some(CommitRole::new(self))
    }

    fn can_commit(&self) -> bool {
        let next = self.committed();
        next < self.len()
            && !self.committing.load(SeqCst)
            && self.slots[next as usize].status.is_committable()
    }

    // Execution.

    /// The next transaction for the owner of `portion` to look at, if any.
    pub(crate) fn next(&self, portion: &mut Portion, forecast: &impl Forecast) -> Option<u32> {
        if self.is_alone() {
            return None;
        }
        let next = self.next_in_order(portion, forecast)?;
        if !self.hooks.spuriously(Site::Next, next) {
            return Some(next);
        }
        let mut others = Freed::from_slice(&[next]);
        let ahead = 1..self.hooks.look_ahead(next);
        others.extend(ahead.map_while(|_| self.next_in_order(portion, forecast)));
        let last = others.pop();
        self.push(others);
        last
    }

    fn next_in_order(&self, portion: &mut Portion, forecast: &impl Forecast) -> Option<u32> {
        if self.ready_len.load(Acquire) > 0 {
            let mut ready = self.ready.lock();
            let next = ready.pop();
            self.ready_len.store(ready.len(), SeqCst);
            if let Some(Reverse(tx)) = next {
                return Some(tx);
            }
        }
        loop {
            while let Some((tx, dependency)) = portion.next() {
                if !self.is_held_back(tx, dependency) {
                    return Some(tx);
                }
            }
            portion.take(self.take_batch(forecast)?, forecast);
        }
    }

    /// A transaction that somebody took and has not come to, for who finds nothing else to do. Only
    /// where it is known of each what it waits for.
    pub(crate) fn steal(&self, forecast: &impl Forecast) -> Option<u32> {
        if self.permits.is_some() || self.is_alone() {
            return None;
        }
        let taken = self.committed()..self.cursor.load(SeqCst);
        taken.take(MAX_SEARCHED).find(|tx| {
            let Slot { status, waiters, speculations, .. } = &self.slots[*tx as usize];
            // One that was begun before and given up is left to whoever comes to it by itself.
            // Relaxed: to take one that is not meant costs an execution, and there are few of them.
            let is_fresh = speculations.load(Relaxed) == 0;
            let dependency = forecast.known_dependency(*tx);
            status.is_pending()
                && is_fresh
                && !waiters.is_enrolled()
                && dependency.is_some_and(|dependency| !self.is_held_back(*tx, dependency))
        })
    }

    /// The next transactions in block order that nobody took.
    fn take_batch(&self, forecast: &impl Forecast) -> Option<Range<u32>> {
        let mut start = self.cursor.load(SeqCst);
        loop {
            let limit = self.len().min(self.window_end(self.committed()));
            if start >= limit {
                return None;
            }
            let end = forecast.batch_end(start, limit);
            match self.cursor.compare_exchange(start, end, SeqCst, SeqCst) {
                Ok(_) => return Some(start..end),
                Err(now) => start = now,
            }
        }
    }

    /// Puts `tx` on a waiting list if it has reason to wait: for a known dependency until that was
    /// executed, for the one before it in a class that runs in line until that is committed, or has
    /// begun where they [pause](Self::pause). A line that was started on a value that did not last
    /// would otherwise be wrong all along, and be corrected one by one while it grows at the other
    /// end.
    fn is_held_back(&self, tx: u32, dependency: u32) -> bool {
        if dependency != NO_DEPENDENCY && !self.is_settled(dependency) && self.wait(tx, dependency)
        {
            return true;
        }
        let predecessor = self.conflicts.predecessor(tx);
        predecessor != NO_DEPENDENCY
            && predecessor >= self.committed()
            && !self.may_begin(tx, predecessor)
            && self.wait(tx, predecessor)
    }

    fn has_fresh(&self) -> bool {
        self.is_fresh(self.cursor.load(SeqCst))
    }

    /// Whether `tx` exists and is within the window.
    fn is_fresh(&self, tx: u32) -> bool {
        tx < self.len() && tx < self.window_end(self.committed())
    }

    /// The first transaction that may not be started when `committed` are committed.
    fn window_end(&self, committed: u32) -> u32 {
        committed.saturating_add(self.hooks.window(committed, WINDOW))
    }

    /// Takes `tx` for execution, if it is free.
    pub(crate) fn claim(&self, tx: u32) -> bool {
        self.hooks.at(Site::Claim, tx);
        self.slots[tx as usize].status.claim()
    }

    /// Counts a speculative execution of `tx`, which the caller owns and is about to begin. `false`
    /// where there were enough: it had better be released and left to the commit.
    pub(crate) fn may_speculate(&self, tx: u32) -> bool {
        // Relaxed: ownership is taken over from whoever counted before.
        let speculations = &self.slots[tx as usize].speculations;
        let so_far = speculations.load(Relaxed);
        let may = so_far < self.hooks.speculations(MAX_SPECULATIONS);
        if may {
            speculations.store(so_far + 1, Relaxed);
        }
        debug_assert!(tx < self.committed().saturating_add(WINDOW), "{tx} is beyond the window");
        may
    }

    /// How often `tx`, which the caller owns, was executed speculatively.
    pub(crate) fn speculations(&self, tx: u32) -> u32 {
        self.slots[tx as usize].speculations.load(Relaxed)
    }

    /// Takes `tx`, executed but in doubt, for another look.
    pub(crate) fn claim_suspect(&self, tx: u32) -> bool {
        self.hooks.at(Site::ClaimSuspect, tx);
        self.slots[tx as usize].status.claim_suspect()
    }

    /// The owner of `tx` executes it again: from now on others wait for it.
    pub(crate) fn reopen(&self, tx: u32) {
        self.hooks.at(Site::Reopen, tx);
        dependency::reopen(&self.slots, tx);
    }

    /// Ends an execution or a look of `tx`'s owner. `None` where new doubts came up meanwhile; the
    /// transaction then stays with the owner. Else who had waited for it.
    pub(crate) fn finish(&self, tx: u32) -> Option<Freed> {
        if self.hooks.spuriously(Site::Finish, tx) {
            return None;
        }
        self.slots[tx as usize].status.finish().then(|| self.settle(tx))
    }

    /// As [`finish`](Self::finish), doubts or not: the commit will settle them.
    pub(crate) fn finish_anyway(&self, tx: u32) -> Freed {
        self.slots[tx as usize].status.finish_anyway();
        self.settle(tx)
    }

    /// Who waits for a member of a class that runs in line goes on waiting for its commit, unless it
    /// was freed when that [began](Self::begin).
    ///
    /// Nobody is woken to commit. The owner comes to it by itself: at once where `tx` is of its own
    /// portion, else at the latest when it finds nothing else to do. It passes by a commit role that
    /// is taken; giving that back wakes those who sleep, if there is something to commit.
    fn settle(&self, tx: u32) -> Freed {
        if self.hooks.spuriously(Site::Settle, tx) {
            self.suspect(self.hooks.pick(tx, self.len()));
        }
        if self.conflicts.is_in_line(tx) {
            return Freed::new();
        }
        dependency::close(&self.slots, tx, &self.hooks)
    }

    /// The owner of `tx` gives it up until its turn to commit. Nobody is woken to commit, for the same
    /// reason as when it was executed.
    pub(crate) fn release(&self, tx: u32) {
        self.hooks.at(Site::Release, tx);
        self.slots[tx as usize].status.release();
    }

    /// `tx`, which nobody owns, waits for `on`. `false` where there is nothing to wait for.
    pub(crate) fn wait(&self, tx: u32, on: u32) -> bool {
        self.hooks.at(Site::Wait, tx);
        let waits = dependency::wait(&self.slots, tx, on, &self.hooks);
        if waits {
            self.defer(tx);
        }
        waits
    }

    /// Hands out `txs` (again).
    pub(crate) fn push(&self, txs: impl IntoIterator<Item = u32>) {
        let mut ready = self.ready.lock();
        let before = ready.len();
        for tx in txs {
            // Not without end: who always finds something here gives no permit back.
            if self.hooks.spuriously(Site::Repeat, tx) && ready.len() < self.slots.len() {
                ready.push(Reverse(tx));
            }
            if !self.hooks.spuriously(Site::Lose, tx) {
                ready.push(Reverse(tx));
            }
        }
        let grown = ready.len() > before;
        self.ready_len.store(ready.len(), SeqCst);
        drop(ready);
        // Who goes on alone wakes the others when they may take part again.
        if grown && !self.is_alone() {
            self.wake();
        }
    }

    /// Casts doubt on `tx`'s reads, and hands it out if it was executed.
    pub(crate) fn suspect(&self, tx: u32) {
        if self.hooks.drops_suspicion(tx) {
            return;
        }
        self.hooks.at(Site::Suspect, tx);
        if self.slots[tx as usize].status.suspect() {
            self.push([tx]);
        }
    }

    /// Waits until there may be work.
    pub(crate) fn idle(&self, seat: Option<Seat<'_>>) {
        if self.hooks.spuriously(Site::Park, self.committed()) {
            return;
        }
        match seat {
            Some(seat) => seat.rest(self),
            None => self.parking.wait(|| self.has_work(), &self.hooks),
        }
    }

    /// Whether there is something to do for any worker. Only its owner sees the rest of a batch, and
    /// has none when it looks here.
    fn has_work(&self) -> bool {
        self.is_over()
            || (!self.is_alone() && (self.ready_len.load(SeqCst) > 0 || self.has_fresh()))
            || self.can_commit()
            || !self.ahead.is_empty()
    }

    /// A place for another worker; `None` where every worker may run.
    pub(crate) fn seat(&self) -> Option<Seat<'_>> {
        self.permits.as_ref().map(|permits| permits.seat(Some(self)))
    }

    /// Whether somebody announced that it sleeps.
    fn anybody_sleeps(&self) -> bool {
        match &self.permits {
            Some(permits) => permits.anybody_rests(),
            None => self.parking.anybody_sleeps(),
        }
    }

    /// Wakes those who idle, after something was made visible that they wait for.
    fn wake(&self) {
        self.hooks.at(Site::Wake, self.committed());
        match &self.permits {
            Some(permits) => permits.wake(self),
            None => self.parking.wake(),
        }
    }
}

#[cfg(test)]
mod given;
#[cfg(all(test, feature = "model"))]
mod model;
#[cfg(all(test, not(feature = "model")))]
mod tests;
