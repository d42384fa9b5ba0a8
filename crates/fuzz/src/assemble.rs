//! Programs in bytecode. What a fork does not know is left out.

use alloy_primitives::Bytes;
use warpline_testkit::{Asm, Fork, op};

use crate::{
    program::{Call, Condition, Kind, Question, Sink, Statement},
    world::{anybody, init, nth_contract},
};

/// Where the word to be logged is kept, away from what calls and creations use.
const WORD: u64 = 0x400;
/// Where a bit of other code is copied to.
const COPY: u64 = 0x440;

pub(crate) fn assemble(program: &[Statement], fork: Fork) -> Bytes {
    append(Asm::new(), program, fork).then_log().build()
}

fn append(asm: Asm, program: &[Statement], fork: Fork) -> Asm {
    program.iter().fold(asm, |asm, statement| statement.append(asm, fork))
}

impl Statement {
    fn append(&self, asm: Asm, fork: Fork) -> Asm {
        if fork < self.since() {
            return asm;
        }
        match *self {
            Self::Load(slot, sink) => asm.sload(slot).sink(sink),
            Self::LoadAt(slot, sink) => {
                asm.push(8).sload(slot).ops(&[op::MOD, op::SLOAD]).sink(sink)
            }
            Self::Store(slot, value) => asm.sstore(slot, value),
            Self::StoreAt(slot, value) => {
                asm.push(value).push(8).sload(slot).op(op::MOD).op(op::SSTORE)
            }
            Self::Map(by, sink) => {
                // The slot is the hash of the caller's address.
                let slot = asm.op(op::CALLER).push(0).op(op::MSTORE).push(32).push(0);
                let asm = slot.ops(&[op::KECCAK256, op::DUP1, op::SLOAD]);
                asm.push(by).ops(&[op::ADD, op::DUP1]).sink(sink).ops(&[op::SWAP1, op::SSTORE])
            }
            Self::Ask(question, who, sink) => ask(asm, question, who).sink(sink),
            Self::SelfBalance(sink) => asm.op(op::SELFBALANCE).sink(sink),
            Self::Coinbase(sink) => asm.ops(&[op::COINBASE, op::BALANCE]).sink(sink),
            Self::Gas(sink) => asm.op(op::GAS).sink(sink),
            Self::BlockHash(back, sink) => {
                asm.push(back).ops(&[op::NUMBER, op::SUB, op::BLOCKHASH]).sink(sink)
            }
            Self::Argument(index, sink) => asm.arg(index).sink(sink),
            Self::Call(call, sink) => {
                let to = |asm: Asm| asm.push_address(anybody(call.who));
                append_call(asm, call, to).sink(sink)
            }
            Self::CallAt(kind, slot, sink) => {
                let call = Call { kind, who: 0, value: 0, gas: None };
                append_call(asm, call, |asm| nth_contract(asm.sload(slot))).sink(sink)
            }
            Self::Create(kind, value, sink) => asm.create(&init(kind), value).sink(sink),
            Self::Create2(kind, value, salt, sink) => {
                asm.create2(&init(kind), value, salt).sink(sink)
            }
            Self::TransientLoad(slot, sink) => asm.push(slot).op(op::TLOAD).sink(sink),
            Self::TransientStore(slot, value) => asm.push(value).push(slot).op(op::TSTORE),
            Self::Log => asm.then_log(),
            Self::Spin(rounds) => asm.push(rounds).spin_top(),
            Self::SpinSlot(slot) => asm.sload(slot).spin_top(),
            Self::Grow(slot, any, sink) => {
                let asm = asm.sload(slot);
                let asm = if any { asm } else { asm.push(0x1fff).op(op::AND) };
                asm.op(op::MLOAD).sink(sink)
            }
            Self::If(condition, ref body) => {
                condition.append(asm).if_top(|asm| append(asm, body, fork))
            }
            Self::SelfDestruct(heir) => asm.self_destruct(anybody(heir)),
            Self::Revert => asm.revert(),
            Self::Invalid => asm.op(op::INVALID),
            Self::Stop => asm.op(op::STOP),
        }
    }

    /// The fork that brought it.
    const fn since(&self) -> Fork {
        match self {
            Self::Call(Call { kind, .. }, _) | Self::CallAt(kind, ..) => match kind {
                Kind::Call | Kind::CallCode => Fork::Frontier,
                Kind::Delegate => Fork::Homestead,
                Kind::Static => Fork::Byzantium,
            },
            Self::Revert => Fork::Byzantium,
            Self::Ask(Question::CodeHash, ..) | Self::Create2(..) => Fork::Constantinople,
            Self::SelfBalance(_) => Fork::Istanbul,
            Self::TransientLoad(..) | Self::TransientStore(..) => Fork::Cancun,
            _ => Fork::Frontier,
        }
    }
}

impl Condition {
    /// Pushes whether it holds.
    fn append(self, asm: Asm) -> Asm {
        match self {
            Self::Odd(slot) => asm.sload(slot).push(1).op(op::AND),
            Self::Argument(bit) => asm.arg(0).push(1 << bit).op(op::AND),
            Self::Paid => asm.op(op::CALLVALUE),
            Self::Rich(who) => asm.balance(anybody(who)),
        }
    }
}

fn ask(asm: Asm, question: Question, who: usize) -> Asm {
    let who = anybody(who);
    match question {
        Question::Balance => asm.balance(who),
        Question::CodeSize => asm.push_address(who).op(op::EXTCODESIZE),
        Question::CodeHash => asm.push_address(who).op(op::EXTCODEHASH),
        Question::Code => {
            let copied = asm.push(32).push(0).push(COPY).push_address(who).op(op::EXTCODECOPY);
            copied.push(COPY).op(op::MLOAD)
        }
    }
}

/// Calls with the own first word of call data as data, and leaves the success flag.
fn append_call(asm: Asm, call: Call, to: impl FnOnce(Asm) -> Asm) -> Asm {
    let asm = asm.arg(0).push(0).op(op::MSTORE).push(0).push(0).push(32).push(0);
    let (opcode, pays) = match call.kind {
        Kind::Call => (op::CALL, true),
        Kind::CallCode => (op::CALLCODE, true),
        Kind::Delegate => (op::DELEGATECALL, false),
        Kind::Static => (op::STATICCALL, false),
    };
    let asm = if pays { asm.push(call.value) } else { asm };
    let asm = to(asm);
    match call.gas {
        Some(gas) => asm.push(gas).op(opcode),
        // Before EIP-150, asking for more gas than there is fails.
        None => asm.push(40_000).ops(&[op::GAS, op::SUB, opcode]),
    }
}

/// What programs do with values.
trait Sinks {
    fn sink(self, sink: Sink) -> Self;
    fn then_log(self) -> Self;
}

impl Sinks for Asm {
    fn sink(self, sink: Sink) -> Self {
        match sink {
            Sink::Slot(slot) => self.add_to_slot(slot),
            Sink::Word => self
                .push(WORD)
                .op(op::MLOAD)
                .push(3)
                .ops(&[op::MUL, op::ADD])
                .push(WORD)
                .op(op::MSTORE),
        }
    }

    fn then_log(self) -> Self {
        self.push(32).push(WORD).op(op::LOG0)
    }
}
