//! The chain that the published JSON-RPC expectations are about.

use std::{collections::BTreeMap, fs, num::NonZeroU64, path::PathBuf, sync::LazyLock};

use alloy_consensus::Header;
use alloy_hardforks::{EthereumHardfork, ForkCondition};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::Header as RlpHeader;
use serde_json::Value;
use warpline_chain::{BlobCounts, ChainSpec};
use warpline_engine::{Engine, EngineConfig, Ethereum, Strategy};
use warpline_primitives::{Account, MemoryState, RecoveredBlock};
use warpline_replay::decode_block;
use warpline_testkit::shared;
use warpline_trie::StateTrie;

/// A chain, and the state after each of its blocks, by number.
pub(crate) struct Chain {
    pub(crate) engine: Engine,
    pub(crate) headers: Vec<Header>,
    pub(crate) blocks: Vec<Option<RecoveredBlock>>,
    pub(crate) states: Vec<MemoryState>,
    pub(crate) tests: PathBuf,
}

/// The chain, where it is there.
pub(crate) fn chain() -> Option<&'static Chain> {
    static CHAIN: LazyLock<Option<Chain>> = LazyLock::new(load);
    CHAIN.as_ref()
}

/// A request and the answer to it.
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) params: Value,
    pub(crate) response: Value,
}

impl Chain {
    /// What is expected of a method.
    pub(crate) fn exchanges(&self, method: &str) -> Vec<Exchange> {
        let files = fs::read_dir(self.tests.join(method)).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).unwrap();
            let line = |start| {
                let line = text.lines().find_map(|line| line.strip_prefix(start)).unwrap();
                serde_json::from_str::<Value>(line).unwrap()
            };
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            Exchange { name, params: line(">>")["params"].clone(), response: line("<<") }
        };
        files.into_iter().map(read).collect()
    }

    /// The block that a parameter names.
    pub(crate) fn number(&self, tag: &Value) -> usize {
        match tag.as_str() {
            None | Some("latest" | "pending") => self.headers.len() - 1,
            Some("earliest") => 0,
            Some(number) => usize::from_str_radix(number.trim_start_matches("0x"), 16).unwrap(),
        }
    }
}

fn load() -> Option<Chain> {
    let folder = shared("rpc-compat")?;
    let genesis = fs::read_to_string(folder.join("genesis.json")).unwrap();
    let genesis: Value = serde_json::from_str(&genesis).unwrap();
    let spec = spec(&genesis["config"]);
    let mut state = alloc(&genesis["alloc"]);
    let accounts = state.accounts().map(|(address, account, slots)| {
        let slots: Vec<_> =
            slots.into_iter().flatten().map(|(slot, value)| (*slot, *value)).collect();
        (*address, *account, slots)
    });
    let mut trie = StateTrie::from_accounts(accounts);
    let header = genesis_header(&genesis, trie.root());
    state.insert_block_hash(0, header.hash_slow());
    let engine = Engine::new(Ethereum::new(spec), EngineConfig::with_threads(2)).unwrap();
    let (mut headers, mut blocks, mut states) = (vec![header], vec![None], vec![state.clone()]);
    let rlp = fs::read(folder.join("chain.rlp")).unwrap();
    let mut rest = rlp.as_slice();
    while !rest.is_empty() {
        let mut payload = rest;
        let RlpHeader { payload_length, .. } = RlpHeader::decode(&mut payload).unwrap();
        let length = rest.len() - payload.len() + payload_length;
        let block = decode_block(&rest[..length], engine.vm().spec()).unwrap();
        rest = &rest[length..];
        let output = engine.execute_with(&block, &state, Strategy::Sequential).unwrap();
        trie.apply(&output.state).unwrap();
        assert_eq!(trie.root(), block.header.state_root, "block {}", block.number());
        state.apply(&output.state);
        state.insert_block_hash(block.number(), block.hash);
        headers.push(block.header.clone());
        states.push(state.clone());
        blocks.push(Some(block));
    }
    Some(Chain { engine, headers, blocks, states, tests: folder.join("tests") })
}

fn parse<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn spec(config: &Value) -> ChainSpec {
    use EthereumHardfork as Fork;
    let block = |name: &str| ForkCondition::Block(config[name].as_u64().unwrap());
    let time = |name: &str| ForkCondition::Timestamp(config[name].as_u64().unwrap());
    let merge = ForkCondition::TTD {
        activation_block_number: config["mergeNetsplitBlock"].as_u64().unwrap(),
        fork_block: None,
        total_difficulty: U256::from(config["terminalTotalDifficulty"].as_u64().unwrap()),
    };
    let forks = [
        (Fork::Frontier, ForkCondition::Block(0)),
        (Fork::Homestead, block("homesteadBlock")),
        (Fork::Tangerine, block("eip150Block")),
        (Fork::SpuriousDragon, block("eip158Block")),
        (Fork::Byzantium, block("byzantiumBlock")),
        (Fork::Constantinople, block("constantinopleBlock")),
        (Fork::Petersburg, block("petersburgBlock")),
        (Fork::Istanbul, block("istanbulBlock")),
        (Fork::MuirGlacier, block("muirGlacierBlock")),
        (Fork::Berlin, block("berlinBlock")),
        (Fork::London, block("londonBlock")),
        (Fork::ArrowGlacier, block("arrowGlacierBlock")),
        (Fork::GrayGlacier, block("grayGlacierBlock")),
        (Fork::Paris, merge),
        (Fork::Shanghai, time("shanghaiTime")),
        (Fork::Cancun, time("cancunTime")),
        (Fork::Prague, time("pragueTime")),
        (Fork::Osaka, time("osakaTime")),
        (Fork::Bpo1, time("bpo1Time")),
        (Fork::Bpo2, time("bpo2Time")),
    ];
    let counts = |(name, counts): (&String, &Value)| {
        let number = |name: &str| counts[name].as_u64().unwrap();
        let fork = name.parse().unwrap();
        let base_fee_update_fraction = NonZeroU64::new(number("baseFeeUpdateFraction")).unwrap();
        (
            fork,
            BlobCounts { target: number("target"), max: number("max"), base_fee_update_fraction },
        )
    };
    let schedule: BTreeMap<Fork, _> =
        config["blobSchedule"].as_object().unwrap().iter().map(counts).collect();
    let id = config["chainId"].as_u64().unwrap();
    ChainSpec::with_blob_schedule("rpc-compat", id, forks, &schedule)
        .with_deposit_contract(parse(&config["depositContractAddress"]))
}

fn alloc(alloc: &Value) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, account) in alloc.as_object().unwrap() {
        let address: Address = address.parse().unwrap();
        let number = |name: &str| account.get(name).map_or(U256::ZERO, parse);
        let code: Bytes = account.get("code").map(parse).unwrap_or_default();
        let code_hash = state.insert_code(code);
        let (balance, nonce) = (number("balance"), number("nonce").to());
        state.insert_account(address, Account { balance, nonce, code_hash });
        for (slot, value) in account.get("storage").and_then(Value::as_object).into_iter().flatten()
        {
            let slot: B256 = slot.parse().unwrap();
            state.insert_storage(address, slot.into(), parse::<B256>(value).into());
        }
    }
    state
}

fn genesis_header(genesis: &Value, state_root: B256) -> Header {
    let number = |name: &str| parse::<U256>(&genesis[name]);
    Header {
        state_root,
        difficulty: number("difficulty"),
        timestamp: number("timestamp").to(),
        gas_limit: number("gasLimit").to(),
        extra_data: parse(&genesis["extraData"]),
        mix_hash: parse(&genesis["mixHash"]),
        ..Header::default()
    }
}
