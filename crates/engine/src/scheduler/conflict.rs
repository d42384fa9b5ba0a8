//! What the block teaches about itself: calls of one function of one contract that keep
//! conflicting are run one after the other.
//!
//! Transactions are of one class if they call the same address with the same selector. As long as
//! nothing conflicts, nothing of this exists. From the first conflict on each class keeps a score:
//! up when a transaction read what the one before it in its class wrote, down when it did not.
//! While the score is positive, a transaction of the class is started only when the one before it
//! is committed. That costs parallelism only, and only until the score has fallen again.
//!
//! Where the members of such a class take long until they come to a slot over which they conflicted,
//! they are started all the same, and [pause](super::Scheduler::pause) there until the one before has
//! written it. So what comes before that slot runs in parallel, though no transaction as a whole
//! could.

use std::sync::OnceLock;

use smallvec::SmallVec;

use super::NO_DEPENDENCY;
use crate::{
    memory::SlotRef,
    sync::atomic::{AtomicI32, AtomicU32, Ordering::Relaxed},
};

/// Added when a transaction depended on the one before it in its class, or should have.
const CONFLICT: i32 = 4;
/// Taken away when it did not.
const CLEAN: i32 = 1;
/// Bounds, so that a class can change its ways.
const MIN: i32 = -8;
const MAX: i32 = 32;
/// Slots that a class remembers at most to have conflicted over.
const MAX_SLOTS: usize = 4;

/// The classes of a block's transactions, once there was a conflict.
#[derive(Debug, Default)]
pub(crate) struct Conflicts {
    classes: OnceLock<Classes>,
}

/// For each transaction its class and the transaction before it in that class.
#[derive(Debug)]
pub(crate) struct Classes {
    members: Vec<Member>,
    classes: Vec<Class>,
}

#[derive(Debug, Default)]
struct Class {
    score: AtomicI32,
    /// The slots over which members conflicted, by name plus one; 0 for none.
    slots: [AtomicU32; MAX_SLOTS],
    /// What was found of how long members take until they come to one of those.
    reach: AtomicU32,
}

/// When members of a class come to what they conflict over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Reach {
    /// Nobody measured.
    Unknown,
    /// Too early for it to matter.
    Early,
    /// Late enough to do everything before at the same time.
    Late,
}

/// Slots over which a class conflicted.
pub(crate) type HotSlots = SmallVec<[SlotRef; MAX_SLOTS]>;

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
        Self { members, classes: (0..classes).map(|_| Class::default()).collect() }
    }

    fn class(&self, tx: u32) -> &Class {
        &self.classes[self.members[tx as usize].class as usize]
    }

    /// Adds to a score, within bounds. Relaxed throughout: a lost update costs time at most.
    fn add(&self, tx: u32, points: i32) {
        let score = &self.class(tx).score;
        score.store((score.load(Relaxed) + points).clamp(MIN, MAX), Relaxed);
    }
}

impl Conflicts {
    /// Whether the class of `tx` is to run one after the other.
    pub(crate) fn is_in_line(&self, tx: u32) -> bool {
        self.classes.get().is_some_and(|classes| classes.class(tx).score.load(Relaxed) > 0)
    }

    /// The slots that `tx` had better not read before the one before it in its class has written
    /// them, and when it comes to them, if it is of a class that runs in line and conflicted over
    /// any.
    pub(crate) fn hot_slots(&self, tx: u32) -> Option<(HotSlots, Reach)> {
        let class = self.classes.get()?.class(tx);
        if class.score.load(Relaxed) <= 0 {
            return None;
        }
        let slots = class.slots.iter().filter_map(|slot| slot.load(Relaxed).checked_sub(1));
        let slots: HotSlots = slots.map(SlotRef).collect();
        let reach = match class.reach.load(Relaxed) {
            0 => Reach::Unknown,
            1 => Reach::Early,
            _ => Reach::Late,
        };
        (!slots.is_empty()).then_some((slots, reach))
    }

    /// Whether `tx` may be started before the one before it in its class is committed.
    pub(crate) fn pauses(&self, tx: u32) -> bool {
        let classes = self.classes.get();
        classes.is_some_and(|it| it.class(tx).reach.load(Relaxed) == Reach::Late as u32)
    }

    /// It was measured when `tx` comes to the slots that its class conflicts over.
    pub(crate) fn measured(&self, tx: u32, reach: Reach) {
        if let Some(classes) = self.classes.get() {
            classes.class(tx).reach.store(reach as u32, Relaxed);
        }
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

    /// `tx` read what a later execution of an earlier transaction changed: the `slot`, if it was one.
    /// `make` gives the classes if this is the block's first conflict.
    pub(crate) fn conflict(&self, tx: u32, slot: Option<SlotRef>, make: impl FnOnce() -> Classes) {
        let classes = self.classes.get_or_init(make);
        classes.add(tx, CONFLICT);
        let Some(SlotRef(name)) = slot else { return };
        // Two at once may put a slot in twice, or over another: that costs time at most.
        let mut slots = classes.class(tx).slots.iter();
        let place = slots.find(|slot| [0, name + 1].contains(&slot.load(Relaxed)));
        if let Some(place) = place {
            place.store(name + 1, Relaxed);
        }
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
        conflicts.conflict(2, None, || Classes::new(keys));
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
        conflicts.conflict(1, None, || Classes::new(["a", "a"]));
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

    #[test]
    fn a_class_in_line_remembers_what_it_conflicted_over() {
        let conflicts = Conflicts::default();
        assert_eq!(conflicts.hot_slots(1), None);
        for slot in [7, 8, 7, 0, 9, 10] {
            conflicts.conflict(1, Some(SlotRef(slot)), || Classes::new(["a", "a", "b"]));
        }
        conflicts.conflict(1, None, || unreachable!("they are made once"));
        let slots = HotSlots::from([7, 8, 0, 9].map(SlotRef));
        assert_eq!(conflicts.hot_slots(0), Some((slots.clone(), Reach::Unknown)));
        assert_eq!(conflicts.hot_slots(2), None, "another class");
        assert!(!conflicts.pauses(0));
        conflicts.measured(1, Reach::Late);
        assert!(conflicts.pauses(0) && !conflicts.pauses(2));
        assert_eq!(conflicts.hot_slots(0), Some((slots, Reach::Late)));
        while conflicts.is_in_line(1) {
            conflicts.executed(1, false);
        }
        assert_eq!(conflicts.hot_slots(0), None, "not in line any more");
    }
}
