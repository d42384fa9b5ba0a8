//! One instruction after the other, on terms instead of numbers.

use alloy_primitives::U256;

use super::{
    code::Code,
    effect::{CallEffect, Effect, InputEffect},
    function::CallKind,
    memory::{Memory, Place},
    opcode,
    operator::Operator,
    state::{State, from_outside},
    template::{MAX_PREIMAGE, Value},
    term::{FOREIGN, TermId, Terms, UNKNOWN, ZERO},
};

/// The most bytes of call data or code whose words are followed through memory.
const MAX_COPY: u32 = 1024;
/// The most bytes of a call's input that are followed.
const MAX_INPUT: u32 = 4 + 32 * 16;
/// The stack's height at most.
const MAX_STACK: usize = 1024;
/// Precompiled contracts come back to nobody.
const PRECOMPILES: std::ops::RangeInclusive<u64> = 1..=0x11;

/// Where a path goes after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// To the next instruction.
    On,
    /// To this offset.
    To(u32),
    /// To this offset, or to the next instruction.
    Fork(u32),
    /// Nowhere, and what was done stands.
    Done,
    /// Nowhere, and what was done is undone.
    Failed,
    /// Somewhere.
    Lost,
    /// Wherever it does: nobody looks any more.
    Cut,
}

/// The symbolic machine in one state.
#[derive(Debug)]
pub(crate) struct Machine<'a, 'c> {
    pub(crate) code: &'a Code<'c>,
    pub(crate) terms: &'a mut Terms,
    pub(crate) state: State,
    /// What was done so far.
    pub(crate) effects: Vec<Effect>,
    /// The conditions on which it was decided where to go.
    pub(crate) conditions: Vec<TermId>,
    /// The next name that was never used.
    pub(crate) fresh: &'a mut u32,
}

impl Machine<'_, '_> {
    /// Executes the instruction at `pc`.
    pub(crate) fn step(&mut self, pc: u32) -> Flow {
        let at = pc as usize;
        let opcode = self.code.byte(at);
        let Some(effect) = opcode::effect(opcode) else { return Flow::Failed };
        let height = self.state.stack.len();
        if height < effect.pops || height - effect.pops + effect.pushes > MAX_STACK {
            return Flow::Failed;
        }
        if let Some(operator) = Operator::of(opcode) {
            let [left, right] = self.pop();
            let result = self.terms.apply(operator, left, right);
            self.push(result);
            return Flow::On;
        }
        match opcode {
            opcode::PUSH0..=opcode::PUSH32 => self.push_immediate(at, opcode),
            opcode::DUP1..=opcode::DUP16 => {
                let depth = usize::from(opcode - opcode::DUP1);
                self.push(self.state.stack[height - 1 - depth]);
            }
            opcode::SWAP1..=opcode::SWAP16 => {
                let depth = usize::from(opcode - opcode::SWAP1) + 1;
                self.state.stack.swap(height - 1, height - 1 - depth);
            }
            opcode::STOP | opcode::RETURN => return Flow::Done,
            opcode::REVERT => return Flow::Failed,
            opcode::SELFDESTRUCT => {
                self.effects.push(Effect::SelfDestruct { pc });
                return Flow::Done;
            }
            opcode::JUMP | opcode::JUMPI => return self.jump(opcode),
            opcode::SLOAD | opcode::SSTORE => self.storage(pc, opcode),
            opcode::MLOAD..=opcode::MSTORE8 | opcode::MCOPY | opcode::KECCAK256 => {
                self.memory(opcode);
            }
            opcode::CALLDATACOPY
            | opcode::CODECOPY
            | opcode::RETURNDATACOPY
            | opcode::EXTCODECOPY => self.copy_in(opcode),
            opcode::CREATE..=opcode::CALLCODE
            | opcode::DELEGATECALL
            | opcode::CREATE2
            | opcode::STATICCALL => self.call(pc, opcode),
            _ => self.other(pc, opcode, effect),
        }
        Flow::On
    }

    fn pop<const N: usize>(&mut self) -> [TermId; N] {
        // The height was checked against what the opcode takes.
        std::array::from_fn(|_| self.state.stack.pop().unwrap_or(UNKNOWN))
    }

    fn push(&mut self, id: TermId) {
        self.state.stack.push(id);
    }

    /// A name for this moment.
    fn fresh(&mut self) -> u32 {
        *self.fresh += 1;
        *self.fresh
    }

    fn push_immediate(&mut self, at: usize, opcode: u8) {
        let length = opcode::immediate(opcode);
        let bytes = self.code.bytes;
        let mut word = [0; 32];
        let rest = bytes.get(at + 1..).unwrap_or_default();
        let there = length.min(rest.len());
        // Zeros follow the code.
        word[32 - length..32 - length + there].copy_from_slice(&rest[..there]);
        let id = self.terms.constant(U256::from_be_bytes(word));
        self.push(id);
    }

    fn jump(&mut self, opcode: u8) -> Flow {
        let [target] = self.pop();
        let truth = if opcode == opcode::JUMPI {
            let [condition] = self.pop();
            let truth = self.terms.truth(condition);
            if truth.is_none() {
                self.conditions.push(condition);
            }
            truth
        } else {
            Some(true)
        };
        if truth == Some(false) {
            return Flow::On;
        }
        let Some(number) = self.terms.as_constant(target) else { return Flow::Lost };
        let offset = u32::try_from(number).ok();
        let offset = offset.filter(|offset| self.code.is_jump_destination(*offset as usize));
        match (offset, truth) {
            (Some(offset), Some(_)) => Flow::To(offset),
            (Some(offset), None) => Flow::Fork(offset),
            (None, Some(_)) => Flow::Failed,
            (None, None) => Flow::On,
        }
    }

    fn storage(&mut self, pc: u32, opcode: u8) {
        let [slot] = self.pop();
        if opcode == opcode::SLOAD {
            let value = self.state.storage.load(self.terms, slot);
            self.effects.push(Effect::Read { pc, slot });
            self.push(value);
            return;
        }
        let [value] = self.pop();
        let written = self.state.storage.classify(self.terms, slot, value);
        self.effects.push(Effect::Write { pc, slot, written });
        let fresh = self.fresh();
        self.state.storage.store(self.terms, slot, value, fresh);
    }

    fn memory(&mut self, opcode: u8) {
        match opcode {
            opcode::MLOAD => {
                let [offset] = self.pop();
                let place = Memory::place(self.terms, offset);
                let word = self.load_word(place);
                self.push(word);
            }
            opcode::MSTORE => {
                let [offset, word] = self.pop();
                self.state.memory.store(Memory::place(self.terms, offset), word, 32);
            }
            opcode::MSTORE8 => {
                let [offset, word] = self.pop();
                self.state.memory.store_byte(Memory::place(self.terms, offset), word);
            }
            opcode::MCOPY => {
                let [to, from, length] = self.pop();
                self.move_memory(to, from, length);
            }
            _ => {
                let [offset, length] = self.pop();
                let hash = self.hash(offset, length);
                self.push(hash);
            }
        }
    }

    fn load_word(&mut self, place: Place) -> TermId {
        let word = self.state.memory.read(self.terms, place, 32);
        let is_lost = !self.terms.is_exact(word);
        if is_lost && self.state.memory.is_free_pointer(place) {
            // Wherever it points to: what is written beyond it is found there again.
            let name = self.fresh();
            let pointer = self.terms.opaque(name);
            self.state.memory.store(place, pointer, 32);
            return pointer;
        }
        word
    }

    fn move_memory(&mut self, to: TermId, from: TermId, length: TermId) {
        let to = Memory::place(self.terms, to);
        let from = Memory::place(self.terms, from);
        let length = self.terms.as_offset(length);
        match length.filter(|length| *length <= MAX_COPY) {
            Some(length) => {
                let words = self.state.memory.read_words(self.terms, from, length);
                self.write_words(to, &words, length);
            }
            None => self.state.memory.forget(to, length),
        }
    }

    fn write_words(&mut self, to: Place, words: &[TermId], length: u32) {
        for (word, from) in words.iter().zip((0..length).step_by(32)) {
            self.state.memory.store(to.plus(from), *word, (length - from).min(32));
        }
    }

    fn hash(&mut self, offset: TermId, length: TermId) -> TermId {
        let place = Memory::place(self.terms, offset);
        let length = self.terms.as_offset(length);
        match length.filter(|length| *length as usize <= MAX_PREIMAGE) {
            Some(length) => {
                let words = self.state.memory.read_words(self.terms, place, length);
                self.terms.keccak(words, length)
            }
            None => UNKNOWN,
        }
    }

    fn copy_in(&mut self, opcode: u8) {
        if opcode == opcode::EXTCODECOPY {
            self.pop::<1>();
        }
        let [to, from, size] = self.pop();
        let to = Memory::place(self.terms, to);
        let length = self.terms.as_offset(size);
        let all = self.terms.value(Value::CalldataSize);
        if opcode == opcode::CALLDATACOPY && from == ZERO && size == all && length.is_none() {
            return self.state.memory.store_calldata(to);
        }
        let Some(length) = length.filter(|length| *length <= MAX_COPY) else {
            return self.state.memory.forget(to, length);
        };
        let words: Option<Vec<_>> = match opcode {
            opcode::CALLDATACOPY => Some(self.calldata_words(from, length)),
            opcode::CODECOPY => {
                self.terms.as_offset(from).map(|from| self.code_words(from, length))
            }
            _ => None,
        };
        match words {
            Some(words) => self.write_words(to, &words, length),
            None => self.state.memory.forget(to, Some(length)),
        }
    }

    fn calldata_words(&mut self, from: TermId, length: u32) -> Vec<TermId> {
        let words = (0..length).step_by(32).map(|at| {
            let at = self.terms.number(at.into());
            let offset = self.terms.apply(Operator::Add, from, at);
            self.terms.calldata(offset)
        });
        words.collect()
    }

    fn code_words(&mut self, from: u32, length: u32) -> Vec<TermId> {
        let words = (0..length).step_by(32).map(|at| {
            let first = (from + at) as usize;
            let bytes: [u8; 32] = std::array::from_fn(|index| self.code.byte(first + index));
            self.terms.constant(U256::from_be_bytes(bytes))
        });
        words.collect()
    }

    fn call(&mut self, pc: u32, opcode: u8) {
        let kind = match opcode {
            opcode::CALL => CallKind::Call,
            opcode::CALLCODE => CallKind::CallCode,
            opcode::DELEGATECALL => CallKind::DelegateCall,
            opcode::STATICCALL => CallKind::StaticCall,
            _ => return self.create(pc, opcode),
        };
        let [_gas, target] = self.pop();
        let value = if matches!(kind, CallKind::Call | CallKind::CallCode) {
            let [value] = self.pop();
            value
        } else {
            ZERO
        };
        let [input, input_length, output, output_length] = self.pop();
        let address = self.terms.constant(U256::MAX >> 96);
        let target = self.terms.apply(Operator::And, target, address);
        let input = self.input(input, input_length);
        self.effects.push(Effect::Call(CallEffect { pc, kind, target, value, input }));
        let target = self.terms.as_constant(target).and_then(|it| u64::try_from(it).ok());
        if kind != CallKind::StaticCall && !target.is_some_and(|it| PRECOMPILES.contains(&it)) {
            let fresh = self.fresh();
            self.state.storage.disturb(fresh);
        }
        let length = self.terms.as_offset(output_length);
        self.state.memory.forget(Memory::place(self.terms, output), length);
        self.state.has_called = true;
        self.push(FOREIGN);
    }

    fn input(&mut self, offset: TermId, length: TermId) -> InputEffect {
        let place = Memory::place(self.terms, offset);
        let all = self.terms.value(Value::CalldataSize);
        if length == all && all != ZERO && self.state.memory.is_calldata(place) {
            return InputEffect::Forwarded;
        }
        let length = self.terms.as_offset(length);
        let head = self.state.memory.read(self.terms, place, length.unwrap_or(4).min(4));
        match length.filter(|length| *length <= MAX_INPUT) {
            Some(length) => {
                let rest = length.saturating_sub(4);
                let words = self.state.memory.read_words(self.terms, place.plus(4), rest);
                InputEffect::Words { length, head, words }
            }
            None => InputEffect::Unknown { head },
        }
    }

    fn create(&mut self, pc: u32, opcode: u8) {
        self.pop::<3>();
        if opcode == opcode::CREATE2 {
            self.pop::<1>();
        }
        self.effects.push(Effect::Create { pc });
        let fresh = self.fresh();
        self.state.storage.disturb(fresh);
        self.state.has_called = true;
        self.push(FOREIGN);
    }

    /// Everything that puts a word on the stack and does nothing else.
    fn other(&mut self, pc: u32, opcode: u8, effect: opcode::Effect) {
        let from = self.state.stack.len() - effect.pops;
        let operands = self.state.stack.split_off(from);
        let value = match opcode {
            opcode::ISZERO => self.terms.apply(Operator::Eq, operands[0], ZERO),
            opcode::NOT => {
                let ones = self.terms.constant(U256::MAX);
                self.terms.apply(Operator::Xor, operands[0], ones)
            }
            opcode::CALLDATALOAD => self.terms.calldata(operands[0]),
            opcode::ADDRESS => self.terms.value(Value::This),
            opcode::ORIGIN => self.terms.value(Value::Origin),
            opcode::CALLER => self.terms.value(Value::Caller),
            opcode::CALLVALUE => self.terms.value(Value::CallValue),
            opcode::CALLDATASIZE => self.terms.value(Value::CalldataSize),
            opcode::COINBASE => self.terms.value(Value::Coinbase),
            opcode::TIMESTAMP => self.terms.value(Value::Timestamp),
            opcode::NUMBER => self.terms.value(Value::Number),
            opcode::PREVRANDAO => self.terms.value(Value::PrevRandao),
            opcode::GASLIMIT => self.terms.value(Value::GasLimit),
            opcode::CHAINID => self.terms.value(Value::ChainId),
            opcode::BASEFEE => self.terms.value(Value::BaseFee),
            opcode::CODESIZE => self.terms.number(self.code.bytes.len() as u64),
            opcode::PC => self.terms.number(pc.into()),
            opcode::RETURNDATASIZE if !self.state.has_called => ZERO,
            // Transient storage may hold what was in storage.
            0x5c => UNKNOWN,
            _ => from_outside(self.terms, &operands),
        };
        if effect.pushes == 1 {
            self.push(value);
        }
    }
}
