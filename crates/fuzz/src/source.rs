//! A source that cannot read one thing.

use std::error::Error;

use alloy_primitives::{Address, B256, Bytes, U256};
use warpline_primitives::{Account, StateSource};

use crate::{
    dice::Dice,
    tools::{TOOLS, tool},
    world::{ADDRESSES, CONTRACTS, anybody, contract},
};

/// Something that can be read. Code is not among it: engines keep code across blocks, so whether
/// they ask for it depends on what they executed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Account(Address),
    Slot(Address, U256),
    BlockHash,
}

impl Read {
    pub(crate) fn random(dice: &mut Dice) -> Self {
        match dice.weighted(&[4, 3, 2, 1]) {
            0 => Self::Account(anybody(dice.index(ADDRESSES))),
            1 => Self::Slot(contract(dice.index(CONTRACTS)), U256::from(dice.below(4))),
            2 => Self::Slot(tool(dice.index(TOOLS)), U256::from(dice.below(4))),
            _ => Self::BlockHash,
        }
    }
}

/// Answers everything but one question, however often and in whatever order it is asked.
#[derive(Debug)]
pub(crate) struct Unreadable<S> {
    pub(crate) source: S,
    pub(crate) read: Read,
}

/// Why an [`Unreadable`] failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError<E: Error> {
    #[error("{0:?} was made unreadable")]
    OnPurpose(Read),
    #[error(transparent)]
    Source(E),
}

impl<S: StateSource> Unreadable<S> {
    fn unless(&self, read: Read) -> Result<(), ReadError<S::Error>> {
        if self.read == read { Err(ReadError::OnPurpose(read)) } else { Ok(()) }
    }
}

impl<S: StateSource> StateSource for Unreadable<S> {
    type Error = ReadError<S::Error>;

    fn account(&self, address: Address) -> Result<Option<Account>, Self::Error> {
        self.unless(Read::Account(address))?;
        self.source.account(address).map_err(ReadError::Source)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, Self::Error> {
        self.unless(Read::Slot(address, slot))?;
        self.source.storage(address, slot).map_err(ReadError::Source)
    }

    fn has_storage(&self, address: Address) -> Result<bool, Self::Error> {
        self.source.has_storage(address).map_err(ReadError::Source)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, Self::Error> {
        self.source.code(code_hash).map_err(ReadError::Source)
    }

    fn block_hash(&self, number: u64) -> Result<B256, Self::Error> {
        self.unless(Read::BlockHash)?;
        self.source.block_hash(number).map_err(ReadError::Source)
    }
}
