//! How much memory tracers take.
//!
//! A transaction may make its tracer write down thousands of times as much as it pays for: the whole
//! memory at each step, or the data of each call, which the call need not even look at. Time is no
//! bound for that. So what is written down is counted, about, and where it is more than there is for
//! all that are traced at once, the transaction is brought to its end and has no trace.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use alloy_primitives::{Address, Log, U256};
use alloy_rpc_types_trace::geth::{
    GethDebugBuiltInTracerType, GethDebugTracerType, GethDebugTracingOptions,
};
use revm::{
    Inspector,
    bytecode::opcode::{SLOAD, SSTORE},
    context::ContextTr,
    handler::FrameResult,
    inspector::JournalExt,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, FrameInput, InstructionResult,
        Interpreter,
        interpreter_types::{InputsTr, Jumps, MemoryTr},
    },
};

use super::tracers::{TracerOutput, Tracers};

/// The memory for all tracers that are given it, whatever they trace. Clones are the same memory.
#[derive(Clone, Debug)]
pub struct TraceMemory(Arc<AtomicUsize>);

impl TraceMemory {
    /// About so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Takes so many bytes, if there are.
    fn take(&self, bytes: usize) -> bool {
        // Relaxed: nothing but the number is shared.
        self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Relaxed);
    }
}

/// What is taken at once.
const PORTION: usize = 1 << 20;

/// What a tracer has taken, until this is dropped.
#[derive(Debug)]
pub(super) struct Taken {
    memory: Option<TraceMemory>,
    taken: usize,
    used: usize,
    /// Whether there was not enough.
    exhausted: bool,
}

impl Taken {
    /// Takes what there is not yet of `bytes` more.
    fn use_up(&mut self, bytes: usize) {
        let Some(memory) = self.memory.as_ref().filter(|_| !self.exhausted) else { return };
        self.used = self.used.saturating_add(bytes);
        let Some(missing) = self.used.checked_sub(self.taken).filter(|missing| *missing > 0) else {
            return;
        };
        let wanted = missing.max(PORTION);
        if memory.take(wanted) {
            self.taken += wanted;
        } else {
            self.exhausted = true;
        }
    }

    pub(super) const fn is_exhausted(&self) -> bool {
        self.exhausted
    }
}

/// A trace. What it takes of the [`TraceMemory`] is given back when this is dropped: keep it until the
/// trace was made something of.
#[derive(Debug)]
pub struct HeldTrace {
    trace: TracerOutput,
    taken: Taken,
}

impl HeldTrace {
    pub(super) const fn new(trace: TracerOutput, taken: Taken) -> Self {
        Self { trace, taken }
    }

    pub(super) fn into_parts(self) -> (TracerOutput, Taken) {
        (self.trace, self.taken)
    }

    /// The trace by itself, which counts no longer.
    pub fn into_trace(self) -> TracerOutput {
        self.trace
    }
}

impl Deref for HeldTrace {
    type Target = TracerOutput;

    fn deref(&self) -> &TracerOutput {
        &self.trace
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            memory.give_back(self.taken);
        }
    }
}

/// What a tracer writes down of a step, in bytes: what it keeps and what it makes of it at the end.
#[derive(Clone, Copy, Debug)]
struct Step {
    itself: usize,
    of_stack: usize,
    of_memory: usize,
    /// For each slot of the contract that was used so far, where one is used.
    of_slots: usize,
    /// How many steps are written down.
    most: u64,
}

impl Step {
    fn of(tracing: &GethDebugTracingOptions) -> Option<Self> {
        let itself = 512;
        match &tracing.tracer {
            Some(GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::Erc7562Tracer)) => {
                Some(Self { itself, of_stack: 32, of_memory: 0, of_slots: 0, most: u64::MAX })
            }
            Some(tracer) if !tracer.as_str().is_empty() => None,
            _ => {
                let config = &tracing.config;
                let if_enabled = |is_enabled: bool, bytes| if is_enabled { bytes } else { 0 };
                Some(Self {
                    itself,
                    of_stack: if_enabled(config.is_stack_enabled(), 64),
                    of_memory: if_enabled(config.is_memory_enabled(), 4),
                    of_slots: if_enabled(config.is_storage_enabled(), 112),
                    most: config.limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX),
                })
            }
        }
    }
}

/// What is written down of a frame besides its data, in bytes.
const FRAME: usize = 1024;

/// Tracers, and what they take.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) tracers: Tracers,
    pub(super) taken: Taken,
    step: Option<Step>,
    slots: BTreeMap<Address, BTreeSet<U256>>,
    steps: u64,
}

impl Counted {
    /// `tracers`, as `tracing` describes them, with what they need of `memory`: any amount, where there
    /// is none.
    pub(super) fn new(
        tracers: Tracers,
        tracing: &GethDebugTracingOptions,
        memory: Option<&TraceMemory>,
    ) -> Self {
        let taken = Taken { memory: memory.cloned(), taken: 0, used: 0, exhausted: false };
        let step = memory.and_then(|_| Step::of(tracing));
        Self { tracers, taken, step, slots: BTreeMap::new(), steps: 0 }
    }

    /// What they have taken. They take nothing any more.
    pub(super) const fn take(&mut self) -> Taken {
        mem::replace(&mut self.taken, Taken { memory: None, taken: 0, used: 0, exhausted: false })
    }

    /// Takes so many bytes for each tracer.
    fn use_up_each(&mut self, bytes: usize) {
        self.taken.use_up(bytes.saturating_mul(self.tracers.count()));
    }

    /// Counts what is written down of the step that comes next.
    fn count(&mut self, interpreter: &Interpreter) {
        let Some(step) = self.step.filter(|step| self.steps < step.most) else { return };
        self.steps += 1;
        let stack = interpreter.stack.data();
        let mut bytes =
            step.itself + step.of_stack * stack.len() + step.of_memory * interpreter.memory.size();
        if step.of_slots > 0
            && matches!(interpreter.bytecode.opcode(), SLOAD | SSTORE)
            && let Some(slot) = stack.last()
        {
            let slots = self.slots.entry(interpreter.input.target_address()).or_default();
            slots.insert(*slot);
            bytes += step.of_slots * slots.len();
        }
        self.taken.use_up(bytes);
    }

    /// Ends the frame where there is no more memory. Its callers end at their next step.
    fn end_if_exhausted(&self, interpreter: &mut Interpreter) {
        if self.taken.is_exhausted() {
            interpreter.halt(InstructionResult::OutOfGas);
        }
    }
}

impl<CTX: ContextTr<Journal: JournalExt>> Inspector<CTX> for Counted {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, context: &mut CTX) {
        self.tracers.initialize_interp(interpreter, context);
    }

    fn step(&mut self, interpreter: &mut Interpreter, context: &mut CTX) {
        self.count(interpreter);
        self.tracers.step(interpreter, context);
        self.end_if_exhausted(interpreter);
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut CTX) {
        self.tracers.step_end(interpreter, context);
    }

    fn log(&mut self, context: &mut CTX, log: Log) {
        self.use_up_each(log.data.data.len());
        self.tracers.log(context, log);
    }

    fn log_full(&mut self, interpreter: &mut Interpreter, context: &mut CTX, log: Log) {
        self.use_up_each(log.data.data.len());
        self.tracers.log_full(interpreter, context, log);
    }

    fn frame_start(&mut self, context: &mut CTX, input: &mut FrameInput) -> Option<FrameResult> {
        self.tracers.frame_start(context, input)
    }

    fn frame_end(&mut self, context: &mut CTX, input: &FrameInput, result: &mut FrameResult) {
        self.tracers.frame_end(context, input, result);
    }

    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.use_up_each(FRAME + inputs.input.len());
        self.tracers.call(context, inputs)
    }

    fn call_end(&mut self, context: &mut CTX, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.use_up_each(outcome.result.output.len());
        self.tracers.call_end(context, inputs, outcome);
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.use_up_each(FRAME + inputs.init_code().len());
        self.tracers.create(context, inputs)
    }

    fn create_end(
        &mut self,
        context: &mut CTX,
        inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        self.use_up_each(outcome.result.output.len());
        self.tracers.create_end(context, inputs, outcome);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        // It has no context that would say which of the implementations is meant.
        <Tracers as Inspector<CTX>>::selfdestruct(&mut self.tracers, contract, target, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_shared_and_given_back() {
        let memory = TraceMemory::new(3 * PORTION);
        let taken = || Taken { memory: Some(memory.clone()), taken: 0, used: 0, exhausted: false };
        let (mut first, mut second) = (taken(), taken());
        first.use_up(PORTION + 1);
        second.use_up(1);
        assert!(!first.is_exhausted() && !second.is_exhausted());
        second.use_up(PORTION);
        assert!(second.is_exhausted());
        drop(first);
        let mut third = taken();
        third.use_up(2 * PORTION);
        assert!(!third.is_exhausted());
        drop((second, third));
        assert!(memory.take(3 * PORTION));
    }
}
