//! What a transaction meets for the first time, and how far it is then.
//!
//! A journal asks the database once for each account and slot, so the database sees when. What the
//! database cannot see is the gas; an inspector leaves it where the database finds it.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, U256};
use revm::{
    Inspector,
    interpreter::{
        CallInput, CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter,
        interpreter::EthInterpreter, interpreter_types::MemoryTr,
    },
};

use super::Function;

/// Something that a transaction met for the first time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    pub(super) address: Address,
    /// `None` for the account itself.
    pub(super) slot: Option<U256>,
    pub(super) time: Duration,
    pub(super) gas: u64,
    pub(super) function: Option<Function>,
}

/// What tells how far the transaction under way is.
#[derive(Debug)]
pub(crate) enum Meter {
    /// The time since it began.
    Clock(Instant),
    /// What an inspector left.
    Gas(Position),
}

/// What the transaction under way has met so far.
#[derive(Debug)]
pub(crate) struct Meeting {
    meter: Meter,
    met: Vec<Met>,
}

impl Meeting {
    pub(crate) const fn new(meter: Meter) -> Self {
        Self { meter, met: Vec::new() }
    }

    /// An account, or a slot of one, is read.
    pub(crate) fn note(&mut self, address: Address, slot: Option<U256>) {
        let (time, (gas, function)) = match &self.meter {
            Meter::Clock(start) => (start.elapsed(), (0, None)),
            Meter::Gas(position) => (Duration::ZERO, position.now.get()),
        };
        self.met.push(Met { address, slot, time, gas, function });
    }

    /// What was met since the last time.
    pub(crate) fn take(&mut self) -> Vec<Met> {
        std::mem::take(&mut self.met)
    }
}

/// Gas spent by the transaction under way, and which function runs. The inspector and the database
/// share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Position {
    /// Gas spent, and the function.
    now: Rc<Cell<(u64, Option<Function>)>>,
    /// The gas that the transaction may spend.
    limit: Rc<Cell<u64>>,
}

impl Position {
    /// A transaction begins that may spend so much.
    pub(super) fn begin(&self, gas_limit: u64) {
        self.now.set((0, None));
        self.limit.set(gas_limit);
    }
}

/// Follows gas and functions through the frames of a transaction.
#[derive(Debug)]
pub(super) struct GasMeter {
    position: Position,
    frames: Vec<Frame>,
}

/// A call or creation under way.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Gas that the transaction had spent before.
    before: u64,
    function: Option<Function>,
}

impl GasMeter {
    pub(super) const fn new(position: Position) -> Self {
        Self { position, frames: Vec::new() }
    }

    /// A frame begins that is given so much of what was spent so far, or of what the transaction has.
    fn enter(&mut self, gas_limit: u64) {
        let spent = match self.frames.is_empty() {
            true => self.position.limit.get(),
            false => self.position.now.get().0,
        };
        let before = spent.saturating_sub(gas_limit);
        self.frames.push(Frame { before, function: None });
        self.tell(0);
    }

    fn leave(&mut self) {
        let ended = self.frames.pop();
        // Until the caller's next instruction, what is read is still the call's.
        let function = ended.and_then(|frame| frame.function);
        self.position.now.set((self.position.now.get().0, function));
    }

    /// The frame under way has spent so much.
    fn tell(&self, spent: u64) {
        let Some(frame) = self.frames.last() else { return };
        self.position.now.set((frame.before.saturating_add(spent), frame.function));
    }
}

impl<CTX> Inspector<CTX, EthInterpreter> for GasMeter {
    fn initialize_interp(&mut self, interp: &mut Interpreter<EthInterpreter>, _: &mut CTX) {
        let mut selector = [0; 4];
        let mut take = |input: &[u8]| {
            let given = input.len().min(4);
            selector[..given].copy_from_slice(&input[..given]);
        };
        match &interp.input.input {
            CallInput::Bytes(bytes) => take(bytes),
            // Where nothing is passed on the range may begin behind the memory's end.
            CallInput::SharedBuffer(range) if range.is_empty() => {}
            CallInput::SharedBuffer(range) => take(&interp.memory.global_slice(range.clone())),
        }
        let function = Function { contract: interp.input.target_address, selector };
        if let Some(frame) = self.frames.last_mut() {
            frame.function = Some(function);
        }
        self.tell(0);
    }

    fn step(&mut self, interp: &mut Interpreter<EthInterpreter>, _: &mut CTX) {
        self.tell(interp.gas.total_gas_spent());
    }

    fn step_end(&mut self, interp: &mut Interpreter<EthInterpreter>, _: &mut CTX) {
        self.tell(interp.gas.total_gas_spent());
    }

    fn call(&mut self, _: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.enter(inputs.gas_limit);
        None
    }

    fn call_end(&mut self, _: &mut CTX, _: &CallInputs, _: &mut CallOutcome) {
        self.leave();
    }

    fn create(&mut self, _: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.enter(inputs.gas_limit());
        None
    }

    fn create_end(&mut self, _: &mut CTX, _: &CreateInputs, _: &mut CreateOutcome) {
        self.leave();
    }
}
