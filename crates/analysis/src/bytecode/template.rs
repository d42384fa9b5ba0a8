//! Expressions over what is known before a call runs, to be filled in with a particular call.
//!
//! A template is a small tree, bounded in size by the analysis that makes it ([`MAX_SIZE`] nodes), so
//! that filling in is bounded, too. It answers exactly what the machine would compute, or nothing: one that contains
//! [`Expr::Unknown`] is never filled in.

use std::{fmt, sync::Arc};

use alloy_primitives::{Address, U256, keccak256};
use smallvec::SmallVec;

use super::operator::{Operand, Operator};

/// The most nodes a template has, shared ones counted as often as they occur.
pub const MAX_SIZE: u32 = 96;
/// The most bytes whose hash a template stands for.
pub const MAX_PREIMAGE: usize = 512;

/// An expression that gives a word for each call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Template(Arc<Expr>);

/// What a [`Template`] is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Expr {
    /// Something the analysis cannot say.
    Unknown,
    /// A number.
    Constant(U256),
    /// Something that belongs to the call or the block.
    Value(Value),
    /// The word of the call data that begins at this byte, zeros behind its end.
    Calldata(Template),
    /// What this slot of the contract's own storage held when the call began.
    Load(Template),
    /// Keccak-256 of the first `length` bytes of the words in a row.
    Keccak {
        /// The words; of the last one only the high bytes may count.
        words: Box<[Template]>,
        /// How many bytes are hashed, at most [`MAX_PREIMAGE`].
        length: u32,
    },
    /// An operation of the machine on two words, the top of the stack first.
    Apply(Operator, Template, Template),
}

/// A word that belongs to the call or the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[expect(missing_docs, reason = "named after the opcodes")]
pub enum Value {
    /// The account whose storage is used.
    This,
    Caller,
    Origin,
    CallValue,
    CalldataSize,
    Timestamp,
    Number,
    Coinbase,
    PrevRandao,
    GasLimit,
    ChainId,
    BaseFee,
}

/// What a template is filled in with.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The account whose storage is used.
    pub this: Address,
    /// Who calls.
    pub caller: Address,
    /// Who signed the transaction.
    pub origin: Address,
    /// What is paid, in wei.
    pub value: U256,
    /// The call data.
    pub calldata: &'a [u8],
    /// The block.
    pub block: BlockInputs,
}

/// What is the same for all calls of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the opcodes")]
pub struct BlockInputs {
    pub timestamp: U256,
    pub number: U256,
    pub coinbase: Address,
    pub prevrandao: U256,
    pub gas_limit: U256,
    pub chain_id: U256,
    pub base_fee: U256,
}

impl Template {
    /// The template of `expr`.
    pub fn new(expr: Expr) -> Self {
        Self(Arc::new(expr))
    }

    /// The template of a number.
    pub fn constant(value: U256) -> Self {
        Self::new(Expr::Constant(value))
    }

    /// What it is made of.
    pub fn expr(&self) -> &Expr {
        &self.0
    }

    /// The number, where it is one.
    pub fn as_constant(&self) -> Option<U256> {
        match self.expr() {
            Expr::Constant(value) => Some(*value),
            _ => None,
        }
    }

    /// Whether nothing in it is unknown.
    pub fn is_known(&self) -> bool {
        !self.any(&mut |expr| matches!(expr, Expr::Unknown))
    }

    /// Whether `test` holds of the template or anything in it.
    pub fn any(&self, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
        let expr = self.expr();
        test(expr)
            || match expr {
                Expr::Unknown | Expr::Constant(_) | Expr::Value(_) => false,
                Expr::Calldata(inner) | Expr::Load(inner) => inner.any(test),
                Expr::Keccak { words, .. } => words.iter().any(|word| word.any(test)),
                Expr::Apply(_, left, right) => left.any(test) || right.any(test),
            }
    }

    /// The word for a call with `inputs`. `load` answers what a slot of an account holds when the
    /// call begins.
    ///
    /// `None` where the template is not known, or `load` has no answer. Takes time linear in the
    /// template's size, which is at most [`MAX_SIZE`] of what the analysis makes.
    pub fn fill(
        &self,
        inputs: &Inputs<'_>,
        load: &mut dyn FnMut(Address, U256) -> Option<U256>,
    ) -> Option<U256> {
        match self.expr() {
            Expr::Unknown => None,
            Expr::Constant(value) => Some(*value),
            Expr::Value(value) => Some(inputs.value_of(*value)),
            Expr::Calldata(offset) => {
                // What a copy finds beyond the end is not what a read finds that has come round again.
                if let Expr::Apply(Operator::Add, left, right) = offset.expr() {
                    let (left, right) = (left.fill(inputs, load)?, right.fill(inputs, load)?);
                    return Some(inputs.word(left.checked_add(right)?));
                }
                Some(inputs.word(offset.fill(inputs, load)?))
            }
            Expr::Load(slot) => {
                let slot = slot.fill(inputs, load)?;
                load(inputs.this, slot)
            }
            Expr::Keccak { words, length } => {
                let mut preimage = SmallVec::<[u8; 128]>::new();
                for word in words {
                    let word = word.fill(inputs, load)?;
                    preimage.extend_from_slice(&word.to_be_bytes::<32>());
                }
                preimage.truncate(*length as usize);
                Some(keccak256(&preimage).into())
            }
            Expr::Apply(operator, left, right) => {
                let left = left.fill(inputs, load)?;
                Some(operator.apply(left, right.fill(inputs, load)?))
            }
        }
    }
}

impl Inputs<'_> {
    /// The word of the call data at `offset`.
    fn word(&self, offset: U256) -> U256 {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.calldata.get(offset..));
        let rest = rest.unwrap_or_default();
        let mut word = [0; 32];
        let length = rest.len().min(32);
        word[..length].copy_from_slice(&rest[..length]);
        U256::from_be_bytes(word)
    }

    fn value_of(&self, value: Value) -> U256 {
        let address = |address: Address| U256::from_be_slice(address.as_slice());
        match value {
            Value::This => address(self.this),
            Value::Caller => address(self.caller),
            Value::Origin => address(self.origin),
            Value::CallValue => self.value,
            Value::CalldataSize => U256::from(self.calldata.len()),
            Value::Timestamp => self.block.timestamp,
            Value::Number => self.block.number,
            Value::Coinbase => address(self.block.coinbase),
            Value::PrevRandao => self.block.prevrandao,
            Value::GasLimit => self.block.gas_limit,
            Value::ChainId => self.block.chain_id,
            Value::BaseFee => self.block.base_fee,
        }
    }
}

impl Value {
    /// The name that texts use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::This => "this",
            Self::Caller => "caller",
            Self::Origin => "origin",
            Self::CallValue => "value",
            Self::CalldataSize => "calldata.size",
            Self::Timestamp => "block.timestamp",
            Self::Number => "block.number",
            Self::Coinbase => "block.coinbase",
            Self::PrevRandao => "block.prevrandao",
            Self::GasLimit => "block.gaslimit",
            Self::ChainId => "block.chainid",
            Self::BaseFee => "block.basefee",
        }
    }
}

/// The index of the argument that begins at byte `offset` of the call data.
pub(crate) fn argument_at(offset: &Template) -> Option<usize> {
    let offset = usize::try_from(offset.as_constant()?).ok()?.checked_sub(4)?;
    (offset % 32 == 0 && offset / 32 < 64).then_some(offset / 32)
}

/// Small numbers in decimal, large ones in hexadecimal.
pub(crate) fn number(value: U256) -> String {
    if value < U256::from(1_000_000) { format!("{value}") } else { format!("{value:#x}") }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.expr() {
            Expr::Unknown => f.write_str("?"),
            Expr::Constant(value) => f.write_str(&number(*value)),
            Expr::Value(value) => f.write_str(value.name()),
            Expr::Calldata(offset) => match argument_at(offset) {
                Some(index) => write!(f, "arg{index}"),
                None => write!(f, "calldata[{offset}]"),
            },
            Expr::Load(slot) => write!(f, "storage[{slot}]"),
            Expr::Keccak { words, length } => {
                f.write_str("keccak(")?;
                for (index, word) in words.iter().enumerate() {
                    write!(f, "{}{word}", if index == 0 { "" } else { " . " })?;
                }
                if length % 32 != 0 {
                    write!(f, ", {length} bytes")?;
                }
                f.write_str(")")
            }
            Expr::Apply(operator, left, right) => {
                let operand = |it: &Self| Operand::new(it, it.to_string());
                f.write_str(&operator.text(&operand(left), &operand(right)))
            }
        }
    }
}
