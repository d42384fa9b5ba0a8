//! Reproducers are read back, and pass on a correct engine.

use std::sync::Arc;

use warpline_chain::ChainSpec;
use warpline_engine::{Engine, EngineConfig, Ethereum, ExecuteOptions, ExecutionError, Strategy};
use warpline_fuzz::{Block, Rules, block_seed, reproducer};
use warpline_replay::{
    BlockOutcome, ExecutionError as CaseError, Input, Origin, Verdict, decode_document,
    run_chain_test,
};

/// Writes the block down, reads it, runs it, and says whether it was accepted.
fn round_trip(seed: u64, rules: Rules) -> bool {
    let generated = Block::random(seed, Some(rules)).generate();
    let notes = [("comment", "of no importance".to_owned())];
    let file = reproducer(&generated, "case", &notes).expect("plain revm executes it").to_string();
    let chain = Arc::new(ChainSpec::mainnet());
    let mut cases = decode_document(file.as_bytes(), &Origin::file("reproducer"), &chain);
    let Some(Ok(Input::ChainTest(test))) = cases.pop() else { panic!("{rules}: no case") };
    assert_eq!(test.network, rules.name());
    let config = EngineConfig::with_threads(2);
    let engine =
        Engine::new(Ethereum::new(test.chain.clone()), config).expect("threads can be started");
    let mut executed = Vec::new();
    let report = run_chain_test(&test, |input, observer| {
        executed.extend(input.block.transactions.iter().map(|tx| tx.signer()));
        let mut options = ExecuteOptions::from(Strategy::Parallel(2));
        options.observer = observer;
        engine.execute_with(&input.block, &input.parent, options).map_err(|error| match error {
            ExecutionError::InvalidBlock(error) => CaseError::InvalidBlock(error.into()),
            error => CaseError::Failed(error.into()),
        })
    });
    assert!(matches!(report.verdict, Verdict::Passed), "{rules}, {seed}: {:?}", report.verdict);
    if !executed.is_empty() {
        // The signatures are true: who sent is who was to send.
        let senders: Vec<_> = generated.block.transactions.iter().map(|tx| tx.signer()).collect();
        assert_eq!(executed, senders);
    }
    matches!(report.blocks[0].outcome, BlockOutcome::Accepted(_))
}

#[test]
fn a_reproducer_of_every_fork_is_read_back_and_passes() {
    let mut accepted = 0;
    for rules in Rules::ALL {
        for index in 0..6 {
            accepted += usize::from(round_trip(block_seed(11, index), rules));
        }
    }
    let all = 6 * Rules::ALL.len();
    assert!(accepted > all / 2 && accepted < all, "{accepted} of {all} blocks are valid");
}
