//! Header rules: one valid parent and child for a fork, one change each, the rule it breaks.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use alloy_consensus::{EMPTY_ROOT_HASH, Header};
use alloy_primitives::{B64, B256, Bytes, U256};
use warpline_chain::{ChainSpec, EthereumHardfork, ForkCondition, HeaderError, HeaderField};

const LIMIT: u64 = 30_000_000;

/// A parent and a valid child of it at `fork`.
fn pair(fork: EthereumHardfork) -> (ChainSpec, Header, Header) {
    let spec = ChainSpec::at_fork(fork, 1);
    let genesis = Header { gas_limit: LIMIT, difficulty: U256::from(1 << 30), ..Header::default() };
    let parent = child(&spec, &genesis);
    let child = child(&spec, &parent);
    (spec, parent, child)
}

fn child(spec: &ChainSpec, parent: &Header) -> Header {
    let (number, timestamp) = (parent.number + 1, parent.timestamp + 12);
    let fork = spec.fork_at(number, timestamp);
    let from = |since| fork >= since;
    let (shanghai, cancun) = (from(EthereumHardfork::Shanghai), from(EthereumHardfork::Cancun));
    Header {
        parent_hash: parent.hash_slow(),
        number,
        timestamp,
        gas_limit: parent.gas_limit,
        gas_used: parent.gas_limit / 2,
        difficulty: spec.next_difficulty(parent, timestamp),
        base_fee_per_gas: spec.next_base_fee(parent),
        withdrawals_root: shanghai.then_some(EMPTY_ROOT_HASH),
        blob_gas_used: cancun.then_some(0),
        excess_blob_gas: spec.next_excess_blob_gas(parent, timestamp),
        parent_beacon_block_root: cancun.then_some(B256::ZERO),
        requests_hash: from(EthereumHardfork::Prague).then_some(B256::ZERO),
        block_access_list_hash: from(EthereumHardfork::Amsterdam).then_some(B256::ZERO),
        ..Header::default()
    }
}

/// What is wrong with the child at `fork` after `change`.
fn broken(fork: EthereumHardfork, change: impl FnOnce(&mut Header)) -> HeaderError {
    let (spec, parent, mut child) = pair(fork);
    change(&mut child);
    spec.validate_header(&child, &parent).unwrap_err()
}

fn forks() -> impl Iterator<Item = EthereumHardfork> {
    let forks = EthereumHardfork::VARIANTS.iter().copied();
    forks.filter(|fork| *fork <= EthereumHardfork::Amsterdam)
}

#[test]
fn every_fork_accepts_its_own() {
    for fork in forks() {
        let (spec, parent, child) = pair(fork);
        assert_eq!(spec.validate_header(&child, &parent), Ok(()), "{fork}");
    }
}

#[test]
fn rules_of_every_fork() {
    for fork in forks() {
        let error = broken(fork, |header| header.number += 1);
        assert_eq!(error, HeaderError::Number { parent: 1, found: 3 });
        let error = broken(fork, |header| header.timestamp = 12);
        assert_eq!(error, HeaderError::Timestamp { parent: 12, found: 12 });
        let error = broken(fork, |header| header.parent_hash = B256::ZERO);
        assert!(matches!(error, HeaderError::ParentHash { found: B256::ZERO, .. }));
        let error = broken(fork, |header| header.extra_data = Bytes::from([0; 33]));
        assert_eq!(error, HeaderError::ExtraDataLength { max: 32, found: 33 });
        let error = broken(fork, |header| header.gas_used = header.gas_limit + 1);
        assert_eq!(error, HeaderError::GasUsed { limit: LIMIT, used: LIMIT + 1 });
        let error = broken(fork, |header| header.difficulty += U256::ONE);
        assert!(matches!(error, HeaderError::Difficulty { .. }));
        let error = broken(fork, |header| header.slot_number = Some(1));
        assert_eq!(error, HeaderError::FieldForbidden(HeaderField::SlotNumber));
    }
}

#[test]
fn the_gas_limit_moves_by_less_than_a_1024th() {
    let step = LIMIT / 1024;
    for limit in [LIMIT - step + 1, LIMIT + step - 1] {
        let (spec, parent, mut child) = pair(EthereumHardfork::Frontier);
        child.gas_limit = limit;
        assert_eq!(spec.validate_header(&child, &parent), Ok(()));
    }
    for found in [LIMIT - step, LIMIT + step] {
        let error = broken(EthereumHardfork::Frontier, |header| header.gas_limit = found);
        assert_eq!(error, HeaderError::GasLimitStep { parent: LIMIT, step, found });
    }
    for found in [4_999, 1 << 63] {
        let error = broken(EthereumHardfork::Frontier, |header| {
            (header.gas_limit, header.gas_used) = (found, 0);
        });
        let (min, max) = (5_000, (1 << 63) - 1);
        assert_eq!(error, HeaderError::GasLimitBounds { min, max, found });
    }
}

#[test]
fn london_begins_with_twice_the_limit_and_the_first_base_fee() {
    let spec = ChainSpec::from_fixture_network("BerlinToLondonAt5", None).unwrap();
    let parent = Header { number: 4, gas_limit: LIMIT, ..Header::default() };
    let mut first = child(&spec, &parent);
    (first.gas_limit, first.gas_used) = (2 * LIMIT, 0);
    assert_eq!(first.base_fee_per_gas, Some(1_000_000_000));
    assert_eq!(spec.validate_header(&first, &parent), Ok(()));
    first.gas_limit = LIMIT;
    let error = spec.validate_header(&first, &parent).unwrap_err();
    let (parent, step) = (2 * LIMIT, 2 * LIMIT / 1024);
    assert_eq!(error, HeaderError::GasLimitStep { parent, step, found: LIMIT });
}

/// Base fee after a parent with this fee, gas limit and gas used; the first two rows are blocks
/// 15,537,393 and 15,537,394 of mainnet.
#[test]
fn base_fees() {
    let spec = ChainSpec::at_fork(EthereumHardfork::London, 1);
    let rows = [
        (0xa1a_4e5_f06, 30_000_000, 29_991_429, 0xb5d_68e_0a3),
        (1_000_000_000, 20_000_000, 10_000_000, 1_000_000_000),
        (1_000_000_000, 20_000_000, 9_000_000, 987_500_000),
        (1_000_000_000, 20_000_000, 11_000_000, 1_012_500_000),
        (1_000_000_000, 20_000_000, 0, 875_000_000),
        (7, 20_000_000, 20_000_000, 8),
        (0, 20_000_000, 20_000_000, 1),
        (7, 20_000_000, 0, 7),
        (5, 0, 0, 5),
        (u64::MAX, 2, 2, u64::MAX),
        (u64::MAX, 2, u64::MAX, u64::MAX),
    ];
    for (base_fee, gas_limit, gas_used, expected) in rows {
        let base_fee_per_gas = Some(base_fee);
        let parent = Header { gas_limit, gas_used, base_fee_per_gas, ..Header::default() };
        assert_eq!(spec.next_base_fee(&parent), Some(expected), "{base_fee} {gas_used}");
    }
    let berlin = ChainSpec::at_fork(EthereumHardfork::Berlin, 1);
    assert_eq!(berlin.next_base_fee(&Header::default()), None);
}

#[test]
fn fields_belong_to_forks() {
    use EthereumHardfork::{Amsterdam, Berlin, Cancun, London, Osaka, Paris, Prague, Shanghai};
    type Set = fn(&mut Header, bool);
    let rows: [(HeaderField, EthereumHardfork, EthereumHardfork, Set); 7] = [
        (HeaderField::BaseFee, Berlin, London, |h, set| h.base_fee_per_gas = set.then_some(7)),
        (HeaderField::WithdrawalsRoot, Paris, Shanghai, |h, set| {
            h.withdrawals_root = set.then_some(B256::ZERO);
        }),
        (HeaderField::BlobGasUsed, Shanghai, Cancun, |h, set| h.blob_gas_used = set.then_some(0)),
        (HeaderField::ExcessBlobGas, Shanghai, Cancun, |h, set| {
            h.excess_blob_gas = set.then_some(0);
        }),
        (HeaderField::ParentBeaconBlockRoot, Shanghai, Cancun, |h, set| {
            h.parent_beacon_block_root = set.then_some(B256::ZERO);
        }),
        (HeaderField::RequestsHash, Cancun, Prague, |h, set| {
            h.requests_hash = set.then_some(B256::ZERO);
        }),
        (HeaderField::BlockAccessListHash, Osaka, Amsterdam, |h, set| {
            h.block_access_list_hash = set.then_some(B256::ZERO);
        }),
    ];
    for (field, before, since, set) in rows {
        let error = broken(before, |header| set(header, true));
        assert_eq!(error, HeaderError::FieldForbidden(field));
        let error = broken(since, |header| set(header, false));
        assert_eq!(error, HeaderError::FieldMissing(field));
    }
}

#[test]
fn the_merge_leaves_no_trace_of_work() {
    let fork = EthereumHardfork::Paris;
    let nonce = B64::from(1_u64.to_be_bytes());
    let error = broken(fork, |header| header.nonce = nonce);
    assert_eq!(error, HeaderError::Nonce { found: nonce });
    let found = B256::repeat_byte(1);
    let error = broken(fork, |header| header.ommers_hash = found);
    assert_eq!(error, HeaderError::OmmersHash { found });
}

#[test]
fn ten_blocks_say_that_they_are_of_the_dao_fork() {
    let spec = ChainSpec::from_fixture_network("HomesteadToDaoAt5", None).unwrap();
    for number in 1..20 {
        let parent = Header { number: number - 1, gas_limit: LIMIT, ..Header::default() };
        let marked = Bytes::from_static(b"dao-hard-fork");
        let header = Header { extra_data: marked, ..child(&spec, &parent) };
        assert_eq!(spec.validate_header(&header, &parent), Ok(()));
        let header = child(&spec, &parent);
        let valid = spec.validate_header(&header, &parent).is_ok();
        assert_eq!(valid, !(5..15).contains(&number), "{number}");
    }
}

#[test]
fn who_refuses_the_dao_fork_does_not_say_that_it_follows() {
    let spec = ChainSpec::at_fork(EthereumHardfork::Homestead, 1).with_dao_refused_at(5);
    assert!(!spec.is_dao_block(5));
    for number in 1..20 {
        let parent = Header { number: number - 1, gas_limit: LIMIT, ..Header::default() };
        let header = child(&spec, &parent);
        assert_eq!(spec.validate_header(&header, &parent), Ok(()));
        let header = Header { extra_data: Bytes::from_static(b"dao-hard-fork"), ..header };
        let refused = (5..15).contains(&number);
        let expected = if refused { Err(HeaderError::DaoExtraDataRefused) } else { Ok(()) };
        assert_eq!(spec.validate_header(&header, &parent), expected, "{number}");
    }
}

#[test]
fn forks_that_build_on_each_other_begin_in_order() {
    use EthereumHardfork::{London, Paris, Shanghai};
    let zero = U256::ZERO;
    let merge = |block| ForkCondition::TTD {
        activation_block_number: block,
        fork_block: None,
        total_difficulty: zero,
    };
    let parent = Header { gas_limit: LIMIT, ..Header::default() };
    let rows = [
        (merge(0), 2, 99, Err(HeaderError::ForkTooEarly { fork: Paris, before: London })),
        (merge(9), 1, 12, Err(HeaderError::ForkTooEarly { fork: Shanghai, before: Paris })),
        (merge(1), 1, 12, Ok(())),
        (merge(9), 2, 99, Ok(())),
    ];
    for (paris, london, shanghai, expected) in rows {
        let forks = [
            (London, ForkCondition::Block(london)),
            (Paris, paris),
            (Shanghai, ForkCondition::Timestamp(shanghai)),
        ];
        let spec = ChainSpec::new("test", 1, forks);
        let mut header = child(&spec, &parent);
        if london == 1 {
            // The gas limit doubles with London.
            header.gas_limit = 2 * LIMIT;
        }
        assert_eq!(spec.validate_header(&header, &parent), expected);
    }
}

#[test]
fn excess_blob_gas() {
    use EthereumHardfork::{Bpo2, Cancun, Osaka, Prague};
    const BLOB: u64 = 131_072;
    const GWEI: u64 = 1_000_000_000;
    // Fork, the parent's excess, blobs and base fee, and the child's excess.
    let rows = [
        (Cancun, 0, 0, 7, 0),
        (Cancun, 0, 3, 7, 0),
        (Cancun, 0, 4, 7, BLOB),
        (Cancun, 2 * BLOB, 0, 7, 0),
        (Cancun, 10 * BLOB, 6, 7, 13 * BLOB),
        (Prague, 10 * BLOB, 6, 1_000 * GWEI, 10 * BLOB),
        (Prague, 10 * BLOB, 9, 7, 13 * BLOB),
        // The floor: 8192 gas at the base fee against one blob at the blob fee of 1 wei.
        (Osaka, 10 * BLOB, 6, 16, 10 * BLOB),
        (Osaka, 10 * BLOB, 6, 17, 12 * BLOB),
        (Osaka, 10 * BLOB, 0, 17, 10 * BLOB),
        (Osaka, 0, 5, 17, 0),
        (Bpo2, 20 * BLOB, 15, 17, 25 * BLOB),
        (Bpo2, 20 * BLOB, 15, 1, 21 * BLOB),
        (Cancun, u64::MAX, 6, 7, u64::MAX - 3 * BLOB),
    ];
    for (fork, excess, blobs, base_fee, expected) in rows {
        let parent = Header {
            excess_blob_gas: Some(excess),
            blob_gas_used: Some(blobs * BLOB),
            base_fee_per_gas: Some(base_fee),
            ..Header::default()
        };
        let found = ChainSpec::at_fork(fork, 1).next_excess_blob_gas(&parent, 12);
        assert_eq!(found, Some(expected), "{fork} {excess} {blobs} {base_fee}");
    }
    // The first block with blobs has a parent without.
    let spec = ChainSpec::from_fixture_network("ShanghaiToCancunAtTime15k", None).unwrap();
    assert_eq!(spec.next_excess_blob_gas(&Header::default(), 14_999), None);
    assert_eq!(spec.next_excess_blob_gas(&Header::default(), 15_000), Some(0));
}

#[test]
fn blob_base_fees() {
    use EthereumHardfork::{Cancun, Prague, Shanghai};
    let rows = [
        (Cancun, 0, Some(1)),
        (Cancun, 2_314_057, Some(1)),
        (Cancun, 2_314_058, Some(2)),
        (Cancun, 10 * 1024 * 1024, Some(23)),
        (Prague, 10 * 1024 * 1024, Some(8)),
        (Cancun, u64::MAX, Some(u128::MAX)),
        (Shanghai, 0, None),
    ];
    for (fork, excess, expected) in rows {
        let header = Header { excess_blob_gas: Some(excess), ..Header::default() };
        assert_eq!(ChainSpec::at_fork(fork, 1).blob_base_fee(&header), expected, "{fork} {excess}");
    }
}

#[test]
fn blob_gas_is_whole_blobs_up_to_the_maximum() {
    for found in [1, 7 * 131_072] {
        let error = broken(EthereumHardfork::Cancun, |header| header.blob_gas_used = Some(found));
        assert_eq!(error, HeaderError::BlobGasUsed { max: 6 * 131_072, step: 131_072, found });
    }
    let error = broken(EthereumHardfork::Cancun, |header| header.excess_blob_gas = Some(9));
    assert_eq!(error, HeaderError::ExcessBlobGas { expected: 0, found: 9 });
}
