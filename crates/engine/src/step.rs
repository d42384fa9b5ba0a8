//! The steps around the transactions: on an overlay, whatever executes the transactions.
//!
//! A step commits several times: each system call, then balances. What a later part sees of an
//! earlier one, and what both together change, is the overlay's business.

use alloy_evm::{Evm, EvmFactory, block::BlockExecutionError};
use alloy_primitives::{Address, B256, Bytes, U256};
use warpline_primitives::{Account, StateSource};

use crate::{
    ExecutionError, InvalidBlock,
    execute::Job,
    memory::{Memory, Reader, SeenAccount, Version},
    sequential::Overlay,
    vm::{BlockVm, EvmOf, load},
};

/// Runs a step on what `source` has. `told` says whether its commits are kept.
pub(crate) fn run<'s, V: BlockVm, X, S: StateSource, T>(
    job: &Job<'s, V, X>,
    source: &'s S,
    told: bool,
    step: impl FnOnce(&mut EvmOf<V, Overlay<'s, S>>) -> Result<T, BlockExecutionError>,
) -> Result<(T, Overlay<'s, S>), ExecutionError<S::Error>> {
    let db = Overlay::new(source, job.codes, &job.rules, told);
    let mut evm = job.vm.factory().create_evm(db, job.env.clone());
    let result = step(&mut evm);
    Ok((end::<V, S, T>(&mut evm, result)?, evm.into_db()))
}

/// The outcome of a step: a failed read is reported as such, whatever the step made of it.
pub(crate) fn end<'s, V: BlockVm, S: StateSource, T>(
    evm: &mut EvmOf<V, Overlay<'s, S>>,
    result: Result<T, BlockExecutionError>,
) -> Result<T, ExecutionError<S::Error>> {
    if let Some(error) = evm.db_mut().take_failure() {
        return Err(ExecutionError::StateRead(error));
    }
    result.map_err(|error| InvalidBlock::System(error).into())
}

/// The memory below a version, everything there being final.
pub(crate) struct MemoryBelow<'b, S> {
    pub(crate) memory: &'b Memory,
    pub(crate) source: &'b S,
    pub(crate) version: Version,
}

impl<S: StateSource> MemoryBelow<'_, S> {
    fn seen(&self, address: Address) -> Result<SeenAccount, S::Error> {
        self.memory.account(address, self.reader(), || load(self.source, address))
    }

    const fn reader(&self) -> Reader {
        Reader { below: self.version, register: None }
    }
}

impl<S: StateSource> StateSource for MemoryBelow<'_, S> {
    type Error = S::Error;

    fn account(&self, address: Address) -> Result<Option<Account>, S::Error> {
        Ok(self.seen(address)?.account)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, S::Error> {
        let account = self.seen(address)?.at;
        let load = || self.source.storage(address, slot);
        Ok(self.memory.slot(account, slot, self.reader(), load)?.1.value)
    }

    fn has_storage(&self, address: Address) -> Result<bool, S::Error> {
        Ok(self.seen(address)?.has_storage)
    }

    fn code(&self, hash: B256) -> Result<Bytes, S::Error> {
        match self.memory.code(&hash) {
            Some(code) => Ok(code.original_bytes()),
            None => self.source.code(hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, S::Error> {
        self.source.block_hash(number)
    }
}
