//! Operations on terms, with what follows for the result.
//!
//! Compilers spell one thing in many ways: a division by 2²²⁴ or a shift takes the selector out of the
//! call data, a comparison is negated twice, a field is masked before and after it is moved. Each rule
//! here holds for all words, or for all calls that the [`Facts`] describe.

use alloy_primitives::U256;

use super::{
    operator::Operator,
    template::Value,
    term::{Facts, Term, TermId, Terms, UNKNOWN, ZERO},
};

impl Terms {
    /// The term for `operator` on two words, the top of the stack first.
    pub(crate) fn apply(&mut self, operator: Operator, left: TermId, right: TermId) -> TermId {
        if let (Some(left), Some(right)) = (self.as_constant(left), self.as_constant(right)) {
            return self.constant(operator.apply(left, right));
        }
        let (operator, left, right) = self.canonical(operator, left, right);
        if let Some(result) = self.shortcut(operator, left, right) {
            return result;
        }
        if !self.is_exact(left) || !self.is_exact(right) {
            return self.inexact(operator, left, right);
        }
        self.intern(Term::Apply(operator, left, right))
    }

    /// The same operation in the one spelling that the other rules expect: numbers on the right where the
    /// operands may change places, no subtraction of numbers, shifts instead of powers of two.
    fn canonical(
        &mut self,
        operator: Operator,
        left: TermId,
        right: TermId,
    ) -> (Operator, TermId, TermId) {
        match operator {
            Operator::Gt => return (Operator::Lt, right, left),
            Operator::Sgt => return (Operator::Slt, right, left),
            _ => {}
        }
        let (mut left, mut right) = (left, right);
        if operator.commutes()
            && (self.as_constant(left).is_some()
                || (self.as_constant(right).is_none() && left > right))
        {
            (left, right) = (right, left);
        }
        let Some(number) = self.as_constant(right) else { return (operator, left, right) };
        let power = number.is_power_of_two().then(|| number.trailing_zeros() as u64);
        match (operator, power) {
            (Operator::Sub, _) => (Operator::Add, left, self.constant(number.wrapping_neg())),
            (Operator::Mul, Some(bits)) => (Operator::Shl, self.number(bits), left),
            (Operator::Div, Some(bits)) => (Operator::Shr, self.number(bits), left),
            (Operator::Mod, Some(_)) => {
                (Operator::And, left, self.constant(number - U256::from(1)))
            }
            _ => (operator, left, right),
        }
    }

    /// The result, where it is simpler than the operation.
    fn shortcut(&mut self, operator: Operator, left: TermId, right: TermId) -> Option<TermId> {
        if left == right && self.is_exact(left) {
            match operator {
                Operator::Sub | Operator::Xor | Operator::Lt | Operator::Slt => return Some(ZERO),
                Operator::Eq => return Some(self.number(1)),
                Operator::And | Operator::Or => return Some(left),
                _ => {}
            }
        }
        match operator {
            Operator::Sub => self.difference(left, right),
            Operator::Shl | Operator::Shr | Operator::Byte => {
                let number = self.as_constant(left)?;
                self.shifted(operator, number, right)
            }
            Operator::Lt => self.compared(left, right),
            _ => {
                let number = self.as_constant(right)?;
                self.with_number(operator, left, number)
            }
        }
    }

    /// `left - right` where both are the same but for a number.
    fn difference(&mut self, left: TermId, right: TermId) -> Option<TermId> {
        let ((left_base, left_offset), (right_base, right_offset)) =
            (self.split(left), self.split(right));
        let base = left_base.filter(|base| left_base == right_base && self.is_exact(*base))?;
        debug_assert!(self.is_exact(base));
        Some(self.constant(left_offset.wrapping_sub(right_offset)))
    }

    fn with_number(&mut self, operator: Operator, left: TermId, number: U256) -> Option<TermId> {
        match operator {
            Operator::Add | Operator::Or | Operator::Xor if number.is_zero() => Some(left),
            Operator::And | Operator::Mul if number.is_zero() => Some(ZERO),
            Operator::Mul | Operator::Div if number == U256::from(1) => Some(left),
            Operator::Add | Operator::Or => {
                let (inner, before) = self.same_operation(operator, left)?;
                let number = self.constant(operator.apply(before, number));
                Some(self.apply(operator, inner, number))
            }
            Operator::And => self.masked(left, number),
            Operator::Eq => self.equal_to(left, number),
            _ => None,
        }
    }

    /// The operand and the number, where `id` is `operator` on them.
    fn same_operation(&self, operator: Operator, id: TermId) -> Option<(TermId, U256)> {
        match self.get(id) {
            Term::Apply(inner, left, right) if *inner == operator => {
                self.as_constant(*right).map(|number| (*left, number))
            }
            _ => None,
        }
    }

    fn masked(&mut self, left: TermId, mask: U256) -> Option<TermId> {
        let low = low_bits(self.width(left));
        if mask & low == low {
            return Some(left);
        }
        if let Some((inner, before)) = self.same_operation(Operator::And, left) {
            let mask = self.constant(before & mask);
            return Some(self.apply(Operator::And, inner, mask));
        }
        if let (Facts::Selector(selector), true) = (self.facts(), self.is_first_word(left))
            && mask & low_bits(224) == U256::ZERO
        {
            let word = U256::from(*selector) << 224;
            return Some(self.constant(word & mask));
        }
        // A field that was written before, taken out again.
        let Term::Apply(Operator::Or, one, other) = *self.get(left) else { return None };
        let mask = self.constant(mask);
        let one = self.apply(Operator::And, one, mask);
        let other = self.apply(Operator::And, other, mask);
        match (one, other) {
            (ZERO, rest) | (rest, ZERO) => Some(rest),
            _ => None,
        }
    }

    fn equal_to(&mut self, left: TermId, number: U256) -> Option<TermId> {
        if bit_len(number) > self.width(left) {
            return Some(ZERO);
        }
        if let Facts::Other(listed) = self.facts()
            && self.is_selector(left)
            && let Ok(selector) = u32::try_from(number)
            // Zeros follow call data of fewer than four bytes.
            && selector & 0xff != 0
            && listed.binary_search(&selector).is_ok()
        {
            return Some(ZERO);
        }
        if self.is_size(left) && number < self.least_size() {
            return Some(ZERO);
        }
        if !number.is_zero() {
            return None;
        }
        match *self.get(left) {
            Term::Apply(Operator::Xor | Operator::Sub, one, other) => {
                Some(self.apply(Operator::Eq, one, other))
            }
            // Negated twice.
            Term::Apply(Operator::Eq, inner, zero) if zero == ZERO && self.width(inner) == 1 => {
                Some(inner)
            }
            _ => None,
        }
    }

    fn compared(&mut self, left: TermId, right: TermId) -> Option<TermId> {
        let least = self.least_size();
        if right == ZERO {
            return Some(ZERO);
        }
        match (self.as_constant(left), self.as_constant(right)) {
            (Some(number), _) if self.is_size(right) && number < least => Some(self.number(1)),
            (_, Some(number)) if self.is_size(left) && number <= least => Some(ZERO),
            _ => None,
        }
    }

    /// `word` shifted, or the byte at an index, which is a shift and a mask.
    fn shifted(&mut self, operator: Operator, by: U256, word: TermId) -> Option<TermId> {
        if operator == Operator::Byte {
            let Some(place) = u64::try_from(by).ok().filter(|place| *place < 32) else {
                return Some(ZERO);
            };
            let (bits, mask) = (self.number(8 * (31 - place)), self.number(0xff));
            let moved = self.apply(Operator::Shr, bits, word);
            return Some(self.apply(Operator::And, moved, mask));
        }
        let Some(bits) = u16::try_from(by).ok().filter(|bits| *bits < 256) else {
            return Some(ZERO);
        };
        if bits == 0 {
            return Some(word);
        }
        if operator == Operator::Shr && self.width(word) <= bits {
            return Some(ZERO);
        }
        if let (Facts::Selector(selector), Operator::Shr, true, 224..) =
            (self.facts(), operator, self.is_first_word(word), bits)
        {
            let selector = U256::from(*selector >> (bits - 224));
            return Some(self.constant(selector));
        }
        let Term::Apply(inner, first, second) = *self.get(word) else { return None };
        let before = self.as_constant(first).and_then(|bits| u16::try_from(bits).ok());
        match (operator, inner, before) {
            (Operator::Shr, Operator::Shr, Some(before))
            | (Operator::Shl, Operator::Shl, Some(before)) => {
                let bits = self.number(u64::from(bits) + u64::from(before));
                Some(self.apply(operator, bits, second))
            }
            (Operator::Shr, Operator::Shl, Some(before))
                if before == bits && self.width(second) + bits <= 256 =>
            {
                Some(second)
            }
            (Operator::Shr, Operator::Or, _) => {
                let bits = self.number(bits.into());
                let one = self.apply(Operator::Shr, bits, first);
                let other = self.apply(Operator::Shr, bits, second);
                (one == ZERO || other == ZERO).then(|| if one == ZERO { other } else { one })
            }
            _ => None,
        }
    }

    /// What an operation leaves of words that are not exact. Where in an array something lies is worth
    /// keeping even if the index is not known.
    fn inexact(&mut self, operator: Operator, left: TermId, right: TermId) -> TermId {
        let is_hash = |id: TermId| match self.get(id) {
            Term::Keccak { .. } => true,
            Term::Constant(value) => value.bit_len() > 128 && !value.bit(255),
            _ => false,
        };
        if operator == Operator::Add {
            let index = self.lost(&[left, right]);
            for (hash, other) in [(left, right), (right, left)] {
                if is_hash(hash) && !self.is_exact(other) {
                    return self.intern(Term::Apply(Operator::Add, hash, index));
                }
            }
        }
        self.lost(&[left, right])
    }

    /// Whether it is the first word of the call data.
    fn is_first_word(&self, id: TermId) -> bool {
        matches!(self.get(id), Term::Calldata(ZERO))
    }

    /// Whether it is the first four bytes of the call data, as a number.
    fn is_selector(&self, id: TermId) -> bool {
        match self.get(id) {
            Term::Apply(Operator::Shr, bits, word) => {
                self.as_offset(*bits) == Some(224) && self.is_first_word(*word)
            }
            _ => false,
        }
    }

    fn is_size(&self, id: TermId) -> bool {
        matches!(self.get(id), Term::Value(Value::CalldataSize))
    }

    fn least_size(&self) -> U256 {
        match self.facts() {
            Facts::Selector(_) => U256::from(4),
            Facts::Empty | Facts::Other(_) => U256::ZERO,
        }
    }

    /// The word of which `length` bytes from `from` on lie at `to`, and zeros elsewhere.
    pub(crate) fn moved_bytes(&mut self, word: TermId, from: u32, length: u32, to: u32) -> TermId {
        if length == 32 {
            return word;
        }
        if word == UNKNOWN {
            return UNKNOWN;
        }
        let number = |bits: u32| u64::from(8 * bits);
        let behind = self.number(number(32 - from - length));
        let part = self.apply(Operator::Shr, behind, word);
        let mask = self.constant(low_bits(u16::try_from(8 * length).unwrap_or(256)));
        let part = self.apply(Operator::And, part, mask);
        let place = self.number(number(32 - to - length));
        self.apply(Operator::Shl, place, part)
    }
}

/// The number whose low `width` bits are set.
fn low_bits(width: u16) -> U256 {
    if width >= 256 { U256::MAX } else { (U256::from(1) << width) - U256::from(1) }
}

fn bit_len(value: U256) -> u16 {
    u16::try_from(value.bit_len()).unwrap_or(256)
}
