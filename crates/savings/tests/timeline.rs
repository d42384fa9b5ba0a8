//! What must hold for any dependencies and times.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use alloy_primitives::{Address, U256};
use proptest::prelude::*;
use warpline_engine::Progress;
use warpline_savings::{
    Call, Dependencies, Granularity, Need, Place, Schedule, Timeline, simulate,
};

const GRANULARITIES: [Granularity; 2] = [Granularity::Transactions, Granularity::Segments];

/// A need for what the transaction at `on` did to a place of its own, first looked at after `us`.
fn need(on: usize, us: u64) -> Need {
    let mut at = Progress::default();
    at.time = Duration::from_micros(us);
    Need { on, place: Place::Slot(Address::ZERO, U256::from(on)), at }
}

fn call(sender: u8, selector: u8) -> Call {
    Call {
        sender: Address::repeat_byte(sender),
        to: Some(Address::ZERO),
        selector: [selector; 4],
        has_input: true,
    }
}

#[derive(Clone, Debug)]
struct Block {
    times: Vec<Duration>,
    calls: Vec<Call>,
    dependencies: Dependencies,
}

impl Block {
    fn timeline(&self) -> Timeline<'_> {
        Timeline::new(&self.times, &self.dependencies)
    }
}

/// A transaction's time, what it needs and when it looks, its sender and its function.
type Drawn = (u64, Vec<(prop::sample::Index, u64)>, u8, u8);

/// Times, and for each transaction some of those before it, which it looks at after some time.
fn blocks() -> impl Strategy<Value = Block> {
    let on = (any::<prop::sample::Index>(), 0_u64..1500);
    let transaction = (0_u64..1000, proptest::collection::vec(on, 0..4), 0_u8..9, 0_u8..4);
    proptest::collection::vec(transaction, 0..60).prop_map(|transactions| {
        let of = |(tx, (_, on, ..)): (usize, &Drawn)| {
            let on = on.iter().filter(|_| tx > 0);
            on.map(|(index, us)| need(index.index(tx.max(1)), *us)).collect()
        };
        Block {
            dependencies: Dependencies::from_needs(
                transactions.iter().enumerate().map(of).collect(),
            ),
            times: transactions.iter().map(|(us, ..)| Duration::from_micros(*us)).collect(),
            calls: transactions.iter().map(|(.., sender, id)| call(*sender, *id)).collect(),
        }
    })
}

/// Whether nobody does two things at once, and everything is done with what it needs.
fn check(schedule: &Schedule, block: &Block, cores: usize, granularity: Granularity) {
    let mut until = vec![Duration::ZERO; cores];
    let mut final_spans = vec![None; block.times.len()];
    let mut spans = schedule.spans.clone();
    spans.sort_by_key(|span| (span.start, span.end));
    for span in spans {
        assert!(until[span.worker] <= span.start);
        let waited = (span.end - span.start).checked_sub(block.times[span.transaction]).unwrap();
        assert!(waited.is_zero() || granularity == Granularity::Segments);
        until[span.worker] = span.end;
        if span.counts {
            assert!(final_spans[span.transaction].replace(span).is_none(), "one counts");
        }
    }
    for (tx, span) in final_spans.iter().enumerate() {
        let span = span.unwrap();
        assert!(span.end <= schedule.makespan);
        for need in block.dependencies.needs(tx) {
            let before = match granularity {
                Granularity::Transactions => Duration::ZERO,
                Granularity::Segments => need.at.time.min(block.times[tx]),
            };
            let left = block.times[tx] - before;
            let end = final_spans[need.on].unwrap().end;
            match granularity {
                Granularity::Transactions => assert!(end <= span.start),
                Granularity::Segments => assert!(end + left <= span.end),
            }
        }
    }
}

proptest! {
    #[test]
    fn no_schedule_is_shorter_than_the_critical_path_or_than_the_work(block in blocks()) {
        let timeline = block.timeline();
        let critical = timeline.critical_path(Granularity::Transactions);
        let total = timeline.total();
        prop_assert!(critical.length <= total);
        let along: Duration = critical.transactions.iter().map(|tx| block.times[*tx]).sum();
        prop_assert_eq!(along, critical.length);
        for pair in critical.transactions.windows(2) {
            prop_assert!(block.dependencies.of(pair[1]).any(|on| on == pair[0]), "{:?}", pair);
        }
        for cores in [1, 2, 3, 8, 128] {
            let schedule = timeline.in_order(cores);
            check(&schedule, &block, cores, Granularity::Transactions);
            let took = schedule.makespan;
            prop_assert!(schedule.wasted().is_zero() && took >= critical.length);
            prop_assert!(took * u32::try_from(cores).unwrap() >= total);
            // Graham's bound for list schedules.
            prop_assert!(took <= critical.length + total / u32::try_from(cores).unwrap()
                + Duration::from_nanos(1));
        }
        prop_assert_eq!(timeline.in_order(1).makespan, total);
        prop_assert_eq!(timeline.in_order(block.times.len().max(1)).makespan, critical.length);
    }

    #[test]
    fn the_simulated_engine_never_beats_the_critical_path(block in blocks()) {
        let timeline = block.timeline();
        let whole = timeline.critical_path(Granularity::Transactions).length;
        prop_assert!(timeline.critical_path(Granularity::Segments).length <= whole);
        for granularity in GRANULARITIES {
            let critical = timeline.critical_path(granularity).length;
            for cores in [1, 2, 5, 64] {
                let schedule = simulate(&timeline, &block.calls, cores, granularity);
                check(&schedule, &block, cores, granularity);
                prop_assert!(schedule.makespan >= critical);
                let done: Duration =
                    schedule.spans.iter().map(|span| span.end - span.start).sum();
                prop_assert!(done >= timeline.total() + schedule.wasted());
                if granularity == Granularity::Transactions {
                    prop_assert_eq!(done, timeline.total() + schedule.wasted());
                }
            }
            let alone = simulate(&timeline, &block.calls, 1, granularity);
            prop_assert_eq!(alone.makespan, timeline.total());
        }
    }

    #[test]
    fn without_a_dependency_the_critical_path_is_not_longer(
        block in blocks(),
        at in any::<prop::sample::Index>(),
    ) {
        let all: Vec<_> = block.dependencies.iter().map(|(tx, need)| (tx, *need)).collect();
        prop_assume!(!all.is_empty());
        let (tx, gone) = all[at.index(all.len())];
        let fewer = block.dependencies.without(|of, need| of == tx && *need == gone);
        prop_assert_eq!(fewer.iter().count(), all.len() - 1);
        for granularity in GRANULARITIES {
            let before = block.timeline().critical_path(granularity).length;
            let after = Timeline::new(&block.times, &fewer).critical_path(granularity).length;
            prop_assert!(after <= before);
        }
    }
}

fn ms(times: &[u64]) -> Vec<Duration> {
    times.iter().map(|ms| Duration::from_millis(*ms)).collect()
}

#[test]
fn the_first_that_is_ready_goes_first() {
    let on = vec![vec![], vec![need(0, 0)], vec![], vec![need(1, 0)]];
    let on = Dependencies::from_needs(on);
    let times = ms(&[4, 3, 5, 2]);
    let timeline = Timeline::new(&times, &on);
    let critical = timeline.critical_path(Granularity::Transactions);
    assert_eq!(critical.transactions, [0, 1, 3]);
    assert_eq!(critical.length, Duration::from_millis(9));
    assert_eq!(timeline.in_order(2).makespan, Duration::from_millis(9));
    assert_eq!(timeline.in_order(1).makespan, Duration::from_millis(14));
    assert!((timeline.speedup(Duration::from_millis(7)) - 2.0).abs() < 1e-9);
}

#[test]
fn who_looks_late_can_be_stopped_there() {
    // Each of three takes 10 ms and looks at what the one before does after 8 of them.
    let on = vec![vec![], vec![need(0, 8_000)], vec![need(1, 8_000)]];
    let on = Dependencies::from_needs(on);
    let times = ms(&[10, 10, 10]);
    let timeline = Timeline::new(&times, &on);
    let length = |granularity| timeline.critical_path(granularity).length;
    assert_eq!(length(Granularity::Transactions), Duration::from_millis(30));
    assert_eq!(length(Granularity::Segments), Duration::from_millis(14));
}

#[test]
fn a_class_that_conflicted_waits_from_then_on() {
    // Eight calls of one function, each of which needs the one before from its beginning.
    let on = (0_usize..8).map(|tx| tx.checked_sub(1).map(|on| need(on, 0)).into_iter().collect());
    let on = Dependencies::from_needs(on.collect());
    let times = ms(&[10; 8]);
    let timeline = Timeline::new(&times, &on);
    let calls: Vec<_> = (0..8).map(|sender| call(sender, 1)).collect();
    let schedule = simulate(&timeline, &calls, 4, Granularity::Transactions);
    assert_eq!(schedule.makespan, Duration::from_millis(80), "the first four begin at once");
    assert_eq!(schedule.wasted(), Duration::from_millis(30));
    // Those that look after nine tenths of their time wait there.
    let on =
        (0_usize..8).map(|tx| tx.checked_sub(1).map(|on| need(on, 9_000)).into_iter().collect());
    let late = Dependencies::from_needs(on.collect());
    let schedule = simulate(&Timeline::new(&times, &late), &calls, 4, Granularity::Segments);
    let whole = simulate(&Timeline::new(&times, &late), &calls, 4, Granularity::Transactions);
    assert_eq!(whole.makespan, Duration::from_millis(80));
    assert!(schedule.makespan <= Duration::from_millis(40), "{:?}", schedule.makespan);
    let of_one_sender: Vec<_> = (0..8).map(|_| Call { has_input: false, ..call(1, 1) }).collect();
    let sender = |on: &[Need]| -> Vec<Need> {
        let place = Place::Account(Address::repeat_byte(1));
        on.iter().map(|need| Need { place, ..*need }).collect()
    };
    let known = Dependencies::from_needs((0..8).map(|tx| sender(late.needs(tx))).collect());
    let timeline = Timeline::new(&times, &known);
    let schedule = simulate(&timeline, &of_one_sender, 4, Granularity::Transactions);
    assert_eq!(schedule.wasted(), Duration::ZERO, "the nonce is known beforehand");
}

#[test]
fn nothing_takes_no_time() {
    let on = Dependencies::default();
    let timeline = Timeline::new(&[], &on);
    assert!(timeline.critical_path(Granularity::Transactions).transactions.is_empty());
    assert_eq!(timeline.in_order(2), Schedule::default());
    assert_eq!(simulate(&timeline, &[], 2, Granularity::Segments), Schedule::default());
    assert!((timeline.speedup(Duration::ZERO) - 1.0).abs() < 1e-9);
}

#[test]
#[should_panic(expected = "needs a later one")]
fn nobody_needs_who_comes_later() {
    let _ = Dependencies::from_needs(vec![vec![need(1, 0)], vec![]]);
}
