//! Execution of what is no transaction of the chain: `eth_call`, `eth_estimateGas` and
//! `eth_createAccessList`.

use alloy_eips::{BlockId, eip2930::AccessList};
use alloy_primitives::{Bytes, U64};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use serde::Serialize;
use warpline_engine::{
    CallEnd, CallError, CallOptions, GasEstimate, ListedCall, halt_message, revert_message,
};
use warpline_storage::StorageError;

use super::{
    RpcError,
    args::{Json, Overrides},
    context::Call,
    execution::Place,
    methods::Registry,
    pool::Deadline,
};

pub(super) fn register(methods: &mut Registry) {
    methods
        .heavy("eth_call", call)
        .heavy("eth_estimateGas", estimate_gas)
        .heavy("eth_createAccessList", create_access_list);
}

/// What is called, in which block, and what is other than it is.
type Asked = (
    Json<TransactionRequest>,
    Option<BlockId>,
    Option<Json<StateOverride>>,
    Option<Json<Overrides>>,
);

/// How far one call may go that is due at `deadline`.
pub(super) fn options<'c>(
    call: &Call,
    deadline: Deadline,
    state: Option<&'c StateOverride>,
    block: Option<&'c BlockOverrides>,
) -> CallOptions<'c> {
    let (gas_cap, deadline) = (call.limits().gascap, Some(deadline.at()));
    CallOptions { state, block, gas_cap, deadline, ..CallOptions::default() }
}

/// Executes what is `asked`.
fn execute<T>(
    call: &Call,
    (Json(request), block, state, overrides): Asked,
    execute: impl FnOnce(
        &Place,
        &TransactionRequest,
        CallOptions<'_>,
    ) -> Result<T, CallError<StorageError>>,
) -> Result<T, RpcError> {
    let place = Place::of(call, block)?;
    let deadline = call.deadline.within(call.limits().evm_time());
    let state = state.as_ref().map(|Json(state)| state);
    let overrides = overrides.map(|Json(overrides)| overrides.of_call()).transpose()?;
    execute(&place, &request, options(call, deadline, state, overrides.as_ref()))
        .map_err(|error| RpcError::of_call(error, deadline))
}

/// What the call returned.
///
/// # Errors
/// [`RpcError::Reverted`] and [`RpcError::Halted`].
fn output(end: CallEnd) -> Result<Bytes, RpcError> {
    match end {
        CallEnd::Success { output, .. } => Ok(output),
        CallEnd::Revert { output } => Err(RpcError::reverted(output)),
        CallEnd::Halt { reason } => Err(RpcError::Halted(halt_message(&reason))),
    }
}

fn call(call: &Call, asked: Asked) -> Result<Bytes, RpcError> {
    let called = execute(call, asked, |place, request, options| {
        place.engine.call(&place.header, &place.state, request, options)
    });
    output(called?.end)
}

fn estimate_gas(call: &Call, asked: Asked) -> Result<U64, RpcError> {
    let estimate = execute(call, asked, |place, request, options| {
        place.engine.estimate_gas(&place.header, &place.state, request, options)
    });
    match estimate? {
        GasEstimate::Enough(gas) => Ok(U64::from(gas)),
        GasEstimate::Fails(end) => output(end).map(|_| U64::ZERO),
    }
}

/// A call with the access list that fits.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    access_list: AccessList,
    gas_used: U64,
    /// Why the call fails, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn create_access_list(call: &Call, asked: Asked) -> Result<Listed, RpcError> {
    let listed = execute(call, asked, |place, request, options| {
        place.engine.create_access_list(&place.header, &place.state, request, options)
    });
    let ListedCall { access_list, called } = listed?;
    let error = match called.end {
        CallEnd::Success { .. } => None,
        CallEnd::Revert { output } => Some(revert_message(&output)),
        CallEnd::Halt { reason } => Some(halt_message(&reason).to_owned()),
    };
    Ok(Listed { access_list, gas_used: U64::from(called.gas_used), error })
}
