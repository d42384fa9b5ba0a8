//! Running the cases of blockchain tests.
//!
//! Blocks arrive one by one and may build on any block before them. Each is checked the way a
//! node would: decode, header, ommers, transactions, execution, the rest of the body, and the
//! header's commitments. The roots of the body come after execution on purpose: many tests of an
//! invalid transaction also carry a wrong transactions root, and rejecting them for that would
//! prove nothing about the transaction.
//!
//! ```text
//! block ─▶ decode ─▶ parent known? ─▶ header, ommers ─▶ execute ─▶ body ─▶ verify ─▶ accepted
//!            │             │               │               │         │        │
//!            └─────────────┴───────────────┴───── rejected ┴─────────┴────────┘
//! ```

mod report;
mod tree;

use std::{error::Error, sync::Arc};

use warpline_primitives::{BlockOutput, CommitObserver};
use warpline_trie::StateTrie;

pub use report::{BlockOutcome, BlockReport, CaseFailure, CaseReport, Rejection, Verdict};

use self::{
    report::check_post_state,
    tree::{Arrival, BlockTree},
};
use crate::{
    BlockInput, ChainTest, Expectation, Proof, TestBlock, decode_block, verify::verify_and_advance,
};

/// Why an execution gave no output.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// The block breaks a rule of execution.
    #[error("invalid block: {0}")]
    InvalidBlock(#[source] Box<dyn Error + Send + Sync>),
    /// The block could not be executed, which says nothing about the block.
    #[error("execution failed: {0}")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

type Execute<'a> = &'a mut dyn FnMut(
    &BlockInput,
    Option<&mut dyn CommitObserver>,
) -> Result<BlockOutput, ExecutionError>;

/// Runs all blocks of `test` and compares what becomes of them with what the test says.
///
/// `execute` gets each block with the state it starts from and, before Byzantium, an observer
/// that must see the commits of the execution. It returns the output, or why there is none.
pub fn run_chain_test(
    test: &ChainTest,
    mut execute: impl FnMut(
        &BlockInput,
        Option<&mut dyn CommitObserver>,
    ) -> Result<BlockOutput, ExecutionError>,
) -> CaseReport {
    let mut blocks = Vec::with_capacity(test.blocks.len());
    let verdict = match run_blocks(test, &mut execute, &mut blocks) {
        Ok(()) => Verdict::Passed,
        Err(failure) => Verdict::Failed(Box::new(failure)),
    };
    CaseReport { origin: test.origin.clone(), network: test.network.clone(), blocks, verdict }
}

fn run_blocks(
    test: &ChainTest,
    execute: Execute<'_>,
    reports: &mut Vec<BlockReport>,
) -> Result<(), CaseFailure> {
    let decode = |block: &TestBlock| decode_block(&block.rlp, &test.chain);
    let arrivals: Vec<Arrival> = test.blocks.iter().map(decode).collect();
    let mut tree = BlockTree::new(test, &arrivals)?;
    for (index, (block, arrival)) in test.blocks.iter().zip(arrivals).enumerate() {
        let mut report = BlockReport::new(index, arrival.as_ref().ok());
        let imported = import(&mut tree, block, arrival, execute, &mut report);
        reports.push(report);
        imported?;
    }
    let head = tree.head();
    if head.hash != test.last_block_hash {
        let (expected, found) = (test.last_block_hash, head.hash);
        return Err(CaseFailure::Head { expected, found });
    }
    check_post_state(&test.post, &head.header, head.state.memory())
}

/// Takes in one block and compares what becomes of it with what is expected. On the way `report`
/// is completed.
fn import(
    tree: &mut BlockTree<'_>,
    block: &TestBlock,
    arrival: Arrival,
    execute: Execute<'_>,
    report: &mut BlockReport,
) -> Result<(), CaseFailure> {
    let index = report.index;
    let admitted = tree.admit(block, arrival).map_err(Stop::Rejected);
    report.executed = admitted.is_ok();
    match (admitted.and_then(|input| run(input, execute)), &block.expectation) {
        (Ok(candidate), Expectation::Valid) if !candidate.proof.is_complete() => {
            Err(CaseFailure::Unproven { block: index, proof: candidate.proof })
        }
        (Ok(candidate), Expectation::Valid) => {
            report.outcome = BlockOutcome::Accepted(candidate.proof.clone());
            tree.insert(candidate);
            Ok(())
        }
        (Ok(_), Expectation::Invalid(reason)) => {
            Err(CaseFailure::WronglyAccepted { block: index, reason: reason.clone() })
        }
        (Err(Stop::Rejected(rejection)), expectation) => {
            let rejection = Arc::new(rejection);
            report.outcome = BlockOutcome::Rejected(rejection.clone());
            if expectation.is_valid() {
                return Err(CaseFailure::WronglyRejected { block: index, rejection });
            }
            Ok(())
        }
        (Err(Stop::Failed(source)), _) => Err(CaseFailure::NotExecuted { block: index, source }),
    }
}

/// A block that kept all rules, with the state after it.
struct Candidate {
    input: BlockInput,
    output: BlockOutput,
    proof: Proof,
    trie: Option<StateTrie>,
}

/// Why there is no candidate.
enum Stop {
    Rejected(Rejection),
    Failed(Box<dyn Error + Send + Sync>),
}

fn run(input: BlockInput, execute: Execute<'_>) -> Result<Candidate, Stop> {
    let mut roots = input.transaction_roots();
    let observer = roots.as_mut().map(|roots| roots as &mut dyn CommitObserver);
    let output = execute(&input, observer).map_err(|error| match error {
        ExecutionError::InvalidBlock(source) => Stop::Rejected(Rejection::Execution(source)),
        ExecutionError::Failed(source) => Stop::Failed(source),
    })?;
    let BlockInput { chain, block, parent, .. } = &input;
    chain
        .validate_body(block, input.encoded_len)
        .map_err(|error| Stop::Rejected(Rejection::Body(error)))?;
    let (proof, trie) = verify_and_advance(block, parent, chain, &output, roots.as_ref())
        .map_err(|error| Stop::Rejected(Rejection::Verification(error)))?;
    Ok(Candidate { input, output, proof, trie })
}
