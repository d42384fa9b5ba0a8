//! Execution of blocks that are not part of the chain: `eth_simulateV1`.

use std::error::Error;

use alloy_eips::{BlockId, eip4895::Withdrawals};
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::{
    self as rpc, TransactionRequest,
    simulate::{SimBlock, SimCallResult, SimulateError as CallFailure, SimulatePayload},
    state::StateOverride,
};
use serde::Deserialize;
use warpline_engine::{
    CallEnd, CallRefusal, SimulateOptions, SimulatedBlock, SimulatedCall, halt_message,
    revert_message,
};
use warpline_primitives::StateDiff;
use warpline_storage::StateView;

use super::{
    RpcError,
    args::{Json, Overrides},
    blocks::{self, RpcBlock},
    context::Call,
    execution::Place,
    methods::Registry,
    pool::Deadline,
    transactions::LogPlace,
};

/// A simulated block as it is written.
type Written = rpc::simulate::SimulatedBlock<RpcBlock>;

/// Blocks that are to be simulated, as they are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Asked {
    block_state_calls: Vec<AskedBlock>,
    trace_transfers: bool,
    validation: bool,
    return_full_transactions: bool,
}

/// One of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AskedBlock {
    block_overrides: Option<Overrides>,
    state_overrides: Option<StateOverride>,
    calls: Vec<TransactionRequest>,
}

impl Asked {
    /// The blocks, and what is withdrawn in each.
    fn into_parts(self) -> (SimulatePayload, Vec<Withdrawals>) {
        let Self { block_state_calls, trace_transfers, validation, return_full_transactions } =
            self;
        let block = |asked: AskedBlock| {
            let AskedBlock { block_overrides, state_overrides, calls } = asked;
            let Overrides { block, withdrawals } = block_overrides.unwrap_or_default();
            let block = SimBlock { block_overrides: Some(block), state_overrides, calls };
            (block, withdrawals.unwrap_or_default())
        };
        let (block_state_calls, withdrawals) = block_state_calls.into_iter().map(block).unzip();
        let payload = SimulatePayload {
            block_state_calls,
            trace_transfers,
            validation,
            return_full_transactions,
        };
        (payload, withdrawals)
    }
}

pub(super) fn register(methods: &mut Registry) {
    methods.heavy("eth_simulateV1", simulate);
}

fn simulate(
    call: &Call,
    (Json(asked), block): (Json<Asked>, Option<BlockId>),
) -> Result<Vec<Written>, RpcError> {
    let (payload, withdrawals) = asked.into_parts();
    let place = Place::of(call, block)?;
    let engine = place.engine_of_children(call.context());
    let deadline = call.deadline.within(call.limits().evm_time());
    let gas_cap = call.limits().gascap;
    let options = SimulateOptions {
        gas_cap,
        deadline: Some(deadline.at()),
        cancellation: None,
        withdrawals: &withdrawals,
    };
    let root = |changes: &StateDiff| root(&place.state.state, changes, deadline);
    let simulated = engine
        .simulate(&place.header, &place.state, &payload, options, root)
        .map_err(|error| RpcError::of_simulation(error, deadline))?;
    let is_full = payload.return_full_transactions;
    Ok(simulated.into_iter().map(|block| written(block, is_full)).collect())
}

/// The root of `state` after `changes`. Every block has all changes so far, and there may be many: so
/// it looks at the clock.
fn root(
    state: &StateView,
    changes: &StateDiff,
    deadline: Deadline,
) -> Result<B256, Box<dyn Error + Send + Sync>> {
    deadline.check()?;
    let mut trie = state.trie();
    // Other threads are for blocks that come in.
    trie.set_parallel(false);
    trie.apply(changes)?;
    Ok(trie.root())
}

fn written(simulated: SimulatedBlock, is_full: bool) -> Written {
    let SimulatedBlock { block, calls, .. } = simulated;
    let calls = calls.into_iter().enumerate().map(|(index, call)| {
        // The numbers of logs are given by the simulation.
        written_call(call, LogPlace::new(&block, index, 0))
    });
    let calls = calls.collect();
    Written { inner: blocks::written(block, is_full), calls }
}

fn written_call(call: SimulatedCall, mut place: LogPlace) -> SimCallResult {
    let SimulatedCall { called, logs } = call;
    let logs =
        logs.into_iter().map(|(index, log)| rpc::Log { log_index: Some(index), ..place.next(log) });
    SimCallResult {
        return_data: Bytes::copy_from_slice(called.output()),
        logs: logs.collect(),
        gas_used: called.gas_used,
        max_used_gas: Some(called.max_gas_used),
        status: called.is_success(),
        error: failure(called.end),
    }
}

/// Why a call failed, if it did.
fn failure(end: CallEnd) -> Option<CallFailure> {
    match end {
        CallEnd::Success { .. } => None,
        CallEnd::Revert { output } => Some(CallFailure {
            code: CallRefusal::REVERTED,
            message: revert_message(&output),
            data: Some(output),
        }),
        CallEnd::Halt { reason } => Some(CallFailure {
            code: CallFailure::VM_EXECUTION_ERROR_CODE,
            message: halt_message(&reason).to_owned(),
            data: None,
        }),
    }
}
