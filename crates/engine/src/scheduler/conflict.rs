//! What the block teaches about itself: calls of one function of one contract that keep
//! conflicting are run one after the other.
//!
//! Transactions are of one class if they call the same address with the same selector. As long as
//! nothing conflicts, nothing of this exists. From the first conflict on each class keeps a score:
//! up when a transaction read what the one before it in its class wrote, down when it did not.
//! While the score is positive, a transaction of the class is started only when the one before it
//! is committed. That costs parallelism only, and only until the score has fallen again.

use std::sync::OnceLock;

use super::NO_DEPENDENCY;
use crate::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// Added when a transaction depended on the one before it in its class, or should have.
const CONFLICT: i32 = 4;
/// Taken away when it did not.
const CLEAN: i32 = 1;
/// Bounds, so that a class can change its ways.
const MIN: i32 = -8;
const MAX: i32 = 32;

/// The classes of a block's transactions, once there was a conflict.
#[derive(Debug, Default)]
pub(crate) struct Conflicts {
    classes: OnceLock<Classes>,
}

/// For each transaction its class and the transaction before it in that class.
#[derive(Debug)]
pub(crate) struct Classes {
    members: Vec<Member>,
    scores: Vec<AtomicI32>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    class: u32,
    previous: u32,
}

impl Classes {
    /// Makes classes of `keys`, one for each transaction.
    pub(crate) fn new<K: std::hash::Hash + Eq>(keys: impl IntoIterator<Item = K>) -> Self {
        let mut last: hashbrown::HashMap<K, Member, foldhash::fast::RandomState> =
            hashbrown::HashMap::default();
        let mut classes = 0;
        let member = |(index, key): (u32, K)| {
            let member = last.entry(key).or_insert_with(|| {
                classes += 1;
                Member { class: classes - 1, previous: NO_DEPENDENCY }
            });
            std::mem::replace(member, Member { class: member.class, previous: index })
        };
        let members = (0..).zip(keys).map(member).collect();
        Self { members, scores: (0..classes).map(|_| AtomicI32::new(0)).collect() }
    }

    fn score(&self, tx: u32) -> &AtomicI32 {
        &self.scores[self.members[tx as usize].class as usize]
    }

    /// Adds to a score, within bounds. Relaxed throughout: a lost update costs time at most.
    fn add(&self, tx: u32, points: i32) {
        let score = self.score(tx);
        score.store((score.load(Relaxed) + points).clamp(MIN, MAX), Relaxed);
    }
}

impl Conflicts {
    /// Whether the class of `tx` is to run one after the other.
    pub(crate) fn is_in_line(&self, tx: u32) -> bool {
        self.classes.get().is_some_and(|classes| classes.score(tx).load(Relaxed) > 0)
    }

    /// Which transaction `tx` had better wait for; `NO_DEPENDENCY` for none.
    pub(crate) fn predecessor(&self, tx: u32) -> u32 {
        if self.is_in_line(tx) { self.previous(tx) } else { NO_DEPENDENCY }
    }

    /// Which transaction precedes `tx` in its class, whatever the score.
    pub(crate) fn previous(&self, tx: u32) -> u32 {
        let classes = self.classes.get();
        classes.map_or(NO_DEPENDENCY, |classes| classes.members[tx as usize].previous)
    }

    /// `tx` read what a later execution of an earlier transaction changed. `make` gives the classes
    /// if this is the block's first conflict.
    pub(crate) fn conflict(&self, tx: u32, make: impl FnOnce() -> Classes) {
        self.classes.get_or_init(make).add(tx, CONFLICT);
    }

    /// `tx` was executed after the one before it in its class, and did or did not read from it.
    pub(crate) fn executed(&self, tx: u32, depended: bool) {
        if let Some(classes) = self.classes.get() {
            classes.add(tx, if depended { CONFLICT } else { -CLEAN });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_that_conflicts_runs_in_line_until_it_stops() {
        let conflicts = Conflicts::default();
        let keys = ["a", "b", "a", "a", "b"];
        assert_eq!(conflicts.predecessor(2), NO_DEPENDENCY, "no conflict, no classes");
        conflicts.conflict(2, || Classes::new(keys));
        assert_eq!(conflicts.predecessor(3), 2);
        assert_eq!(conflicts.predecessor(2), 0);
        assert_eq!(conflicts.predecessor(0), NO_DEPENDENCY, "the first of its class");
        assert_eq!(conflicts.predecessor(4), NO_DEPENDENCY, "the other class did nothing");
        for _ in 0..CONFLICT {
            assert_eq!(conflicts.predecessor(3), 2);
            conflicts.executed(3, false);
        }
        assert_eq!(conflicts.predecessor(3), NO_DEPENDENCY);
    }

    #[test]
    fn a_class_in_line_stays_there_while_each_depends_on_the_one_before() {
        let conflicts = Conflicts::default();
        conflicts.conflict(1, || Classes::new(["a", "a"]));
        for _ in 0..100 {
            conflicts.executed(1, true);
        }
        assert_eq!(conflicts.predecessor(1), 0);
        let patience = (0..).take_while(|_| {
            conflicts.executed(1, false);
            conflicts.predecessor(1) == 0
        });
        assert!(patience.count() < 100, "but not for ever");
    }
}
