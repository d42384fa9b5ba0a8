//! Random blocks of every fork: 24 each, or as many as `WARPLINE_FUZZ_BLOCKS` says.

use alloy_primitives::U256;
use warpline_fuzz::{Block, Rules, block_seed};

use crate::oracle::Oracle;

const SEED: u64 = 0xba1a;

/// Numbers that look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = block_seed(self.0, 1);
        self.0
    }

    /// Between the two: often little above the lower.
    fn between(&mut self, least: U256, highest: U256) -> U256 {
        let more = match self.roll() % 4 {
            0 => U256::from(self.roll() % 4),
            1 => U256::from(self.roll() % 100_000),
            2 => U256::from(self.roll()) * U256::from(self.roll()),
            _ => U256::from_limbs([(); 4].map(|()| self.roll())),
        };
        least.saturating_add(more).min(highest)
    }
}

#[test]
fn other_balances_change_nothing_but_themselves() {
    let blocks = std::env::var("WARPLINE_FUZZ_BLOCKS").ok().and_then(|it| it.parse().ok());
    for rules in Rules::ALL {
        let (mut valid, mut paid, mut relaxed_payers) = (0, 0, 0);
        for index in 0..blocks.unwrap_or(24) {
            let block = Block::random(block_seed(SEED, index), Some(rules)).generate();
            let mut oracle = Oracle::new(block.chain, block.block, block.state);
            let mut dice = Dice(index);
            println!("{rules}: block {index} of seed {SEED}");
            for tx in 0..oracle.transactions() {
                let found = oracle.check(tx, |least, highest| dice.between(least, highest));
                let Some(outcome) = found else { continue };
                valid += 1;
                for (address, before, _) in outcome.relaxed() {
                    let after = outcome.state[&address].info.balance;
                    paid += u32::from(after > before);
                    relaxed_payers += u32::from(after < before);
                }
            }
        }
        // Otherwise little is tested.
        let enough = paid > valid / 10 && relaxed_payers > valid / 2;
        assert!(enough, "{rules}: {valid} transactions, {paid} paid, {relaxed_payers} payers");
        println!("{rules}: {valid} transactions, {paid} paid, {relaxed_payers} payers");
    }
}
