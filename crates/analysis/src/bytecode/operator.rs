//! The machine's operations on two words, as they are in the Yellow Paper.

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

    /// The operation on two expressions as text.
    pub(crate) fn text(self, left: &Operand, right: &Operand) -> String {
        if self == Self::And && right.number == Some(U256::MAX >> 96) {
            // A mask of an address says nothing that a reader misses.
            return left.text.clone();
        }
        if let (Self::Add, Some(offset)) = (self, right.number.filter(|number| number.bit(255))) {
            return format!("{} - {}", left.text, super::template::number(offset.wrapping_neg()));
        }
        let (plain, nested) = (&left.text, left.nested());
        let sign = match self {
            Self::Add => return format!("{plain} + {}", right.text),
            Self::Sub => return format!("{plain} - {}", right.nested()),
            // The operand that is shifted is the right one.
            Self::Shl => return format!("{} << {nested}", right.nested()),
            Self::Shr => return format!("{} >> {nested}", right.nested()),
            Self::Mul => "*",
            Self::Div => "/",
            Self::And => "&",
            Self::Or => "|",
            Self::Xor => "^",
            Self::Eq => "==",
            Self::Lt => "<",
            Self::Gt => ">",
            other => {
                let name = format!("{other:?}").to_lowercase();
                return format!("{name}({plain}, {})", right.text);
            }
        };
        format!("{nested} {sign} {}", right.nested())
    }
}

/// An expression that something is done with.
pub(crate) struct Operand {
    pub(crate) text: String,
    /// Whether it is an operation itself.
    pub(crate) is_operation: bool,
    /// Its value, where it is a number.
    pub(crate) number: Option<U256>,
}

impl Operand {
    pub(crate) fn new(template: &Template, text: String) -> Self {
        let is_operation = matches!(template.expr(), Expr::Apply(..)) && text.contains(' ');
        Self { text, is_operation, number: template.as_constant() }
    }

    /// The text, in parentheses where it needs them.
    fn nested(&self) -> String {
        if self.is_operation { format!("({})", self.text) } else { self.text.clone() }
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
