//! Waiting for one transaction in the middle of another.

use std::{thread, time::Duration};

use super::{HotSlots, Reach, Scheduler, dependency};
use crate::{hooks::Site, sync::spin_loop};

/// Rounds of looking again before sleeping: some tens of microseconds.
const SPINS: u32 = 2000;
/// For how long at a time who waits sleeps then.
const NAP: Duration = Duration::from_micros(20);

impl Scheduler {
    /// Whether `tx` may be started before the one before it in its class is committed.
    pub(super) fn pauses(&self, tx: u32) -> bool {
        // Where reads are slow, who waits would keep a permit, which who is waited for may want.
        self.permits.is_none() && self.conflicts.pauses(tx)
    }

    /// `tx`, whose owner calls this, begins. Returns over which slots its class conflicts and when it
    /// comes to them, where that matters. Of a class that pauses, those that wait for `tx` need not
    /// wait to begin themselves.
    pub(crate) fn begin(&self, tx: u32) -> Option<(HotSlots, Reach)> {
        let expected = self.conflicts.hot_slots(tx).filter(|_| self.permits.is_none())?;
        if self.pauses(tx) {
            let freed = dependency::close(&self.slots, tx, &self.hooks);
            dependency::reopen(&self.slots, tx);
            self.push(freed);
        }
        Some(expected)
    }

    /// Waits, in the middle of `tx`, until what `on`, an earlier transaction, wrote may be read.
    /// `false` where nobody executes that one, or `is_called_off` says that there is no point in it
    /// any more.
    ///
    /// Of those that wait in this way the first waits for nobody who does, so none waits for ever. No
    /// lock may be held, and no permit.
    /// Nobody has to be woken: who sleeps looks again by itself.
    pub(crate) fn pause(&self, tx: u32, on: u32, is_called_off: impl Fn() -> bool) -> bool {
        let status = &self.slots[on as usize].status;
        let mut rounds = 0;
        self.hooks.at(Site::Pause, tx);
        loop {
            if status.is_settled() {
                return true;
            }
            if !status.is_executing() || self.is_halted() || is_called_off() {
                return false;
            }
            rounds += 1;
            if rounds < SPINS { spin_loop() } else { thread::sleep(NAP) }
        }
    }
}
