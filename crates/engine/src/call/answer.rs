//! What a call came to, and how to say it.

use alloy_primitives::{Address, Bytes, Log, U256};
use revm::context::result::{ExecutionResult, HaltReason, Output};

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// How it ended.
    pub end: CallEnd,
    /// Gas used, after refunds.
    pub gas_used: u64,
    /// Gas refunded.
    pub gas_refunded: u64,
    /// The most gas that was in use at any time: what it takes, before refunds.
    pub max_gas_used: u64,
    /// What it logged, where it succeeded.
    pub logs: Vec<Log>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// It ran to its end.
    Success {
        /// What it returned.
        output: Bytes,
        /// The contract that it created.
        created: Option<Address>,
    },
    /// The contract took back what it did.
    Revert {
        /// Why, as the contract says it. See [`revert_reason`].
        output: Bytes,
    },
    /// The virtual machine stopped it, and all of its gas is gone.
    Halt {
        /// Why. See [`halt_message`].
        reason: HaltReason,
    },
}

impl Called {
    /// What the call returned: nothing, if it halted.
    pub fn output(&self) -> &[u8] {
        match &self.end {
            CallEnd::Success { output, .. } | CallEnd::Revert { output } => output,
            CallEnd::Halt { .. } => &[],
        }
    }

    /// Whether it ran to its end.
    pub const fn is_success(&self) -> bool {
        matches!(self.end, CallEnd::Success { .. })
    }
}

impl From<ExecutionResult> for Called {
    fn from(result: ExecutionResult) -> Self {
        let gas = *result.gas();
        let (end, logs) = match result {
            ExecutionResult::Success { logs, output, .. } => {
                let created = output.address().copied();
                let (Output::Call(output) | Output::Create(output, _)) = output;
                (CallEnd::Success { output, created }, logs)
            }
            ExecutionResult::Revert { output, .. } => (CallEnd::Revert { output }, Vec::new()),
            ExecutionResult::Halt { reason, .. } => (CallEnd::Halt { reason }, Vec::new()),
        };
        let (gas_used, gas_refunded) = (gas.tx_gas_used(), gas.final_refunded());
        let max_gas_used = gas.total_gas_spent().max(gas.floor_gas());
        Self { end, gas_used, gas_refunded, max_gas_used, logs }
    }
}

/// What Geth says of a call that was stopped for this reason.
pub const fn halt_message(reason: &HaltReason) -> &'static str {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode",
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID",
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::StackUnderflow => "stack underflow",
        HaltReason::StackOverflow => "stack limit reached",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        HaltReason::PrecompileError | HaltReason::PrecompileErrorWithContext(_) => {
            "precompile failed"
        }
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => "max code size exceeded",
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded",
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection"
        }
        HaltReason::OverflowPayment | HaltReason::OutOfFunds => "insufficient balance for transfer",
        HaltReason::CallTooDeep => "max call depth exceeded",
    }
}

/// What Geth says of a call that was reverted with this output.
pub fn revert_message(output: &[u8]) -> String {
    match revert_reason(output) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    }
}

/// The selector of Solidity's `Error(string)`.
const ERROR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
/// The selector of Solidity's `Panic(uint256)`.
const PANIC: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];

/// Why a call was reverted, if its output says it the way Solidity does: `Error(string)` or
/// `Panic(uint256)`.
pub fn revert_reason(output: &[u8]) -> Option<String> {
    let (selector, arguments) = output.split_first_chunk::<4>()?;
    match *selector {
        ERROR => {
            let start = usize::try_from(word(arguments, 0)?).ok()?;
            let length = usize::try_from(word(arguments, start)?).ok()?;
            let text = arguments.get(start.checked_add(32)?..)?.get(..length)?;
            Some(String::from_utf8_lossy(text).into_owned())
        }
        PANIC => Some(panic_reason(word(arguments, 0)?)),
        _ => None,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<U256> {
    Some(U256::from_be_slice(bytes.get(at..at.checked_add(32)?)?))
}

/// What Solidity's numbers of failed assertions mean.
fn panic_reason(code: U256) -> String {
    let reason = match u64::try_from(code) {
        Ok(0x00) => "generic panic",
        Ok(0x01) => "assert(false)",
        Ok(0x11) => "arithmetic underflow or overflow",
        Ok(0x12) => "division or modulo by zero",
        Ok(0x21) => "enum overflow",
        Ok(0x22) => "invalid encoded storage byte array accessed",
        Ok(0x31) => "out-of-bounds array access; popping on an empty array",
        Ok(0x32) => "out-of-bounds access of an array or bytesN",
        Ok(0x41) => "out of memory",
        Ok(0x51) => "uninitialized function",
        _ => return format!("unknown panic code: {code:#x}"),
    };
    reason.to_owned()
}
