use super::{
    given::{Given, next},
    *,
};
use crate::memory::SlotRef;

fn scheduler(transactions: usize) -> Scheduler {
    Scheduler::new(transactions, Hooks::none(), None)
}

/// Executes `tx` without a hitch.
fn execute(scheduler: &Scheduler, tx: u32) -> Freed {
    assert!(scheduler.claim(tx));
    scheduler.finish(tx).expect("nobody cast doubt on it")
}

#[test]
fn transactions_are_handed_out_in_order_and_once() {
    let scheduler = scheduler(3);
    let all: Vec<_> = std::iter::from_fn(|| next(&scheduler)).collect();
    assert_eq!(all, [0, 1, 2]);
}

#[test]
fn a_dependent_transaction_is_held_back_until_the_other_was_executed() {
    let scheduler = scheduler(3);
    let (mut portion, given) = (Portion::default(), Given(2, &[NO_DEPENDENCY, 0]));
    assert_eq!(scheduler.next(&mut portion, &given), Some(0));
    assert_eq!(scheduler.next(&mut portion, &given), Some(2), "1 waits for 0");
    assert_eq!(execute(&scheduler, 0).as_slice(), [1]);
}

#[test]
fn who_waits_for_a_settled_transaction_goes_on_at_once() {
    let scheduler = scheduler(2);
    execute(&scheduler, 0);
    assert!(!scheduler.wait(1, 0));
}

#[test]
fn nobody_stands_on_two_waiting_lists() {
    let scheduler = scheduler(4);
    assert!(scheduler.wait(3, 0));
    assert!(scheduler.wait(3, 1), "it waits already, if not for this one");
    assert!(scheduler.wait(2, 1));
    assert_eq!(execute(&scheduler, 1).as_slice(), [2]);
    assert_eq!(execute(&scheduler, 0).as_slice(), [3]);
}

#[test]
fn what_another_took_and_has_not_come_to_is_taken_over_once() {
    let scheduler = scheduler(4);
    let (mut portion, given) = (Portion::default(), Given(4, &[NO_DEPENDENCY, NO_DEPENDENCY, 0]));
    assert_eq!(scheduler.steal(&given), None, "nobody took anything");
    assert_eq!(scheduler.next(&mut portion, &given), Some(0));
    assert!(scheduler.claim(0));
    assert_eq!(scheduler.steal(&given), Some(1));
    execute(&scheduler, 1);
    assert_eq!(scheduler.steal(&given), Some(3), "2 waits for 0");
    assert!(scheduler.claim(3) && scheduler.may_speculate(3));
    scheduler.release(3);
    assert_eq!(scheduler.steal(&given), None, "3 was given up until its commit");
    let freed = scheduler.finish(0).expect("nobody cast doubt on it");
    assert_eq!(freed.as_slice(), [2], "who was looked at in passing is not lost");
}

#[test]
fn who_pauses_goes_on_when_the_other_is_settled_or_nobody_executes_it() {
    let scheduler = scheduler(2);
    assert!(!scheduler.pause(1, 0, || false), "nobody executes it");
    assert!(scheduler.claim(0));
    assert!(!scheduler.pause(1, 0, || true), "called off");
    std::thread::scope(|scope| {
        let paused = scope.spawn(|| scheduler.pause(1, 0, || false));
        assert!(scheduler.finish(0).is_some());
        assert!(paused.join().unwrap());
    });
    assert!(scheduler.pause(1, 0, || false), "it is settled");
}

#[test]
fn of_a_class_that_pauses_nobody_waits_to_begin() {
    let scheduler = scheduler(3);
    let (mut portion, given) = (Portion::default(), Given(3, &[]));
    let mut next = || scheduler.next(&mut portion, &given);
    let slot = SlotRef(5);
    scheduler.conflicts.conflict(1, Some(slot), || Classes::new(["mint"; 3]));
    assert_eq!((next(), next()), (Some(0), None), "the others wait in line");
    assert!(scheduler.claim(0));
    assert_eq!(scheduler.begin(0, &given), Some((HotSlots::from_elem(slot, 1), Reach::Unknown)));
    assert_eq!(next(), None, "nothing is known of when they come to the slot");
    scheduler.conflicts.measured(0, Reach::Late);
    for (tx, freed) in [(0, Some(1)), (1, Some(2)), (2, None)] {
        assert!(tx == 0 || scheduler.claim(tx));
        assert_eq!(scheduler.begin(tx, &given), Some((HotSlots::from_elem(slot, 1), Reach::Late)));
        assert_eq!(next(), freed);
    }
}

#[test]
fn who_needs_one_that_pauses_as_a_whole_waits_for_it() {
    let scheduler = scheduler(3);
    let (mut portion, given) = (Portion::default(), Given(3, &[NO_DEPENDENCY, 0]));
    let classes = || Classes::new(["mint", "mint", "burn"]);
    scheduler.conflicts.conflict(1, Some(SlotRef(5)), classes);
    scheduler.conflicts.measured(0, Reach::Late);
    assert_eq!(scheduler.next(&mut portion, &given), Some(0));
    assert_eq!(scheduler.next(&mut portion, &given), Some(2), "1 has the same sender as 0");
    assert!(scheduler.claim(0) && scheduler.wait(2, 0), "2 met a value of it");
    assert!(scheduler.begin(0, &given).is_some());
    assert_eq!(scheduler.next(&mut portion, &given), None);
    assert!(scheduler.finish(0).is_some());
}

#[test]
fn doubts_during_an_execution_keep_it_with_its_owner() {
    let scheduler = scheduler(2);
    assert!(scheduler.claim(1));
    scheduler.suspect(1);
    assert_eq!(scheduler.finish(1), None);
    assert!(!scheduler.is_settled(1));
    assert!(scheduler.finish(1).is_some(), "the doubt was delivered");
    assert!(scheduler.is_settled(1));
}

#[test]
fn doubts_after_an_execution_hand_it_out_again() {
    let scheduler = scheduler(1);
    assert_eq!(next(&scheduler), Some(0));
    execute(&scheduler, 0);
    scheduler.suspect(0);
    scheduler.suspect(0);
    assert_eq!(next(&scheduler), Some(0));
    assert_eq!(next(&scheduler), None, "one doubt is enough");
    assert!(scheduler.claim_suspect(0));
    assert!(!scheduler.claim_suspect(0));
}

#[test]
fn the_commit_role_is_held_by_one_and_goes_in_order() {
    let scheduler = scheduler(2);
    execute(&scheduler, 1);
    let role = scheduler.try_enter_commit().expect("0 is pending: the role executes it");
    assert!(scheduler.try_enter_commit().is_none());
    assert_eq!(role.begin(None), Some((0, CommitClaim::Pending)));
    assert!(role.commit(0).is_empty());
    assert_eq!(role.begin(None), Some((1, CommitClaim::Executed)));
    role.restart(1);
    assert!(!scheduler.is_settled(1), "its values are under revision");
    assert!(scheduler.wait(0, 1), "and others may wait for them");
    assert_eq!(role.commit(1).as_slice(), [0]);
    assert_eq!(role.begin(None), None);
    drop(role);
    assert!(scheduler.is_over());
}

#[test]
fn what_another_worker_took_is_left_to_it_unless_it_was_held_back() {
    let scheduler = scheduler(6);
    let given = Given(2, &[NO_DEPENDENCY, NO_DEPENDENCY, NO_DEPENDENCY, NO_DEPENDENCY, 3, 2]);
    let (mut mine, mut other) = (Portion::default(), Portion::default());
    assert_eq!(scheduler.next(&mut mine, &given), Some(0));
    assert_eq!(scheduler.next(&mut other, &given), Some(2));
    let role = scheduler.try_enter_commit().expect("nobody else is there");
    for tx in 0..2 {
        assert_eq!(role.begin(Some(&mut mine)), Some((tx, CommitClaim::Pending)));
        role.commit(tx);
    }
    assert_eq!(role.begin(Some(&mut mine)), None, "2 is for the other to start");
    execute(&scheduler, 2);
    assert_eq!(role.begin(Some(&mut mine)), None, "and to commit");
    assert_eq!(role.begin(Some(&mut other)), Some((2, CommitClaim::Executed)));
    role.commit(2);
    assert_eq!(scheduler.next(&mut other, &given), Some(3));
    assert_eq!(scheduler.next(&mut other, &given), Some(5), "4 waits for 3, and 2 is committed");
    assert_eq!(role.begin(None), Some((3, CommitClaim::Pending)));
    role.commit(3);
    assert_eq!(
        role.begin(Some(&mut mine)),
        Some((4, CommitClaim::Pending)),
        "nobody else looks at what waited for the one just committed"
    );
}

#[test]
fn a_transaction_in_execution_blocks_the_commit() {
    let scheduler = scheduler(1);
    assert!(scheduler.claim(0));
    assert!(scheduler.try_enter_commit().is_none());
    scheduler.release(0);
    assert!(scheduler.try_enter_commit().is_some());
}

#[test]
fn speculation_stays_within_the_window() {
    let scheduler = scheduler(WINDOW as usize + 10);
    let handed_out = std::iter::from_fn(|| next(&scheduler)).count();
    assert_eq!(handed_out, WINDOW as usize);
}

#[test]
fn a_sleeper_is_woken_by_the_end_of_the_block() {
    let scheduler = std::sync::Arc::new(scheduler(1));
    assert_eq!(next(&scheduler), Some(0));
    assert!(scheduler.claim(0));
    let sleeper = std::thread::spawn({
        let scheduler = scheduler.clone();
        move || {
            while !scheduler.is_over() {
                scheduler.idle(None);
            }
        }
    });
    std::thread::sleep(std::time::Duration::from_millis(20));
    // Who executes it also commits it: the sleeper need not be woken in between.
    assert!(scheduler.finish(0).is_some());
    let role = scheduler.try_enter_commit().expect("the sleeper does not want it");
    assert_eq!(role.begin(None), Some((0, CommitClaim::Executed)));
    role.commit(0);
    sleeper.join().expect("it saw the end");
}

#[test]
fn a_transaction_executed_often_enough_is_left_to_the_commit() {
    let scheduler = scheduler(2);
    for _ in 0..MAX_SPECULATIONS {
        assert!(scheduler.claim(0) && scheduler.may_speculate(0));
        scheduler.release(0);
    }
    assert!(scheduler.claim(0) && !scheduler.may_speculate(0));
    scheduler.release(0);
    assert!(scheduler.wait(1, 0), "others wait for it");
    let role = scheduler.try_enter_commit().expect("nobody else may");
    assert_eq!(role.begin(None), Some((0, CommitClaim::Pending)));
    assert_eq!(scheduler.speculations(0), MAX_SPECULATIONS);
    assert!(role.commit(0).is_empty(), "1 is next in line: the holder takes it");
    assert_eq!(role.begin(None), Some((1, CommitClaim::Pending)));
}

/// A queue that grows faster than it is emptied keeps its worker from all else.
#[cfg(feature = "testing")]
#[test]
fn what_is_handed_out_twice_on_purpose_does_not_pile_up() {
    use crate::testing::Perturbation;

    for seed in 0..2_000 {
        let hooks = Hooks::new(Perturbation::seeded(seed)).of_run();
        let scheduler = Scheduler::new(8, hooks, None);
        scheduler.push(0..8);
        for _ in 0..100 {
            let _ = next(&scheduler);
        }
        assert!(scheduler.ready_len.load(SeqCst) <= 16, "seed {seed}");
    }
}

/// Commits the transactions in `txs`, each executed in its turn, and says of each whether it was executed
/// in vain before. Returns for which the role was better given back.
fn commit_alone(scheduler: &Scheduler, txs: Range<u32>, in_vain: bool) -> Vec<u32> {
    let role = scheduler.try_enter_commit().expect("nobody else is there");
    let mut given_back = Vec::new();
    for tx in txs {
        assert_eq!(role.begin(None), Some((tx, CommitClaim::Pending)));
        role.commit(tx);
        if role.learn_use(tx, in_vain) {
            given_back.push(tx);
        }
    }
    given_back
}

#[test]
fn where_all_is_in_vain_one_goes_on_alone_for_ever_longer() {
    let scheduler = scheduler(2_000).among(2);
    assert_eq!(commit_alone(&scheduler, 0..31, true), [0_u32; 0]);
    assert!(!scheduler.is_alone());
    assert_eq!(commit_alone(&scheduler, 31..159, true), [0_u32; 0]);
    assert!(scheduler.is_alone());
    assert_eq!(next(&scheduler), None, "nobody takes anything");
    assert_eq!(commit_alone(&scheduler, 159..160, true), [159], "after 128");
    assert!(!scheduler.is_alone());
    let mut portion = Portion::default();
    let given = Given(1, &[]);
    assert_eq!(scheduler.next(&mut portion, &given), Some(160), "not what was committed");
    assert_eq!(commit_alone(&scheduler, 160..192, true), [0_u32; 0]);
    assert_eq!(commit_alone(&scheduler, 192..448, true), [447], "twice as many");
    // Once something lasts, it begins anew.
    assert_eq!(commit_alone(&scheduler, 448..480, false), [0_u32; 0]);
    assert!(!scheduler.is_alone());
    assert_eq!(commit_alone(&scheduler, 480..640, true), [639], "after 128 again");
}

#[test]
fn what_is_executed_in_its_turn_for_the_first_time_says_nothing() {
    for width in [1, 2, 8] {
        let scheduler = scheduler(500).among(width);
        assert_eq!(commit_alone(&scheduler, 0..500, false), [0_u32; 0]);
        assert!(!scheduler.is_alone());
    }
    let alone = scheduler(500).among(1);
    assert_eq!(commit_alone(&alone, 0..500, true), [0_u32; 0], "there are no others");
    // Among many, more can be in vain.
    let many = scheduler(500).among(8);
    for tx in 0..500 {
        commit_alone(&many, tx..tx + 1, tx % 2 == 0);
        assert!(!many.is_alone());
    }
}
