//! What must hold for any dependencies and times.

use std::time::Duration;

use proptest::prelude::*;
use warpline_savings::{Dependencies, Timeline};

/// Times, and for each transaction some of those before it.
fn blocks() -> impl Strategy<Value = (Vec<Duration>, Dependencies)> {
    let transaction = (0_u64..1000, proptest::collection::vec(any::<prop::sample::Index>(), 0..4));
    proptest::collection::vec(transaction, 0..60).prop_map(|transactions| {
        let times = transactions.iter().map(|(us, _)| Duration::from_micros(*us)).collect();
        let lists = transactions.iter().enumerate().map(|(tx, (_, on))| {
            let mut list: Vec<_> =
                on.iter().filter(|_| tx > 0).map(|index| index.index(tx.max(1))).collect();
            list.sort_unstable();
            list.dedup();
            list
        });
        (times, Dependencies::from_lists(lists.collect()))
    })
}

proptest! {
    #[test]
    fn no_schedule_is_shorter_than_the_critical_path_or_than_the_work((times, on) in blocks()) {
        let timeline = Timeline::new(&times, &on);
        let (path, critical) = timeline.critical_path();
        prop_assert!(critical <= timeline.total());
        prop_assert_eq!(path.iter().map(|tx| times[*tx]).sum::<Duration>(), critical);
        for pair in path.windows(2) {
            prop_assert!(on.of(pair[1]).contains(&pair[0]), "{:?}", pair);
        }
        for cores in [1, 2, 3, 8, 128] {
            let took = timeline.on_cores(cores);
            prop_assert!(took >= critical);
            prop_assert!(took * u32::try_from(cores).unwrap() >= timeline.total());
            prop_assert!(took <= timeline.total());
            // Graham's bound for list schedules.
            prop_assert!(took <= critical + timeline.total() / u32::try_from(cores).unwrap()
                + Duration::from_nanos(1));
        }
        prop_assert_eq!(timeline.on_cores(1), timeline.total());
        prop_assert_eq!(timeline.on_cores(times.len().max(1)), critical);
    }

    #[test]
    fn without_a_dependency_the_critical_path_is_not_longer(
        (times, on) in blocks(),
        at in any::<prop::sample::Index>(),
    ) {
        let all = (0..on.len()).flat_map(|tx| on.of(tx).iter().map(move |on| (tx, *on)));
        let all: Vec<_> = all.collect();
        prop_assume!(!all.is_empty());
        let (tx, earlier) = all[at.index(all.len())];
        let before = Timeline::new(&times, &on).critical_path().1;
        let fewer = on.without(tx, earlier);
        prop_assert!(!fewer.of(tx).contains(&earlier));
        prop_assert!(Timeline::new(&times, &fewer).critical_path().1 <= before);
    }
}

#[test]
fn the_first_that_is_ready_goes_first() {
    let ms = |times: &[u64]| times.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
    let on = Dependencies::from_lists(vec![vec![], vec![0], vec![], vec![1]]);
    let times = ms(&[4, 3, 5, 2]);
    let timeline = Timeline::new(&times, &on);
    assert_eq!(timeline.critical_path(), (vec![0, 1, 3], Duration::from_millis(9)));
    assert_eq!(timeline.on_cores(2), Duration::from_millis(9));
    assert_eq!(timeline.on_cores(1), Duration::from_millis(14));
    assert!((timeline.speedup(Duration::from_millis(7)) - 2.0).abs() < 1e-9);
}

#[test]
fn nothing_takes_no_time() {
    let on = Dependencies::default();
    let timeline = Timeline::new(&[], &on);
    assert_eq!(timeline.critical_path(), (vec![], Duration::ZERO));
    assert_eq!(timeline.on_cores(2), Duration::ZERO);
    assert!((timeline.speedup(Duration::ZERO) - 1.0).abs() < 1e-9);
}

#[test]
#[should_panic(expected = "needs")]
fn nobody_needs_who_comes_later() {
    let _ = Dependencies::from_lists(vec![vec![1], vec![]]);
}
