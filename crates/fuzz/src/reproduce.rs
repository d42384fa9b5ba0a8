//! A block as a blockchain test, so that anything that reads those can execute it again.
//!
//! The file holds the block as it was executed, but for what a header says of the execution, and for
//! the signatures, which are made here: signing takes longer than executing. What comes out of the
//! block is what plain revm says, so a correct engine passes, and a block that failed in one
//! schedule fails in that schedule only.

use alloy_consensus::{
    Block as EncodedBlock, BlockBody, Header, Transaction as _, transaction::Recovered,
};
use alloy_eip7928::compute_block_access_list_hash;
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, B256, U256, hex};
use alloy_rlp::Encodable;
use serde_json::{Map, Value, json};
use warpline_chain::EthereumHardforks;
use warpline_engine::{
    Engine, EngineConfig, Ethereum, ExecuteOptions, ExecutionError, PoolError, Strategy,
};
use warpline_primitives::{
    BlockOutput, MemoryState, MissingState, RecoveredBlock, StateSource, Transaction,
};
use warpline_replay::{CompleteState, TransactionRoots};
use warpline_trie::TrieError;
use warpline_workloads::seal;

use crate::{block::Generated, world::key_of};

/// Why a block cannot be written down.
#[derive(Debug, thiserror::Error)]
pub enum ReproduceError {
    /// The reference neither executes nor rejects it.
    #[error("plain revm fails: {0}")]
    Reference(#[source] ExecutionError<MissingState>),
    /// The receipts before Byzantium need a state root after each transaction, and plain revm is
    /// not observed: the sequential path is, and it failed.
    #[error("the sequential path fails: {0}")]
    Sequential(#[source] ExecutionError<MissingState>),
    /// A root cannot be computed.
    #[error(transparent)]
    Trie(#[from] TrieError),
    /// No engine could be set up.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// The file of a blockchain test with one case, `name`, of one block. `notes` are for people.
///
/// # Errors
/// When plain revm does not say what comes out of the block.
pub fn reproducer(
    generated: &Generated,
    name: &str,
    notes: &[(&str, String)],
) -> Result<Value, ReproduceError> {
    let engine =
        Engine::new(Ethereum::new(generated.chain.clone()), EngineConfig::with_threads(1))?;
    let mut block = generated.block.clone();
    block.transactions = block.transactions.into_iter().map(sign).collect();
    let reference = if generated.rules.has_oracle() {
        engine.execute_reference(&block, &generated.state)
    } else {
        engine.execute_with(&block, &generated.state, Strategy::Sequential)
    };
    let (block, post, invalid) = match reference {
        Ok(output) => {
            let mut post = generated.state.clone();
            post.apply(&output.state);
            (sealed(generated, &engine, block, &output, &post)?, post, None)
        }
        Err(ExecutionError::InvalidBlock(reason)) => {
            let blobs = block.transactions.iter().filter_map(|tx| tx.blob_gas_used()).sum();
            block.header.blob_gas_used = block.header.blob_gas_used.map(|_| blobs);
            (block, generated.state.clone(), Some(reason.to_string()))
        }
        Err(error) => return Err(ReproduceError::Reference(error)),
    };
    let genesis = &generated.genesis;
    let withdrawals = block.withdrawals.as_ref().map(|_| Withdrawals::default());
    let genesis_rlp = encoded(genesis.clone(), Vec::new(), withdrawals);
    let head = if invalid.is_some() { genesis.hash_slow() } else { block.hash };
    let transactions = block.transactions.into_iter().map(Recovered::into_inner).collect();
    let rlp = encoded(block.header.clone(), transactions, block.withdrawals);
    let block = match invalid {
        Some(reason) => json!({ "rlp": rlp, "expectException": reason }),
        None => json!({ "rlp": rlp, "blockHeader": header_json(&block.header) }),
    };
    let info: Map<_, _> =
        notes.iter().map(|(key, note)| ((*key).to_owned(), note.as_str().into())).collect();
    Ok(json!({ name: {
        "_info": info,
        "network": generated.rules.name(),
        "sealEngine": "NoProof",
        "genesisBlockHeader": header_json(genesis),
        "genesisRLP": genesis_rlp,
        "pre": state_json(&generated.state),
        "blocks": [block],
        "lastblockhash": head,
        "postState": state_json(&post),
    } }))
}

/// With a true signature where there was a placeholder.
fn sign(transaction: Recovered<Transaction>) -> Recovered<Transaction> {
    match key_of(transaction.signer()) {
        Some(key) => key.sign(transaction.into_inner()),
        None => transaction,
    }
}

/// The block with a header that says what came out of it.
fn sealed(
    generated: &Generated,
    engine: &Engine,
    block: RecoveredBlock,
    output: &BlockOutput,
    post: &MemoryState,
) -> Result<RecoveredBlock, ReproduceError> {
    let state_root = CompleteState::new(post.clone()).root();
    let mut sealed = seal(block, output, state_root);
    if let Some(hash) = &mut sealed.header.block_access_list_hash {
        *hash = compute_block_access_list_hash(output.access_list.as_deref().unwrap_or_default());
        sealed.hash = sealed.header.hash_slow();
    }
    if !generated.chain.is_byzantium_active_at_block(sealed.number()) {
        let before = CompleteState::new(generated.state.clone());
        let mut roots = TransactionRoots::new(before.trie().clone());
        let options = ExecuteOptions::from(Strategy::Sequential).observed_by(&mut roots);
        let executed = engine.execute_with(&sealed, &generated.state, options);
        executed.map_err(ReproduceError::Sequential)?;
        sealed.header.receipts_root = roots.receipts_root(&output.receipts)?;
        sealed.hash = sealed.header.hash_slow();
    }
    Ok(sealed)
}

fn encoded(
    header: Header,
    transactions: Vec<Transaction>,
    withdrawals: Option<Withdrawals>,
) -> String {
    let mut rlp = Vec::new();
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
    EncodedBlock { header, body }.encode(&mut rlp);
    hex::encode_prefixed(rlp)
}

/// A header under the names that only blockchain tests use.
fn header_json(header: &Header) -> Value {
    let mut members = json!({
        "parentHash": header.parent_hash,
        "uncleHash": header.ommers_hash,
        "coinbase": header.beneficiary,
        "stateRoot": header.state_root,
        "transactionsTrie": header.transactions_root,
        "receiptTrie": header.receipts_root,
        "bloom": header.logs_bloom,
        "difficulty": header.difficulty,
        "number": number(header.number),
        "gasLimit": number(header.gas_limit),
        "gasUsed": number(header.gas_used),
        "timestamp": number(header.timestamp),
        "extraData": header.extra_data,
        "mixHash": header.mix_hash,
        "nonce": header.nonce,
        "hash": header.hash_slow(),
    });
    let optional = [
        ("baseFeePerGas", header.base_fee_per_gas.map(number)),
        ("withdrawalsRoot", header.withdrawals_root.map(word)),
        ("blobGasUsed", header.blob_gas_used.map(number)),
        ("excessBlobGas", header.excess_blob_gas.map(number)),
        ("parentBeaconBlockRoot", header.parent_beacon_block_root.map(word)),
        ("requestsHash", header.requests_hash.map(word)),
        ("blockAccessListHash", header.block_access_list_hash.map(word)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            members[name] = value;
        }
    }
    members
}

fn number(number: u64) -> Value {
    json!(U256::from(number))
}

fn word(word: B256) -> Value {
    json!(word)
}

fn state_json(state: &MemoryState) -> Value {
    let mut accounts = Map::new();
    for (address, account, slots) in state.accounts() {
        let code = if account.has_code() {
            state.code(account.code_hash).unwrap_or_default()
        } else {
            Default::default()
        };
        let slots: Map<_, _> = slots
            .into_iter()
            .flatten()
            .map(|(slot, value)| (format!("{slot:#x}"), json!(value)))
            .collect();
        let json = json!({
            "balance": account.balance,
            "nonce": number(account.nonce),
            "code": code,
            "storage": slots,
        });
        accounts.insert(key(*address), json);
    }
    accounts.into()
}

fn key(address: Address) -> String {
    format!("{address:#x}")
}
