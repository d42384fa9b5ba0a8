//! What an inspector may look up.

use std::cell::RefCell;

use alloy_primitives::{Address, B256, U256};
use revm::{Database, DatabaseRef, bytecode::Bytecode, state::AccountInfo};

use crate::{CallDb, ReadFailed};

/// The state before an execution that was not committed. A read that fails fails the inspection, so
/// nobody needs to say why.
#[derive(Debug)]
pub struct StateBefore<'a, 'd>(RefCell<&'a mut CallDb<'d>>);

impl<'a, 'd> StateBefore<'a, 'd> {
    pub(crate) const fn new(db: &'a mut CallDb<'d>) -> Self {
        Self(RefCell::new(db))
    }
}

impl DatabaseRef for StateBefore<'_, '_> {
    type Error = ReadFailed;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ReadFailed> {
        self.0.borrow_mut().basic(address)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, ReadFailed> {
        self.0.borrow_mut().code_by_hash(hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, ReadFailed> {
        self.0.borrow_mut().storage(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ReadFailed> {
        self.0.borrow_mut().block_hash(number)
    }
}
