//! Waiting for one transaction in the middle of another.

use std::{thread, time::Duration};

use super::{Forecast, HotSlots, NO_DEPENDENCY, Reach, Scheduler, dependency};
use crate::{hooks::Site, sync::spin_loop};

/// Rounds of looking again before sleeping: some tens of microseconds.
const SPINS: u32 = 2000;
/// For how long at a time who waits sleeps then.
const NAP: Duration = Duration::from_micros(20);

impl Scheduler {
    /// Whether `tx` may begin although `predecessor`, the one before it in its class, is not
    /// committed: it will pause where they conflict, and that one has begun.
    pub(super) fn may_begin(&self, tx: u32, predecessor: u32) -> bool {
        let status = &self.slots[predecessor as usize].status;
        self.pauses(tx) && (status.is_executing() || status.is_settled())
    }

    fn pauses(&self, tx: u32) -> bool {
        // Where reads are slow, who waits would keep a permit, which who is waited for may want.
        self.permits.is_none() && self.conflicts.pauses(tx)
    }

    /// `tx`, whose owner calls this, begins. Returns over which slots its class conflicts and when it
    /// comes to them, where that matters. If they pause there, the next of the class need not wait to
    /// begin.
    pub(crate) fn begin(&self, tx: u32, forecast: &impl Forecast) -> Option<(HotSlots, Reach)> {
        let expected = self.conflicts.hot_slots(tx).filter(|_| self.permits.is_none())?;
        if self.pauses(tx) {
            let mut freed = dependency::close(&self.slots, tx, &self.hooks);
            dependency::reopen(&self.slots, tx);
            freed.retain(|waiter| {
                let known = forecast.known_dependency(*waiter);
                let is_ready = known.is_none_or(|on| on == NO_DEPENDENCY || self.is_settled(on));
                let is_next = self.conflicts.previous(*waiter) == tx;
                (is_next && is_ready) || !self.wait(*waiter, tx)
            });
            if !freed.is_empty() {
                self.push(freed);
            }
        }
        Some(expected)
    }

    /// Waits, in the middle of `tx`, until what `on`, an earlier transaction, wrote may be read.
    /// `false` where nobody executes that one, or `is_called_off` says that there is no point in it
    /// any more.
    ///
    /// Of those that wait in this way the first waits for nobody who does, so none waits for ever. No
    /// lock may be held, and no permit. Nobody has to be woken: who sleeps looks again by itself.
    pub(crate) fn pause(&self, tx: u32, on: u32, is_called_off: impl Fn() -> bool) -> bool {
        let status = &self.slots[on as usize].status;
        let mut rounds = 0;
        self.hooks.at(Site::Pause, tx);
        loop {
            // In this order: who is settled in between was executed until then.
            let is_executing = status.is_executing();
            if status.is_settled() {
                return true;
            }
            if !is_executing || self.is_halted() || is_called_off() {
                return false;
            }
            rounds += 1;
            if rounds < SPINS { spin_loop() } else { thread::sleep(NAP) }
        }
    }
}
