//! Committing in block order, one worker at a time.

use std::cell::Cell;

use super::{CommitClaim, Freed, Portion, Scheduler, dependency};
use crate::{hooks::Site, sync::atomic::Ordering::SeqCst};

/// The right to commit, held by at most one worker. Given back when dropped.
#[derive(Debug)]
pub(crate) struct CommitRole<'s> {
    scheduler: &'s Scheduler,
    /// Whether the next in line waited for the one just committed.
    takes_next: Cell<bool>,
}

impl<'s> CommitRole<'s> {
    /// The role, which the caller has just marked as taken.
    pub(super) const fn new(scheduler: &'s Scheduler) -> Self {
        Self { scheduler, takes_next: Cell::new(false) }
    }

    /// Takes the next transaction in line; `None` at the end of the block, or to give the role back.
    ///
    /// With `portion`, what another worker took is left to that one, which has it in its caches and
    /// looks after each execution; but not what was held back, which nobody is about to start.
    pub(crate) fn begin(&self, portion: Option<&mut Portion>) -> Option<(u32, CommitClaim)> {
        let next = self.scheduler.committed();
        if self.scheduler.hooks.spuriously(Site::BeginCommit, next) {
            return None;
        }
        let slot = self.scheduler.slots.get(next as usize)?;
        if let Some(portion) = portion
            && !portion.contains(next)
            && !self.takes_next.get()
            && !(slot.status.is_pending() && slot.waiters.is_enrolled())
        {
            return None;
        }
        Some((next, slot.status.begin_commit()))
    }

    /// The validation of `tx` failed: it is executed again, by the holder.
    pub(crate) fn restart(&self, tx: u32) {
        self.scheduler.hooks.at(Site::Restart, tx);
        self.scheduler.slots[tx as usize].status.restart();
        self.scheduler.reopen(tx);
    }

    /// Whether nobody but the holder executes, whoever took what is next.
    pub(crate) fn is_alone(&self) -> bool {
        self.scheduler.is_alone()
    }

    /// Takes into account whether `tx`, just committed, was executed `in_vain` before. Returns whether
    /// the role is better given back.
    pub(crate) fn learn_use(&self, tx: u32, in_vain: bool) -> bool {
        self.scheduler.learn_use(tx, in_vain)
    }

    /// `tx`, next in line, is final.
    pub(crate) fn commit(&self, tx: u32) -> Freed {
        let scheduler = self.scheduler;
        scheduler.hooks.at(Site::Commit, tx);
        scheduler.slots[tx as usize].status.commit();
        let mut freed = dependency::close(&scheduler.slots, tx, &scheduler.hooks);
        scheduler.hooks.at(Site::Committed, tx);
        let end = scheduler.window_end(tx);
        scheduler.committed.store(tx + 1, SeqCst);
        // Who found the window full saw the cursor at its old end, and then announced that it sleeps
        // or saw the new one. Looking at the cursor before the window moves would miss who takes the
        // last place in it in between.
        let was_full = scheduler.cursor.load(SeqCst) >= end;
        if tx + 1 == scheduler.len() || (was_full && scheduler.has_fresh()) {
            scheduler.wake();
        }
        // The next in line is this worker's own next task.
        let before = freed.len();
        freed.retain(|freed| *freed != tx + 1);
        self.takes_next.set(freed.len() < before);
        freed
    }
}

impl Drop for CommitRole<'_> {
    /// Who saw the role taken and passed by relies on the holder, and the holder may have left
    /// something to those who sleep.
    fn drop(&mut self) {
        let scheduler = self.scheduler;
        scheduler.committing.store(false, SeqCst);
        if scheduler.anybody_sleeps() && scheduler.can_commit() {
            scheduler.wake();
        }
    }
}
