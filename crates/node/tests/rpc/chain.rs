//! Chains to be served.

use std::{borrow::Cow, fs, path::Path, sync::Arc};

use alloy_consensus::BlockHeader as _;
use alloy_primitives::Bloom;
use warpline_chain::{ChainSpec, EthereumHardforks as _, Genesis};
use warpline_engine::{Engine, EngineConfig, Ethereum, ExecuteOptions, Strategy};
use warpline_primitives::{CommitObserver, Receipt, RecoveredBlock};
use warpline_replay::{ChainFile, TransactionRoots, decode_block, receipts_with};
use warpline_storage::{Database, DatabaseOptions, Durability, ExecutedBlock, GenesisBlock};

/// A chain in a database.
pub(crate) struct Served {
    pub(crate) database: Database,
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) engine: Engine,
    /// Holds the database.
    _folder: tempfile::TempDir,
}

/// A block that was executed.
pub(crate) struct Executed {
    pub(crate) block: RecoveredBlock,
    pub(crate) receipts: Vec<Receipt>,
}

impl Served {
    /// The chain that begins as the file `genesis` says.
    pub(crate) fn new(genesis: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let described = Genesis::from_json(genesis).unwrap();
        let first = GenesisBlock {
            config: genesis.into(),
            header: described.header(Default::default()),
            state: described.changes(),
        };
        let options = DatabaseOptions { cache_bytes: 16 << 20, ..DatabaseOptions::default() };
        let database = Database::create(folder.path(), &first, options).unwrap();
        let spec = Arc::clone(described.chain());
        let vm = Ethereum::new(Arc::clone(&spec));
        let engine = Engine::new(vm, EngineConfig::with_threads(1)).unwrap();
        Self { database, spec, engine, _folder: folder }
    }

    /// The chain of the conformance tests: all that depends on how chains are imported.
    pub(crate) fn conformance(folder: &Path) -> Self {
        let served = Self::new(&fs::read(folder.join("genesis.json")).unwrap());
        for raw in ChainFile::open(folder.join("chain.rlp")).unwrap() {
            let block = decode_block(&raw.unwrap().rlp, &served.spec).unwrap();
            served.append(block);
        }
        served
    }

    /// Executes a block that follows the head and makes it the head.
    pub(crate) fn append(&self, mut block: RecoveredBlock) -> Executed {
        let view = self.database.view().unwrap();
        let parent = view.head().clone();
        let spec = match self.spec.for_child_of(parent.header.number, parent.total_difficulty) {
            Cow::Borrowed(_) => Arc::clone(&self.spec),
            Cow::Owned(spec) => Arc::new(spec),
        };
        let state = view.state();
        let mut trie = state.trie();
        let has_roots = !spec.is_byzantium_active_at_block(block.header.number);
        let mut roots = TransactionRoots::new(trie.clone());
        let mut options = ExecuteOptions::from(Strategy::Sequential);
        if has_roots {
            options = options.observed_by(&mut roots as &mut dyn CommitObserver);
        }
        let engine = self.engine.with_vm(Ethereum::new(spec));
        let output = engine.execute_with(&block, &state, options).unwrap();
        trie.apply(&output.state).unwrap();
        let updates = trie.commit();
        if block.header.state_root.is_zero() {
            let blooms = output.receipts.iter().map(|receipt| *receipt.logs_bloom());
            block.header.logs_bloom = blooms.fold(Bloom::ZERO, |all, bloom| all | bloom);
            block.header.state_root = updates.root;
            block.hash = block.header.hash_slow();
        }
        assert_eq!(block.header.state_root(), updates.root, "block {}", block.header.number);
        let receipts = match has_roots {
            true => receipts_with(&output.receipts, roots.roots().unwrap()),
            false => output.receipts,
        };
        let mut writer = self.database.writer().unwrap();
        let executed = ExecutedBlock {
            block: &block,
            total_difficulty: parent.total_difficulty + block.header.difficulty,
            receipts: &receipts,
            state: &output.state,
            trie: &updates,
            access_list: output.access_list.as_ref(),
        };
        writer.append(&executed).unwrap();
        writer.commit(Durability::Deferred).unwrap();
        Executed { block, receipts }
    }

    /// Takes back all blocks after `number`.
    pub(crate) fn revert_to(&self, number: u64) {
        let mut writer = self.database.writer().unwrap();
        writer.revert_to(number).unwrap();
        writer.commit(Durability::Deferred).unwrap();
    }
}
