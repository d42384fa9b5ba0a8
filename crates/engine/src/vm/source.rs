//! A revm database as a state source.

use alloy_primitives::{Address, B256, Bytes, U256};
use revm::DatabaseRef;
use warpline_primitives::{Account, StateSource};

use super::account_of;

/// Lets the engine read its parent state from any revm [`DatabaseRef`].
#[derive(Clone, Copy, Debug)]
pub struct RevmSource<D>(pub D);

impl<D> StateSource for RevmSource<D>
where
    D: DatabaseRef<Error: std::error::Error + Send + Sync + 'static> + Send + Sync,
{
    type Error = D::Error;

    fn account(&self, address: Address) -> Result<Option<Account>, D::Error> {
        Ok(self.0.basic_ref(address)?.as_ref().map(account_of))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, D::Error> {
        self.0.storage_ref(address, slot)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, D::Error> {
        Ok(self.0.code_by_hash_ref(code_hash)?.original_bytes())
    }

    fn block_hash(&self, number: u64) -> Result<B256, D::Error> {
        self.0.block_hash_ref(number)
    }
}
