//! Where a block executor reads the state before its block, from many threads at once.

use std::error::Error;

use alloy_primitives::{Address, B256, Bytes, U256, map::B256Map};
use revm::{
    DatabaseRef,
    bytecode::Bytecode,
    context::DBErrorMarker,
    database::{
        BundleState, CacheState, State,
        states::{CacheAccount, block_hash_cache::BlockHashCache},
    },
    primitives::KECCAK_EMPTY,
    state::AccountInfo,
};
use warpline_primitives::{Account, StateSource};

use crate::vm::{account_of, analysed};

/// Why a read failed, whatever the source.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SourceError(Box<dyn Error + Send + Sync>);

impl SourceError {
    /// The source's error.
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }

    /// The source's error as what it is.
    ///
    /// # Errors
    /// `self` where it is another type's.
    pub fn downcast<E: Error + Send + Sync + 'static>(self) -> Result<E, Self> {
        self.0.downcast().map(|error| *error).map_err(Self)
    }
}

/// Any source, its type forgotten. [`erased`] makes one.
pub type DynSource<'a> = dyn StateSource<Error = SourceError> + 'a;

/// `source` with its errors boxed, so that a reference to it is a `&`[`DynSource`].
pub fn erased<S: StateSource>(source: S) -> impl StateSource<Error = SourceError> {
    Erased(source)
}

struct Erased<S>(S);

/// Lets revm read any [`StateSource`]: the way back from [`RevmSource`](crate::RevmSource), for a
/// revm `State` over a source.
///
/// revm cannot ask for [`StateSource::has_storage`]. Where contracts could be created over storage
/// (EIP-7610; on no public chain), give executors the source itself.
#[derive(Clone, Copy)]
pub struct SourceDb<S>(pub S);

impl<S> std::fmt::Debug for SourceDb<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceDb").finish_non_exhaustive()
    }
}

impl DBErrorMarker for SourceError {}

impl<S: StateSource> DatabaseRef for SourceDb<S> {
    type Error = SourceError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, SourceError> {
        let account = self.0.account(address).map_err(boxed)?;
        Ok(account.map(|Account { balance, nonce, code_hash }| AccountInfo {
            balance,
            nonce,
            code_hash,
            account_id: None,
            code: None,
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, SourceError> {
        if code_hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        Ok(analysed(self.0.code(code_hash).map_err(boxed)?))
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, SourceError> {
        self.0.storage(address, slot).map_err(boxed)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, SourceError> {
        self.0.block_hash(number).map_err(boxed)
    }
}

/// Boxes an error.
pub(super) fn boxed(error: impl Error + Send + Sync + 'static) -> SourceError {
    SourceError(Box::new(error))
}

impl<S: StateSource> StateSource for Erased<S> {
    type Error = SourceError;

    fn account(&self, address: Address) -> Result<Option<Account>, SourceError> {
        self.0.account(address).map_err(boxed)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, SourceError> {
        self.0.storage(address, slot).map_err(boxed)
    }

    fn has_storage(&self, address: Address) -> Result<bool, SourceError> {
        self.0.has_storage(address).map_err(boxed)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, SourceError> {
        self.0.code(code_hash).map_err(boxed)
    }

    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        self.0.block_hash(number).map_err(boxed)
    }
}

/// Where an executor over the database `DB` reads the state before its block.
pub trait ParentSource<DB> {
    /// Runs `work` on the source; `None` if there is none, so that `work` was not run.
    fn with_source<T>(&self, db: &DB, work: impl FnOnce(&DynSource<'_>) -> T) -> Option<T>;
}

/// A source that was given beside the database, whose state it must show.
#[derive(Clone, Copy)]
pub struct GivenParent<'a>(pub Option<&'a DynSource<'a>>);

impl std::fmt::Debug for GivenParent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("GivenParent").field(&self.0.is_some()).finish()
    }
}

impl<DB> ParentSource<DB> for GivenParent<'_> {
    fn with_source<T>(&self, _: &DB, work: impl FnOnce(&DynSource<'_>) -> T) -> Option<T> {
        self.0.map(work)
    }
}

/// The database itself, if that is a revm `State` (or a reference to one) over a database that can
/// be read from many threads.
#[derive(Clone, Copy, Debug)]
pub struct StateParent;

impl<D> ParentSource<State<D>> for StateParent
where
    D: DatabaseRef<Error: Error + Send + Sync + 'static> + Sync,
{
    fn with_source<T>(&self, db: &State<D>, work: impl FnOnce(&DynSource<'_>) -> T) -> Option<T> {
        Some(work(&StateView::new(db)))
    }
}

impl<D> ParentSource<&mut State<D>> for StateParent
where
    D: DatabaseRef<Error: Error + Send + Sync + 'static> + Sync,
{
    fn with_source<T>(
        &self,
        db: &&mut State<D>,
        work: impl FnOnce(&DynSource<'_>) -> T,
    ) -> Option<T> {
        Some(work(&StateView::new(db)))
    }
}

/// What a `State` holds at present, without its hook, which must stay on its thread.
///
/// revm's own reading through a shared reference will not do: of accounts that only the preloaded
/// bundle holds it reads the storage from the database underneath.
struct StateView<'s, D> {
    cache: &'s CacheState,
    bundle: &'s BundleState,
    /// Whether accounts are looked for in the bundle.
    bundle_is_state: bool,
    /// Delegations of blocks whose bundle was not merged yet: they are with their accounts alone.
    delegations: B256Map<&'s Bytecode>,
    block_hashes: &'s BlockHashCache,
    database: &'s D,
}

impl<'s, D> StateView<'s, D> {
    fn new(state: &'s State<D>) -> Self {
        let infos = state.cache.accounts.values().filter_map(|it| it.account.as_ref());
        let codes = infos.filter_map(|it| Some((it.info.code_hash, it.info.code.as_ref()?)));
        Self {
            delegations: codes.filter(|(_, code)| code.is_eip7702()).collect(),
            cache: &state.cache,
            bundle: &state.bundle_state,
            bundle_is_state: state.use_preloaded_bundle,
            block_hashes: &state.block_hashes,
            database: &state.database,
        }
    }
}

impl<D> StateSource for StateView<'_, D>
where
    D: DatabaseRef<Error: Error + Send + Sync + 'static> + Sync,
{
    type Error = SourceError;

    fn account(&self, address: Address) -> Result<Option<Account>, SourceError> {
        if let Some(cached) = self.cache.accounts.get(&address) {
            return Ok(cached.account.as_ref().map(|account| account_of(&account.info)));
        }
        if self.bundle_is_state
            && let Some(account) = self.bundle.account(&address)
        {
            return Ok(account.info.as_ref().map(account_of));
        }
        Ok(self.database.basic_ref(address).map_err(boxed)?.as_ref().map(account_of))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, SourceError> {
        let known = match self.cache.accounts.get(&address) {
            Some(CacheAccount { account: None, .. }) => Some(U256::ZERO),
            Some(CacheAccount { account: Some(account), status }) => {
                let unwritten = status.is_storage_known().then_some(U256::ZERO);
                account.storage.get(&slot).copied().or(unwritten)
            }
            None if self.bundle_is_state => {
                self.bundle.account(&address).and_then(|account| account.storage_slot(slot))
            }
            None => None,
        };
        match known {
            Some(value) => Ok(value),
            None => self.database.storage_ref(address, slot).map_err(boxed),
        }
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, SourceError> {
        let contracts = [&self.cache.contracts, &self.bundle.contracts];
        let known = contracts.into_iter().find_map(|contracts| contracts.get(&code_hash));
        match known.or_else(|| self.delegations.get(&code_hash).copied()) {
            Some(code) => Ok(code.original_bytes()),
            None => Ok(self.database.code_by_hash_ref(code_hash).map_err(boxed)?.original_bytes()),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, SourceError> {
        match self.block_hashes.get(number) {
            Some(hash) => Ok(hash),
            None => self.database.block_hash_ref(number).map_err(boxed),
        }
    }
}
