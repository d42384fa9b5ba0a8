//! What is said of a function: the storage it touches, whom it calls, and what is not known of it.

use alloy_primitives::U256;

use super::{
    segment::Segment,
    template::{Expr, Template},
};

/// One way into a contract's code, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Which calls come this way.
    pub entry: Entry,
    /// Where its own code begins, where the dispatcher says so.
    pub offset: Option<u32>,
    /// The types of its arguments, as far as its code gives them away.
    pub arguments: Option<Vec<String>>,
    /// Every read and write of storage that some path of it has, in the order of the code.
    pub accesses: Vec<Access>,
    /// Every call of another contract that some path of it has, in the order of the code.
    pub calls: Vec<Call>,
    /// Whether it may create contracts.
    pub creates: bool,
    /// Whether it may destroy the contract.
    pub self_destructs: bool,
    /// Why there may be more than is said here; `None` where there is not.
    pub incomplete: Option<Incomplete>,
    /// The offsets of the basic blocks that it may run, in order.
    pub blocks: Vec<u32>,
    /// Which of them may follow which, in order.
    pub edges: Vec<(u32, u32)>,
    /// Its blocks divided where storage is touched that calls may conflict on.
    pub segments: Vec<Segment>,
}

/// Which calls a function answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entry {
    /// Those with at least four bytes, which begin with these.
    Selector([u8; 4]),
    /// Those without call data.
    Receive,
    /// All others.
    Fallback,
}

/// A read or a write of the contract's own storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The offset of the instruction.
    pub pc: u32,
    /// Which slot.
    pub slot: Template,
    /// What is done with it.
    pub kind: AccessKind,
    /// Whether every path that ends well has it. Never so of an incomplete function.
    pub always: bool,
}

/// What is done with a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// It is read.
    Read,
    /// It is written, with a value that arises like this.
    Write(WriteValue),
}

/// How the value arises that is written to a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteValue {
    /// It is always the same.
    Constant(U256),
    /// It has nothing to do with what the slot held. The template may be unknown in parts.
    Value(Template),
    /// What the slot held and so much more; less is more modulo 2²⁵⁶. Two such writes commute.
    Increment(Increment),
    /// What the slot held, but for some bits that have nothing to do with it.
    Field {
        /// The bits that are replaced.
        bits: U256,
    },
    /// As [`Increment`](Self::Increment), of the number that these bits are.
    FieldIncrement {
        /// The bits that are replaced.
        bits: U256,
        /// What is added to them.
        increment: Increment,
    },
    /// It is made of what the slot held in another way.
    Derived,
    /// Not known.
    Unknown,
}

/// An addition to a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Increment {
    /// What is added. It does not depend on the slot.
    pub by: Template,
    /// Whether the function may decide something by what the slot held, such as whether a balance is
    /// enough or a sum overflows. Then the additions commute only as long as the decisions do not change.
    pub is_tested: bool,
}

/// A call of another contract.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call {
    /// The offset of the instruction.
    pub pc: u32,
    /// The instruction.
    pub kind: CallKind,
    /// Whom it calls.
    pub target: Template,
    /// What it pays, in wei; zero where the instruction pays nothing.
    pub value: Template,
    /// What it passes on.
    pub input: CallInput,
    /// Whether every path that ends well has it. Never so of an incomplete function.
    pub always: bool,
}

/// The instruction of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named after the opcodes")]
pub enum CallKind {
    Call,
    CallCode,
    DelegateCall,
    StaticCall,
}

/// What a call passes on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallInput {
    /// So many bytes, which begin with a selector where there are four.
    Words {
        /// The first four bytes, where they are known.
        selector: Option<[u8; 4]>,
        /// What follows them, in words; zeros follow the last.
        words: Vec<Template>,
        /// How many bytes there are in all.
        length: u32,
    },
    /// The call data, as it came.
    Forwarded,
    /// Not known, but for the first four bytes perhaps.
    Unknown {
        /// These.
        selector: Option<[u8; 4]>,
    },
}

/// Why a function may do more than is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Incomplete {
    /// There are more paths than the budget is for.
    Budget,
    /// It jumps to a place that is not known.
    Jump,
}

impl Function {
    /// Whether it may read slots of which it is not said which they are.
    pub fn has_unknown_reads(&self) -> bool {
        self.incomplete.is_some()
            || self.accesses.iter().any(|it| !it.is_write() && !it.slot.is_known())
    }

    /// Whether it may write slots of which it is not said which they are.
    pub fn has_unknown_writes(&self) -> bool {
        self.incomplete.is_some()
            || self.accesses.iter().any(|it| it.is_write() && !it.slot.is_known())
    }

    /// Whether all the slots that it can touch, by its own instructions, are those that the templates
    /// of its accesses give. What others do that it calls is theirs, even if they come back, unless it
    /// runs their code on its own storage.
    pub fn is_known(&self) -> bool {
        !self.has_unknown_reads() && !self.has_unknown_writes() && !self.delegates()
    }

    /// Whether it may run the code of others on its own storage.
    pub fn delegates(&self) -> bool {
        self.calls.iter().any(|call| call.kind.keeps_storage())
    }
}

impl Access {
    /// Whether it is a write.
    pub const fn is_write(&self) -> bool {
        matches!(self.kind, AccessKind::Write(_))
    }
}

impl WriteValue {
    /// What holds of both.
    pub(crate) fn join(&self, other: &Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one.clone(),
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Constant(_) | Self::Value(_), Self::Constant(_) | Self::Value(_)) => {
                Self::Value(Template::new(Expr::Unknown))
            }
            (Self::Increment(one), Self::Increment(other)) => Self::Increment(one.join(other)),
            (Self::Field { bits }, Self::Field { bits: other }) => {
                Self::Field { bits: *bits | *other }
            }
            (
                Self::FieldIncrement { bits, increment },
                Self::FieldIncrement { bits: other_bits, increment: other },
            ) if bits == other_bits => {
                Self::FieldIncrement { bits: *bits, increment: increment.join(other) }
            }
            // A value that is independent of the slot on one path only is derived on the other.
            _ => Self::Derived,
        }
    }
}

impl Increment {
    fn join(&self, other: &Self) -> Self {
        let by = if self.by == other.by { self.by.clone() } else { Template::new(Expr::Unknown) };
        Self { by, is_tested: self.is_tested || other.is_tested }
    }
}

impl CallKind {
    /// Whether the code that is called works on the storage of its caller.
    pub const fn keeps_storage(self) -> bool {
        matches!(self, Self::DelegateCall | Self::CallCode)
    }

    /// The name of the instruction, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::CallCode => "callcode",
            Self::DelegateCall => "delegatecall",
            Self::StaticCall => "staticcall",
        }
    }
}

impl Incomplete {
    /// In words.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Budget => "there are more paths than were followed",
            Self::Jump => "it jumps to a place that is not known",
        }
    }
}
