//! Difficulties by era: mainnet's first blocks, and cases worked out by hand from the formulas.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_primitives::{B256, U256};
use warpline_chain::{ChainSpec, EthereumHardfork, ForkCondition};

const OMMERS: B256 = B256::repeat_byte(1);
const NONE: B256 = EMPTY_OMMER_ROOT_HASH;

fn difficulty(spec: &ChainSpec, number: u64, parent: u128, seconds: u64, ommers: B256) -> u128 {
    let parent = Header {
        number: number - 1,
        difficulty: U256::from(parent),
        timestamp: 1_000,
        ommers_hash: ommers,
        ..Header::default()
    };
    spec.next_difficulty(&parent, 1_000 + seconds).to()
}

#[test]
fn the_first_blocks_of_mainnet() {
    let spec = ChainSpec::mainnet();
    let blocks: [(u64, u64, u128); 4] = [
        (0, 0, 17_179_869_184),
        (1, 1_438_269_988, 17_171_480_576),
        (2, 1_438_270_017, 17_163_096_064),
        (3, 1_438_270_048, 17_154_715_646),
    ];
    for pair in blocks.windows(2) {
        let [(number, before, difficulty), (_, timestamp, expected)] = *pair else { continue };
        let parent = Header {
            number,
            timestamp: before,
            difficulty: U256::from(difficulty),
            ..Header::default()
        };
        assert_eq!(spec.next_difficulty(&parent, timestamp), U256::from(expected), "{number}");
    }
}

#[test]
fn each_era_moves_by_its_own_factor() {
    use EthereumHardfork::{Byzantium, Frontier, Homestead};
    // 2048 * 1000, so that a step is 1000.
    let parent = 2_048_000;
    let rows = [
        (Frontier, 12, NONE, 1),
        (Frontier, 13, NONE, -1),
        (Frontier, 5_000, NONE, -1),
        (Homestead, 9, NONE, 1),
        (Homestead, 10, NONE, 0),
        (Homestead, 20, NONE, -1),
        (Homestead, 999, OMMERS, -98),
        (Homestead, 1_000, NONE, -99),
        (Homestead, 1_000_000, NONE, -99),
        (Byzantium, 8, NONE, 1),
        (Byzantium, 8, OMMERS, 2),
        (Byzantium, 9, NONE, 0),
        (Byzantium, 9, OMMERS, 1),
        (Byzantium, 18, NONE, -1),
        (Byzantium, 18, OMMERS, 0),
        (Byzantium, 9_000, NONE, -99),
        (Byzantium, u64::MAX - 1_000, OMMERS, -99),
    ];
    for (fork, seconds, ommers, steps) in rows {
        let spec = ChainSpec::at_fork(fork, 1);
        let found = difficulty(&spec, 1, parent, seconds, ommers);
        let expected = parent.checked_add_signed(steps * 1_000);
        assert_eq!(Some(found), expected, "{fork} {seconds} {ommers}");
    }
}

#[test]
fn difficulty_has_a_floor() {
    for fork in [EthereumHardfork::Frontier, EthereumHardfork::London] {
        let spec = ChainSpec::at_fork(fork, 1);
        assert_eq!(difficulty(&spec, 1, 131_072, 1_000, NONE), 131_072, "{fork}");
    }
}

#[test]
fn the_bomb_is_set_back_by_each_fork() {
    use EthereumHardfork::{
        ArrowGlacier, Byzantium, Constantinople, Frontier, GrayGlacier, Homestead, Istanbul,
        London, MuirGlacier,
    };
    let rows = [
        (Frontier, 0),
        (Homestead, 0),
        (Byzantium, 3_000_000),
        (Constantinople, 5_000_000),
        (Istanbul, 5_000_000),
        (MuirGlacier, 9_000_000),
        (London, 9_700_000),
        (ArrowGlacier, 10_700_000),
        (GrayGlacier, 11_400_000),
    ];
    for (fork, delay) in rows {
        let spec = ChainSpec::at_fork(fork, 1);
        // Without the bomb, a block this fast adds a step.
        let calm = 2_048_000 + 1_000;
        for (number, bomb) in [(199_999, 0), (200_000, 1), (300_000, 2), (2_000_000, 1 << 18)] {
            let found = difficulty(&spec, number + delay, 2_048_000, 1, NONE);
            assert_eq!(found, calm + bomb, "{fork} {number}");
        }
    }
    let spec = ChainSpec::at_fork(Frontier, 1);
    let parent = Header { number: u64::MAX - 1, ..Header::default() };
    assert_eq!(spec.next_difficulty(&parent, 1), U256::MAX);
}

#[test]
fn the_merge_ends_it() {
    let spec = ChainSpec::at_fork(EthereumHardfork::Paris, 1);
    assert_eq!(difficulty(&spec, 7, 1 << 40, 3, NONE), 0);
}

#[test]
fn a_chain_of_its_own_has_the_delays_of_its_own_forks() {
    use EthereumHardfork::{
        ArrowGlacier, Byzantium, Constantinople, GrayGlacier, Homestead, London, MuirGlacier,
    };
    // Forks far from where mainnet had them, and no Muir Glacier on the second chain.
    let forks = [
        (Homestead, 0),
        (Byzantium, 4_000_000),
        (Constantinople, 6_000_000),
        (MuirGlacier, 10_000_000),
        (London, 20_000_000),
        (ArrowGlacier, 21_000_000),
        (GrayGlacier, 22_000_000),
    ];
    let chain = |skipped: Option<EthereumHardfork>| {
        let forks = forks.into_iter().filter(|(fork, _)| Some(*fork) != skipped);
        let forks = forks.map(|(fork, block)| (fork, ForkCondition::Block(block)));
        ChainSpec::new("own", 1, forks)
    };
    // Whatever time has passed, the bomb comes on top of the least difficulty.
    let exponent = |spec: &ChainSpec, number: u64| {
        let parent = Header { number: number - 1, ..Header::default() };
        let bomb = spec.next_difficulty(&parent, 1_000) - U256::from(131_072);
        if bomb.is_zero() { None } else { Some(bomb.trailing_zeros()) }
    };
    let rows = [
        (199_999, None, None),
        (200_000, Some(0), Some(0)),
        (3_999_999, Some(37), Some(37)),
        (4_000_000, Some(8), Some(8)),
        (5_999_999, Some(27), Some(27)),
        (6_000_000, Some(8), Some(8)),
        (9_999_999, Some(47), Some(47)),
        (10_000_000, Some(8), Some(48)),
        (19_999_999, Some(107), Some(147)),
        (20_000_000, Some(101), Some(101)),
        (21_000_000, Some(101), Some(101)),
        (22_000_000, Some(104), Some(104)),
    ];
    let (own, skipping) = (chain(None), chain(Some(MuirGlacier)));
    for (number, expected, without) in rows {
        assert_eq!(exponent(&own, number), expected, "{number}");
        assert_eq!(exponent(&skipping, number), without, "{number} without Muir Glacier");
    }
}
