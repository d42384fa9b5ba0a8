//! What happened within transactions: `debug_trace*`.
//!
//! The transactions of a block are traced all at once, after an execution of the block. What is traced
//! is written as JSON at once, by whoever traced it: traces are many times as large as what is written
//! of them. When more was written than one response may be long, nothing more is traced.

use std::time::Duration;

use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::{TransactionRequest, state::StateOverride};
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use warpline_engine::{
    BadTracer, CallOptions, Cancellation, HeldTrace, InspectOptions, TraceError,
};
use warpline_primitives::RecoveredBlock;
use warpline_replay::decode_block;
use warpline_storage::StorageError;

use super::{
    RpcError,
    args::{ArgumentError, Json, Overrides},
    blocks::{self, Number},
    calls,
    context::Call,
    execution::{Parent, Place, StateWithin, block_with_parent},
    methods::{Registry, to_json},
    pool::Deadline,
    transactions::located,
};

pub(super) fn register(methods: &mut Registry) {
    methods
        .heavy("debug_traceTransaction", trace_transaction)
        .heavy("debug_traceCall", trace_call)
        .heavy("debug_traceBlockByNumber", trace_block_by_number)
        .heavy("debug_traceBlockByHash", trace_block_by_hash)
        .heavy("debug_traceBlock", trace_block);
}

/// How to trace.
type Tracing = Option<Json<GethDebugTracingOptions>>;

/// How to trace a call, and what is other than it is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallTracing {
    #[serde(flatten)]
    tracing: GethDebugTracingOptions,
    #[serde(default)]
    state_overrides: Option<StateOverride>,
    #[serde(default)]
    block_overrides: Option<Overrides>,
    #[serde(default, with = "alloy_serde::quantity::opt")]
    tx_index: Option<u64>,
}

fn options(tracing: Tracing) -> GethDebugTracingOptions {
    tracing.map_or_else(Default::default, |Json(tracing)| tracing)
}

/// When tracing ends: after the time that `tracing` says, or else `usual`, and never later than the
/// call is due. The argument is the second one or, of calls, the third.
fn deadline(
    call: &Call,
    tracing: &GethDebugTracingOptions,
    index: usize,
    usual: Duration,
) -> Result<Deadline, RpcError> {
    let Some(text) = tracing.timeout.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(call.deadline.within(usual));
    };
    let problem = ArgumentError::Duration;
    let time = duration(text).ok_or(RpcError::Argument { index, problem })?;
    Ok(call.deadline.within(time))
}

/// A time as Go writes it: numbers with units, such as `1m30s` or `1.5s`.
fn duration(text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let units = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(units);
        let unit = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|_| !text.is_empty())
}

fn trace_transaction(
    call: &Call,
    (hash, tracing): (B256, Tracing),
) -> Result<Box<RawValue>, RpcError> {
    let tracing = options(tracing);
    let deadline = deadline(call, &tracing, 1, call.limits().evm_time())?;
    let view = call.view()?;
    let (block, index) = located(&view, hash)?.ok_or(RpcError::UnknownTransaction(hash))?;
    let Parent { state, engine, .. } = Parent::of(call, &view, &block.header)?;
    let memory = Some(&call.node.trace_memory);
    let options = InspectOptions { deadline: Some(deadline.at()), cancellation: None, memory };
    let traced = engine.trace_transaction(&block, &state, index, &tracing, options);
    written(call, traced, &tracing, deadline)
}

/// A trace as it is written, which was due at `deadline`. It takes memory until then.
fn written(
    call: &Call,
    traced: Result<HeldTrace, TraceError<StorageError>>,
    tracing: &GethDebugTracingOptions,
    deadline: Deadline,
) -> Result<Box<RawValue>, RpcError> {
    let traced = traced.map_err(|error| refused(error, tracing, deadline))?;
    to_json(&*traced, call.limits().response_bytes() as usize)
}

/// Why there is no trace that was due at `deadline`. A tracer that there is not is named.
fn refused(
    error: TraceError<StorageError>,
    tracing: &GethDebugTracingOptions,
    deadline: Deadline,
) -> RpcError {
    let error = match (error, &tracing.tracer) {
        (TraceError::UnknownTracer, Some(tracer)) => {
            TraceError::Tracer(BadTracer::Unknown(tracer.as_str().to_owned()))
        }
        (error, _) => error,
    };
    RpcError::of_trace(error, deadline)
}

fn trace_call(
    call: &Call,
    (Json(request), block, tracing): (
        Json<TransactionRequest>,
        Option<BlockId>,
        Option<Json<CallTracing>>,
    ),
) -> Result<Box<RawValue>, RpcError> {
    let tracing = tracing.map_or_else(Default::default, |Json(tracing)| tracing);
    let CallTracing { tracing, state_overrides, block_overrides, tx_index } = tracing;
    let block_overrides = block_overrides.map(Overrides::of_call).transpose()?;
    let deadline = deadline(call, &tracing, 2, call.limits().evm_time())?;
    let (state, overrides) = (state_overrides.as_ref(), block_overrides.as_ref());
    let memory = Some(&call.node.trace_memory);
    let options = calls::options(call, deadline, state, overrides);
    let options = CallOptions { memory, ..options };
    let traced = match tx_index {
        None => {
            let Place { header, state, engine, .. } = Place::of(call, block)?;
            engine.trace_call(&header, &state, &request, &tracing, options)
        }
        Some(index) => {
            let (block, parent) = block_with_parent(call, block.unwrap_or_default())?;
            let place = (&block, usize::try_from(index).unwrap_or(usize::MAX));
            let state = StateWithin { state: parent.state, number: block.header.number };
            parent.engine.trace_call_within(place, &state, &request, &tracing, options)
        }
    };
    written(call, traced, &tracing, deadline)
}

/// The traces of a block's transactions, in block order.
type Traces = Vec<Box<RawValue>>;

fn trace_block_by_number(
    call: &Call,
    (Number(number), tracing): (Number, Tracing),
) -> Result<Traces, RpcError> {
    let (block, parent) = block_with_parent(call, number.into())?;
    traces(call, &block, &parent, tracing)
}

fn trace_block_by_hash(call: &Call, (hash, tracing): (B256, Tracing)) -> Result<Traces, RpcError> {
    let (block, parent) = block_with_parent(call, hash.into())?;
    traces(call, &block, &parent, tracing)
}

/// Traces a block that need not be part of the chain, but would follow one that is. Its header must be
/// one that could: otherwise it might have any amount of gas, for nothing.
fn trace_block(call: &Call, (rlp, tracing): (Bytes, Tracing)) -> Result<Traces, RpcError> {
    let wrong = |problem| RpcError::Argument { index: 0, problem };
    let block = decode_block(&rlp, &call.context().chain);
    let block = block.map_err(|problem| wrong(problem.into()))?;
    let view = call.view()?;
    let parent = Parent::of(call, &view, &block.header)?;
    let rules = parent.engine.vm().spec();
    let parent_header = blocks::header(&view, parent.state.number())?.header;
    rules
        .validate_header(&block.header, &parent_header)
        .map_err(|problem| wrong(ArgumentError::Header(Box::new(problem))))?;
    traces(call, &block, &parent, tracing)
}

fn traces(
    call: &Call,
    block: &RecoveredBlock,
    parent: &Parent,
    tracing: Tracing,
) -> Result<Traces, RpcError> {
    let tracing = options(tracing);
    let deadline = deadline(call, &tracing, 1, call.limits().call_time())?;
    let written = Written::new(call.limits().response_bytes() as usize);
    let options = InspectOptions {
        deadline: Some(deadline.at()),
        cancellation: Some(&written.cancellation),
        memory: Some(&call.node.trace_memory),
    };
    let traced =
        parent.engine.trace_block_with(block, &parent.state, &tracing, options, |_, traced| {
            written.write(|most| to_json(&traced, most))
        });
    if let Some(error) = written.failure.into_inner() {
        return Err(error);
    }
    let traced = traced.map_err(|error| refused(error, &tracing, deadline))?;
    // None is missing where none has failed.
    Ok(traced.into_iter().flatten().collect())
}

/// How much of a response was written.
#[derive(Debug)]
struct Written {
    left: Mutex<usize>,
    most: usize,
    failure: Mutex<Option<RpcError>>,
    /// Ends everything after a failure.
    cancellation: Cancellation,
}

impl Written {
    fn new(most: usize) -> Self {
        let (left, failure) = (Mutex::new(most), Mutex::default());
        Self { left, most, failure, cancellation: Cancellation::default() }
    }

    /// A part of it, which `write` writes in so many bytes at most; nothing after a failure.
    fn write(
        &self,
        write: impl FnOnce(usize) -> Result<Box<RawValue>, RpcError>,
    ) -> Option<Box<RawValue>> {
        let most = *self.left.lock();
        let part = write(most).and_then(|part| {
            // Others have written in the meantime.
            let mut left = self.left.lock();
            let too_big = RpcError::ResponseTooBig { most: self.most };
            *left = left.checked_sub(part.get().len()).ok_or(too_big)?;
            Ok(part)
        });
        match part {
            Ok(part) => Some(part),
            Err(error) => {
                self.failure.lock().get_or_insert(match error {
                    RpcError::ResponseTooBig { .. } => RpcError::ResponseTooBig { most: self.most },
                    error => error,
                });
                self.cancellation.cancel();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_in_go() {
        for (text, milliseconds) in
            [("5s", 5000), ("1m30s", 90_000), ("1.5s", 1500), ("250ms", 250), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1..s", "5 s", "1x", "1e400h", "999999999999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn no_more_is_written_than_fits() {
        let written = Written::new(10);
        let five = |most| to_json(&"abc", most);
        assert!(written.write(five).is_some() && written.write(five).is_some());
        assert!(!written.cancellation.is_cancelled());
        assert!(written.write(five).is_none() && written.cancellation.is_cancelled());
        let failure = written.failure.into_inner();
        assert!(matches!(failure, Some(RpcError::ResponseTooBig { most: 10 })));
    }
}
