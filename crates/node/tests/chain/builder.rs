//! Valid blocks on any parent, made by executing them on a state in memory.

use std::sync::Arc;

use alloy_consensus::{
    Header, Signed, TxLegacy, TxReceipt as _,
    constants::EMPTY_OMMER_ROOT_HASH,
    proofs::{calculate_receipt_root, calculate_transaction_root},
    transaction::Recovered,
};
use alloy_primitives::{Address, B256, Bloom, Signature, TxKind, U256};
use redb::StorageBackend;
use warpline_chain::{ChainSpec, HeaderError};
use warpline_engine::{Engine, EngineConfig, Ethereum};
use warpline_node::{Chain, ChainOptions, ChainSource, IncomingBlock};
use warpline_primitives::{MemoryState, RecoveredBlock};
use warpline_replay::CompleteState;
use warpline_storage::Database;

/// How many accounts can pay.
pub(crate) const PAYERS: u8 = 20;

/// A block, and all that is needed to build on it.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) block: RecoveredBlock,
    pub(crate) state: MemoryState,
    nonces: [u64; PAYERS as usize],
}

/// A chain in memory, and what its blocks are built with.
pub(crate) struct Builder {
    pub(crate) spec: Arc<ChainSpec>,
    engine: Engine<Ethereum>,
    source: ChainSource,
}

impl Builder {
    /// A chain with proof of work from beginning to end, or without any.
    pub(crate) fn new(merged: bool) -> Self {
        let alloc: Vec<_> = (0..PAYERS)
            .map(|payer| {
                format!(r#""{:x}": {{"balance": "0xde0b6b3a7640000"}}"#, payer_address(payer))
            })
            .collect();
        let merge = if merged { r#", "terminalTotalDifficulty": 0"# } else { "" };
        let json = format!(
            r#"{{"config": {{"chainId": 1337, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0,
            "eip158Block": 0, "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0,
            "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0{merge}}},
            "gasLimit": "0x1c9c380", "difficulty": "{}", "alloc": {{{}}}}}"#,
            if merged { 0 } else { 131_072 },
            alloc.join(",")
        );
        let source = ChainSource::Json(json.into_bytes());
        let spec = Arc::clone(source.genesis().unwrap().chain());
        let config = EngineConfig::with_threads(2);
        let engine = Engine::new(Ethereum::new(Arc::clone(&spec)), config).unwrap();
        Self { spec, engine, source }
    }

    /// The chain with nothing but its genesis block.
    pub(crate) fn chain(&self, options: ChainOptions) -> Chain {
        let database = Database::in_memory(&self.source.genesis_block().unwrap()).unwrap();
        self.reopen(database, options)
    }

    /// The genesis file with something else in it.
    pub(crate) fn source_with(&self, what: &str, instead: &str) -> ChainSource {
        let ChainSource::Json(json) = &self.source else { panic!("the file is JSON") };
        let json = std::str::from_utf8(json).unwrap();
        assert!(json.contains(what), "{what} in {json}");
        ChainSource::Json(json.replace(what, instead).into_bytes())
    }

    /// As [`chain`](Self::chain), on storage of this kind.
    pub(crate) fn chain_on(&self, storage: impl StorageBackend) -> Chain {
        let genesis = self.source.genesis_block().unwrap();
        let database = Database::on_backend(storage, &genesis).unwrap();
        self.reopen(database, ChainOptions::default())
    }

    /// The chain in `database`, as after a restart.
    pub(crate) fn reopen(&self, database: Database, options: ChainOptions) -> Chain {
        Chain::in_database(database, EngineConfig::with_threads(2), options).unwrap()
    }

    pub(crate) fn genesis(&self) -> Built {
        let genesis = self.source.genesis().unwrap();
        let mut state = genesis.state();
        let header = genesis.header(root_of(&state));
        state.insert_block_hash(0, header.hash_slow());
        let block = RecoveredBlock {
            hash: header.hash_slow(),
            header,
            transactions: Vec::new(),
            ommers: Vec::new(),
            withdrawals: None,
        };
        Built { block, state, nonces: [0; PAYERS as usize] }
    }

    /// The child of `parent` in which each of `payers` pays somebody. Siblings differ by `salt`.
    pub(crate) fn child(&self, parent: &Built, salt: u8, payers: &[u8]) -> Built {
        let mut nonces = parent.nonces;
        let transactions: Vec<_> = payers
            .iter()
            .map(|payer| {
                let nonce = &mut nonces[usize::from(*payer)];
                *nonce += 1;
                payment(*payer, *nonce - 1, salt)
            })
            .collect();
        let parent_header = &parent.block.header;
        let mut header = Header {
            parent_hash: parent.block.hash,
            number: parent_header.number + 1,
            timestamp: parent_header.timestamp + 12,
            gas_limit: parent_header.gas_limit,
            base_fee_per_gas: self.spec.next_base_fee(parent_header),
            extra_data: vec![salt].into(),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: Address::repeat_byte(0xfe),
            ..Header::default()
        };
        let checked = self.spec.validate_header(&header, parent_header);
        if let Err(HeaderError::Difficulty { expected, .. }) = checked {
            header.difficulty = expected;
        }
        let signed: Vec<_> = transactions.iter().map(|tx| tx.inner().clone()).collect();
        header.transactions_root = calculate_transaction_root(&signed);
        let mut block = RecoveredBlock {
            hash: B256::ZERO,
            header,
            transactions,
            ommers: Vec::new(),
            withdrawals: None,
        };
        let output = self.engine.execute(&block, &parent.state).unwrap();
        let mut state = parent.state.clone();
        state.apply(&output.state);
        block.header.gas_used = output.gas_used;
        block.header.logs_bloom =
            output.receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom());
        block.header.receipts_root = calculate_receipt_root(&output.receipts);
        block.header.state_root = root_of(&state);
        block.hash = block.header.hash_slow();
        state.insert_block_hash(block.number(), block.hash);
        Built { block, state, nonces }
    }
}

impl Built {
    pub(crate) fn incoming(&self) -> IncomingBlock {
        IncomingBlock { block: self.block.clone(), encoded_len: None }
    }
}

fn payer_address(payer: u8) -> Address {
    Address::repeat_byte(payer + 1)
}

fn payment(payer: u8, nonce: u64, salt: u8) -> Recovered<warpline_primitives::Transaction> {
    let payment = TxLegacy {
        chain_id: Some(1337),
        nonce,
        gas_price: 2_000_000_000,
        to: TxKind::Call(Address::repeat_byte(0x80 | salt)),
        // Without true signatures nothing else tells two payers apart.
        value: U256::from(7 + payer),
        gas_limit: 21_000,
        ..TxLegacy::default()
    };
    let signed = Signed::new_unhashed(payment, Signature::test_signature());
    Recovered::new_unchecked(signed.into(), payer_address(payer))
}

pub(crate) fn root_of(state: &MemoryState) -> B256 {
    CompleteState::new(state.clone()).root()
}
