//! Blocks from a node, asked for over JSON-RPC: what to ask, and what to make of the answers.
//!
//! How questions travel is somebody else's business, a [`JsonRpc`]; nothing here waits, tries again or knows the time.
//! A block comes as RLP, or as JSON that is encoded anew; either way its header must have the hash it was announced
//! with, and its body the roots of that header. The state before it comes from the best of what the node offers:
//!
//! 1. `debug_executionWitness`, which proves itself against the parent's header;
//! 2. the `prestateTracer`, which shows what each transaction found. [`trace`] makes of that the state before the
//!    block, and asks for what no tracer shows. It proves nothing, as every snapshot.
//!
//! A method that the node does not have is not asked for twice.

mod ancestors;
mod block;
mod error;
mod parent;
mod trace;

use std::{
    collections::HashMap,
    error::Error,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use alloy_consensus::Header;
use alloy_primitives::{B256, U64};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};
use warpline_chain::ChainSpec;

pub use error::{BodyPart, FetchError};

use crate::{Capture, InputProblem, format::witness::WitnessJson};

/// Whoever carries questions to a node.
pub trait JsonRpc {
    /// Asks all `requests` and returns an answer for each, in their order.
    ///
    /// # Errors
    /// When the node cannot be reached, or answers with something else than JSON-RPC. That it refuses a request is
    /// an answer.
    fn send(&self, requests: &[RpcRequest]) -> Result<Vec<RpcAnswer>, TransportError>;
}

/// Why no answers came.
pub type TransportError = Box<dyn Error + Send + Sync>;

/// A result, not decoded yet, or why there is none.
pub type RpcAnswer = Result<Box<RawValue>, RpcFault>;

/// A question.
#[derive(Clone, Debug, PartialEq)]
pub struct RpcRequest {
    /// The method.
    pub method: &'static str,
    /// Its parameters.
    pub params: Value,
}

/// Why a node refuses to answer a question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcFault {
    /// The code, of JSON-RPC or of EIP-1474.
    pub code: i64,
    /// The reason in the node's words.
    pub message: String,
}

impl RpcFault {
    /// Whether the node does not have the method at all.
    pub const fn is_method_missing(&self) -> bool {
        // "Method not found" of JSON-RPC, "method not supported" of EIP-1474.
        matches!(self.code, -32601 | -32004)
    }

    /// Whether the node has deleted what it is asked for (EIP-4444).
    pub const fn is_pruned(&self) -> bool {
        // "Pruned history unavailable" of the execution API.
        self.code == 4444
    }
}

/// From where a node's answers about states are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateFrom {
    /// From a witness if the node gives one, else from traces.
    #[default]
    Any,
    /// From a witness only.
    Witness,
    /// From traces only.
    Traces,
}

/// A block that a node has announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockHead {
    /// Its hash, which is that of the header.
    pub hash: B256,
    /// Its header.
    pub header: Header,
}

/// A node as a source of blocks. Any number of threads may ask at once.
pub struct RemoteNode<R> {
    rpc: R,
    chain: Arc<ChainSpec>,
    state_from: StateFrom,
    offers: Offers,
    /// The parent's hash of each block that was met.
    parents: Mutex<HashMap<B256, B256>>,
}

/// What the node has not yet said it does not have.
struct Offers {
    raw_block: AtomicBool,
    raw_header: AtomicBool,
    witness: AtomicBool,
    trace_by_hash: AtomicBool,
}

/// The chain id of a node.
///
/// # Errors
/// When it does not say.
pub fn chain_id_of(rpc: &impl JsonRpc) -> Result<u64, FetchError> {
    ask::<U64>(rpc, "eth_chainId", json!([])).map(|id| id.to())
}

impl<R: JsonRpc> RemoteNode<R> {
    /// The node behind `rpc`, whose blocks are of `chain`.
    pub fn new(rpc: R, chain: Arc<ChainSpec>, state_from: StateFrom) -> Self {
        let offers = Offers {
            raw_block: AtomicBool::new(true),
            raw_header: AtomicBool::new(true),
            witness: AtomicBool::new(true),
            trace_by_hash: AtomicBool::new(true),
        };
        Self { rpc, chain, state_from, offers, parents: Mutex::default() }
    }

    /// The number of the newest block.
    ///
    /// # Errors
    /// When the node does not say.
    pub fn latest(&self) -> Result<u64, FetchError> {
        ask::<U64>(&self.rpc, "eth_blockNumber", json!([])).map(|number| number.to())
    }

    /// The block with this number, as the node has it now.
    ///
    /// # Errors
    /// When it has none, or the header does not have the hash.
    pub fn head(&self, number: u64) -> Result<BlockHead, FetchError> {
        let head = self.head_at("eth_getBlockByNumber", json!([hex(number), false]), number)?;
        if head.header.number != number {
            return Err(FetchError::OtherNumber { expected: number, found: head.header.number });
        }
        Ok(head)
    }

    /// The block with all that it takes to execute it.
    ///
    /// # Errors
    /// When the node does not give it, or gives something else.
    pub fn capture(&self, head: &BlockHead) -> Result<Capture, FetchError> {
        let number = head.header.number;
        if number == 0 {
            return Err(FetchError::Genesis);
        }
        self.parents().insert(head.hash, head.header.parent_hash);
        let block = self.block(head)?;
        let refused = match self.state_from {
            StateFrom::Traces => None,
            StateFrom::Any | StateFrom::Witness => match self.witness(head)? {
                Ok(witness) => return self.with_witness(head, block, witness),
                Err(fault) => Some(fault),
            },
        };
        if self.state_from == StateFrom::Witness {
            let fault = refused.unwrap_or_else(no_longer_asked);
            return Err(FetchError::Refused { method: WITNESS, fault });
        }
        let traced = self.traces(head, block.transactions)?;
        let traces = match traced {
            Ok(traces) => traces,
            Err(traces) => return Err(FetchError::NoState { number, witness: refused, traces }),
        };
        self.with_traces(head, block, traces)
    }

    fn with_witness(
        &self,
        head: &BlockHead,
        block: block::Fetched,
        mut witness: WitnessJson,
    ) -> Result<Capture, FetchError> {
        let number = head.header.number;
        let parent_hash = head.header.parent_hash;
        if witness.headers.is_empty() {
            witness.headers.push(self.parent_header(head)?.header.into());
        }
        witness
            .capture(block.rlp, parent_hash, &self.rules_for(head))
            .map_err(|problem| FetchError::Witness { number, problem: Box::new(problem.kind) })
    }

    /// The witness of a block, or why the node does not give it.
    fn witness(&self, head: &BlockHead) -> Result<Result<WitnessJson, RpcFault>, FetchError> {
        if !self.offers.witness.load(Ordering::Relaxed) {
            return Ok(Err(no_longer_asked()));
        }
        match self.ask(WITNESS, json!([hex(head.header.number)])) {
            Ok(Some(witness)) => Ok(Ok(witness)),
            Ok(None) => Ok(Err(RpcFault { code: 0, message: "the node has none".to_owned() })),
            Err(error) => error.into_fault(&self.offers.witness).map(Err),
        }
    }

    /// The rules for a block. Where a total difficulty decides the merge, that the block has no difficulty says that
    /// it was reached.
    pub fn rules_for(&self, head: &BlockHead) -> Arc<ChainSpec> {
        match self.chain.unresolved_terminal_difficulty() {
            Some(terminal) if head.header.difficulty.is_zero() => {
                Arc::new(self.chain.for_child_of(head.header.number - 1, terminal).into_owned())
            }
            _ => self.chain.clone(),
        }
    }

    fn parent_header(&self, head: &BlockHead) -> Result<BlockHead, FetchError> {
        let (number, expected) = (head.header.number, head.header.parent_hash);
        let parent = self.head_at("eth_getBlockByHash", json!([expected, false]), number - 1)?;
        if parent.hash != expected {
            let number = number - 1;
            return Err(FetchError::OtherBlock { number, expected, found: parent.hash });
        }
        Ok(parent)
    }

    fn head_at(
        &self,
        method: &'static str,
        params: Value,
        number: u64,
    ) -> Result<BlockHead, FetchError> {
        #[derive(Deserialize)]
        struct Head {
            hash: B256,
            #[serde(flatten)]
            header: Header,
        }
        let head = self.ask::<Option<Head>>(method, params)?;
        let Head { hash, header } = head.ok_or(FetchError::NoBlock { number })?;
        let found = header.hash_slow();
        if found != hash {
            return Err(FetchError::OtherBlock { number, expected: hash, found });
        }
        Ok(BlockHead { hash, header })
    }

    fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, FetchError> {
        ask(&self.rpc, method, params)
    }

    /// Asks all of `requests` and decodes what comes.
    fn ask_all<T: DeserializeOwned>(&self, requests: &[RpcRequest]) -> Result<Vec<T>, FetchError> {
        if requests.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.rpc.send(requests).map_err(FetchError::Transport)?;
        let all = requests.iter().zip(answers);
        let answers: Vec<T> = all
            .map(|(request, answer)| decode(request.method, answer))
            .collect::<Result<_, _>>()?;
        if answers.len() < requests.len() {
            return Err(FetchError::Answers { expected: requests.len(), found: answers.len() });
        }
        Ok(answers)
    }

    fn parents(&self) -> MutexGuard<'_, HashMap<B256, B256>> {
        // Whatever panicked, the map says what was met.
        self.parents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const WITNESS: &str = "debug_executionWitness";

fn no_longer_asked() -> RpcFault {
    RpcFault { code: -32601, message: "the node does not have the method".to_owned() }
}

fn hex(number: u64) -> Value {
    json!(U64::from(number))
}

fn ask<T: DeserializeOwned>(
    rpc: &impl JsonRpc,
    method: &'static str,
    params: Value,
) -> Result<T, FetchError> {
    let answers = rpc.send(&[RpcRequest { method, params }]).map_err(FetchError::Transport)?;
    let answer = answers.into_iter().next();
    decode(method, answer.ok_or(FetchError::Answers { expected: 1, found: 0 })?)
}

fn decode<T: DeserializeOwned>(method: &'static str, answer: RpcAnswer) -> Result<T, FetchError> {
    let result = answer.map_err(|fault| FetchError::Refused { method, fault })?;
    serde_json::from_str(result.get()).map_err(|reason| FetchError::Answer { method, reason })
}

impl FetchError {
    /// The reason of a refusal; anything else stays an error. A method that the node does not have is no longer
    /// `offered`.
    fn into_fault(self, offered: &AtomicBool) -> Result<RpcFault, Self> {
        let Self::Refused { fault, .. } = self else { return Err(self) };
        if fault.is_method_missing() {
            offered.store(false, Ordering::Relaxed);
        }
        Ok(fault)
    }

    /// Whether asking for the block once more may help, because the node was of two minds: its chain moved while it
    /// was asked, or several nodes answer in turn.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::OtherBlock { .. } | Self::OtherNumber { .. } | Self::OtherTraces { .. } => true,
            Self::Witness { problem, .. } => {
                matches!(**problem, InputProblem::HeaderChain { .. })
            }
            _ => false,
        }
    }
}
