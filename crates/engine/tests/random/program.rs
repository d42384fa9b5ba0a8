//! What contracts do.

use proptest::prelude::*;
use warpline_testkit::{Asm, Fork, op};

use crate::world::{ADDRESSES, INITS, SALTS, anybody, init, usual_salt};

/// A statement. Whatever it finds out goes to a sink, so that a wrong read cannot stay unseen.
#[derive(Clone, Debug)]
pub(crate) enum Statement {
    Load(u64, Sink),
    /// Stores a constant.
    Store(u64, u64),
    /// Stores in a slot that another slot names.
    StoreAt(u64, u64),
    /// Asks of an address: balance, code size, code hash.
    Ask(Question, usize, Sink),
    SelfBalance(Sink),
    Coinbase(Sink),
    Gas(Sink),
    BlockHash(u64, Sink),
    Argument(u64, Sink),
    Call(Kind, usize, u64, Sink),
    Create(usize, u64, Sink),
    Create2(usize, u64, u64, Sink),
    TransientLoad(Sink),
    TransientStore(u64),
    Log,
    Spin(u64),
    If(Condition, Vec<Self>),
    SelfDestruct(usize),
    Revert,
    Invalid,
    Stop,
}

/// Where a value goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sink {
    /// It is added to a slot.
    Slot(u64),
    /// It is folded into the word that is logged at the end.
    Word,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    Balance,
    CodeSize,
    CodeHash,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Call,
    CallCode,
    Delegate,
    Static,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    /// The slot's value is odd.
    Odd(u64),
    /// The argument has this bit.
    Argument(u64),
    /// Wei came along.
    Paid,
}

/// Where the word to be logged is kept, away from what calls and creations use.
const WORD: u64 = 0x400;

const SLOTS: u64 = 4;

/// A short program.
pub(crate) fn program() -> impl Strategy<Value = Vec<Statement>> {
    let nested = (condition(), prop::collection::vec(prop_oneof![6 => plain(), 2 => end()], 1..4));
    let nested = nested.prop_map(|(condition, body)| Statement::If(condition, body));
    prop::collection::vec(prop_oneof![12 => plain(), 4 => nested, 1 => end()], 0..8)
}

fn plain() -> impl Strategy<Value = Statement> {
    use Statement::*;
    let slot = || 0..SLOTS;
    let who = || 0..ADDRESSES;
    let value = || prop_oneof![2 => Just(0_u64), 1 => 1_u64..4];
    let init = || 0..INITS;
    prop_oneof![
        8 => (slot(), sink()).prop_map(|(slot, sink)| Load(slot, sink)),
        5 => (slot(), 0_u64..4).prop_map(|(slot, value)| Store(slot, value)),
        2 => (slot(), 0_u64..4).prop_map(|(slot, value)| StoreAt(slot, value)),
        6 => (question(), who(), sink()).prop_map(|(ask, who, sink)| Ask(ask, who, sink)),
        1 => sink().prop_map(SelfBalance),
        1 => sink().prop_map(Coinbase),
        1 => sink().prop_map(Gas),
        1 => (0_u64..4, sink()).prop_map(|(back, sink)| BlockHash(back, sink)),
        2 => (0_u64..3, sink()).prop_map(|(index, sink)| Argument(index, sink)),
        8 => (kind(), who(), value(), sink())
            .prop_map(|(kind, who, value, sink)| Call(kind, who, value, sink)),
        1 => (init(), value(), sink()).prop_map(|(init, value, sink)| Create(init, value, sink)),
        4 => (init(), value(), prop::option::weighted(0.2, 0..SALTS), sink()).prop_map(
            |(init, value, salt, sink)| {
                Create2(init, value, salt.unwrap_or(usual_salt(init)), sink)
            }
        ),
        1 => sink().prop_map(TransientLoad),
        1 => (0_u64..4).prop_map(TransientStore),
        1 => Just(Log),
        2 => (0_u64..400).prop_map(Spin),
    ]
}

fn end() -> impl Strategy<Value = Statement> {
    use Statement::*;
    prop_oneof![
        3 => (0..ADDRESSES).prop_map(SelfDestruct),
        1 => Just(Revert),
        1 => Just(Invalid),
        1 => Just(Stop),
    ]
}

fn sink() -> impl Strategy<Value = Sink> {
    prop_oneof![2 => (0..SLOTS).prop_map(Sink::Slot), 3 => Just(Sink::Word)]
}

fn question() -> impl Strategy<Value = Question> {
    prop_oneof![Just(Question::Balance), Just(Question::CodeSize), Just(Question::CodeHash)]
}

fn kind() -> impl Strategy<Value = Kind> {
    let rare = prop_oneof![Just(Kind::CallCode), Just(Kind::Delegate), Just(Kind::Static)];
    prop_oneof![3 => Just(Kind::Call), 1 => rare]
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        3 => (0..SLOTS).prop_map(Condition::Odd),
        3 => (0_u64..3).prop_map(Condition::Argument),
        1 => Just(Condition::Paid),
    ]
}

/// The program in bytecode. What the fork does not know is left out.
pub(crate) fn assemble(program: &[Statement], fork: Fork) -> Asm {
    append(Asm::new(), program, fork).then_log()
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
            Self::Store(slot, value) => asm.sstore(slot, value),
            Self::StoreAt(slot, value) => {
                asm.push(value).push(8).sload(slot).op(op::MOD).op(op::SSTORE)
            }
            Self::Ask(question, who, sink) => {
                let question = match question {
                    Question::Balance => op::BALANCE,
                    Question::CodeSize => op::EXTCODESIZE,
                    Question::CodeHash => op::EXTCODEHASH,
                };
                asm.push_address(anybody(who)).op(question).sink(sink)
            }
            Self::SelfBalance(sink) => asm.op(op::SELFBALANCE).sink(sink),
            Self::Coinbase(sink) => asm.ops(&[op::COINBASE, op::BALANCE]).sink(sink),
            Self::Gas(sink) => asm.op(op::GAS).sink(sink),
            Self::BlockHash(back, sink) => {
                asm.push(back).ops(&[op::NUMBER, op::SUB, op::BLOCKHASH]).sink(sink)
            }
            Self::Argument(index, sink) => asm.arg(index).sink(sink),
            Self::Call(kind, who, value, sink) => call(asm, kind, who, value).sink(sink),
            Self::Create(kind, value, sink) => asm.create(&init(kind), value).sink(sink),
            Self::Create2(kind, value, salt, sink) => {
                asm.create2(&init(kind), value, salt).sink(sink)
            }
            Self::TransientLoad(sink) => asm.push(0).op(op::TLOAD).sink(sink),
            Self::TransientStore(value) => asm.push(value).push(0).op(op::TSTORE),
            Self::Log => asm.then_log(),
            Self::Spin(rounds) => asm.push(rounds).spin_top(),
            Self::If(condition, ref body) => {
                let asm = match condition {
                    Condition::Odd(slot) => asm.sload(slot).push(1).op(op::AND),
                    Condition::Argument(bit) => asm.arg(0).push(1 << bit).op(op::AND),
                    Condition::Paid => asm.op(op::CALLVALUE),
                };
                asm.if_top(|asm| append(asm, body, fork))
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
            Self::Call(Kind::Static, ..) | Self::Revert => Fork::Byzantium,
            Self::Call(Kind::Delegate, ..) => Fork::Homestead,
            Self::Ask(Question::CodeHash, ..) | Self::Create2(..) => Fork::Petersburg,
            Self::SelfBalance(_) => Fork::Istanbul,
            Self::TransientLoad(_) | Self::TransientStore(_) => Fork::Cancun,
            _ => Fork::Frontier,
        }
    }
}

/// Calls with the own first word of call data as data, and leaves the success flag.
fn call(asm: Asm, kind: Kind, who: usize, value: u64) -> Asm {
    let asm = asm.arg(0).push(0).op(op::MSTORE).push(0).push(0).push(32).push(0);
    let asm = match kind {
        Kind::Call | Kind::CallCode => asm.push(value),
        Kind::Delegate | Kind::Static => asm,
    };
    let opcode = match kind {
        Kind::Call => op::CALL,
        Kind::CallCode => op::CALLCODE,
        Kind::Delegate => op::DELEGATECALL,
        Kind::Static => op::STATICCALL,
    };
    // Before EIP-150, asking for more gas than there is fails.
    asm.push_address(anybody(who)).push(40_000).ops(&[op::GAS, op::SUB, opcode])
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
