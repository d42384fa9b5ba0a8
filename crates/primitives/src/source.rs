//! Where the parent state is read from.

use std::{error::Error, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, U256};

use crate::Account;

/// A read-only view of the state a block starts from.
///
/// The engine reads it from many threads at once and may read a key more than once. Within one
/// block the answers must not change. An error means "this could not be read", never "this does
/// not exist": absence is an ordinary answer.
///
/// References, boxes and `Arc`s of sources are sources, and so are those of `dyn` sources: whoever
/// has one of a type that is not known passes a reference to the reference.
pub trait StateSource: Send + Sync {
    /// Why a read can fail.
    type Error: Error + Send + Sync + 'static;

    /// The account at `address`, or `None` where there is none.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn account(&self, address: Address) -> Result<Option<Account>, Self::Error>;

    /// The storage slot `slot` of `address`; zero where it was never written.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn storage(&self, address: Address, slot: U256) -> Result<U256, Self::Error>;

    /// Whether the account at `address` has any storage slot that is not zero. Asked only of accounts
    /// without code that never sent anything: no contract may be created over storage (EIP-7610).
    ///
    /// The default says no, which is right wherever such accounts cannot have storage; since
    /// EIP-161 none can come to have any.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn has_storage(&self, address: Address) -> Result<bool, Self::Error> {
        let _ = address;
        Ok(false)
    }

    /// The code with hash `code_hash`, as stored in the state (EIP-7702 designators included).
    ///
    /// # Errors
    /// When the state cannot be read, or holds no such code although an account names it.
    fn code(&self, code_hash: B256) -> Result<Bytes, Self::Error>;

    /// The hash of the ancestor block `number`, asked for by the `BLOCKHASH` opcode.
    ///
    /// # Errors
    /// When the hash is not known to this source.
    fn block_hash(&self, number: u64) -> Result<B256, Self::Error>;
}

macro_rules! delegate {
    ($(#[$impl:meta])* $type:ty) => {
        impl<S: StateSource + ?Sized> StateSource for $type {
            type Error = S::Error;

            fn account(&self, address: Address) -> Result<Option<Account>, Self::Error> {
                (**self).account(address)
            }

            fn storage(&self, address: Address, slot: U256) -> Result<U256, Self::Error> {
                (**self).storage(address, slot)
            }

            fn has_storage(&self, address: Address) -> Result<bool, Self::Error> {
                (**self).has_storage(address)
            }

            fn code(&self, code_hash: B256) -> Result<Bytes, Self::Error> {
                (**self).code(code_hash)
            }

            fn block_hash(&self, number: u64) -> Result<B256, Self::Error> {
                (**self).block_hash(number)
            }
        }
    };
}

delegate!(&S);
delegate!(Arc<S>);
delegate!(Box<S>);
