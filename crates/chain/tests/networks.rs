//! Chains by fixture name, and what they say about a block.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::num::NonZeroU64;

use alloy_primitives::U256;
use warpline_chain::{
    BlobCounts, BlobParams, BlobSchedule, ChainSpec, EthereumHardfork, EthereumHardforks,
    UnknownNetwork,
};

fn network(name: &str) -> ChainSpec {
    ChainSpec::from_fixture_network(name, None).unwrap()
}

#[test]
fn forks_are_active_from_the_first_block() {
    let rows = [
        ("Frontier", "Frontier"),
        ("Homestead", "Homestead"),
        ("EIP150", "Tangerine Whistle"),
        ("EIP158", "Spurious Dragon"),
        ("Byzantium", "Byzantium"),
        ("Constantinople", "Constantinople"),
        ("ConstantinopleFix", "Petersburg"),
        ("Istanbul", "Istanbul"),
        ("Berlin", "Berlin"),
        ("London", "London"),
        ("ArrowGlacier", "Arrow Glacier"),
        ("GrayGlacier", "Gray Glacier"),
        ("Merge", "Paris"),
        ("Paris", "Paris"),
        ("Shanghai", "Shanghai"),
        ("Cancun", "Cancun"),
        ("Prague", "Prague"),
        ("Osaka", "Osaka"),
        ("BPO1", "BPO1"),
        ("BPO4", "BPO4"),
        ("Amsterdam", "Amsterdam"),
    ];
    for (name, fork) in rows {
        let spec = network(name);
        assert_eq!(spec.fork_name_at(0, 0), fork);
        assert_eq!(spec.fork_name_at(u64::MAX, u64::MAX), fork);
        assert_eq!((spec.name(), spec.chain_id()), (name, 1));
        assert!(!spec.is_dao_block(0), "{name}");
        assert_eq!(spec.unresolved_terminal_difficulty(), None);
    }
}

#[test]
fn transitions_begin_where_their_names_say() {
    let rows = [
        ("FrontierToHomesteadAt5", (4, 0), "Frontier", (5, 0), "Homestead"),
        ("HomesteadToEIP150At5", (4, 0), "Homestead", (5, 0), "Tangerine Whistle"),
        ("EIP158ToByzantiumAt5", (4, 0), "Spurious Dragon", (5, 0), "Byzantium"),
        ("ByzantiumToConstantinopleFixAt5", (4, 0), "Byzantium", (5, 0), "Petersburg"),
        ("BerlinToLondonAt5", (4, 0), "Berlin", (5, 0), "London"),
        ("ParisToShanghaiAtTime15k", (9, 14_999), "Paris", (1, 15_000), "Shanghai"),
        ("ShanghaiToCancunAtTime15k", (9, 14_999), "Shanghai", (1, 15_000), "Cancun"),
        ("CancunToPragueAtTime15k", (9, 14_999), "Cancun", (1, 15_000), "Prague"),
        ("PragueToOsakaAtTime15k", (9, 14_999), "Prague", (1, 15_000), "Osaka"),
        ("OsakaToBPO1AtTime15k", (9, 14_999), "Osaka", (1, 15_000), "BPO1"),
        ("BPO2ToAmsterdamAtTime15k", (9, 14_999), "BPO2", (1, 15_000), "Amsterdam"),
    ];
    for (name, before, old, after, new) in rows {
        let spec = network(name);
        assert_eq!(spec.fork_name_at(before.0, before.1), old, "{name}");
        assert_eq!(spec.fork_name_at(after.0, after.1), new, "{name}");
    }
    let dao = network("HomesteadToDaoAt5");
    assert_eq!([4, 5, 6].map(|number| dao.is_dao_block(number)), [false, true, false]);
    assert_eq!(dao.fork_name_at(9, 0), "Homestead");
    assert!(!network("HomesteadToEIP150At5").is_dao_block(5));
}

#[test]
fn other_names_are_unknown() {
    let names = [
        "",
        "To",
        "cancun",
        "Bogota",
        "BPO6",
        "Tangerines",
        "BerlinToLondon",
        "LondonToBerlinAt5",
        "BerlinToBerlinAt5",
        "BerlinToLondonAtTime15k",
        "CancunToPragueAt5",
        "CancunToPragueAtTime99999999999999999999k",
        "BerlinToLondonAtDiff5",
        "ArrowGlacierToParisAtDiffXYZ",
    ];
    for name in names {
        let error = ChainSpec::from_fixture_network(name, None).unwrap_err();
        assert_eq!(error, UnknownNetwork(name.into()));
    }
}

#[test]
fn the_merge_by_total_difficulty_is_resolved_for_each_parent() {
    let spec = network("ArrowGlacierToParisAtDiffC0000");
    let terminal = U256::from(0xc0000);
    assert_eq!(spec.unresolved_terminal_difficulty(), Some(terminal));
    assert!(!spec.is_merged(1_000_000));
    let before = spec.for_child_of(4, terminal - U256::ONE);
    assert_eq!(before.fork_name_at(5, 0), "Arrow Glacier");
    let after = spec.for_child_of(5, terminal);
    assert_eq!(after.fork_name_at(6, 0), "Paris");
    assert!(!after.is_merged(5));
    assert!(after.for_child_of(6, U256::ZERO).is_merged(7), "a resolved merge stays");
    let mainnet = ChainSpec::mainnet();
    assert_eq!(mainnet.unresolved_terminal_difficulty(), None);
    assert!(mainnet.for_child_of(15_537_393, U256::ZERO).is_merged(15_537_394));
}

#[test]
fn amsterdam_is_osaka_with_block_access_lists() {
    for spec in [network("Amsterdam"), ChainSpec::at_fork(EthereumHardfork::Amsterdam, 1)] {
        assert!(spec.is_osaka_active_at_timestamp(0));
        assert!(!spec.is_amsterdam_active_at_timestamp(u64::MAX));
        assert!(spec.block_access_lists_at(0));
        assert_eq!(spec.blob_params_at(0), Some(BlobParams::bpo2()));
    }
    let spec = network("BPO2ToAmsterdamAtTime15k");
    assert_eq!([14_999, 15_000].map(|t| spec.block_access_lists_at(t)), [false, true]);
    assert!(!ChainSpec::mainnet().block_access_lists_at(u64::MAX));
}

#[test]
fn constantinople_is_without_petersburg() {
    let spec = network("Constantinople");
    assert!(spec.is_constantinople_active_at_block(0));
    assert!(!spec.is_petersburg_active_at_block(0));
    assert!(network("ConstantinopleFix").is_petersburg_active_at_block(0));
}

#[test]
fn mainnet_blob_parameters_by_time() {
    let spec = ChainSpec::mainnet();
    let rows = [
        (1_710_338_134, None),
        (1_710_338_135, Some(BlobParams::cancun())),
        (1_746_612_311, Some(BlobParams::prague())),
        (1_764_798_551, Some(BlobParams::osaka())),
        (1_765_290_071, Some(BlobParams::bpo1())),
        (1_767_747_671, Some(BlobParams::bpo2())),
        (u64::MAX, Some(BlobParams::bpo2())),
    ];
    for (timestamp, params) in rows {
        assert_eq!(spec.blob_params_at(timestamp), params, "{timestamp}");
    }
}

#[test]
fn a_schedule_of_its_own_goes_before_mainnets() {
    let fraction = |value| NonZeroU64::new(value).unwrap();
    let counts = |target, max| BlobCounts { target, max, base_fee_update_fraction: fraction(9) };
    let forks = [("Cancun", counts(1, 2)), ("BPO1", counts(3, 4)), ("Amsterdam", counts(20, 30))];
    let schedule: BlobSchedule =
        forks.into_iter().map(|(fork, counts)| (fork.parse().unwrap(), counts)).collect();
    let at = |name, timestamp| {
        let spec = ChainSpec::from_fixture_network(name, Some(&schedule)).unwrap();
        spec.blob_params_at(timestamp).unwrap()
    };
    let cancun = at("Cancun", 0);
    assert_eq!(
        (cancun.target_blob_count, cancun.max_blobs_per_tx, cancun.blob_base_cost),
        (1, 2, 0)
    );
    assert_eq!(cancun.update_fraction, 9);
    assert_eq!(at("Prague", 0), BlobParams::prague());
    let bpo = at("OsakaToBPO1AtTime15k", 15_000);
    assert_eq!((bpo.max_blob_count, bpo.max_blobs_per_tx, bpo.blob_base_cost), (4, 6, 8_192));
    assert_eq!(at("Amsterdam", 0).max_blob_count, 30);
}
