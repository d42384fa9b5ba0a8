//! The frames of a transaction as a list: Geth's `flatCallTracer`.
//!
//! It says what `callTracer` says, in the form that OpenEthereum had. So it is made of the same frames,
//! and only while it is written: each frame names its place by the way to it, and all of these ways
//! together may take many times as much memory as the frames.

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_trace::geth::{CallFrame, FlatCallConfig};
use serde::{Serialize, Serializer, ser::SerializeSeq};

/// What `flatCallTracer` says of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct FlatTrace {
    root: CallFrame,
    place: FlatPlace,
    /// Whether errors are in the words of OpenEthereum.
    converts_errors: bool,
}

/// Where the transaction is of which something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlatPlace {
    /// `None` where it is in no block.
    pub(super) block_hash: Option<B256>,
    pub(super) block_number: u64,
    pub(super) tx_hash: B256,
    pub(super) tx_index: u64,
}

impl FlatTrace {
    pub(super) fn new(
        mut root: CallFrame,
        config: FlatCallConfig,
        place: FlatPlace,
        is_precompile: impl Fn(&Address) -> bool,
    ) -> Self {
        if !config.include_precompiles.unwrap_or_default() {
            leave_out_precompiles(&mut root, &is_precompile);
        }
        let converts_errors = config.convert_parity_errors.unwrap_or_default();
        Self { root, place, converts_errors }
    }

    fn frame<'f>(&self, frame: &'f CallFrame, trace_address: &'f [usize]) -> FlatFrame<'f> {
        let (action, result, kind) = match frame.typ.as_str() {
            "CREATE" | "CREATE2" => (created(frame), Some(creation(frame)), "create"),
            "SELFDESTRUCT" => (destroyed(frame), None, "suicide"),
            _ => (called(frame), Some(returned(frame)), "call"),
        };
        let error = frame.error.as_deref();
        FlatFrame {
            action,
            block_hash: self.place.block_hash,
            block_number: self.place.block_number,
            error: error.map(|error| if self.converts_errors { converted(error) } else { error }),
            // A revert says why. Nothing else that fails says anything.
            result: result.filter(|_| matches!(error, None | Some("execution reverted"))),
            subtraces: frame.calls.len(),
            trace_address,
            transaction_hash: self.place.tx_hash,
            transaction_position: self.place.tx_index,
            kind,
        }
    }
}

impl Serialize for FlatTrace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut frames = serializer.serialize_seq(None)?;
        frames.serialize_element(&self.frame(&self.root, &[]))?;
        // The frames that have begun, below each other, with what is left to be written of each.
        let mut open = vec![self.root.calls.iter()];
        let mut path = vec![0];
        while let Some(calls) = open.last_mut() {
            let Some(frame) = calls.next() else {
                open.pop();
                path.pop();
                if let Some(at) = path.last_mut() {
                    *at += 1;
                }
                continue;
            };
            frames.serialize_element(&self.frame(frame, &path))?;
            open.push(frame.calls.iter());
            path.push(0);
        }
        frames.end()
    }
}

/// Leaves out calls of precompiles, as OpenEthereum does, but not those that borrow their code.
fn leave_out_precompiles(root: &mut CallFrame, is_precompile: &impl Fn(&Address) -> bool) {
    let is_left_out = |frame: &CallFrame| {
        matches!(frame.typ.as_str(), "CALL" | "STATICCALL")
            && frame.to.as_ref().is_some_and(is_precompile)
    };
    let mut frames = vec![root];
    while let Some(frame) = frames.pop() {
        frame.calls.retain(|call| !is_left_out(call));
        frames.extend(&mut frame.calls);
    }
}

/// What OpenEthereum says where Geth says `error`; the same where it has no word for it.
fn converted(error: &str) -> &str {
    match error {
        "contract creation code storage out of gas"
        | "out of gas"
        | "gas uint64 overflow"
        | "max code size exceeded" => "Out of gas",
        "invalid jump destination" => "Bad jump destination",
        "execution reverted" => "Reverted",
        "return data out of bounds" => "Out of bounds",
        "stack limit reached 1024 (1023)" => "Out of stack",
        "precompiled failed" | "invalid input length" => "Built-in failed",
        error if error.starts_with("invalid opcode:") => "Bad instruction",
        error if error.starts_with("stack underflow") => "Stack underflow",
        error => error,
    }
}

fn called(frame: &CallFrame) -> Action<'_> {
    Action {
        call_type: Some(frame.typ.to_lowercase()),
        from: Some(frame.from),
        gas: Some(frame.gas.saturating_to()),
        input: Some(&frame.input),
        to: frame.to,
        value: Some(frame.value.unwrap_or_default()),
        ..Action::default()
    }
}

fn created(frame: &CallFrame) -> Action<'_> {
    Action {
        from: Some(frame.from),
        gas: Some(frame.gas.saturating_to()),
        init: Some(&frame.input),
        value: Some(frame.value.unwrap_or_default()),
        ..Action::default()
    }
}

fn destroyed(frame: &CallFrame) -> Action<'_> {
    Action {
        address: Some(frame.from),
        balance: Some(frame.value.unwrap_or_default()),
        refund_address: frame.to,
        ..Action::default()
    }
}

fn returned(frame: &CallFrame) -> Outcome {
    let output = Some(frame.output.clone().unwrap_or_default());
    Outcome { gas_used: frame.gas_used.saturating_to(), output, ..Outcome::default() }
}

fn creation(frame: &CallFrame) -> Outcome {
    let code = Some(frame.output.clone().unwrap_or_default());
    let gas_used = frame.gas_used.saturating_to();
    Outcome { address: frame.to, code, gas_used, ..Outcome::default() }
}

/// A frame as it is written. Geth writes some of what is not there, and leaves out the rest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FlatFrame<'f> {
    action: Action<'f>,
    block_hash: Option<B256>,
    block_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Outcome>,
    subtraces: usize,
    trace_address: &'f [usize],
    transaction_hash: B256,
    transaction_position: u64,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// What a frame is to do.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Action<'f> {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gas: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<&'f Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'f Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<U256>,
}

/// What a frame came to.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Bytes>,
    gas_used: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_other_words_or_the_same() {
        for (geth, parity) in [
            ("execution reverted", "Reverted"),
            ("out of gas", "Out of gas"),
            ("invalid opcode: INVALID", "Bad instruction"),
            ("invalid opcode: opcode 0xc not defined", "Bad instruction"),
            ("stack underflow (0 <=> 2)", "Stack underflow"),
            ("stack limit reached 1024 (1023)", "Out of stack"),
            ("invalid jump destination", "Bad jump destination"),
            ("write protection", "write protection"),
        ] {
            assert_eq!(converted(geth), parity);
        }
    }
}
