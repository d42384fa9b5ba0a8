//! The blocks of a test once more, imported into a database: every verdict must be the same.

use std::sync::Arc;

use alloy_primitives::B256;
use warpline_engine::{Engine, Ethereum};
use warpline_node::{Chain, ChainOptions, ImportError, Imported, IncomingBlock, OpenError};
use warpline_primitives::{AccountDiff, StateDiff};
use warpline_replay::{BlockOutcome, CaseReport, ChainTest, decode_block};
use warpline_storage::{CheckError, Database, GenesisBlock, StorageError};

/// In what the database disagrees.
#[derive(Debug, thiserror::Error)]
pub(super) enum Difference {
    /// A block had another verdict.
    #[error("block {block} was {expected}, but the database {found}")]
    Verdict {
        /// Its place in the case.
        block: usize,
        /// What became of it without a database.
        expected: Box<str>,
        /// What became of it here.
        found: Box<str>,
    },
    /// The chain ends with another block.
    #[error("the head in the database is {found}, expected {expected}")]
    Head {
        /// The case's.
        expected: B256,
        /// The database's.
        found: B256,
    },
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The chain cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database does not fit together in the end.
    #[error("the database is damaged: {0}")]
    Check(#[from] CheckError),
}

/// Imports the blocks of `test`, each while the one before is written, and compares with what became of
/// them in `report`.
pub(super) fn compare(
    test: &ChainTest,
    report: &CaseReport,
    engine: &Engine<Ethereum>,
) -> Result<(), Difference> {
    let database = Database::in_memory(&genesis(test))?;
    let engine = engine.with_vm(Ethereum::new(Arc::clone(&test.chain)));
    let mut chain = Chain::with_engine(database, engine, ChainOptions::default())?;
    for (index, (block, expected)) in test.blocks.iter().zip(&report.blocks).enumerate() {
        let imported = match decode_block(&block.rlp, &test.chain) {
            Ok(decoded) => {
                let encoded_len = Some(block.rlp.len());
                chain.import_ahead(IncomingBlock { block: decoded, encoded_len })
            }
            Err(error) => Err(ImportError::Rejected(error.into())),
        };
        let found = match imported {
            Ok(imported) => Ok(imported),
            Err(ImportError::Storage(error)) => return Err(error.into()),
            Err(error) => Err(error),
        };
        if !agrees(&expected.outcome, &found) {
            return Err(Difference::Verdict {
                block: index,
                expected: describe(&expected.outcome),
                found: found.map_or_else(|error| error.to_string(), |ok| format!("{ok:?}")).into(),
            });
        }
    }
    chain.finish()?;
    let (expected, found) = (test.last_block_hash, chain.head().hash);
    if report.passed() && expected != found {
        return Err(Difference::Head { expected, found });
    }
    chain.database().check(|_| {})?;
    Ok(())
}

fn agrees(expected: &BlockOutcome, found: &Result<Imported, ImportError>) -> bool {
    match expected {
        BlockOutcome::Accepted(_) => found.is_ok(),
        BlockOutcome::Rejected(_) => matches!(found, Err(ImportError::Rejected(_))),
        // The case ended here, for a reason of its own.
        BlockOutcome::Failed => true,
    }
}

fn describe(outcome: &BlockOutcome) -> Box<str> {
    match outcome {
        BlockOutcome::Accepted(_) => "accepted".into(),
        BlockOutcome::Rejected(rejection) => format!("rejected ({rejection})").into(),
        BlockOutcome::Failed => "not decided".into(),
    }
}

/// The state of the test as a genesis block.
#[expect(clippy::iter_over_hash_type, reason = "each code is put in on its own")]
fn genesis(test: &ChainTest) -> GenesisBlock {
    let mut state = StateDiff::default();
    for (address, account, slots) in test.pre.accounts() {
        let storage = slots.into_iter().flatten().map(|(slot, value)| (*slot, *value)).collect();
        let entry = AccountDiff { account: Some(*account), storage_wiped: false, storage };
        state.insert_account(*address, entry);
    }
    for (hash, code) in test.pre.codes() {
        state.insert_code(*hash, code.clone());
    }
    GenesisBlock { config: Box::default(), header: test.genesis.clone(), state }
}
