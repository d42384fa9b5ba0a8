//! From a genesis file to a chain, and from a database back.

use std::{path::Path, sync::Arc};

use alloy_primitives::B256;
use warpline_chain::{Genesis, GenesisError};
use warpline_engine::{Engine, EngineConfig, Ethereum, PoolError};
use warpline_storage::{Database, DatabaseOptions, GenesisBlock, StorageError};
use warpline_trie::StateTrie;

use super::{Chain, ChainOptions, branch::Branches};

/// What stands for mainnet in a database, whose genesis file the program has.
const MAINNET: &[u8] = b"\"mainnet\"";

/// Why a chain could not be opened or made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What describes the chain makes no sense.
    #[error("the chain's configuration: {0}")]
    Genesis(#[from] GenesisError),
    /// The file that describes the chain is no JSON object.
    #[error("the chain's configuration: {0}")]
    Json(#[from] serde_json::Error),
    /// The workers cannot be started.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// Where the description of a chain comes from.
#[derive(Clone, Debug)]
pub enum ChainSource {
    /// Ethereum mainnet, which the program knows.
    Mainnet,
    /// A genesis file in geth's format.
    Json(Vec<u8>),
}

impl ChainSource {
    /// The chain as described.
    ///
    /// # Errors
    /// When the file makes no chain.
    pub fn genesis(&self) -> Result<Genesis, GenesisError> {
        match self {
            Self::Mainnet => Ok(Genesis::mainnet()),
            Self::Json(json) => Genesis::from_json(json),
        }
    }

    /// The block that a database of this chain begins with.
    ///
    /// # Errors
    /// When the file makes no chain.
    pub fn genesis_block(&self) -> Result<GenesisBlock, OpenError> {
        let genesis = self.genesis()?;
        let config = match self {
            Self::Mainnet => MAINNET.into(),
            Self::Json(json) => without_alloc(json)?.into(),
        };
        let (header, state) = (genesis.header(Default::default()), genesis.changes());
        Ok(GenesisBlock { config, header, state })
    }

    /// The hash of the genesis block.
    ///
    /// # Errors
    /// When the file makes no chain.
    pub fn genesis_hash(&self) -> Result<B256, OpenError> {
        let genesis = self.genesis()?;
        let mut trie = StateTrie::default();
        trie.apply(&genesis.changes()).map_err(StorageError::Trie)?;
        Ok(genesis.header(trie.root()).hash_slow())
    }

    /// As [`genesis_block`](Self::genesis_block) put it into a database.
    fn from_config(config: &[u8]) -> Self {
        if config == MAINNET { Self::Mainnet } else { Self::Json(config.to_vec()) }
    }
}

/// The file without the accounts, which are in the state.
fn without_alloc(json: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let mut file: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json)?;
    file.remove("alloc");
    serde_json::to_vec(&file)
}

impl Chain {
    /// Opens the chain in the folder `directory`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(
        directory: &Path,
        database: DatabaseOptions,
        engine: EngineConfig,
        options: ChainOptions,
    ) -> Result<Self, OpenError> {
        Self::in_database(Database::open(directory, database)?, engine, options)
    }

    /// The chain in `database`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn in_database(
        database: Database,
        engine: EngineConfig,
        options: ChainOptions,
    ) -> Result<Self, OpenError> {
        let genesis = ChainSource::from_config(&database.view()?.chain_config()?).genesis()?;
        let engine = Engine::new(Ethereum::new(Arc::clone(genesis.chain())), engine)?;
        Ok(Self::with_engine(database, engine, options)?)
    }

    /// The chain in `database`, by the rules of `engine`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn with_engine(
        database: Database,
        engine: Engine<Ethereum>,
        options: ChainOptions,
    ) -> Result<Self, StorageError> {
        let view = database.view()?;
        let spec = Arc::clone(engine.vm().spec());
        let trie = view.state().trie();
        let branches = Branches::default();
        Ok(Self {
            database,
            spec,
            engine,
            options,
            view,
            trie,
            branches,
            deferred: 0,
            events: None,
        })
    }
}
