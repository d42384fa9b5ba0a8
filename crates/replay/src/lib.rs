//! Block inputs in every format, the states they start from, and proof of their results.
//!
//! [`Inputs`] finds blocks in files, directories and archives: snapshots, execution witnesses,
//! blockchain tests and captures, told apart by their contents. A [`Capture`] is a block with all that it takes to
//! execute it, and a format of our own. A [`BlockInput`] holds a block and its
//! [`ParentState`]; whoever executes it gives the output to [`BlockInput::verify`], which proves
//! what the input allows. [`run_chain_test`] does all of this for the blocks of a blockchain
//! test. A [`ChainFile`] is the blocks of a whole chain. Nothing here executes anything: execution is a closure.
//!
//! ```
//! use warpline_replay::{Input, Inputs};
//!
//! # let file = std::env::temp_dir().join(format!("warpline-doc-{}.json", std::process::id()));
//! # std::fs::write(&file, r#"{"block": "0xc0", "witness": {"state": [], "codes": []}}"#)?;
//! for input in Inputs::open([&file]) {
//!     match input {
//!         Ok(Input::Block(input)) => println!("block {} of {}", input.number(), input.origin),
//!         Ok(Input::ChainTest(test)) => println!("{} blocks in {}", test.blocks.len(), test.origin),
//!         Ok(Input::Skipped(origin)) => println!("{origin} holds no blocks"),
//!         // Names the file, the place in it and the reason; the next file is read all the same.
//!         Err(error) => println!("{error}"),
//!     }
//! }
//! # std::fs::remove_file(&file)?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod block;
mod capture;
mod chain_file;
mod documents;
mod error;
mod format;
mod input;
mod json;
mod origin;
mod parent;
mod read;
mod remote;
mod roots;
mod runner;
mod verify;

pub use block::{BlockDecodeError, decode_block};
pub use capture::{
    CAPTURE_VERSION, Capture, CaptureError, CapturePart, CapturedAccount, CapturedState,
    ChainProblem,
};
pub use chain_file::{
    ChainFile, ChainFileError, ChainFileWriter, DEFAULT_MAX_BLOCK_BYTES, RawBlock,
};
pub use error::{InputError, InputProblem, JsonFault};
pub use format::{ChainTest, Expectation, PostState, TestBlock};
pub use input::{BlockInput, Ommers, PreconditionError};
pub use origin::{JsonPath, Origin};
pub use parent::{CompleteState, ParentState, ParentStateError, WitnessState};
pub use read::{Captured, Captures, Input, Inputs, decode_document};
pub use remote::{
    BlockHead, BodyPart, FetchError, JsonRpc, RemoteNode, RpcAnswer, RpcFault, RpcRequest,
    StateFrom, TransportError, chain_id_of,
};
pub use roots::{TransactionRoots, receipts_with};
pub use runner::{
    BlockOutcome, BlockReport, CaseFailure, CaseReport, ExecutionError, Rejection, Verdict,
    run_chain_test,
};
pub use verify::{Proof, ProofLevel, ProofLimit, VerifyError, verify, verify_output};
