//! Random small worlds, random blocks: all ways to execute them are equal.
//!
//! Every test takes a number of blocks, 64 unless `PROPTEST_CASES` says otherwise. A block
//! that fails is made smaller and printed; its seed goes to a file beside this one and is tried
//! first from then on.

mod block;
mod program;
mod world;

use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestError, TestRunner};
use warpline_testkit::{Fork, Plan};

fn check(fork: Fork) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(64),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/random/seeds.txt"
        )))),
        source_file: Some(file!()),
        max_shrink_iters: 10_000,
        max_shrink_time: 120_000,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&block::block(), |block| {
        let case = block.case(fork).plan(Plan::quick());
        let checked = std::panic::catch_unwind(|| case.assert_all_equal());
        checked.map(drop).map_err(|_| TestCaseError::fail("see the panic"))
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, block)) => panic!("{reason}\n{fork:?}, {block:#?}"),
        Err(TestError::Abort(reason)) => panic!("gave up: {reason}"),
    }
}

macro_rules! forks {
    ($($test:ident: $fork:ident),* $(,)?) => {
        $(#[test]
        fn $test() {
            check(Fork::$fork);
        })*
    };
}

forks! {
    frontier: Frontier,
    homestead: Homestead,
    tangerine_whistle: Tangerine,
    spurious_dragon: SpuriousDragon,
    byzantium: Byzantium,
    petersburg: Petersburg,
    istanbul: Istanbul,
    berlin: Berlin,
    london: London,
    shanghai: Shanghai,
    cancun: Cancun,
    prague: Prague,
    osaka: Osaka,
}
