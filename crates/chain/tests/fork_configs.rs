//! Fork identifiers and configurations, against those that public nodes report.

mod common;

use alloy_consensus::{Header, constants::MAINNET_GENESIS_HASH};
use alloy_primitives::hex;
use serde_json::{Value, json};
use warpline_chain::{ChainSpec, EthereumHardfork, ForkCondition, Genesis};

#[test]
fn identifiers_of_mainnet() {
    let genesis = Genesis::mainnet();
    let header = genesis.header(common::state_root(&genesis));
    assert_eq!(header.hash_slow(), MAINNET_GENESIS_HASH);
    let rows = [
        (0, 0, "fc64ec04", 1_150_000),
        (1_149_999, 0, "fc64ec04", 1_150_000),
        (1_150_000, 0, "97c2c34c", 1_920_000),
        (1_920_000, 0, "91d1f948", 2_463_000),
        (2_463_000, 0, "7a64da13", 2_675_000),
        (2_675_000, 0, "3edd5b10", 4_370_000),
        (4_370_000, 0, "a00bc324", 7_280_000),
        (7_280_000, 0, "668db0af", 9_069_000),
        (9_069_000, 0, "879d6e30", 9_200_000),
        (9_200_000, 0, "e029e991", 12_244_000),
        (12_244_000, 0, "0eb440f6", 12_965_000),
        (12_965_000, 0, "b715077d", 13_773_000),
        (13_773_000, 0, "20c327fc", 15_050_000),
        (15_050_000, 0, "f0afd0e3", 1_681_338_455),
        (20_000_000, 1_681_338_455, "dce96c2d", 1_710_338_135),
        (20_000_000, 1_710_338_135, "9f3d2254", 1_746_612_311),
        (30_000_000, 1_746_612_311, "c376cf8b", 1_764_798_551),
        (30_000_000, 1_764_798_551, "5167e2a6", 1_765_290_071),
        (30_000_000, 1_765_290_071, "cba2a1c0", 1_767_747_671),
        (40_000_000, 1_767_747_671, "07c9462e", 0),
    ];
    for (number, timestamp, hash, next) in rows {
        let id = genesis.chain().fork_id(&header, number, timestamp);
        assert_eq!((hex::encode(id.hash.0).as_str(), id.next), (hash, next), "at {number}");
    }
}

#[test]
fn the_conformance_chain_reports_its_forks() {
    let Some((genesis, blocks)) = common::rpc_chain() else { return };
    let Some(exchange) = common::rpc_compat("tests/eth_config/get-config.io") else { return };
    let exchange = String::from_utf8(exchange).unwrap();
    let answer = exchange.lines().find_map(|line| line.strip_prefix("<< ")).unwrap();
    let answer: Value = serde_json::from_str(answer).unwrap();
    let header = genesis.header(common::state_root(&genesis));
    let configs =
        |timestamp| serde_json::to_value(genesis.chain().fork_configs(&header, timestamp)).unwrap();
    let head = blocks.last().unwrap();
    assert_eq!(configs(head.header.timestamp), answer["result"]);

    // The same configuration is announced before it is in force.
    let before = configs(510);
    assert_eq!(before["current"]["activationTime"], 510);
    assert_eq!(before["next"], answer["result"]["current"]);
    assert_eq!(before["last"], answer["result"]["current"]);
    let early = configs(0);
    assert_eq!((&early["current"], &early["next"]["activationTime"]), (&json!(null), &json!(390)));
    assert_eq!(early["next"]["blobSchedule"], json!(null));
    assert_eq!(early["next"].get("systemContracts"), None);
    assert_eq!(early["last"]["activationTime"], 540);
    assert_eq!(configs(450)["next"]["precompiles"]["P256VERIFY"], format!("0x{:040x}", 0x100));
}

#[test]
fn forks_at_genesis_begin_at_zero_and_do_not_identify() {
    let forks = [
        (EthereumHardfork::Shanghai, ForkCondition::Timestamp(5)),
        (EthereumHardfork::Cancun, ForkCondition::Timestamp(10)),
        (EthereumHardfork::Prague, ForkCondition::Timestamp(10)),
        (EthereumHardfork::Amsterdam, ForkCondition::Timestamp(30)),
    ];
    let spec = ChainSpec::new("test", 1, forks);
    let genesis = Header { timestamp: 10, ..Header::default() };
    let configs = spec.fork_configs(&genesis, 29);
    let (current, next) = (configs.current.unwrap(), configs.next.unwrap());
    assert_eq!((current.activation_time, next.activation_time), (0, 30));
    assert_eq!((current.system_contracts.len(), next.system_contracts.len()), (5, 5));
    let first = spec.fork_id(&genesis, 0, 10);
    assert_eq!((first.next, current.fork_id.0), (30, first.hash.0));
    assert_eq!(spec.fork_id(&genesis, 9, 30).hash, first.hash + 30_u64);
}
