//! Why frames failed, in the words of Geth.
//!
//! What revm tells of a failure is less than what Geth says: which opcode was invalid, how many values
//! were on the stack. The last step before says that, so it is remembered. Frames are told apart by
//! their position in the order in which they began, which is that of the trace.

use std::{collections::BTreeMap, mem};

use alloy_rpc_types_trace::geth::CallFrame;
use revm::{
    bytecode::opcode::OpCode,
    interpreter::{
        InstructionResult, Interpreter,
        interpreter_types::{Jumps, LoopControl},
    },
};

/// How many values a stack holds.
const STACK_LIMIT: usize = 1024;

/// What is known of failures.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// The positions of the frames that have not ended.
    open: Vec<usize>,
    begun: usize,
    last: Option<Step>,
    /// By the position of the frame.
    failures: BTreeMap<usize, String>,
}

/// The last step of the frame at a position.
#[derive(Clone, Copy, Debug)]
struct Step {
    frame: usize,
    opcode: u8,
    stack: usize,
    /// Whether it ended its frame without an error.
    has_returned: bool,
}

impl Words {
    /// A frame begins.
    pub(super) fn begin(&mut self) {
        self.open.push(self.begun);
        self.begun += 1;
    }

    /// A step begins in the frame that began last and has not ended.
    pub(super) fn step(&mut self, interpreter: &Interpreter) {
        let (opcode, stack) = (interpreter.bytecode.opcode(), interpreter.stack.len());
        let step = |frame: &usize| Step { frame: *frame, opcode, stack, has_returned: false };
        self.last = self.open.last().map(step);
    }

    /// The step ends.
    pub(super) fn step_end(&mut self, interpreter: &mut Interpreter) {
        let result = interpreter.bytecode.instruction_result();
        if let (Some(last), Some(result)) = (&mut self.last, result) {
            last.has_returned = result.is_ok();
        }
    }

    /// The frame ends that began last and has not ended.
    pub(super) fn end(&mut self, result: InstructionResult) {
        let Some(frame) = self.open.pop() else { return };
        let last = self.last.filter(|last| last.frame == frame);
        if let Some(word) = word(result, last) {
            self.failures.insert(frame, word);
        }
    }

    /// Says in the frames of `root` why they failed, where that is known better.
    pub(super) fn correct(&mut self, root: &mut CallFrame) {
        let mut failures = mem::take(&mut self.failures);
        let mut frames = vec![root];
        let mut position = 0;
        while let Some(frame) = frames.pop().filter(|_| !failures.is_empty()) {
            if let Some(word) = failures.remove(&position) {
                frame.error = Some(word);
            }
            position += 1;
            // Destructions are listed among frames, and yet none began.
            frames.extend(frame.calls.iter_mut().rev().filter(|call| call.typ != "SELFDESTRUCT"));
        }
    }
}

/// What Geth says of a frame that ended with `result` after its `last` step, where revm-inspectors says
/// something else.
fn word(result: InstructionResult, last: Option<Step>) -> Option<String> {
    use InstructionResult as Result;
    Some(match (result, last) {
        // The code was to be stored, after it had been returned.
        (Result::OutOfGas, Some(Step { has_returned: true, .. })) => {
            "contract creation code storage out of gas".to_owned()
        }
        (Result::MemoryOOG | Result::MemoryLimitOOG, _) => "out of gas".to_owned(),
        (Result::InvalidOperandOOG, _) => "gas uint64 overflow".to_owned(),
        (Result::OpcodeNotFound | Result::NotActivated, Some(Step { opcode, .. })) => {
            match OpCode::new(opcode) {
                Some(known) => format!("invalid opcode: {}", known.as_str()),
                None => format!("invalid opcode: opcode {opcode:#x} not defined"),
            }
        }
        (Result::StackUnderflow, Some(Step { opcode, stack, .. })) => {
            let required = OpCode::new(opcode).map_or(0, |opcode| opcode.inputs());
            format!("stack underflow ({stack} <=> {required})")
        }
        (Result::StackOverflow, Some(Step { stack, .. })) => {
            // Each opcode that may overflow it leaves one value more than it takes.
            format!("stack limit reached {stack} ({})", STACK_LIMIT - 1)
        }
        _ => return None,
    })
}
