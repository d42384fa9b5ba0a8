//! Every way in which a worker can fall asleep while work is made for it. A schedule in which it is
//! not woken ends in a deadlock, which shuttle reports. Who [pauses](super::Scheduler::pause) is not
//! part of it: nobody has to wake it.

use std::sync::Arc;

use shuttle::{
    Runner,
    scheduler::{DfsScheduler, PctScheduler, RandomScheduler},
    thread,
};

use super::{
    given::{Given, next},
    *,
};
use crate::model::{config, schedules};

/// One at a time, and nothing to wait for.
const APART: Given<'static> = Given(1, &[]);

/// Runs `check` in all schedules, or in as many as can be afforded: those that differ from each
/// other at the end, those that change workers all the time, and those that do so once or twice,
/// where one worker gets far ahead of the other.
fn in_all_schedules(check: impl Fn() + Copy + Send + Sync + 'static) {
    Runner::new(DfsScheduler::new(Some(schedules(5_000)), false), config()).run(check);
    Runner::new(RandomScheduler::new(schedules(2_000)), config()).run(check);
    for depth in [1, 2, 3] {
        Runner::new(PctScheduler::new(depth, schedules(1_000)), config()).run(check);
    }
}

fn scheduler(transactions: usize) -> Arc<Scheduler> {
    Arc::new(Scheduler::new(transactions, Hooks::none(), None))
}

/// A worker that executes until it has executed `tx`, and commits nothing.
fn executes_until(
    scheduler: &Arc<Scheduler>,
    given: Given<'static>,
    last: u32,
) -> thread::JoinHandle<()> {
    let scheduler = Arc::clone(scheduler);
    thread::spawn(move || {
        let mut portion = Portion::default();
        loop {
            match scheduler.next(&mut portion, &given) {
                Some(tx) if scheduler.claim(tx) || scheduler.claim_suspect(tx) => {
                    let freed = scheduler.finish(tx).unwrap_or_else(|| scheduler.finish_anyway(tx));
                    scheduler.push(freed);
                    if tx == last {
                        break;
                    }
                }
                Some(_) => {}
                None => scheduler.idle(None),
            }
        }
    })
}

#[test]
fn the_window_that_moves_on_wakes_who_found_it_full() {
    in_all_schedules(|| {
        let scheduler = scheduler(WINDOW as usize + 1);
        let role = scheduler.try_enter_commit().expect("nobody else is there");
        assert_eq!(role.begin(None), Some((0, CommitClaim::Pending)));
        let worker = executes_until(&scheduler, APART, WINDOW);
        role.commit(0);
        worker.join().expect("it was woken");
    });
}

#[test]
fn who_slept_while_one_went_on_alone_is_woken() {
    in_all_schedules(|| {
        let scheduler = Arc::new(Scheduler::new(6, Hooks::none(), None).among(2));
        let role = scheduler.try_enter_commit().expect("nobody else is there");
        for tx in 0..2 {
            assert_eq!(role.begin(None), Some((tx, CommitClaim::Pending)));
            role.commit(tx);
            assert!(!role.learn_use(tx, true));
        }
        // From here on alone, for one transaction.
        let worker = executes_until(&scheduler, APART, 5);
        assert_eq!(role.begin(None), Some((2, CommitClaim::Pending)));
        role.commit(2);
        assert!(role.learn_use(2, false));
        drop(role);
        worker.join().expect("it was woken");
    });
}

#[test]
fn who_waited_for_an_executed_transaction_finds_a_worker() {
    in_all_schedules(|| {
        let scheduler = scheduler(2);
        let _role = scheduler.try_enter_commit().expect("nobody else is there");
        assert!(scheduler.claim(0));
        let worker = executes_until(&scheduler, Given(1, &[NO_DEPENDENCY, 0]), 1);
        scheduler.push(scheduler.finish(0).expect("nobody suspects it"));
        worker.join().expect("it was woken");
    });
}

#[test]
fn who_waited_for_a_committed_transaction_finds_a_worker() {
    in_all_schedules(|| {
        let scheduler = scheduler(3);
        let role = scheduler.try_enter_commit().expect("nobody else is there");
        assert_eq!(role.begin(None), Some((0, CommitClaim::Pending)));
        let given = Given(2, &[NO_DEPENDENCY, NO_DEPENDENCY, 0]);
        let worker = executes_until(&scheduler, given, 2);
        scheduler.push(role.commit(0));
        worker.join().expect("it was woken");
    });
}

#[test]
fn a_suspect_finds_a_worker() {
    in_all_schedules(|| {
        let scheduler = scheduler(2);
        assert_eq!((next(&scheduler), next(&scheduler)), (Some(0), Some(1)));
        let _role = scheduler.try_enter_commit().expect("nobody else is there");
        assert!(scheduler.claim(0) && scheduler.claim(1));
        assert!(scheduler.finish(1).is_some());
        let worker = executes_until(&scheduler, APART, 1);
        scheduler.suspect(1);
        worker.join().expect("it was woken");
    });
}

#[test]
fn the_end_wakes_everybody() {
    in_all_schedules(|| {
        let scheduler = scheduler(1);
        let role = scheduler.try_enter_commit().expect("nobody else is there");
        assert_eq!(role.begin(None), Some((0, CommitClaim::Pending)));
        let sleepers = idle_until_over(&scheduler, 2);
        role.commit(0);
        sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("it was woken"));
    });
}

#[test]
fn a_halt_wakes_everybody() {
    in_all_schedules(|| {
        let scheduler = scheduler(1);
        let _role = scheduler.try_enter_commit().expect("nobody else is there");
        assert_eq!(next(&scheduler), Some(0));
        let sleepers = idle_until_over(&scheduler, 2);
        scheduler.halt();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("it was woken"));
    });
}

fn idle_until_over(scheduler: &Arc<Scheduler>, workers: usize) -> Vec<thread::JoinHandle<()>> {
    let idle = |scheduler: Arc<Scheduler>| {
        while !scheduler.is_over() {
            // As workers do, and as often as it takes to see that there is nothing.
            assert!(next(&scheduler).is_none_or(|tx| !scheduler.claim(tx)));
            scheduler.idle(None);
        }
    };
    (0..workers).map(|_| Arc::clone(scheduler)).map(|it| thread::spawn(move || idle(it))).collect()
}

/// Two put themselves on a list that is closed meanwhile, opened again and closed again: each is set
/// free, or was told that there is nothing to wait for.
#[test]
fn nobody_is_left_on_a_waiting_list() {
    in_all_schedules(|| {
        let scheduler = scheduler(3);
        assert!(scheduler.claim(0));
        let wait = |tx, scheduler: Arc<Scheduler>| thread::spawn(move || scheduler.wait(tx, 0));
        let waiters = [1, 2].map(|tx| wait(tx, Arc::clone(&scheduler)));
        let mut freed = scheduler.finish(0).expect("nobody suspects it");
        scheduler.suspect(0);
        assert!(scheduler.claim_suspect(0));
        scheduler.reopen(0);
        freed.extend(scheduler.finish_anyway(0));
        let waited = waiters.map(|waiter| waiter.join().expect("it does not panic"));
        let waited = [1, 2].into_iter().zip(waited).filter_map(|(tx, waits)| waits.then_some(tx));
        freed.sort_unstable();
        assert!(waited.eq(freed), "each that waited is set free once");
    });
}

/// Two stand on a list that is closed, and one of them goes to another list as soon as it may.
#[test]
fn a_list_is_walked_to_its_end_while_its_members_go_elsewhere() {
    in_all_schedules(|| {
        let scheduler = scheduler(5);
        assert!(scheduler.claim(0) && scheduler.claim(3));
        assert!(scheduler.wait(4, 3) && scheduler.wait(1, 0) && scheduler.wait(2, 0));
        let restless = thread::spawn({
            let scheduler = Arc::clone(&scheduler);
            move || assert!(scheduler.wait(2, 3), "on the one list or on the other")
        });
        assert_eq!(scheduler.finish(0).as_deref(), Some(&[1, 2][..]));
        restless.join().expect("it does not panic");
        assert!(scheduler.wait(2, 3) && scheduler.wait(1, 3), "who was set free can wait again");
        assert_eq!(scheduler.finish(3).as_deref(), Some(&[1, 2, 4][..]));
    });
}

#[test]
fn a_transaction_has_one_owner() {
    in_all_schedules(|| {
        let scheduler = scheduler(1);
        let claims = |scheduler: Arc<Scheduler>| thread::spawn(move || scheduler.claim(0));
        let others = [(); 2].map(|()| claims(Arc::clone(&scheduler)));
        let role = scheduler.try_enter_commit();
        let commits = role.is_some_and(|role| role.begin(None) == Some((0, CommitClaim::Pending)));
        let others = others.map(|other| other.join().expect("it does not panic"));
        let owners = others.into_iter().filter(|owns| *owns).count() + usize::from(commits);
        assert_eq!(owners, 1);
    });
}

#[test]
fn a_suspect_has_one_owner() {
    in_all_schedules(|| {
        let scheduler = scheduler(1);
        assert!(scheduler.claim(0) && scheduler.finish(0).is_some());
        scheduler.suspect(0);
        let claims = |scheduler: Arc<Scheduler>| thread::spawn(move || scheduler.claim_suspect(0));
        let others = [(); 2].map(|()| claims(Arc::clone(&scheduler)));
        let role = scheduler.try_enter_commit();
        let commits = role.is_some_and(|role| role.begin(None) == Some((0, CommitClaim::Executed)));
        let others = others.map(|other| other.join().expect("it does not panic"));
        let owners = others.into_iter().filter(|owns| *owns).count() + usize::from(commits);
        assert_eq!(owners, 1);
    });
}

/// Suspicion is a hint, but one that gets lost costs an execution at the commit.
#[test]
fn suspicion_reaches_the_owner_or_hands_the_transaction_out() {
    in_all_schedules(|| {
        let scheduler = scheduler(1);
        assert_eq!(next(&scheduler), Some(0));
        assert!(scheduler.claim(0));
        let doubts = thread::spawn({
            let scheduler = Arc::clone(&scheduler);
            move || scheduler.suspect(0)
        });
        let kept = scheduler.finish(0).is_none();
        doubts.join().expect("it does not panic");
        let handed_out = next(&scheduler) == Some(0) && scheduler.claim_suspect(0);
        assert!(kept != handed_out, "kept: {kept}, handed out: {handed_out}");
    });
}

/// Workers who give their permits up all the time, as if to read, and rest whenever there is nothing
/// to do: all get on, and never do more run than there are permits.
#[test]
fn permits_are_handed_on() {
    in_all_schedules(|| {
        const WORKERS: usize = 3;
        let permits = Permits::new(1, WORKERS, Hooks::none());
        let scheduler = Scheduler::new(WINDOW as usize, Hooks::none(), Some(permits));
        let scheduler = Arc::new(scheduler);
        let running = Arc::new(AtomicUsize::new(0));
        let work = |scheduler: Arc<Scheduler>, running: Arc<AtomicUsize>| {
            let seat = scheduler.seat().expect("there are permits");
            let _leaving = Leaving(seat);
            seat.rest(&scheduler);
            while !scheduler.is_over() {
                assert_eq!(running.fetch_add(1, SeqCst), 0, "somebody else runs");
                running.fetch_sub(1, SeqCst);
                if let Some(role) = scheduler.try_enter_commit() {
                    if let Some((tx, CommitClaim::Executed | CommitClaim::Pending)) =
                        role.begin(None)
                    {
                        seat.without(tx, || ());
                        let freed = role.commit(tx);
                        scheduler.push(freed);
                    }
                } else if let Some(tx) = next(&scheduler) {
                    if scheduler.claim(tx) {
                        seat.without(tx, || ());
                        let freed = scheduler.finish(tx);
                        scheduler.push(freed.unwrap_or_else(|| scheduler.finish_anyway(tx)));
                    }
                } else {
                    seat.rest(&scheduler);
                }
            }
        };
        let start = |_| {
            let (scheduler, running) = (Arc::clone(&scheduler), Arc::clone(&running));
            thread::spawn(move || work(scheduler, running))
        };
        let workers: Vec<_> = (0..WORKERS).map(start).collect();
        workers.into_iter().for_each(|worker| worker.join().expect("nobody waits for ever"));
        assert_eq!(scheduler.committed(), WINDOW);
    });
}

/// Who waits for a permit gets one when another worker leaves, though nobody ever rests.
#[test]
fn who_leaves_calls_who_waits() {
    in_all_schedules(|| {
        const WORKERS: usize = 3;
        let permits = Arc::new(Permits::new(1, WORKERS, Hooks::none()));
        let start = |_| {
            let permits = Arc::clone(&permits);
            thread::spawn(move || {
                let seat = permits.seat(None);
                let _leaving = Leaving(seat);
                seat.enter(0);
                seat.without(0, || ());
            })
        };
        let workers: Vec<_> = (0..WORKERS).map(start).collect();
        workers.into_iter().for_each(|worker| worker.join().expect("nobody waits for ever"));
    });
}
