//! From a genesis file to a chain, and from a database back.

use std::{path::Path, sync::Arc};

use alloy_primitives::B256;
use warpline_chain::{
    ChainSpec, Ethash, EthereumHardfork, EthereumHardforks, ForkCondition, Genesis, GenesisError,
};
use warpline_engine::{Engine, EngineConfig, Ethereum, PoolError};
use warpline_storage::{Database, DatabaseOptions, Durability, GenesisBlock, StorageError};
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
    /// The database begins with another block.
    #[error(
        "the database begins with block {found}, the chain with {expected}: choose another --datadir"
    )]
    OtherChain {
        /// The chain's genesis block.
        expected: B256,
        /// The database's.
        found: B256,
    },
    /// The chain has another id, deposit contract or blob schedule, and the database has blocks.
    #[error(
        "chain id, deposit contract or blob schedule differ, and the database has blocks up to {head}: {}",
        ADVICE
    )]
    ChainChanged {
        /// The newest block.
        head: u64,
    },
    /// The chain's rules differ for blocks that the database has.
    #[error(
        "{fork:?} begins elsewhere in the database, which is beyond it at block {head}: {}",
        ADVICE
    )]
    ForkChanged {
        /// The fork that differs.
        fork: EthereumHardfork,
        /// The newest block.
        head: u64,
    },
    /// The workers cannot be started.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// What to do about rules that came too late.
const ADVICE: &str = "import the chain again";

/// What became of the rules in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// They are the same.
    Same,
    /// They were replaced: forks to come were added, moved or taken out.
    Updated,
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

    /// Makes these the rules of the chain in `database`, which may differ in what is still to come.
    ///
    /// # Errors
    /// [`OpenError::OtherChain`] where it begins with another block, [`OpenError::ForkChanged`] where the
    /// rules of blocks that it has would change.
    pub fn adopt(&self, database: &Database) -> Result<Adopted, OpenError> {
        let view = database.view()?;
        let (expected, found) = (self.genesis_hash()?, view.hash(0)?.unwrap_or_default());
        if expected != found {
            return Err(OpenError::OtherChain { expected, found });
        }
        let (before, now) = (view.chain_config()?, self.genesis_block()?.config);
        if before == now {
            return Ok(Adopted::Same);
        }
        let (old, new) = (Self::from_config(&before).genesis()?, self.genesis()?);
        let (old, new, head) = (old.chain(), new.chain(), &view.head().header);
        let fixed = |spec: &ChainSpec| {
            (spec.chain_id(), spec.deposit_contract(), spec.blob_params_at(head.timestamp))
        };
        if head.number > 0 && fixed(old) != fixed(new) {
            return Err(OpenError::ChainChanged { head: head.number });
        }
        for fork in EthereumHardfork::VARIANTS {
            let of = |spec: &ChainSpec| spec.ethereum_fork_activation(*fork);
            let begun = |condition: ForkCondition| match condition {
                // Proof of work ends with a header without difficulty.
                ForkCondition::TTD { .. } => head.difficulty.is_zero(),
                other => other.active_at_timestamp_or_number(head.timestamp, head.number),
            };
            if of(old) != of(new) && (begun(of(old)) || begun(of(new))) {
                return Err(OpenError::ForkChanged { fork: *fork, head: head.number });
            }
        }
        let mut writer = database.writer()?;
        writer.put_chain_config(&now)?;
        writer.commit(Durability::Durable)?;
        Ok(Adopted::Updated)
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
            ahead: None,
            ethash: options.verify_pow.then(Ethash::default),
            deferred: 0,
            events: None,
            is_stale: false,
        })
    }
}
