//! The blocks that come with the program.

use std::sync::Arc;

use warpline_engine::{Engine, Ethereum};
use warpline_replay::{BlockInput, Ommers, Origin, ParentState};
use warpline_trie::TrieError;
use warpline_workloads::{SealedCase, default_chain};

/// Why the embedded blocks could not be made: a defect of this program.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EmbeddedError {
    #[error("executing an embedded block failed: {0}")]
    Execution(#[from] warpline_engine::ExecutionError<warpline_primitives::MissingState>),
    #[error("the root after an embedded block cannot be computed: {0}")]
    Root(#[from] TrieError),
}

/// The embedded blocks, each with the state before it. Their headers are completed by the plain
/// revm loop, which the engine's results are then held against.
pub(crate) fn blocks(engine: &Engine<Ethereum>) -> Result<Vec<BlockInput>, EmbeddedError> {
    let chain = default_chain();
    let spec = Arc::new(chain.chain.clone());
    let engine = engine.with_vm(Ethereum::new(spec.clone()));
    let mut trie = complete(&chain.state);
    let sealed = chain.seal_with(|block, state| {
        let output = engine.execute_reference(block, state)?;
        trie.apply(&output.state)?;
        Ok::<_, EmbeddedError>((output, trie.root()))
    })?;
    let input = |(case, number): (SealedCase, usize)| BlockInput {
        origin: Origin::file("embedded").with_member(number.to_string()),
        chain: spec.clone(),
        encoded_len: None,
        access_list: None,
        ommers: Ommers::Known,
        parent_header: Some(case.parent),
        parent: ParentState::Complete(warpline_replay::CompleteState::new(case.state)),
        block: case.block,
    };
    Ok(sealed.into_iter().zip(1..).map(input).collect())
}

fn complete(state: &warpline_primitives::MemoryState) -> warpline_trie::StateTrie {
    warpline_replay::CompleteState::new(state.clone()).trie().clone()
}
