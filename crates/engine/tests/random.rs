//! Random small worlds, random blocks: all ways to execute them are equal.
//!
//! Every test takes a number of blocks, 64 unless `WARPLINE_FUZZ_BLOCKS` says otherwise, from a seed
//! that is new each time unless `WARPLINE_FUZZ_SEED` says otherwise. A block that fails is printed
//! with both, made smaller. `warpline fuzz` does the same for as long as one likes.

#![expect(clippy::print_stdout, reason = "the seed is said, even if the process does not survive")]

use std::{
    hash::{BuildHasher, RandomState},
    str::FromStr,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use warpline_fuzz::{Attempts, Block, Effort, Rules, block_seed, check, shrink};

/// How long a block that fails may be made smaller.
const SHRINKING: Duration = Duration::from_secs(60);

static SEED: LazyLock<u64> = LazyLock::new(|| {
    let random = || RandomState::new().hash_one(0) >> 1;
    variable("WARPLINE_FUZZ_SEED").unwrap_or_else(random)
});

fn variable<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

fn check_all(name: &str) {
    let rules: Rules = name.parse().expect("a known name");
    let effort = Effort { perturbed: 1, ..Effort::default() };
    let seed = *SEED;
    println!("seed {seed}");
    let mut valid = 0;
    let blocks = variable("WARPLINE_FUZZ_BLOCKS").unwrap_or(64);
    for index in 0..blocks {
        let block = Block::random(block_seed(seed, index), Some(rules));
        match check(&Arc::new(block.generate()), &effort, index) {
            Ok(tally) => valid += u64::from(tally.valid),
            Err(difference) => {
                let small = smallest(block, &effort);
                panic!("block {index} of seed {seed}: {difference}\nmade smaller: {small:#?}");
            }
        }
    }
    // Otherwise something in the generator spoils them all, and little is tested.
    assert!(2 * valid >= blocks, "only {valid} of {blocks} blocks are valid, seed {seed}");
}

fn smallest(block: Block, effort: &Effort) -> Block {
    let begun = Instant::now();
    let Attempts(attempts) = Attempts::after(1, 5);
    shrink(block, |candidate| {
        let generated = Arc::new(candidate.generate());
        let fails = |attempt: u32| check(&generated, effort, attempt.into()).is_err();
        (begun.elapsed() < SHRINKING).then(|| (0..attempts).any(fails))
    })
}

macro_rules! forks {
    ($($test:ident: $rules:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            check_all($rules);
        })*
    };
}

forks! {
    frontier: "Frontier",
    homestead: "Homestead",
    tangerine_whistle: "EIP150",
    spurious_dragon: "EIP158",
    byzantium: "Byzantium",
    constantinople: "Constantinople",
    petersburg: "ConstantinopleFix",
    istanbul: "Istanbul",
    berlin: "Berlin",
    london: "London",
    shanghai: "Shanghai",
    cancun: "Cancun",
    prague: "Prague",
    osaka: "Osaka",
    amsterdam: "Amsterdam",
    all_of_amsterdam: "AllOfAmsterdam",
}

#[test]
fn a_broken_validation_is_found_and_made_small() {
    let effort = Effort { sabotage: Some(0), ..Effort::default() };
    let fails = |block: &Block| {
        let generated = Arc::new(block.generate());
        (0..4).any(|attempt| check(&generated, &effort, attempt).is_err())
    };
    let blocks = (0..200).map(|index| Block::random(block_seed(1, index), None));
    let found = blocks.into_iter().find(fails).expect("one of two hundred blocks shows it");
    let begun = Instant::now();
    let small = shrink(found, |block| (begun.elapsed() < SHRINKING).then(|| fails(block)));
    assert!(small.transaction_count() <= 6, "{small:#?}");
}
