//! What a call reads and changes.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, map::AddressMap};
use revm::{
    Database, DatabaseCommit,
    bytecode::Bytecode,
    state::{Account as RevmAccount, AccountInfo},
};
use warpline_primitives::Account;

use crate::{
    BlockRules, BuildEnd, DynSource, ReadFailed, SourceError,
    cancel::EarlyEnd,
    sequential::Overlay,
    vm::{BlockDb, CodeCache},
};

/// The overlay of a call: what was overridden and what was committed, over a state.
pub(crate) type CallOverlay<'d> = Overlay<'d, &'d DynSource<'d>>;

/// How many jump destinations go by between looks at the clock.
const PATIENCE: u32 = 128;

/// The database that calls and inspected transactions run on.
///
/// Public for inspectors to name the context that they are shown:
/// `EthEvmContext<CallDb<'_>>`.
pub struct CallDb<'d> {
    overlay: CallOverlay<'d>,
    /// Ancestors that have other hashes than the state knows.
    hashes: BTreeMap<u64, B256>,
    early_end: EarlyEnd<'d>,
    jumps: u32,
    ended: Option<BuildEnd>,
}

/// Why a call on this database was not executed to its end.
pub(crate) enum Unfinished {
    /// There was a reason to end it.
    Ended(BuildEnd),
    /// The state could not be read.
    Source(SourceError),
}

impl<'d> CallDb<'d> {
    /// Nothing over `source` yet.
    pub(crate) fn new(
        source: &'d &'d DynSource<'d>,
        codes: &'d CodeCache,
        rules: &BlockRules,
        early_end: EarlyEnd<'d>,
    ) -> Self {
        let overlay = Overlay::new(source, codes, rules, false);
        Self { overlay, hashes: BTreeMap::new(), early_end, jumps: 0, ended: None }
    }

    pub(crate) const fn overlay(&mut self) -> &mut CallOverlay<'d> {
        &mut self.overlay
    }

    /// Lets the ancestors of these numbers have these hashes.
    pub(crate) fn override_hashes(&mut self, hashes: impl IntoIterator<Item = (u64, B256)>) {
        self.hashes.extend(hashes);
    }

    /// Why the last execution ended before its end, if it did.
    pub(crate) fn take_unfinished(&mut self) -> Option<Unfinished> {
        let ended = self.ended.take().map(Unfinished::Ended);
        ended.or_else(|| self.overlay.take_failure().map(Unfinished::Source))
    }

    /// Whether nothing ends the execution now. Looks at the clock only now and then.
    pub(crate) fn may_go_on(&mut self) -> bool {
        self.jumps = self.jumps.wrapping_add(1);
        !self.jumps.is_multiple_of(PATIENCE) || self.has_time()
    }

    fn has_time(&mut self) -> bool {
        self.ended = self.ended.or_else(|| self.early_end.reason());
        self.ended.is_none()
    }

    fn check_time(&mut self) -> Result<(), ReadFailed> {
        if self.has_time() { Ok(()) } else { Err(ReadFailed) }
    }
}

impl Database for CallDb<'_> {
    type Error = ReadFailed;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ReadFailed> {
        self.check_time()?;
        self.overlay.basic(address)
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, ReadFailed> {
        self.overlay.code_by_hash(hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ReadFailed> {
        self.check_time()?;
        self.overlay.storage(address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ReadFailed> {
        match self.hashes.get(&number) {
            Some(hash) => Ok(*hash),
            None => self.overlay.block_hash(number),
        }
    }
}

impl DatabaseCommit for CallDb<'_> {
    fn commit(&mut self, changes: AddressMap<RevmAccount>) {
        self.overlay.commit(changes);
    }
}

impl BlockDb for CallDb<'_> {
    fn overwrite_account(&mut self, address: Address, account: Account) -> Result<(), ReadFailed> {
        self.overlay.overwrite_account(address, account)
    }
}

impl std::fmt::Debug for CallDb<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallDb").field("overlay", &self.overlay).finish_non_exhaustive()
    }
}
