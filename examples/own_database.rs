//! A database of one's own as the state that blocks are executed on.
//!
//! `cargo run -p warpline-engine --example own_database`

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, RwLock},
};

use alloy_consensus::{Header, Signed, TxLegacy, transaction::Recovered};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use warpline_chain::{ChainSpec, EthereumHardfork};
use warpline_engine::{Engine, EngineConfig, Ethereum, ExecutionError};
use warpline_primitives::{Account, RecoveredBlock, StateDiff, StateSource};

/// A table of bytes by key, as most databases have it. What matters is that it can be read from
/// many threads at once: the engine reads from each of its workers.
#[derive(Debug, Default)]
pub struct Table(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>);

/// Why a read failed. The engine hands it back as it is, in `ExecutionError::StateRead`, and never
/// takes it for an invalid block.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// A writer panicked.
    #[error("the table is in an unknown state")]
    Poisoned,
    /// A record is not as long as it should be.
    #[error("the record {0:02x?} is damaged")]
    Damaged(Vec<u8>),
    /// What an account or a block names is not there.
    #[error("there is no record {0:02x?}")]
    Missing(Vec<u8>),
}

impl Table {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        Ok(self.0.read().map_err(|_| TableError::Poisoned)?.get(key).cloned())
    }

    /// Writes a record, whatever it may be.
    pub fn put(&self, key: &[u8], record: &[u8]) -> Result<(), TableError> {
        self.0.write().map_err(|_| TableError::Poisoned)?.insert(key.to_vec(), record.to_vec());
        Ok(())
    }

    /// Makes the state that of the block whose changes these are, in one go: a database would use a
    /// transaction of its own where this takes the lock.
    #[expect(clippy::iter_over_hash_type, reason = "each record is written on its own")]
    pub fn apply(&self, diff: &StateDiff) -> Result<(), TableError> {
        let mut table = self.0.write().map_err(|_| TableError::Poisoned)?;
        for (hash, code) in diff.codes() {
            table.insert(key(b'c', &[hash.as_slice()]), code.to_vec());
        }
        for (address, change) in diff.accounts() {
            // All slots of one account have a prefix of their own, so that a wipe is a range.
            if change.storage_wiped {
                let prefix = key(b's', &[address.as_slice()]);
                table.retain(|key, _| !key.starts_with(&prefix));
            }
            match change.account {
                Some(account) => table.insert(account_key(*address), encode(&account)),
                None => table.remove(&account_key(*address)),
            };
            for (slot, value) in change.storage.iter() {
                let key = slot_key(*address, *slot);
                if value.is_zero() {
                    table.remove(&key);
                } else {
                    table.insert(key, value.to_be_bytes_vec());
                }
            }
        }
        Ok(())
    }
}

impl StateSource for Table {
    type Error = TableError;

    fn account(&self, address: Address) -> Result<Option<Account>, TableError> {
        let key = account_key(address);
        let Some(record) = self.get(&key)? else { return Ok(None) };
        decode(&record).map(Some).ok_or(TableError::Damaged(key))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, TableError> {
        let key = slot_key(address, slot);
        let Some(record) = self.get(&key)? else { return Ok(U256::ZERO) };
        U256::try_from_be_slice(&record).ok_or(TableError::Damaged(key))
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, TableError> {
        let key = key(b'c', &[code_hash.as_slice()]);
        self.get(&key)?.map(Bytes::from).ok_or(TableError::Missing(key))
    }

    fn block_hash(&self, number: u64) -> Result<B256, TableError> {
        let key = key(b'b', &[&number.to_be_bytes()]);
        let record = self.get(&key)?.ok_or_else(|| TableError::Missing(key.clone()))?;
        B256::try_from(&record[..]).map_err(|_| TableError::Damaged(key))
    }
}

fn key(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[kind], parts.concat().as_slice()].concat()
}

/// Where the account at `address` is kept.
pub fn account_key(address: Address) -> Vec<u8> {
    key(b'a', &[address.as_slice()])
}

fn slot_key(address: Address, slot: U256) -> Vec<u8> {
    key(b's', &[address.as_slice(), &slot.to_be_bytes::<32>()])
}

fn encode(account: &Account) -> Vec<u8> {
    let balance = account.balance.to_be_bytes::<32>();
    [&balance[..], &account.nonce.to_be_bytes(), account.code_hash.as_slice()].concat()
}

fn decode(record: &[u8]) -> Option<Account> {
    let (balance, rest) = record.split_at_checked(32)?;
    let (nonce, code_hash) = rest.split_at_checked(8)?;
    Some(Account {
        balance: U256::from_be_slice(balance),
        nonce: u64::from_be_bytes(nonce.try_into().ok()?),
        code_hash: B256::try_from(code_hash).ok()?,
    })
}

/// Who pays.
pub const ALICE: Address = Address::repeat_byte(0xa1);
/// Who is paid.
pub const BOB: Address = Address::repeat_byte(0xb0);

/// Executes two blocks on a table, each on what the one before left, and a third after Bob's
/// record was damaged. Returns the table and what became of the third.
pub fn run() -> Result<(Arc<Table>, ExecutionError<TableError>), Box<dyn Error>> {
    let chain = ChainSpec::at_fork(EthereumHardfork::Shanghai, 1);
    let engine = Engine::new(Ethereum::new(chain), EngineConfig::default())?;
    let table = Arc::new(Table::default());
    let rich = Account { balance: U256::from(100), ..Account::default() };
    table.put(&account_key(ALICE), &encode(&rich))?;

    for number in 0..2 {
        // `&S`, `Arc<S>` and `Box<S>` are sources where `S` is one, `S` being a `dyn` or not.
        let output = engine.execute(&payment(number), &table)?;
        table.apply(&output.state)?;
    }

    table.put(&account_key(BOB), b"not an account")?;
    let failure = engine.execute(&payment(2), &table).err().ok_or("a damaged record was read")?;
    Ok((table, failure))
}

/// A block in which Alice pays Bob.
fn payment(nonce: u64) -> RecoveredBlock {
    let to = TxKind::Call(BOB);
    let tx = TxLegacy { nonce, to, value: U256::from(7), gas_limit: 21_000, ..TxLegacy::default() };
    let signed = Signed::new_unchecked(tx, Signature::test_signature(), B256::ZERO);
    RecoveredBlock {
        header: Header {
            number: nonce,
            gas_limit: 30_000_000,
            base_fee_per_gas: Some(0),
            ..Header::default()
        },
        hash: B256::ZERO,
        transactions: vec![Recovered::new_unchecked(signed.into(), ALICE)],
        ommers: Vec::new(),
        withdrawals: None,
    }
}

#[expect(clippy::print_stdout, reason = "an example says what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let (table, failure) = run()?;
    println!("Alice: {:?}", table.account(ALICE)?);
    println!("then: {failure}");
    Ok(())
}
