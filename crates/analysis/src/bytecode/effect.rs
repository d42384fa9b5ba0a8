//! What a path does beside computing, as terms.

use super::{function::CallKind, state::Written, term::TermId};

/// Something that a path does, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    Read { pc: u32, slot: TermId },
    Write { pc: u32, slot: TermId, written: Written },
    Call(CallEffect),
    Create { pc: u32 },
    SelfDestruct { pc: u32 },
}

impl Effect {
    /// The offset of the instruction.
    pub(crate) const fn pc(&self) -> u32 {
        match self {
            Self::Read { pc, .. }
            | Self::Write { pc, .. }
            | Self::Create { pc }
            | Self::SelfDestruct { pc }
            | Self::Call(CallEffect { pc, .. }) => *pc,
        }
    }
}

/// A call of another contract.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CallEffect {
    pub(crate) pc: u32,
    pub(crate) kind: CallKind,
    pub(crate) target: TermId,
    /// What is paid; zero where the kind pays nothing.
    pub(crate) value: TermId,
    pub(crate) input: InputEffect,
}

/// What is passed on to another contract.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum InputEffect {
    /// So many bytes: the first four and the words that follow.
    Words { length: u32, head: TermId, words: Vec<TermId> },
    /// Unknown, but for what the first four bytes may be.
    Unknown { head: TermId },
    /// The call data as it came.
    Forwarded,
}
