//! The beginning of a chain: its rules, its first header, and the state it starts from.
//!
//! A genesis file in geth's format says all three. [`Genesis::from_json`] reads it as geth does where geth
//! is lenient: member names in any case, numbers in hexadecimal, in decimal strings or as JSON numbers,
//! addresses with or without `0x`, members left out, members nobody knows. It is strict where a
//! misunderstanding would only show thousands of blocks later: a fork whose name means nothing here, forks in
//! an impossible order, an account listed twice.
//!
//! The state root is for whoever has a trie: [`Genesis::header`] takes it.

mod config;
mod error;
mod json;
mod mainnet;

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{
    Header,
    constants::{EMPTY_WITHDRAWALS, KECCAK_EMPTY},
};
use alloy_eips::{eip1559::INITIAL_BASE_FEE, eip7685::EMPTY_REQUESTS_HASH};
use alloy_primitives::{Address, B64, B256, Bytes, U256, b256, keccak256};
use warpline_primitives::{Account, AccountDiff, MemoryState, StateDiff};

pub use error::{GenesisError, MemberPath, MemberProblem};

use crate::{ChainSpec, EthereumHardfork, EthereumHardforks};
use json::Object;

/// The gas limit of a genesis block that names none.
const DEFAULT_GAS_LIMIT: u64 = 4_712_388;

/// The difficulty of a proof-of-work genesis block that names none.
const DEFAULT_DIFFICULTY: U256 = U256::from_limbs([131_072, 0, 0, 0]);

/// The hash of a block access list without entries: Keccak-256 of an empty RLP list.
const EMPTY_ACCESS_LIST_HASH: B256 =
    b256!("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");

/// How a chain begins.
///
/// ```
/// use warpline_chain::{EthereumHardfork, Genesis};
///
/// let genesis = Genesis::from_json(
///     br#"{
///         "config": {"chainId": 1337, "homesteadBlock": 0, "eip150Block": "0x5"},
///         "difficulty": "131072",
///         "alloc": {"00000000000000000000000000000000000000a1": {"balance": "0x7"}}
///     }"#,
/// )?;
/// assert_eq!(genesis.chain().fork_at(5, 0), EthereumHardfork::Tangerine);
/// assert_eq!(genesis.alloc().len(), 1);
/// # Ok::<(), warpline_chain::GenesisError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Genesis {
    chain: Arc<ChainSpec>,
    /// Complete but for the state root.
    header: Header,
    alloc: BTreeMap<Address, GenesisAccount>,
}

/// An account that exists from the beginning, even if it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// Balance in wei.
    pub balance: U256,
    /// Nonce.
    pub nonce: u64,
    /// Code; empty for none.
    pub code: Bytes,
    /// The storage slots that are not zero.
    pub storage: BTreeMap<U256, U256>,
}

impl Genesis {
    /// Reads a genesis file in geth's format.
    ///
    /// `config` with its `chainId` must be there, and everything else may be left out: numbers and hashes are
    /// then zero, a gas limit 4,712,388, and the difficulty 131,072 if `config` has `ethash`. Forks that are
    /// left out never begin, except that Petersburg comes with Constantinople. Blob counts that are left out
    /// are mainnet's, provided that none are listed at all. A deposit contract that is left out, or is the
    /// zero address, makes no deposits. Fields of the header that its fork does not have are ignored.
    ///
    /// # Errors
    /// When the file is no JSON, a member does not hold what it must, or the forks make no chain that can be
    /// followed here.
    pub fn from_json(json: &[u8]) -> Result<Self, GenesisError> {
        let file = Object::document(json)?;
        let Some(config) = file.object("config")? else {
            return Err(file.fail("config", MemberProblem::Missing));
        };
        let difficulty = file
            .number("difficulty")?
            .unwrap_or_else(|| if config.has("ethash") { DEFAULT_DIFFICULTY } else { U256::ZERO });
        let chain = config::chain(&config, difficulty)?;
        if file.number("number")?.is_some_and(|number| !number.is_zero()) {
            return Err(file.fail("number", MemberProblem::NotZero));
        }
        let header = Header {
            parent_hash: file.hash("parentHash")?.unwrap_or_default(),
            beneficiary: file.address("coinbase")?.unwrap_or_default(),
            difficulty,
            gas_limit: match file.u64("gasLimit")?.unwrap_or_default() {
                0 => DEFAULT_GAS_LIMIT,
                limit => limit,
            },
            gas_used: file.u64("gasUsed")?.unwrap_or_default(),
            timestamp: file.u64("timestamp")?.unwrap_or_default(),
            extra_data: file.bytes("extraData")?.unwrap_or_default(),
            mix_hash: file.hash("mixHash")?.unwrap_or_default(),
            nonce: B64::from(file.u64("nonce")?.unwrap_or_default()),
            base_fee_per_gas: file.u64("baseFeePerGas")?,
            excess_blob_gas: file.u64("excessBlobGas")?,
            blob_gas_used: file.u64("blobGasUsed")?,
            ..Header::default()
        };
        let header = with_fields_of_fork(header, &chain);
        let mut alloc = BTreeMap::new();
        if let Some(accounts) = file.object("alloc")? {
            for (name, address, account) in accounts.accounts()? {
                if alloc.insert(address, genesis_account(&account)?).is_some() {
                    return Err(accounts.fail(name, MemberProblem::Duplicate));
                }
            }
        }
        Ok(Self { chain: Arc::new(chain), header, alloc })
    }

    /// Ethereum mainnet.
    pub fn mainnet() -> Self {
        let header = with_fields_of_fork(mainnet::header(), &ChainSpec::mainnet());
        Self { chain: Arc::new(ChainSpec::mainnet()), header, alloc: mainnet::alloc() }
    }

    /// The chain's rules. Where a total difficulty that the genesis block does not reach decides the merge, it
    /// is [unresolved](ChainSpec::unresolved_terminal_difficulty).
    pub const fn chain(&self) -> &Arc<ChainSpec> {
        &self.chain
    }

    /// The genesis block's header, given the root of [`alloc`](Self::alloc). Its difficulty is the total
    /// difficulty that the chain begins with.
    pub fn header(&self, state_root: B256) -> Header {
        Header { state_root, ..self.header.clone() }
    }

    /// The accounts that exist from the beginning, by address.
    pub const fn alloc(&self) -> &BTreeMap<Address, GenesisAccount> {
        &self.alloc
    }

    /// [`alloc`](Self::alloc) as a state that can be read.
    pub fn state(&self) -> MemoryState {
        let mut state = MemoryState::default();
        state.apply(&self.changes());
        state
    }

    /// [`alloc`](Self::alloc) as the changes of a state that was empty before.
    pub fn changes(&self) -> StateDiff {
        let mut diff = StateDiff::with_capacity(self.alloc.len());
        for (address, account) in &self.alloc {
            let account_after = account.account();
            if account_after.has_code() {
                diff.insert_code(account_after.code_hash, account.code.clone());
            }
            let storage = account.storage.iter().map(|(slot, value)| (*slot, *value)).collect();
            let account = Some(account_after);
            diff.insert_account(*address, AccountDiff { account, storage_wiped: false, storage });
        }
        diff
    }
}

impl GenesisAccount {
    /// The account without code and storage.
    pub fn account(&self) -> Account {
        let code_hash =
            if self.code.is_empty() { KECCAK_EMPTY } else { keccak256(self.code.as_ref()) };
        Account { balance: self.balance, nonce: self.nonce, code_hash }
    }
}

/// Gives `header` the fields that `chain` has at its height and time, and takes off the others.
fn with_fields_of_fork(mut header: Header, chain: &ChainSpec) -> Header {
    let active = |fork| {
        let condition = chain.ethereum_fork_activation(fork);
        condition.active_at_timestamp_or_number(header.timestamp, header.number)
    };
    let london = active(EthereumHardfork::London);
    let shanghai = active(EthereumHardfork::Shanghai);
    let cancun = active(EthereumHardfork::Cancun);
    let prague = active(EthereumHardfork::Prague);
    let lists = chain.block_access_lists_at(header.timestamp);
    let base_fee = header.base_fee_per_gas.unwrap_or(INITIAL_BASE_FEE);
    header.base_fee_per_gas = london.then_some(base_fee);
    header.withdrawals_root = shanghai.then_some(EMPTY_WITHDRAWALS);
    header.blob_gas_used = cancun.then_some(header.blob_gas_used.unwrap_or_default());
    header.excess_blob_gas = cancun.then_some(header.excess_blob_gas.unwrap_or_default());
    header.parent_beacon_block_root = cancun.then_some(B256::ZERO);
    header.requests_hash = prague.then_some(EMPTY_REQUESTS_HASH);
    header.block_access_list_hash = lists.then_some(EMPTY_ACCESS_LIST_HASH);
    header
}

fn genesis_account(account: &Object<'_>) -> Result<GenesisAccount, GenesisError> {
    let mut storage = BTreeMap::new();
    if let Some(slots) = account.object("storage")? {
        for (slot, value) in slots.words()? {
            storage.insert(slot, value);
        }
        storage.retain(|_, value| !value.is_zero());
    }
    Ok(GenesisAccount {
        balance: account.number("balance")?.unwrap_or_default(),
        nonce: account.u64("nonce")?.unwrap_or_default(),
        code: account.bytes("code")?.unwrap_or_default(),
        storage,
    })
}
