//! What a block needs of the state before it: `debug_executionWitness`.
//!
//! The block is executed on the trie of its parent's state, which asks for every node that a read or the
//! new root needs. Those nodes, the codes that were run or looked at, and the headers of ancestors are
//! enough to execute the block elsewhere, and to prove the state root after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    sync::Arc,
};

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_debug::ExecutionWitness;
use parking_lot::Mutex;
use warpline_chain::EthereumHardforks as _;
use warpline_engine::{Engine, EngineConfig, ExecuteOptions, ExecutionError, Strategy};
use warpline_primitives::{Account, CommitObserver, RecoveredBlock, StateDiff, StateSource};
use warpline_replay::TransactionRoots;
use warpline_storage::{StateView, StorageError};
use warpline_trie::{EMPTY_ROOT_HASH, Recorder, StateTrie};

use super::{
    RpcError, blocks,
    context::Call,
    error::Inconsistency,
    execution::{Parent, block_with_parent},
    methods::Registry,
    pool::Deadline,
};

pub(super) fn register(methods: &mut Registry) {
    methods
        .heavy("debug_executionWitness", execution_witness)
        .heavy("debug_executionWitnessByBlockHash", execution_witness_by_hash);
}

fn execution_witness(call: &Call, (id,): (BlockId,)) -> Result<ExecutionWitness, RpcError> {
    let (block, parent) = block_with_parent(call, id)?;
    witness(&block, &parent, call.deadline)
}

fn execution_witness_by_hash(call: &Call, (hash,): (B256,)) -> Result<ExecutionWitness, RpcError> {
    execution_witness(call, (hash.into(),))
}

fn witness(
    block: &RecoveredBlock,
    parent: &Parent,
    deadline: Deadline,
) -> Result<ExecutionWitness, RpcError> {
    let Parent { state, engine } = parent;
    let recorder = Arc::new(Recorder::new(Arc::new(state.clone())));
    let mut trie = StateTrie::from_source(state.root(), Arc::clone(&recorder) as _);
    // Other threads are for blocks that come in.
    trie.set_parallel(false);
    let source = Noting { trie: trie.clone(), state, deadline, noted: Mutex::default() };
    // Receipts of old held roots, and who proves those needs nodes for each of them.
    let is_old = !engine.vm().spec().is_byzantium_active_at_block(block.header.number);
    let mut roots = TransactionRoots::new(trie.clone());
    let mut options = ExecuteOptions::from(Strategy::Sequential);
    if is_old {
        options = options.observed_by(&mut roots as &mut dyn CommitObserver);
    }
    // One without code in its cache, for it has to ask for all there is, and without other threads.
    let engine = Engine::new(engine.vm().clone(), EngineConfig::with_threads(1));
    let engine = engine.map_err(|_| RpcError::Busy)?;
    let output =
        engine.execute_with(block, &source, options).map_err(|error| why(error, deadline))?;
    // Who earns nothing is not read here, but is by those who pay after each transaction.
    source.account(block.header.beneficiary)?;
    trie.apply(&output.state).map_err(StorageError::from)?;
    let (expected, found) = (block.header.state_root, trie.root());
    if expected != found {
        let problem = Inconsistency::StateRoot { expected, found };
        return Err(RpcError::Inconsistent { number: block.header.number, problem });
    }
    let mut noted = source.noted.into_inner();
    noted.change(&output.state);
    Ok(ExecutionWitness {
        state: recorder.take(),
        codes: noted.codes.into_values().collect(),
        headers: headers(state, noted.oldest)?,
        keys: keys(noted.keys),
    })
}

/// The addresses, each before the slots of its account.
fn keys(keys: BTreeMap<Address, BTreeSet<U256>>) -> Vec<Bytes> {
    let of_account = |(address, slots): (Address, BTreeSet<U256>)| {
        let slots = slots.into_iter().map(|slot| Bytes::from(slot.to_be_bytes::<32>()));
        iter::once(Bytes::from(address.into_array())).chain(slots)
    };
    keys.into_iter().flat_map(of_account).collect()
}

/// The headers up to that after which `state` is, from the `oldest` on whose hash was asked for.
fn headers(state: &StateView, oldest: Option<u64>) -> Result<Vec<Bytes>, RpcError> {
    let oldest = oldest.unwrap_or(u64::MAX).min(state.number());
    let rlp = |number| {
        let header = blocks::header(state.view(), number)?;
        Ok(alloy_rlp::encode(header.header).into())
    };
    (oldest..=state.number()).map(rlp).collect()
}

/// What was asked for.
#[derive(Debug, Default)]
struct Noted {
    keys: BTreeMap<Address, BTreeSet<U256>>,
    codes: BTreeMap<B256, Bytes>,
    /// The oldest block whose hash was asked for.
    oldest: Option<u64>,
}

impl Noted {
    /// Notes what was changed, too: not all of it is read before.
    fn change(&mut self, changes: &StateDiff) {
        for (address, account) in changes.accounts() {
            self.keys.entry(*address).or_default().extend(account.storage.keys().copied());
        }
    }
}

/// A state that is read from its trie, and notes what is asked for.
struct Noting<'s> {
    trie: StateTrie,
    state: &'s StateView,
    deadline: Deadline,
    noted: Mutex<Noted>,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Late(RpcError),
}

impl From<warpline_trie::TrieError> for ReadError {
    fn from(error: warpline_trie::TrieError) -> Self {
        Self::Storage(error.into())
    }
}

impl StateSource for Noting<'_> {
    type Error = ReadError;

    fn account(&self, address: Address) -> Result<Option<Account>, ReadError> {
        self.deadline.check().map_err(ReadError::Late)?;
        self.noted.lock().keys.entry(address).or_default();
        Ok(self.trie.account(address)?)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, ReadError> {
        self.deadline.check().map_err(ReadError::Late)?;
        self.noted.lock().keys.entry(address).or_default().insert(slot);
        Ok(self.trie.storage(address, slot)?)
    }

    fn has_storage(&self, address: Address) -> Result<bool, ReadError> {
        Ok(self.trie.storage_root(address)? != EMPTY_ROOT_HASH)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, ReadError> {
        let code = self.state.code(code_hash)?;
        self.noted.lock().codes.insert(code_hash, code.clone());
        Ok(code)
    }

    fn block_hash(&self, number: u64) -> Result<B256, ReadError> {
        let mut noted = self.noted.lock();
        noted.oldest = Some(noted.oldest.map_or(number, |oldest| oldest.min(number)));
        Ok(self.state.block_hash(number)?)
    }
}

impl From<ReadError> for RpcError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Storage(error) => error.into(),
            ReadError::Late(error) => error,
        }
    }
}

/// Why a block was not executed to its end.
fn why(error: ExecutionError<ReadError>, deadline: Deadline) -> RpcError {
    let error = match error {
        ExecutionError::StateRead(error) => return error.into(),
        ExecutionError::InvalidBlock(error) => ExecutionError::InvalidBlock(error),
        ExecutionError::EngineBug(bug) => ExecutionError::EngineBug(bug),
        ExecutionError::Cancelled => ExecutionError::Cancelled,
    };
    RpcError::of_call(error.into(), deadline)
}
