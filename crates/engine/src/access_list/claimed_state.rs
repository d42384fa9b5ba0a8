//! The state before a step, as an access list claims it.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloy_primitives::{Address, B256, Bytes, U256};
use revm::{
    Database, bytecode::Bytecode, context::DBErrorMarker, primitives::KECCAK_EMPTY,
    state::AccountInfo,
};
use warpline_primitives::{Account, StateSource};

use super::Claims;
use crate::{
    BlockVm,
    execute::Job,
    memory::{AccountRef, Loaded, Memory, Reader},
    vm::{account_id, info_of, load},
};

/// What the parent state has and what the list claims on top. The memory serves as a cache of the
/// parent state: nothing is written to it while the block executes.
pub(super) struct ClaimedState<'r, S> {
    pub(super) claims: &'r Claims<'r>,
    pub(super) memory: &'r Memory,
    pub(super) source: &'r S,
}

/// Sees the parent state only.
const PARENT: Reader = Reader { below: 0, register: None };

impl<S: StateSource> ClaimedState<'_, S> {
    /// An account in the parent state, and its entry in the memory.
    pub(super) fn entry(
        &self,
        address: Address,
    ) -> Result<(AccountRef, Option<Account>), S::Error> {
        let seen = self.memory.account(address, PARENT, || load(self.source, address))?;
        Ok((seen.at, seen.account))
    }

    /// An account in the parent state.
    pub(super) fn parent(&self, address: Address) -> Result<Loaded, S::Error> {
        let seen = self.memory.account(address, PARENT, || load(self.source, address))?;
        Ok(Loaded { account: seen.account, has_storage: seen.has_storage })
    }

    /// An account before `step`.
    pub(super) fn account(&self, step: u64, address: Address) -> Result<Loaded, S::Error> {
        let mut loaded = self.parent(address)?;
        if let Some(claimed) = self.claims.account(&address) {
            loaded.account = claimed.before(step, loaded.account);
        }
        Ok(loaded)
    }

    /// A slot before `step`.
    fn slot(&self, step: u64, address: Address, slot: U256) -> Result<U256, S::Error> {
        let claimed = self.claims.account(&address);
        if let Some(value) = claimed.and_then(|claimed| claimed.slot_before(&slot, step)) {
            return Ok(value);
        }
        let seen = self.memory.account(address, PARENT, || load(self.source, address))?;
        if seen.account.is_none() {
            return Ok(U256::ZERO);
        }
        let load = || self.source.storage(address, slot);
        let (_, seen) = self.memory.slot(seen.at, slot, PARENT, load)?;
        Ok(seen.value)
    }
}

/// The state before one step as a source, for the steps around the transactions.
pub(super) struct BeforeStep<'r, S> {
    pub(super) state: &'r ClaimedState<'r, S>,
    pub(super) step: u64,
}

impl<S: StateSource> StateSource for BeforeStep<'_, S> {
    type Error = S::Error;

    fn account(&self, address: Address) -> Result<Option<Account>, S::Error> {
        Ok(self.state.account(self.step, address)?.account)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, S::Error> {
        self.state.slot(self.step, address, slot)
    }

    fn has_storage(&self, address: Address) -> Result<bool, S::Error> {
        Ok(self.state.parent(address)?.has_storage)
    }

    fn code(&self, hash: B256) -> Result<Bytes, S::Error> {
        match self.state.claims.code(&hash) {
            Some(code) => Ok(code.original_bytes()),
            None => self.state.source.code(hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, S::Error> {
        self.state.source.block_hash(number)
    }
}

/// The database of one worker.
pub(super) struct ClaimedDb<'r, 'b, V: BlockVm, S: StateSource> {
    pub(super) state: &'r ClaimedState<'r, S>,
    pub(super) job: Job<'b, V, S>,
    /// The lowest transaction that is known to have failed.
    pub(super) failed: &'r AtomicUsize,
    pub(super) transaction: usize,
    pub(super) interruption: Option<Interruption<S::Error>>,
}

/// Why a read did not deliver.
#[derive(Debug)]
pub(super) enum Interruption<E> {
    Source(E),
    /// Nobody is interested in the transaction any more.
    Overtaken,
}

/// A read did not deliver; the database knows why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the read was interrupted")]
pub(super) struct Interrupted;

impl DBErrorMarker for Interrupted {}

impl<V: BlockVm, S: StateSource> ClaimedDb<'_, '_, V, S> {
    fn read<T>(
        &mut self,
        read: impl FnOnce(&ClaimedState<'_, S>, u64) -> Result<T, S::Error>,
    ) -> Result<T, Interrupted> {
        // Relaxed: who misses a failure works in vain a little longer.
        if self.failed.load(Relaxed) < self.transaction || self.job.early_end.reason().is_some() {
            self.interruption = Some(Interruption::Overtaken);
            return Err(Interrupted);
        }
        read(self.state, self.transaction as u64 + 1).map_err(|error| {
            self.interruption = Some(Interruption::Source(error));
            Interrupted
        })
    }
}

impl<V: BlockVm, S: StateSource> Database for ClaimedDb<'_, '_, V, S> {
    type Error = Interrupted;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Interrupted> {
        let Loaded { account, has_storage } =
            self.read(|state, step| state.account(step, address))?;
        Ok(account
            .map(|account| info_of(account, has_storage.then(|| account_id(0, true)).flatten())))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, Interrupted> {
        if hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        let codes = self.job.codes;
        self.read(|state, _| match state.claims.code(&hash) {
            Some(code) => Ok(code.clone()),
            None => codes.get(hash, state.source),
        })
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Interrupted> {
        self.read(|state, step| state.slot(step, address, slot))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Interrupted> {
        self.read(|state, _| state.source.block_hash(number))
    }
}

impl<V: BlockVm, S: StateSource> std::fmt::Debug for ClaimedDb<'_, '_, V, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClaimedDb").field("transaction", &self.transaction).finish_non_exhaustive()
    }
}
