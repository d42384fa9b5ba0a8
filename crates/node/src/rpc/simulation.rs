//! Execution of blocks that are not part of the chain: `eth_simulateV1`.

use std::error::Error;

use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::{
    self as rpc,
    simulate::{SimCallResult, SimulateError as CallFailure, SimulatePayload},
};
use warpline_engine::{
    CallEnd, CallRefusal, SimulateOptions, SimulatedBlock, SimulatedCall, halt_message,
    revert_message,
};
use warpline_primitives::StateDiff;
use warpline_storage::StateView;

use super::{
    RpcError,
    args::Json,
    blocks::{self, RpcBlock},
    context::Call,
    execution::Place,
    methods::Registry,
    pool::Deadline,
    transactions::LogPlace,
};

/// A simulated block as it is written.
type Written = rpc::simulate::SimulatedBlock<RpcBlock>;

pub(super) fn register(methods: &mut Registry) {
    methods.heavy("eth_simulateV1", simulate);
}

fn simulate(
    call: &Call,
    (Json(payload), block): (Json<SimulatePayload>, Option<BlockId>),
) -> Result<Vec<Written>, RpcError> {
    let place = Place::of(call, block)?;
    let engine = place.engine_of_children(call.context());
    let deadline = call.deadline.within(call.limits().evm_time());
    let gas_cap = call.limits().gascap;
    let deadline_at = Some(deadline.at());
    let options =
        SimulateOptions { gas_cap, deadline: deadline_at, ..SimulateOptions::default() };
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
