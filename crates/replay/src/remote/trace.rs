//! The state before a block, from what the `prestateTracer` says that each transaction found.
//!
//! Of every account and slot the first value in block order is the one from before the block, with three exceptions:
//!
//! - Tracers leave out accounts that were empty. One that the block itself brought into being shows up first in a
//!   later transaction, as if it had always been there. Some leave out the beneficiary, too, until somebody looks at
//!   it. So whoever does not show up in the first transaction is looked up in the state before the block.
//! - What happens around the transactions is not traced: fees and rewards, withdrawals, and the system calls, which
//!   have changed their contracts before the first transaction.
//! - The code that a delegation (EIP-7702) leads to is left out by some.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::atomic::Ordering,
};

use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use serde::Deserialize;
use serde_json::json;
use warpline_chain::EthereumHardforks;
use warpline_primitives::Account;

use super::{
    BlockHead, FetchError, JsonRpc, RemoteNode, RpcFault, block::Fetched, hex, parent::ParentReader,
};
use crate::{Capture, CapturedAccount, CapturedState, json::Quantity};

/// What a transaction found.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TxTrace {
    tx_hash: Option<B256>,
    result: Option<BTreeMap<Address, TracedAccount>>,
    error: Option<String>,
}

/// What is left out is zero.
#[derive(Deserialize)]
struct TracedAccount {
    balance: Option<U256>,
    nonce: Option<Quantity>,
    code: Option<Bytes>,
    #[serde(default)]
    storage: BTreeMap<U256, U256>,
}

/// The slots of the queues of requests (EIP-7002, EIP-7251): excess, count, head and tail, then the entries.
const QUEUE_HEAD: usize = 2;
const QUEUE_TAIL: usize = 3;
const QUEUE_OFFSET: u64 = 4;

/// A queue: its contract, the slots of an entry, and how many entries a block takes from it at most.
const QUEUES: [(Address, u64, u64); 2] = [
    (WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, 3, 16),
    (CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, 4, 2),
];

/// The length of the ring of EIP-4788, whose second half has the roots, and that of EIP-2935.
const RING: u64 = 8191;

/// How the code of a delegation begins; an address follows (EIP-7702).
const DELEGATION: [u8; 3] = [0xef, 0x01, 0x00];

/// As long a trace of one transaction may take. The nodes' own default is five seconds.
const TRACE_TIMEOUT: &str = "120s";

impl<R: JsonRpc> RemoteNode<R> {
    /// What each transaction of the block found, or why the node does not say.
    pub(super) fn traces(
        &self,
        head: &BlockHead,
        transactions: usize,
    ) -> Result<Result<Vec<TxTrace>, RpcFault>, FetchError> {
        if transactions == 0 {
            return Ok(Ok(Vec::new()));
        }
        let how = json!({"tracer": "prestateTracer", "timeout": TRACE_TIMEOUT});
        if self.offers.trace_by_hash.load(Ordering::Relaxed) {
            match self.ask("debug_traceBlockByHash", json!([head.hash, how])) {
                Ok(traces) => return Ok(Ok(traces)),
                Err(error) => {
                    let fault = error.into_fault(&self.offers.trace_by_hash)?;
                    if !fault.is_method_missing() {
                        return Ok(Err(fault));
                    }
                }
            }
        }
        match self.ask("debug_traceBlockByNumber", json!([hex(head.header.number), how])) {
            Ok(traces) => Ok(Ok(traces)),
            Err(FetchError::Refused { fault, .. }) => Ok(Err(fault)),
            Err(error) => Err(error),
        }
    }

    /// Makes a capture of a block and its traces.
    pub(super) fn with_traces(
        &self,
        head: &BlockHead,
        block: Fetched,
        traces: Vec<TxTrace>,
    ) -> Result<Capture, FetchError> {
        let number = head.header.number;
        if self.chain.is_dao_block(number) {
            return Err(FetchError::DaoBlock { number });
        }
        let mut state = Merged::default();
        state.add_all(number, &block.transaction_hashes, traces)?;
        let parent = ParentReader { node: self, number: number - 1 };
        state.look_up_late_ones(&parent)?;
        let system = self.system_contracts(head);
        let around = [head.header.beneficiary].into_iter().chain(block.credited);
        let around: BTreeSet<_> =
            around.chain(system.iter().map(|(address, _)| *address)).collect();
        state.look_up(&parent, around)?;
        state.look_up(&parent, state.delegates())?;
        for (address, slots) in system {
            state.look_up_slots(&parent, address, &slots)?;
        }
        if self.chain.is_prague_active_at_timestamp(head.header.timestamp) {
            for (address, words, most) in QUEUES {
                state.look_up_queue(&parent, address, words, most)?;
            }
        }
        let may_ask = !state.codes.is_empty() || block.has_creations;
        let block_hashes = if may_ask {
            self.block_hashes(head)?
        } else {
            [(number - 1, head.header.parent_hash)].into()
        };
        Ok(Capture {
            chain: self.rules_for(head),
            block: block.rlp,
            ommer_hashes: Vec::new(),
            parent_header: Some(self.parent_header(head)?.header),
            state: CapturedState::Snapshot(state.accounts()),
            codes: state.codes.into_values().collect(),
            block_hashes,
            access_list: None,
        })
    }

    /// The contracts that are called around the transactions, with the slots of theirs that the block names.
    fn system_contracts(&self, head: &BlockHead) -> Vec<(Address, Vec<U256>)> {
        let (number, timestamp) = (head.header.number, head.header.timestamp);
        let mut contracts = Vec::new();
        if self.chain.is_cancun_active_at_timestamp(timestamp) {
            let at = timestamp % RING;
            let slots = [at, at + RING].map(U256::from).to_vec();
            contracts.push((BEACON_ROOTS_ADDRESS, slots));
        }
        if self.chain.is_prague_active_at_timestamp(timestamp) {
            let slots = vec![U256::from((number - 1) % RING)];
            contracts.push((HISTORY_STORAGE_ADDRESS, slots));
            contracts.extend(QUEUES.map(|(address, ..)| (address, Vec::new())));
        }
        contracts
    }
}

/// What is known of the state before the block.
#[derive(Default)]
struct Merged {
    seen: BTreeMap<Address, Seen>,
    codes: BTreeMap<B256, Bytes>,
}

struct Seen {
    /// The transaction that showed it first.
    by: usize,
    account: Account,
    storage: BTreeMap<U256, U256>,
}

impl Merged {
    fn add_all(
        &mut self,
        number: u64,
        transactions: &[B256],
        traces: Vec<TxTrace>,
    ) -> Result<(), FetchError> {
        let other = FetchError::OtherTraces { number, transactions: transactions.len() };
        if traces.len() != transactions.len() {
            return Err(other);
        }
        for (index, (expected, trace)) in transactions.iter().zip(traces).enumerate() {
            if trace.tx_hash.is_some_and(|hash| hash != *expected) {
                return Err(other);
            }
            let Some(found) = trace.result else {
                let reason = trace.error.unwrap_or_else(|| "no reason given".to_owned());
                return Err(FetchError::Trace { number, index, reason });
            };
            for (address, account) in found {
                self.add(index, address, account);
            }
        }
        Ok(())
    }

    /// Takes what was not known before.
    fn add(&mut self, by: usize, address: Address, traced: TracedAccount) {
        let seen = match self.seen.entry(address) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let account = Account {
                    balance: traced.balance.unwrap_or_default(),
                    nonce: traced.nonce.map_or(0, |nonce| nonce.0),
                    code_hash: with_code(&mut self.codes, traced.code.unwrap_or_default()),
                };
                entry.insert(Seen { by, account, storage: BTreeMap::new() })
            }
        };
        for (slot, value) in traced.storage {
            seen.storage.entry(slot).or_insert(value);
        }
    }

    /// Gives whoever did not show up at once what it had before the block, and drops who was not there.
    fn look_up_late_ones<R: JsonRpc>(
        &mut self,
        parent: &ParentReader<'_, R>,
    ) -> Result<(), FetchError> {
        let late: Vec<_> =
            self.seen.iter().filter(|(_, seen)| seen.by > 0).map(|(address, _)| *address).collect();
        let accounts = parent.accounts(&late)?;
        let (mut with_code, mut gone) = (Vec::new(), Vec::new());
        for (address, (balance, nonce)) in late.into_iter().zip(accounts) {
            let Some(seen) = self.seen.get_mut(&address) else { continue };
            seen.account = Account { balance, nonce, ..seen.account };
            match (seen.account.has_code(), balance.is_zero() && nonce == 0) {
                (_, false) => {}
                (false, true) => gone.push(address),
                // Before Spurious Dragon contracts had nonce 0, so it takes their code to tell.
                (true, true) => with_code.push(address),
            }
        }
        let codes = parent.codes(&with_code)?;
        let codeless = with_code.into_iter().zip(codes).filter(|(_, code)| code.is_empty());
        gone.extend(codeless.map(|(address, _)| address));
        for address in gone {
            self.seen.remove(&address);
        }
        Ok(())
    }

    /// Looks up whichever of these accounts no transaction has shown.
    fn look_up<R: JsonRpc>(
        &mut self,
        parent: &ParentReader<'_, R>,
        addresses: BTreeSet<Address>,
    ) -> Result<(), FetchError> {
        let missing: Vec<_> =
            addresses.into_iter().filter(|address| !self.seen.contains_key(address)).collect();
        let accounts = parent.accounts(&missing)?;
        let codes = parent.codes(&missing)?;
        for ((address, (balance, nonce)), code) in missing.into_iter().zip(accounts).zip(codes) {
            let account = Account { balance, nonce, code_hash: with_code(&mut self.codes, code) };
            self.seen.insert(address, Seen { by: 0, account, storage: BTreeMap::new() });
        }
        Ok(())
    }

    /// The accounts whose code runs for delegations.
    fn delegates(&self) -> BTreeSet<Address> {
        let target = |code: &Bytes| {
            let target = code.strip_prefix(&DELEGATION)?;
            Address::try_from(target).ok()
        };
        self.codes.values().filter_map(target).collect()
    }

    /// Looks up slots, whatever transactions have shown of them.
    fn look_up_slots<R: JsonRpc>(
        &mut self,
        parent: &ParentReader<'_, R>,
        address: Address,
        slots: &[U256],
    ) -> Result<Vec<U256>, FetchError> {
        let values = parent.slots(address, slots)?;
        if let Some(seen) = self.seen.get_mut(&address) {
            seen.storage.extend(slots.iter().copied().zip(values.iter().copied()));
        }
        Ok(values)
    }

    /// Looks up the entries of a queue that the end of the block may take.
    fn look_up_queue<R: JsonRpc>(
        &mut self,
        parent: &ParentReader<'_, R>,
        address: Address,
        words: u64,
        most: u64,
    ) -> Result<(), FetchError> {
        let fixed: Vec<_> = (0..QUEUE_OFFSET).map(U256::from).collect();
        let values = self.look_up_slots(parent, address, &fixed)?;
        let (head, tail) = (values[QUEUE_HEAD], values[QUEUE_TAIL]);
        let waiting: u64 = tail.saturating_sub(head).min(U256::from(most)).saturating_to();
        let first = head.wrapping_mul(U256::from(words)).wrapping_add(U256::from(QUEUE_OFFSET));
        let slots: Vec<_> =
            (0..waiting * words).map(|slot| first.wrapping_add(U256::from(slot))).collect();
        self.look_up_slots(parent, address, &slots)?;
        Ok(())
    }

    /// The accounts that exist. An empty one is the same as none since Spurious Dragon, and before it no tracer
    /// tells the two apart.
    fn accounts(&self) -> BTreeMap<Address, CapturedAccount> {
        let existing = self.seen.iter().filter(|(_, seen)| !seen.account.is_empty());
        let account = |(address, seen): (&Address, &Seen)| {
            let Seen { account, storage, .. } = seen;
            (*address, CapturedAccount { account: *account, storage: storage.clone() })
        };
        existing.map(account).collect()
    }
}

/// Adds a code and returns its hash.
fn with_code(codes: &mut BTreeMap<B256, Bytes>, code: Bytes) -> B256 {
    if code.is_empty() {
        return Account::default().code_hash;
    }
    let hash = keccak256(&code);
    codes.insert(hash, code);
    hash
}
