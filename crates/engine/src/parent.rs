//! The parent state as workers read it: where reads are slow, without the permit to run.

use alloy_primitives::{Address, B256, Bytes, U256};
use warpline_primitives::{Account, StateSource};

use crate::{memory::Version, scheduler::Seat};

/// A source that is read on behalf of one transaction. The memory keeps what comes of it; nothing is
/// kept here.
#[derive(Debug)]
pub(crate) struct Parent<'b, S> {
    source: &'b S,
    /// Where the permits are; `None` where every worker may run.
    seat: Option<Seat<'b>>,
    /// Who reads.
    pub(crate) version: Version,
}

impl<S> Clone for Parent<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Parent<'_, S> {}

impl<'b, S> Parent<'b, S> {
    pub(crate) const fn new(source: &'b S, seat: Option<Seat<'b>>) -> Self {
        Self { source, seat, version: 0 }
    }

    fn read<T>(&self, read: impl FnOnce(&S) -> T) -> T {
        match &self.seat {
            Some(seat) => seat.without(self.version, || read(self.source)),
            None => read(self.source),
        }
    }
}

impl<S: StateSource> StateSource for Parent<'_, S> {
    type Error = S::Error;

    fn account(&self, address: Address) -> Result<Option<Account>, S::Error> {
        self.read(|source| source.account(address))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, S::Error> {
        self.read(|source| source.storage(address, slot))
    }

    fn has_storage(&self, address: Address) -> Result<bool, S::Error> {
        self.read(|source| source.has_storage(address))
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, S::Error> {
        self.read(|source| source.code(code_hash))
    }

    fn block_hash(&self, number: u64) -> Result<B256, S::Error> {
        self.read(|source| source.block_hash(number))
    }
}
