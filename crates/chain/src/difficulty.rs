//! The difficulty of a proof-of-work block.
//!
//! Each era moves the parent's difficulty by a 2048th times a factor that depends on how long the
//! block took, keeps it above a minimum, and adds the bomb: a power of two that doubles every
//! hundred thousand blocks, counted from a block number that later forks pretend is smaller.

use alloy_consensus::Header;
use alloy_hardforks::{EthereumHardfork, EthereumHardforks};
use alloy_primitives::U256;

use crate::ChainSpec;

/// Difficulty never falls below this (the bomb not counted).
const MINIMUM: U256 = U256::from_limbs([131_072, 0, 0, 0]);

/// Blocks in which the bomb doubles.
const BOMB_PERIOD: u64 = 100_000;

/// How far each fork sets the bomb back, latest first: EIP-5133, 4345, 3554, 2384, 1234, 649.
const BOMB_DELAYS: [(EthereumHardfork, u64); 6] = [
    (EthereumHardfork::GrayGlacier, 11_400_000),
    (EthereumHardfork::ArrowGlacier, 10_700_000),
    (EthereumHardfork::London, 9_700_000),
    (EthereumHardfork::MuirGlacier, 9_000_000),
    (EthereumHardfork::Constantinople, 5_000_000),
    (EthereumHardfork::Byzantium, 3_000_000),
];

impl ChainSpec {
    /// The difficulty a child of `parent` with this timestamp must have; zero after the merge
    /// (Yellow Paper 4.4.4, EIP-2, EIP-100, EIP-3675).
    pub fn next_difficulty(&self, parent: &Header, timestamp: u64) -> U256 {
        let number = parent.number.saturating_add(1);
        if self.is_merged(number) {
            return U256::ZERO;
        }
        let seconds = timestamp.saturating_sub(parent.timestamp);
        // Steps upwards that a fast block makes, and downwards that each further period costs.
        let (up, down) = if self.is_byzantium_active_at_block(number) {
            (if parent.ommers_hash_is_empty() { 1 } else { 2 }, seconds / 9)
        } else if self.is_homestead_active_at_block(number) {
            (1, seconds / 10)
        } else if seconds < 13 {
            (1, 0)
        } else {
            (0, 1)
        };
        let step: U256 = parent.difficulty >> 11;
        let difficulty = if up >= down {
            parent.difficulty.saturating_add(step.saturating_mul(U256::from(up - down)))
        } else {
            let steps = (down - up).min(99);
            parent.difficulty.saturating_sub(step.saturating_mul(U256::from(steps)))
        };
        difficulty.max(MINIMUM).saturating_add(bomb(number.saturating_sub(self.bomb_delay(number))))
    }

    fn bomb_delay(&self, number: u64) -> u64 {
        let active = |(fork, _): &&(EthereumHardfork, u64)| {
            self.is_ethereum_fork_active_at_block(*fork, number)
        };
        BOMB_DELAYS.iter().find(active).map_or(0, |(_, delay)| *delay)
    }
}

/// What the bomb adds at block `number`, delays already taken off.
fn bomb(number: u64) -> U256 {
    match (number / BOMB_PERIOD).checked_sub(2) {
        None => U256::ZERO,
        Some(exponent @ 0..=255) => U256::ONE << exponent,
        Some(_) => U256::MAX,
    }
}
