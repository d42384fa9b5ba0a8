//! Where a transaction had better wait for another before it reads.

use std::time::{Duration, Instant};

use crate::{
    memory::{SlotRef, Version},
    scheduler::{HotSlots, NO_DEPENDENCY, Reach},
};

/// What is worth doing at the same time as the same part of other transactions.
const WORTH: Duration = Duration::from_micros(100);

/// The slots over which one transaction's class conflicted, and what is known of its way there.
#[derive(Debug)]
pub(super) struct Pauses {
    slots: HotSlots,
    /// Which transaction to wait for there; [`NO_DEPENDENCY`] for none.
    on: u32,
    /// When it began, where that is measured, and how long it took until it came to one of them.
    began: Option<Instant>,
    before: Option<Duration>,
    waited: Duration,
    /// Whether it read there what the other wrote, if it waited.
    depended: Option<bool>,
}

impl Default for Pauses {
    fn default() -> Self {
        let (began, before, waited) = (None, None, Duration::ZERO);
        Self { slots: HotSlots::new(), on: NO_DEPENDENCY, began, before, waited, depended: None }
    }
}

impl Pauses {
    /// Another transaction begins, of which nothing is known.
    pub(super) fn clear(&mut self) {
        if !self.slots.is_empty() {
            *self = Self::default();
        }
    }

    /// It is of a class that conflicted over `slots`, which its members come to as `reach` says. The
    /// one before it in its class is `previous`.
    pub(super) fn expect(&mut self, slots: HotSlots, reach: Reach, previous: u32) {
        let on = if reach == Reach::Late { previous } else { NO_DEPENDENCY };
        let began = (reach != Reach::Early).then(Instant::now);
        *self = Self { slots, on, began, ..Self::default() };
    }

    /// Whether the class conflicted over the slot.
    pub(super) fn concern(&self, at: SlotRef) -> bool {
        self.slots.contains(&at)
    }

    /// The transaction comes to such a slot. Returns which one to wait for, if any.
    pub(super) fn reached(&mut self) -> Option<u32> {
        if self.before.is_none() {
            self.before = self.began.map(|began| began.elapsed());
        }
        Some(self.on).filter(|on| *on != NO_DEPENDENCY)
    }

    /// It waited, and saw what `writer` wrote.
    pub(super) fn saw(&mut self, writer: Option<Version>) {
        let depended = writer == Some(self.on + 1);
        self.depended = Some(depended || self.depended == Some(true));
    }

    /// Whether it read what the other wrote; `None` where it did not wait.
    pub(super) const fn depended(&self) -> Option<bool> {
        self.depended
    }

    /// It waited since `start`.
    pub(super) fn waited(&mut self, start: Instant) {
        self.waited += start.elapsed();
    }

    /// When the transaction, which ends now, came to such a slot, where that was measured.
    pub(super) fn reach(&self) -> Option<Reach> {
        let took = self.began?.elapsed().saturating_sub(self.waited);
        let before = self.before?;
        let is_late = before >= WORTH && before * 2 >= took;
        Some(if is_late { Reach::Late } else { Reach::Early })
    }
}
