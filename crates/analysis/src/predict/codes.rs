//! Contracts' code by hash, analysed: as many as there is room for.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use alloy_primitives::{Address, B256};
use warpline_primitives::{Account, StateSource};

use crate::bytecode::{Access, Call, Contract, Entry};

/// How many contracts are kept, and how many accesses and calls of each. Bodies that functions share
/// count for each of them.
const MAX_CONTRACTS: usize = 1024;
const MAX_SITES: usize = 1 << 14;
/// How much work goes into analysing code that a block is the first to call, in symbolic instructions; a
/// block full of new contracts is predicted in part.
const BLOCK_STEPS: u64 = 60_000_000;
/// What the code of an account begins with that runs the code of another (EIP-7702).
const DELEGATION: [u8; 3] = [0xef, 0x01, 0x00];

/// Whose code runs, and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) code_hash: B256,
    /// Another account whose code it is, if it is.
    pub(super) delegate: Option<Address>,
    pub(super) contract: Arc<Trimmed>,
}

/// What is kept of a contract: who answers which calls, in order, the last all others.
#[derive(Debug, Default)]
pub(super) struct Trimmed {
    functions: Vec<Function>,
    /// What the analysis took.
    steps: u64,
}

/// What is kept of a function.
#[derive(Debug)]
pub(super) struct Function {
    entry: Entry,
    pub(super) accesses: Vec<Access>,
    pub(super) calls: Vec<Call>,
}

impl Trimmed {
    fn of(code: &[u8]) -> Self {
        let contract = Contract::analyze(code);
        let mut left = MAX_SITES;
        let functions = contract.functions.into_iter().map(|function| {
            let mut kept = Function {
                entry: function.entry,
                accesses: function.accesses,
                calls: function.calls,
            };
            kept.accesses.truncate(left);
            left -= kept.accesses.len();
            kept.calls.truncate(left);
            left -= kept.calls.len();
            kept
        });
        Self { functions: functions.collect(), steps: contract.steps }
    }

    /// The function that answers a call with this call data.
    pub(super) fn function_of(&self, calldata: &[u8]) -> Option<&Function> {
        let entry = match calldata.first_chunk() {
            _ if calldata.is_empty() => Entry::Receive,
            Some(selector) => Entry::Selector(*selector),
            None => Entry::Fallback,
        };
        let found = self.functions.binary_search_by_key(&entry, |function| function.entry);
        found.map_or(self.functions.last(), |at| self.functions.get(at))
    }
}

/// A cache of analysed code. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Codes(Arc<Mutex<Cache>>);

#[derive(Debug, Default)]
struct Cache {
    /// By hash, each with when it was asked for last.
    contracts: BTreeMap<B256, (u64, Arc<Trimmed>)>,
    asked: u64,
    /// The work that may still go into this block.
    steps_left: u64,
}

impl Codes {
    /// Another block begins.
    pub(super) fn begin_block(&self) {
        self.cache().steps_left = BLOCK_STEPS;
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What runs where `address` is called; `None` where nothing does, or the state does not say.
    pub(super) fn at<S: StateSource>(&self, address: Address, state: &S) -> Option<Known> {
        let account = state.account(address).ok()?.filter(Account::has_code)?;
        if let Some(contract) = self.find(&account.code_hash) {
            return Some(Known { code_hash: account.code_hash, delegate: None, contract });
        }
        let code = state.code(account.code_hash).ok()?;
        if self.cache().steps_left == 0 && !code.starts_with(&DELEGATION) {
            return None;
        }
        let Some(delegate) = code.strip_prefix(&DELEGATION) else {
            let contract = self.keep(account.code_hash, Trimmed::of(&code));
            return Some(Known { code_hash: account.code_hash, delegate: None, contract });
        };
        let delegate = Address::try_from(delegate).ok()?;
        let account = state.account(delegate).ok()?.filter(Account::has_code)?;
        let code_hash = account.code_hash;
        let contract = match self.find(&code_hash) {
            Some(contract) => contract,
            None if self.cache().steps_left == 0 => return None,
            None => self.keep(code_hash, Trimmed::of(&state.code(code_hash).ok()?)),
        };
        Some(Known { code_hash, delegate: Some(delegate), contract })
    }

    fn find(&self, hash: &B256) -> Option<Arc<Trimmed>> {
        let mut cache = self.cache();
        cache.asked += 1;
        let asked = cache.asked;
        let (last, contract) = cache.contracts.get_mut(hash)?;
        *last = asked;
        Some(Arc::clone(contract))
    }

    fn keep(&self, hash: B256, contract: Trimmed) -> Arc<Trimmed> {
        let contract = Arc::new(contract);
        let mut cache = self.cache();
        let Cache { contracts, asked, steps_left } = &mut *cache;
        *steps_left = steps_left.saturating_sub(contract.steps.max(1));
        if contracts.len() >= MAX_CONTRACTS {
            let oldest = contracts.iter().min_by_key(|(_, (last, _))| *last);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                contracts.remove(&oldest);
            }
        }
        contracts.insert(hash, (*asked, Arc::clone(&contract)));
        contract
    }
}
