//! A block of three payments, true in every respect, in each of the formats `replay` reads.
//!
//! Tests spoil one thing in it and look what the command makes of that.

use alloy_consensus::{
    EMPTY_OMMER_ROOT_HASH, Header, SignableTransaction as _, TxLegacy,
    crypto::secp256k1::{recover_signer, sign_message},
    transaction::Recovered,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_rlp::Encodable;
use serde_json::{Value, json};
use warpline_chain::ChainSpec;
use warpline_engine::{Engine, EngineConfig, Ethereum};
use warpline_primitives::{Account, MemoryState, RecoveredBlock, Transaction};
use warpline_trie::{EMPTY_ROOT_HASH, StateTrie};
use warpline_workloads::seal;

const RECIPIENT: Address = Address::repeat_byte(0xb0);
const PAYMENTS: u64 = 3;
const GAS_PRICE: u64 = 2_000_000_000;

/// A block with its parent and the state between them, which holds one account.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) parent: Header,
    pub(crate) block: RecoveredBlock,
    payer: Address,
    funds: Account,
}

impl Sample {
    /// A block of Ethereum mainnet that never was, shortly after the merge.
    pub(crate) fn of_mainnet() -> Self {
        Self::after(&ChainSpec::mainnet(), 15_600_000, 1_664_000_000)
    }

    /// The first block of a chain on which the merge is the newest rule.
    pub(crate) fn of_paris() -> Self {
        let chain = ChainSpec::from_fixture_network("Paris", None).expect("a known network");
        Self::after(&chain, 0, 1_000)
    }

    fn after(chain: &ChainSpec, number: u64, timestamp: u64) -> Self {
        let payments: Vec<_> = (0..PAYMENTS).map(payment).collect();
        let payer = payments[0].signer();
        let funds =
            Account { balance: U256::from(1_000_000_000_000_000_000_u64), ..Account::default() };
        let mut state = MemoryState::default();
        state.insert_account(payer, funds);
        let mut trie = StateTrie::from_accounts([(payer, funds, [])]);
        let parent = Header {
            number,
            timestamp,
            state_root: trie.root(),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            gas_limit: 30_000_000,
            base_fee_per_gas: Some(1_000_000_000),
            ..Header::default()
        };
        let header = Header {
            parent_hash: parent.hash_slow(),
            number: number + 1,
            timestamp: timestamp + 12,
            beneficiary: Address::repeat_byte(0xfe),
            base_fee_per_gas: chain.next_base_fee(&parent),
            ..parent.clone()
        };
        let (ommers, withdrawals) = (Vec::new(), None);
        let block = RecoveredBlock {
            header,
            hash: B256::ZERO,
            transactions: payments,
            ommers,
            withdrawals,
        };
        let engine = Engine::new(Ethereum::new(chain.clone()), EngineConfig::with_threads(1))
            .expect("one thread can be had");
        let output = engine.execute_reference(&block, &state).expect("the block is valid");
        trie.apply(&output.state).expect("the trie is complete");
        Self { parent, block: seal(block, &output, trie.root()), payer, funds }
    }

    /// Changes the header, and the hash with it.
    pub(crate) fn with_header(mut self, change: impl FnOnce(&mut Header)) -> Self {
        change(&mut self.block.header);
        self.block.hash = self.block.header.hash_slow();
        self
    }

    /// As a snapshot.
    pub(crate) fn snapshot(&self) -> Value {
        let mut block = serde_json::to_value(&self.block.header).expect("headers serialise");
        block["hash"] = json!(self.block.hash);
        block["transactions"] = json!(self.transactions());
        block["uncles"] = json!([]);
        json!({"block": block, "pre_state": self.accounts(), "codes": {}, "block_hashes": {}})
    }

    /// As a block with its execution witness: the only account's leaf is the whole trie.
    pub(crate) fn witness(&self) -> Value {
        let mut path = vec![0x20];
        path.extend(keccak256(self.payer));
        let account: [&dyn Encodable; 4] =
            [&self.funds.nonce, &self.funds.balance, &EMPTY_ROOT_HASH, &self.funds.code_hash];
        let leaf = list(&[&Bytes::from(path), &Bytes::from(list(&account))]);
        json!({
            "block": self.block_rlp(),
            "witness": {
                "state": [Bytes::from(leaf)],
                "codes": [],
                "keys": [],
                "headers": [Bytes::from(alloy_rlp::encode(&self.parent))],
            },
        })
    }

    /// As a file with one case of a blockchain test, which passes.
    pub(crate) fn blockchain_test(&self) -> Value {
        let no_transactions: Vec<Transaction> = Vec::new();
        json!({"payments": {
            "network": "Paris",
            "pre": self.accounts(),
            "genesisRLP": rlp_of(&self.parent, &no_transactions),
            "blocks": [{"rlp": self.block_rlp(), "blockHeader": {}}],
            "lastblockhash": self.block.hash,
            "postStateHash": self.block.header.state_root,
        }})
    }

    fn accounts(&self) -> Value {
        let Account { balance, nonce, .. } = self.funds;
        json!({self.payer.to_string(): {"balance": balance, "nonce": nonce, "storage": {}}})
    }

    fn transactions(&self) -> Vec<Transaction> {
        self.block.transactions.iter().map(|tx| tx.inner().clone()).collect()
    }

    fn block_rlp(&self) -> Bytes {
        rlp_of(&self.block.header, &self.transactions())
    }
}

fn payment(nonce: u64) -> Recovered<Transaction> {
    let payment = TxLegacy {
        nonce,
        gas_price: GAS_PRICE.into(),
        gas_limit: 21_000,
        to: TxKind::Call(RECIPIENT),
        value: U256::from(7),
        ..TxLegacy::default()
    };
    let hash = payment.signature_hash();
    let signature = sign_message(B256::repeat_byte(0x5e), hash).expect("a valid key");
    let payer = recover_signer(&signature, hash).expect("a true signature");
    Recovered::new_unchecked(payment.into_signed(signature).into(), payer)
}

fn rlp_of(header: &Header, transactions: &Vec<Transaction>) -> Bytes {
    let no_ommers: Vec<Header> = Vec::new();
    list(&[header, transactions, &no_ommers]).into()
}

/// The RLP of a list of `items`.
fn list(items: &[&dyn Encodable]) -> Vec<u8> {
    let mut out = Vec::new();
    alloy_rlp::encode_list::<&dyn Encodable, dyn Encodable>(items, &mut out);
    out
}
