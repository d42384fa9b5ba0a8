//! The machine's operations on two words, as they are in the Yellow Paper.

use std::fmt;

use alloy_primitives::{I256, U256};

use super::{
    opcode,
    template::{Expr, Template},
};

/// An operation on two words, named after its opcode. The top of the stack is the left operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[expect(missing_docs, reason = "named after the opcodes")]
pub enum Operator {
    Add,
    Sub,
    Mul,
    Div,
    SDiv,
    Mod,
    SMod,
    Exp,
    SignExtend,
    Lt,
    Gt,
    Slt,
    Sgt,
    Eq,
    And,
    Or,
    Xor,
    Byte,
    Shl,
    Shr,
    Sar,
}

impl Operator {
    /// The operation of `opcode`, where it is one on two words.
    pub(crate) const fn of(opcode: u8) -> Option<Self> {
        Some(match opcode {
            opcode::ADD => Self::Add,
            opcode::SUB => Self::Sub,
            opcode::MUL => Self::Mul,
            opcode::DIV => Self::Div,
            opcode::SDIV => Self::SDiv,
            opcode::MOD => Self::Mod,
            opcode::SMOD => Self::SMod,
            opcode::EXP => Self::Exp,
            opcode::SIGNEXTEND => Self::SignExtend,
            opcode::LT => Self::Lt,
            opcode::GT => Self::Gt,
            opcode::SLT => Self::Slt,
            opcode::SGT => Self::Sgt,
            opcode::EQ => Self::Eq,
            opcode::AND => Self::And,
            opcode::OR => Self::Or,
            opcode::XOR => Self::Xor,
            opcode::BYTE => Self::Byte,
            opcode::SHL => Self::Shl,
            opcode::SHR => Self::Shr,
            opcode::SAR => Self::Sar,
            _ => return None,
        })
    }

    /// The result for two words.
    pub fn apply(self, left: U256, right: U256) -> U256 {
        match self {
            Self::Add => left.wrapping_add(right),
            Self::Sub => left.wrapping_sub(right),
            Self::Mul => left.wrapping_mul(right),
            Self::Div => left.checked_div(right).unwrap_or_default(),
            Self::SDiv => signed(left, right, I256::wrapping_div),
            Self::Mod => left.checked_rem(right).unwrap_or_default(),
            Self::SMod => signed(left, right, I256::wrapping_rem),
            Self::Exp => left.wrapping_pow(right),
            Self::SignExtend => sign_extend(left, right),
            Self::Lt => U256::from(left < right),
            Self::Gt => U256::from(left > right),
            Self::Slt => U256::from(I256::from_raw(left) < I256::from_raw(right)),
            Self::Sgt => U256::from(I256::from_raw(left) > I256::from_raw(right)),
            Self::Eq => U256::from(left == right),
            Self::And => left & right,
            Self::Or => left | right,
            Self::Xor => left ^ right,
            Self::Byte => index(left, 32).map_or(U256::ZERO, |at| U256::from(right.byte(31 - at))),
            Self::Shl => index(left, 256).map_or(U256::ZERO, |bits| right << bits),
            Self::Shr => index(left, 256).map_or(U256::ZERO, |bits| right >> bits),
            Self::Sar => right.arithmetic_shr(index(left, 256).unwrap_or(255)),
        }
    }

    /// Whether the operands may change places.
    pub(crate) const fn commutes(self) -> bool {
        matches!(self, Self::Add | Self::Mul | Self::Eq | Self::And | Self::Or | Self::Xor)
    }

    /// Writes the operation on `left` and `right` as an expression.
    pub(crate) fn write(
        self,
        f: &mut fmt::Formatter<'_>,
        left: &Template,
        right: &Template,
    ) -> fmt::Result {
        // A mask of an address says nothing that a reader misses.
        let is_address_mask =
            right.as_constant().is_some_and(|mask| mask == (U256::from(1) << 160) - U256::from(1));
        if self == Self::And && is_address_mask {
            return write!(f, "{left}");
        }
        if let (Self::Add, Some(offset)) = (self, right.as_constant())
            && offset.bit(255)
        {
            return write!(f, "{left} - {}", super::template::number(offset.wrapping_neg()));
        }
        match self {
            Self::Add => write!(f, "{left} + {right}"),
            Self::Sub => write!(f, "{left} - {}", Nested(right)),
            Self::Mul => write!(f, "{} * {}", Nested(left), Nested(right)),
            Self::Div => write!(f, "{} / {}", Nested(left), Nested(right)),
            Self::And => write!(f, "{} & {}", Nested(left), Nested(right)),
            Self::Or => write!(f, "{} | {}", Nested(left), Nested(right)),
            Self::Xor => write!(f, "{} ^ {}", Nested(left), Nested(right)),
            Self::Eq => write!(f, "{} == {}", Nested(left), Nested(right)),
            Self::Lt => write!(f, "{} < {}", Nested(left), Nested(right)),
            Self::Gt => write!(f, "{} > {}", Nested(left), Nested(right)),
            Self::Shl => write!(f, "{} << {}", Nested(right), Nested(left)),
            Self::Shr => write!(f, "{} >> {}", Nested(right), Nested(left)),
            other => write!(f, "{}({left}, {right})", format!("{other:?}").to_lowercase()),
        }
    }
}

/// A template as an operand: operations in parentheses.
struct Nested<'a>(&'a Template);

impl fmt::Display for Nested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.expr() {
            Expr::Apply(..) => write!(f, "({})", self.0),
            _ => write!(f, "{}", self.0),
        }
    }
}

/// `value` as a number below `limit`.
fn index(value: U256, limit: usize) -> Option<usize> {
    usize::try_from(value).ok().filter(|value| *value < limit)
}

fn signed(left: U256, right: U256, apply: fn(I256, I256) -> I256) -> U256 {
    if right.is_zero() {
        return U256::ZERO;
    }
    apply(I256::from_raw(left), I256::from_raw(right)).into_raw()
}

/// `value` with the sign of its byte `at`, counted from the low end.
fn sign_extend(at: U256, value: U256) -> U256 {
    let Some(at) = index(at, 31) else { return value };
    let bits = 8 * at + 8;
    let mask = (U256::from(1) << bits) - U256::from(1);
    if value.bit(bits - 1) { value | !mask } else { value & mask }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_those_of_the_machine() {
        let word = |value: u64| U256::from(value);
        let minus = |value: u64| U256::from(value).wrapping_neg();
        let table = [
            (Operator::Sub, word(1), word(2), minus(1)),
            (Operator::Div, word(7), word(0), word(0)),
            (Operator::SDiv, minus(7), word(2), minus(3)),
            (Operator::SDiv, U256::from(1) << 255, minus(1), U256::from(1) << 255),
            (Operator::SMod, minus(7), word(3), minus(1)),
            (Operator::Exp, word(2), word(10), word(1024)),
            (Operator::SignExtend, word(0), word(0x1ff), minus(1)),
            (Operator::SignExtend, word(31), word(5), word(5)),
            (Operator::Slt, minus(1), word(0), word(1)),
            (Operator::Byte, word(31), word(0xabcd), word(0xcd)),
            (Operator::Byte, word(32), word(0xabcd), word(0)),
            (Operator::Shl, word(8), word(1), word(256)),
            (Operator::Shr, word(256), word(1), word(0)),
            (Operator::Sar, word(300), minus(2), minus(1)),
        ];
        for (operator, left, right, expected) in table {
            assert_eq!(operator.apply(left, right), expected, "{operator:?}({left}, {right})");
        }
    }
}
