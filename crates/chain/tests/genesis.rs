//! Genesis files: what they mean, and what is wrong with them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, address, b256, bytes};
use serde_json::{Value, json};
use warpline_chain::{
    EthereumHardfork, EthereumHardforks, ForkCondition, Genesis, GenesisError, HeaderError,
    MemberProblem,
};
use warpline_primitives::StateSource;

fn read(genesis: &Value) -> Genesis {
    Genesis::from_json(genesis.to_string().as_bytes()).unwrap()
}

/// A genesis with `members` put into a config that has all forks up to Gray Glacier at block 0.
fn config(members: Value) -> Value {
    let mut config = json!({ "chainId": 7 });
    let names = [
        "homestead",
        "eip150",
        "eip155",
        "eip158",
        "byzantium",
        "constantinople",
        "petersburg",
        "istanbul",
        "berlin",
        "london",
    ];
    for name in names {
        config[format!("{name}Block")] = json!(0);
    }
    for (name, value) in members.as_object().unwrap() {
        config[name] = value.clone();
    }
    json!({ "config": config })
}

fn message(genesis: &Value) -> String {
    Genesis::from_json(genesis.to_string().as_bytes()).unwrap_err().to_string()
}

#[test]
fn mainnet_begins_with_the_block_that_everybody_knows() {
    let genesis = Genesis::mainnet();
    assert_eq!(genesis.alloc().len(), 8893);
    let root = common::state_root(&genesis);
    assert_eq!(root, b256!("d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544"));
    let hash = b256!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
    assert_eq!(genesis.header(root).hash_slow(), hash);
    assert_eq!(genesis.chain().chain_id(), 1);
}

#[test]
fn the_conformance_chain_begins_with_its_genesis() {
    let Some((genesis, blocks)) = common::rpc_chain() else { return };
    let header = genesis.header(common::state_root(&genesis));
    assert_eq!(blocks[0].header.parent_hash, header.hash_slow());

    let chain = genesis.chain();
    assert_eq!(chain.chain_id(), 3_503_995_874_084_926);
    assert_eq!(chain.deposit_contract(), Address::ZERO);
    assert_eq!(chain.unresolved_terminal_difficulty(), Some(U256::from(4_732_352)));
    let begins = [
        (1, "Homestead"),
        (3, "Tangerine Whistle"),
        (6, "Spurious Dragon"),
        (9, "Byzantium"),
        (12, "Constantinople"),
        (15, "Petersburg"),
        (18, "Istanbul"),
        (21, "Muir Glacier"),
        (24, "Berlin"),
        (27, "London"),
        (30, "Arrow Glacier"),
        (33, "Gray Glacier"),
        (36, "Paris"),
        (39, "Shanghai"),
        (42, "Cancun"),
        (45, "Prague"),
        (48, "Osaka"),
        (51, "BPO1"),
        (54, "BPO2"),
    ];
    let mut total_difficulty = header.difficulty;
    for block in &blocks {
        let header = &block.header;
        let chain = chain.for_child_of(header.number - 1, total_difficulty);
        let (_, fork) = begins.iter().rfind(|(number, _)| *number <= header.number).unwrap();
        assert_eq!(chain.fork_name_at(header.number, header.timestamp), *fork, "{}", header.number);
        total_difficulty += header.difficulty;
    }
}

#[test]
fn leniences_of_geth() {
    let plain = read(&json!({
        "config": { "chainId": 5, "homesteadBlock": 3, "ethash": {}, "somethingElse": [1] },
    }));
    let header = plain.header(alloy_consensus::constants::EMPTY_ROOT_HASH);
    assert_eq!((header.gas_limit, header.difficulty), (4_712_388, U256::from(131_072)));
    assert_eq!((header.base_fee_per_gas, header.number, header.timestamp), (None, 0, 0));
    assert_eq!(plain.chain().fork_name_at(3, 0), "Homestead");
    assert!(!plain.chain().is_merged(u64::MAX));

    // The same numbers, in every notation.
    for number in [json!(18), json!("18"), json!("0x12"), json!("0x0012"), json!("0X12")] {
        let genesis = read(&json!({
            "config": { "CHAINID": number, "homesteadBlock": number, "londonBlock": null },
            "nonce": number, "timestamp": number, "gasLimit": number, "difficulty": number,
            "extraData": "0x1234",
            "alloc": {
                "0x00000000000000000000000000000000000000A1": {
                    "balance": number, "nonce": number, "secretKey": "0x00", "comment": 1,
                },
                "00000000000000000000000000000000000000a2": {
                    "code": "6001", "storage": { "0x1": "0x0", "12": "12", "0x03": number },
                },
            },
        }));
        let header = genesis.header(Default::default());
        assert_eq!((genesis.chain().chain_id(), header.gas_limit, header.timestamp), (18, 18, 18));
        assert_eq!((header.difficulty, u64::from(header.nonce)), (U256::from(18), 18));
        assert_eq!(header.extra_data, bytes!("1234"));
        assert_eq!(genesis.chain().fork_at(18, 0), EthereumHardfork::Homestead);
        let [first, second] = [
            address!("00000000000000000000000000000000000000a1"),
            address!("00000000000000000000000000000000000000a2"),
        ];
        let state = genesis.state();
        let account = state.account(first).unwrap().unwrap();
        assert_eq!((account.balance, account.nonce), (U256::from(18), 18));
        let contract = state.account(second).unwrap().unwrap();
        assert_eq!(state.code(contract.code_hash).unwrap(), bytes!("6001"));
        assert_eq!(state.storage(second, U256::from(0x12)).unwrap(), U256::from(0x12));
        let slots = if number == json!("18") { 0x18 } else { 18 };
        assert_eq!(state.storage(second, U256::from(3)).unwrap(), U256::from(slots));
        assert_eq!(genesis.alloc()[&second].storage.len(), 2);
    }
}

#[test]
fn the_header_has_the_fields_of_its_fork() {
    let genesis =
        config(json!({ "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 9 }));
    let header = read(&genesis).header(Default::default());
    assert_eq!((header.difficulty, header.base_fee_per_gas), (U256::ZERO, Some(1_000_000_000)));
    assert!(header.withdrawals_root.is_some());
    assert_eq!((header.blob_gas_used, header.parent_beacon_block_root), (None, None));

    let mut later = config(json!({
        "terminalTotalDifficulty": 0,
        "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "osakaTime": 0, "amsterdamTime": 9,
    }));
    later["timestamp"] = json!("0x9");
    later["baseFeePerGas"] = json!("0x7");
    later["excessBlobGas"] = json!("0x20000");
    let header = read(&later).header(Default::default());
    assert_eq!((header.base_fee_per_gas, header.excess_blob_gas), (Some(7), Some(131_072)));
    assert_eq!(header.requests_hash, Some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH));
    assert!(header.block_access_list_hash.is_some());
}

#[test]
fn the_merge_is_where_the_total_difficulty_says() {
    let with = |terminal: Value, difficulty: Value| {
        let mut genesis = config(json!({ "mergeNetsplitBlock": 9 }));
        genesis["config"]["terminalTotalDifficulty"] = terminal;
        genesis["difficulty"] = difficulty;
        let genesis = read(&genesis);
        let chain = genesis.chain();
        (chain.is_merged(0), chain.is_merged(1), chain.unresolved_terminal_difficulty())
    };
    assert_eq!(with(json!(0), json!(0)), (true, true, None));
    assert_eq!(with(json!("0x10"), json!(16)), (false, true, None));
    assert_eq!(with(json!(17), json!(16)), (false, false, Some(U256::from(17))));
    assert_eq!(with(Value::Null, json!(16)), (false, false, None));

    // More than 64 bits, exactly.
    let text = config(json!({ "terminalTotalDifficulty": "TTD" })).to_string();
    let text = text.replace("\"TTD\"", "100000000000000000000000001");
    let genesis = Genesis::from_json(text.as_bytes()).unwrap();
    let terminal = genesis.chain().unresolved_terminal_difficulty().unwrap();
    assert_eq!(terminal.to_string(), "100000000000000000000000001");
    // What tells nodes apart survives the merge.
    let mut split = config(json!({ "mergeNetsplitBlock": 9, "terminalTotalDifficulty": 5 }));
    split["difficulty"] = json!(1);
    let chain = read(&split).chain().for_child_of(6, U256::from(5)).into_owned();
    let ForkCondition::TTD { activation_block_number, fork_block, .. } =
        chain.ethereum_fork_activation(EthereumHardfork::Paris)
    else {
        panic!("the merge is not by total difficulty");
    };
    assert_eq!((activation_block_number, fork_block), (7, Some(9)));
}

#[test]
fn blob_counts_are_those_of_the_file_or_of_mainnet() {
    let times = json!({
        "terminalTotalDifficulty": 0, "shanghaiTime": 1, "cancunTime": 2, "pragueTime": 3,
        "osakaTime": 4,
    });
    let mainnet = read(&config(times.clone()));
    let counts = |genesis: &Genesis, time| {
        let params = genesis.chain().blob_params_at(time)?;
        Some((params.target_blob_count, params.max_blob_count))
    };
    assert_eq!(counts(&mainnet, 1), None);
    assert_eq!(counts(&mainnet, 2), Some((3, 6)));
    assert_eq!(counts(&mainnet, 4), Some((6, 9)));

    let entry = |target| json!({ "target": target, "max": 8, "baseFeeUpdateFraction": "0x10" });
    let mut own = config(times);
    own["config"]["bpo3Time"] = json!(5);
    assert_eq!(
        message(&own),
        "config.bpo3Time: config.blobSchedule does not list the fork's blob counts"
    );
    own["config"]["blobSchedule"] = json!({
        "cancun": entry(1), "Prague": entry(2), "osaka": entry(3), "bpo3": entry(4),
        "bogota": entry(5),
    });
    let own = read(&own);
    assert_eq!(
        (1..=5).map(|time| counts(&own, time)).collect::<Vec<_>>(),
        [None, Some((1, 8)), Some((2, 8)), Some((3, 8)), Some((4, 8)),]
    );
}

#[test]
fn the_dao_fork_is_followed_or_refused() {
    let chain = |support: Value| {
        let mut genesis = json!({ "config": { "chainId": 7, "daoForkBlock": 3 } });
        genesis["config"]["homesteadBlock"] = json!(0);
        genesis["config"]["daoForkSupport"] = support;
        read(&genesis)
    };
    let (follows, refuses) = (chain(json!(true)), chain(json!(false)));
    assert!(follows.chain().is_dao_block(3));
    assert!(!refuses.chain().is_dao_block(3));
    assert!(!chain(Value::Null).chain().is_dao_block(3));
    let header = follows.header(B256::ZERO);
    let id = |genesis: &Genesis, number| genesis.chain().fork_id(&header, number, 0);
    assert_eq!((id(&follows, 0).next, id(&refuses, 0).next), (3, 3));
    assert_eq!(id(&follows, 3), id(&refuses, 3));
    let parent = Header { number: 2, gas_limit: 5_000, ..Header::default() };
    let marked = Header {
        parent_hash: parent.hash_slow(),
        number: 3,
        timestamp: 1,
        difficulty: follows.chain().next_difficulty(&parent, 1),
        extra_data: Bytes::from_static(b"dao-hard-fork"),
        ..parent.clone()
    };
    assert_eq!(follows.chain().validate_header(&marked, &parent), Ok(()));
    let refused = Err(HeaderError::DaoExtraDataRefused);
    assert_eq!(refuses.chain().validate_header(&marked, &parent), refused);
}

#[test]
fn errors_name_the_member() {
    let alloc = |account: Value| json!({ "config": { "chainId": 1 }, "alloc": { format!("{:x}", Address::ZERO): account } });
    let merged = |members: Value| {
        let mut genesis = config(members);
        genesis["config"]["terminalTotalDifficulty"] = json!(0);
        genesis
    };
    let rows = [
        (json!([]), "not a genesis file: invalid type: sequence, expected a JSON object"),
        (json!({}), "config: missing"),
        (json!({ "config": 1 }), "config: not a JSON object"),
        (json!({ "config": {} }), "config.chainId: missing"),
        (json!({ "config": { "chainId": "x" } }), "config.chainId: not a whole number"),
        (json!({ "config": { "chainId": 1.5 } }), "config.chainId: not a whole number"),
        (json!({ "config": { "chainId": "0x10000000000000000" } }), "config.chainId: a number of"),
        (config(json!({ "londonBlock": -1 })), "config.londonBlock: not a whole number"),
        (config(json!({ "daoForkSupport": 1 })), "config.daoForkSupport: neither true nor false"),
        (config(json!({ "bogotaTime": 1 })), "config.bogotaTime: no fork of this name is known"),
        (config(json!({ "ewasmblock": 1 })), "config.ewasmblock: no fork of this name is known"),
        (config(json!({ "clique": {} })), "config.clique: only proof of work"),
        (config(json!({ "shanghaiTime": 1 })), "config.shanghaiTime needs config.terminalTotal"),
        (
            config(json!({ "eip155Block": 1 })),
            "config.eip155Block and config.eip158Block must be equal: Some(1) and Some(0)",
        ),
        (
            config(json!({ "istanbulBlock": 3, "berlinBlock": 2, "londonBlock": 3 })),
            "config.berlinBlock: 2 is before config.istanbulBlock, which is 3",
        ),
        (
            config(json!({ "berlinBlock": 0, "arrowGlacierBlock": 3, "grayGlacierBlock": 2 })),
            "config.grayGlacierBlock: 2 is before config.arrowGlacierBlock, which is 3",
        ),
        (
            config(json!({ "byzantiumBlock": null, "istanbulBlock": null })),
            "config.byzantiumBlock is missing: config.constantinopleBlock needs the fork before it",
        ),
        (
            merged(json!({ "shanghaiTime": 9, "cancunTime": 8 })),
            "config.cancunTime: 8 is before config.shanghaiTime, which is 9",
        ),
        (
            merged(json!({ "shanghaiTime": 9, "pragueTime": 10 })),
            "config.cancunTime is missing: config.pragueTime needs the fork before it",
        ),
        (
            config(json!({ "blobSchedule": { "cancun": { "target": 1, "max": 1 } } })),
            "config.blobSchedule.cancun.baseFeeUpdateFraction: missing",
        ),
        (
            config(json!({
                "blobSchedule": { "cancun": { "target": 1, "max": 1, "baseFeeUpdateFraction": 0 } },
            })),
            "config.blobSchedule.cancun.baseFeeUpdateFraction: must not be zero",
        ),
        (json!({ "config": { "chainId": 1 }, "number": "0x1" }), "number: must be zero"),
        (
            json!({ "config": { "chainId": 1 }, "mixHash": "0x12" }),
            "mixHash: 1 bytes instead of 32",
        ),
        (json!({ "config": { "chainId": 1 }, "alloc": { "12": {} } }), "alloc.12: 1 bytes instead"),
        (
            json!({ "config": { "chainId": 1 }, "alloc": { "zz": {} } }),
            "alloc.zz: not a string of pairs of hexadecimal digits",
        ),
        (
            alloc(json!({ "balance": [] })),
            "alloc.0000000000000000000000000000000000000000.balance: not a whole number",
        ),
        (
            alloc(json!({ "code": "0x123" })),
            "alloc.0000000000000000000000000000000000000000.code: not a string of pairs",
        ),
        (
            alloc(json!({ "storage": { "0x1": "1_0" } })),
            "alloc.0000000000000000000000000000000000000000.storage.0x1: not a string of pairs",
        ),
        (alloc(json!(null)), "alloc.0000000000000000000000000000000000000000: not a JSON object"),
    ];
    for (genesis, expected) in rows {
        let found = message(&genesis);
        assert!(found.starts_with(expected), "{genesis}\n expected {expected}\n found {found}");
    }
}

#[test]
fn an_account_is_listed_once() {
    let json = br#"{"config": {"chainId": 1}, "alloc": {
        "0x00000000000000000000000000000000000000a1": {},
        "00000000000000000000000000000000000000A1": {}
    }}"#;
    let Err(GenesisError::Member { place, problem }) = Genesis::from_json(json) else {
        panic!("the file was taken");
    };
    assert_eq!(place.as_str(), "alloc.00000000000000000000000000000000000000A1");
    assert_eq!(problem, MemberProblem::Duplicate);
}
