//! The state a block starts from, in whichever form the input gives it.

use alloy_primitives::{Address, B256, Bytes, U256};
use warpline_primitives::{Account, MemoryState, MissingState, StateDiff, StateSource};
use warpline_trie::{EMPTY_ROOT_HASH, StateTrie, TrieError};

/// The state before a block. What can be proven of an execution depends on its form.
#[derive(Clone, Debug)]
pub enum ParentState {
    /// What the block touches and nothing else; what is absent is taken to be empty. There is no
    /// trie, so no state root can be computed.
    Snapshot(MemoryState),
    /// What an execution witness proves. Reading anything else is an error.
    Witness(WitnessState),
    /// The complete state.
    Complete(CompleteState),
}

/// A partial trie with the codes and ancestor hashes that came with it.
#[derive(Clone, Debug)]
pub struct WitnessState {
    trie: StateTrie,
    /// Holds codes and block hashes only.
    known: MemoryState,
}

/// A complete state, flat for reading and as a trie for roots.
#[derive(Clone, Debug, Default)]
pub struct CompleteState {
    memory: MemoryState,
    trie: StateTrie,
    root: B256,
}

/// Why something could not be read from a parent state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParentStateError {
    /// A code or an ancestor's hash was not given with the input.
    #[error(transparent)]
    Missing(#[from] MissingState),
    /// The witness does not prove the account or slot.
    #[error(transparent)]
    Trie(#[from] TrieError),
}

impl WitnessState {
    /// The state with root `state_root` as far as `nodes` prove it; `known` holds the codes and
    /// the hashes of ancestors.
    ///
    /// # Errors
    /// When a node does not decode.
    pub fn new(
        state_root: B256,
        nodes: impl IntoIterator<Item = Bytes>,
        known: MemoryState,
    ) -> Result<Self, TrieError> {
        Ok(Self { trie: StateTrie::from_witness(state_root, nodes)?, known })
    }
}

impl CompleteState {
    /// Builds the trie of `memory`.
    pub fn new(memory: MemoryState) -> Self {
        let mut trie =
            StateTrie::from_accounts(memory.accounts().map(|(address, account, slots)| {
                let slots = slots.into_iter().flatten().map(|(slot, value)| (*slot, *value));
                (*address, *account, slots)
            }));
        let root = trie.root();
        Self { memory, trie, root }
    }

    /// The state root.
    pub const fn root(&self) -> B256 {
        self.root
    }

    /// The flat form.
    pub const fn memory(&self) -> &MemoryState {
        &self.memory
    }

    /// The trie.
    pub const fn trie(&self) -> &StateTrie {
        &self.trie
    }

    /// Becomes the state after block `number`, of which `changes` are the changes, `trie` is the
    /// trie after them, and `hash` the hash that later blocks may ask for.
    pub(crate) fn advance(
        &mut self,
        changes: &StateDiff,
        mut trie: StateTrie,
        number: u64,
        hash: B256,
    ) {
        self.memory.apply(changes);
        self.memory.insert_block_hash(number, hash);
        self.root = trie.root();
        self.trie = trie;
    }

    pub(crate) fn insert_block_hash(&mut self, number: u64, hash: B256) {
        self.memory.insert_block_hash(number, hash);
    }
}

impl ParentState {
    /// The trie of the state, where there is one.
    pub const fn trie(&self) -> Option<&StateTrie> {
        match self {
            Self::Snapshot(_) => None,
            Self::Witness(state) => Some(&state.trie),
            Self::Complete(state) => Some(&state.trie),
        }
    }
}

impl StateSource for ParentState {
    type Error = ParentStateError;

    fn account(&self, address: Address) -> Result<Option<Account>, Self::Error> {
        match self {
            Self::Snapshot(memory) | Self::Complete(CompleteState { memory, .. }) => {
                Ok(memory.account(address)?)
            }
            Self::Witness(state) => Ok(state.trie.account(address)?),
        }
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, Self::Error> {
        match self {
            Self::Snapshot(memory) | Self::Complete(CompleteState { memory, .. }) => {
                Ok(memory.storage(address, slot)?)
            }
            Self::Witness(state) => Ok(state.trie.storage(address, slot)?),
        }
    }

    fn has_storage(&self, address: Address) -> Result<bool, Self::Error> {
        match self {
            Self::Witness(state) => Ok(state.trie.storage_root(address)? != EMPTY_ROOT_HASH),
            Self::Snapshot(_) | Self::Complete(_) => Ok(self.flat().has_storage(address)?),
        }
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, Self::Error> {
        Ok(self.flat().code(code_hash)?)
    }

    fn block_hash(&self, number: u64) -> Result<B256, Self::Error> {
        Ok(self.flat().block_hash(number)?)
    }
}

impl ParentState {
    /// Where codes and block hashes are.
    const fn flat(&self) -> &MemoryState {
        match self {
            Self::Snapshot(memory) => memory,
            Self::Witness(state) => &state.known,
            Self::Complete(state) => &state.memory,
        }
    }
}
