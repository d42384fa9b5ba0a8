//! `cargo bench -p warpline-bench --bench import [-- --accounts N --blocks N --cache MIB --durable-every N]`: what
//! importing a block costs, and how much of it is the state root.
//!
//! The state is in a database on disk: so many accounts, and a contract with as many slots. Each block
//! pays between accounts and writes slots, all of them at random, which is the hardest case for tries and
//! tables: nothing that one block read is read by the next. Blocks are built by executing them on the
//! chain's own state, and then imported; what is timed is the import. Then all are taken back and imported
//! once more, each executed while the one before is written, as from a file.

#![expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "a benchmark prints figures")]

use std::{
    env,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{
    Header, Signed, TxLegacy, TxReceipt as _,
    constants::EMPTY_OMMER_ROOT_HASH,
    proofs::{calculate_receipt_root, calculate_transaction_root},
    transaction::Recovered,
};
use alloy_primitives::{Address, B256, Bloom, Bytes, Signature, TxKind, U256, hex, keccak256};
use warpline_chain::Genesis;
use warpline_engine::{Engine, EngineConfig, Ethereum};
use warpline_node::{Chain, ChainOptions, IncomingBlock};
use warpline_primitives::{Account, AccountDiff, RecoveredBlock, Transaction};
use warpline_storage::{Database, DatabaseOptions, Durability, GenesisBlock};

/// The command's allocator, so that the times can be compared with its own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

/// Writes four slots from the one that the call names.
const CONTRACT_CODE: [u8; 24] = hex!("5f3580805560010180805560010180805560010180805500");
const CONTRACT: Address = Address::repeat_byte(0xc0);
/// Slots that a call writes.
const SLOTS_OF_CALL: u64 = 4;
/// Transactions of each kind in a block: payments, and calls.
const PAYMENTS: u64 = 400;
const CALLS: u64 = 400;

const CHAIN: &str = r#"{"config": {"chainId": 1337, "homesteadBlock": 0, "eip150Block": 0,
    "eip155Block": 0, "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0,
    "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0,
    "terminalTotalDifficulty": 0, "shanghaiTime": 0}, "gasLimit": "0x5f5e100"}"#;

fn main() -> Result<(), Failure> {
    // Without `--bench`, which `cargo bench` passes, this is a test.
    let is_bench = env::args().any(|argument| argument == "--bench");
    let usual = |bench, test| if is_bench { bench } else { test };
    let option = |name: &str, usual: u64| -> Result<u64, Failure> {
        let mut arguments = env::args().skip_while(|argument| argument != name);
        Ok(arguments.nth(1).map(|value| value.parse()).transpose()?.unwrap_or(usual))
    };
    let accounts = option("--accounts", usual(1_000_000, 2_000))?;
    let blocks = option("--blocks", usual(20, 2))?;
    let cache_bytes = usize::try_from(option("--cache", 1024)?)? << 20;
    let durable_every = option("--durable-every", 1)?;
    let metrics = warpline_node::metrics::collect()?;

    let folder = env::temp_dir().join(format!("warpline-import-{}", std::process::id()));
    let removed = Removed(folder.clone());
    let options = DatabaseOptions { cache_bytes, check_integrity: false };
    let genesis = Genesis::from_json(CHAIN.as_bytes())?;
    let start = Instant::now();
    let database = Database::create(&folder, &state_of(&genesis, accounts), options)?;
    println!(
        "{accounts} accounts and {accounts} slots written in {:.1} s",
        start.elapsed().as_secs_f64()
    );

    let engine = Engine::new(Ethereum::new(Arc::clone(genesis.chain())), EngineConfig::default())?;
    let chain_options = ChainOptions { durable_every, ..ChainOptions::default() };
    let mut chain = Chain::with_engine(database, engine.clone(), chain_options)?;
    let mut whole = Duration::ZERO;
    let mut all = Vec::new();
    for number in 1..=blocks {
        let block = build(&chain, &engine, &genesis, (number, accounts))?;
        let incoming = IncomingBlock { block, encoded_len: None };
        all.push(incoming.clone());
        let start = Instant::now();
        chain.import(incoming)?;
        whole += start.elapsed();
    }
    let start = Instant::now();
    chain.flush()?;
    whole += start.elapsed();
    let changed = 2 * PAYMENTS + CALLS + SLOTS_OF_CALL * CALLS;
    println!(
        "{blocks} blocks of about {changed} changed accounts and slots, {} threads",
        engine.threads()
    );
    let rendered = metrics.render();
    let total = whole.as_secs_f64();
    for (part, name) in [
        ("execution", "warpline_engine_execute_seconds_sum"),
        ("state root", "warpline_root_seconds_sum"),
        ("commit", "warpline_storage_commit_seconds_sum"),
    ] {
        let line = rendered.lines().find_map(|line| line.strip_prefix(name));
        let seconds: f64 = line.and_then(|line| line.trim().parse().ok()).unwrap_or_default();
        println!(
            "{part:<12} {:>8.2} ms a block {:>5.1} %",
            1e3 * seconds / blocks as f64,
            100.0 * seconds / total
        );
    }
    println!("{:<12} {:>8.2} ms a block", "in all", 1e3 * total / blocks as f64);

    let database = chain.database().clone();
    drop(chain);
    let mut writer = database.writer()?;
    writer.revert_to(0)?;
    writer.commit(Durability::Durable)?;
    let mut chain = Chain::with_engine(database, engine, chain_options)?;
    let start = Instant::now();
    for incoming in all {
        chain.import_ahead(incoming)?;
    }
    chain.flush()?;
    let total = start.elapsed().as_secs_f64();
    println!("{:<12} {:>8.2} ms a block", "as a file", 1e3 * total / blocks as f64);
    drop(chain);
    drop(removed);
    Ok(())
}

/// A folder that goes with this.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn address(index: u64) -> Address {
    Address::from_word(keccak256(index.to_be_bytes()))
}

/// The slot that stands for `index`.
fn slot(index: u64) -> U256 {
    U256::from_be_bytes(keccak256((index | 1 << 63).to_be_bytes()).0)
}

fn state_of(genesis: &Genesis, accounts: u64) -> GenesisBlock {
    let mut state = genesis.changes();
    for index in 0..accounts {
        let account = Account { balance: U256::from(1_u64 << 60), ..Account::default() };
        let entry = AccountDiff { account: Some(account), ..AccountDiff::default() };
        state.insert_account(address(index), entry);
    }
    let code = Bytes::from_static(&CONTRACT_CODE);
    let code_hash = keccak256(&code);
    let account = Account { nonce: 1, code_hash, ..Account::default() };
    let storage = (0..accounts).map(|index| (slot(index), U256::from(index + 1))).collect();
    let entry = AccountDiff { account: Some(account), storage_wiped: false, storage };
    state.insert_account(CONTRACT, entry);
    state.insert_code(code_hash, code);
    GenesisBlock { config: Box::default(), header: genesis.header(B256::ZERO), state }
}

/// The next block: everybody in it sends for the first time.
fn build(
    chain: &Chain,
    engine: &Engine<Ethereum>,
    genesis: &Genesis,
    (number, accounts): (u64, u64),
) -> Result<RecoveredBlock, Failure> {
    let first = (number - 1) * (PAYMENTS + CALLS);
    let random = |index: u64| U256::from_be_bytes(keccak256(index.to_le_bytes()).0);
    let transactions = (first..first + PAYMENTS + CALLS).map(|index| {
        let other = random(index).wrapping_rem(U256::from(accounts)).to::<u64>();
        let (to, input) = if index < first + PAYMENTS {
            (address(other), Bytes::new())
        } else {
            (CONTRACT, slot(other).to_be_bytes::<32>().into())
        };
        let tx = TxLegacy {
            chain_id: Some(1337),
            gas_price: 2_000_000_000,
            gas_limit: if input.is_empty() { 21_000 } else { 120_000 },
            to: TxKind::Call(to),
            value: U256::from(index),
            input,
            ..TxLegacy::default()
        };
        let tx: Transaction = Signed::new_unhashed(tx, Signature::test_signature()).into();
        Recovered::new_unchecked(tx, address(index % accounts))
    });
    let parent = &chain.head().header;
    let mut block = RecoveredBlock {
        header: Header {
            parent_hash: chain.head().hash,
            number,
            timestamp: parent.timestamp + 12,
            gas_limit: parent.gas_limit,
            base_fee_per_gas: genesis.chain().next_base_fee(parent),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: Address::repeat_byte(0xfe),
            withdrawals_root: parent.withdrawals_root,
            ..Header::default()
        },
        hash: B256::ZERO,
        transactions: transactions.collect(),
        ommers: Vec::new(),
        withdrawals: Some(Default::default()),
    };
    let state = chain.database().view()?.state();
    let output = engine.execute(&block, &state)?;
    let mut trie = state.trie();
    trie.apply(&output.state)?;
    let signed: Vec<_> = block.transactions.iter().map(|tx| tx.inner().clone()).collect();
    block.header.transactions_root = calculate_transaction_root(&signed);
    block.header.gas_used = output.gas_used;
    block.header.logs_bloom =
        output.receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
    block.header.receipts_root = calculate_receipt_root(&output.receipts);
    block.header.state_root = trie.root();
    block.hash = block.header.hash_slow();
    Ok(block)
}
