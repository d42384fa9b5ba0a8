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

/// Numbers that differ in so many low bits at most may lie behind one hash.
pub(super) const NEIGHBOURS: usize = 32;

impl Terms {
    /// The term for `operator` on two words, the top of the stack first.
    pub(crate) fn apply(&mut self, operator: Operator, left: TermId, right: TermId) -> TermId {
        self.count();
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
            Operator::Or if self.as_constant(right).is_none() => {
                let are_exact = self.is_exact(left) && self.is_exact(right);
                if !are_exact {
                    return None;
                }
                self.united(left, right).or_else(|| self.united(right, left))
            }
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
        // A field that was written before, taken out again, or bytes of several words.
        let Term::Apply(Operator::Or, one, other) = *self.get(left) else { return None };
        let mask = self.constant(mask);
        let one = self.apply(Operator::And, one, mask);
        let other = self.apply(Operator::And, other, mask);
        Some(self.apply(Operator::Or, one, other))
    }

    /// `one | other`, where both are or hold bits of the same word.
    fn united(&mut self, one: TermId, other: TermId) -> Option<TermId> {
        let (word, bits) = self.as_bits(other);
        self.united_with(one, word, bits)
    }

    fn united_with(&mut self, id: TermId, word: TermId, bits: U256) -> Option<TermId> {
        let (here, other_bits) = self.as_bits(id);
        if here == word {
            let mask = self.constant(bits | other_bits);
            return Some(self.apply(Operator::And, word, mask));
        }
        let Term::Apply(Operator::Or, one, other) = *self.get(id) else { return None };
        if let Some(other) = self.united_with(other, word, bits) {
            return Some(self.apply(Operator::Or, one, other));
        }
        let one = self.united_with(one, word, bits)?;
        Some(self.apply(Operator::Or, one, other))
    }

    /// A word and which of its bits are meant.
    fn as_bits(&self, id: TermId) -> (TermId, U256) {
        match *self.get(id) {
            Term::Apply(Operator::And, word, mask) => match self.as_constant(mask) {
                Some(mask) => (word, mask),
                None => (id, U256::MAX),
            },
            _ => (id, low_bits(self.width(id))),
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
        self.shifted_inside(operator, bits, word)
    }

    /// A shift moved inwards to the words that are shifted, and what it cuts off as a mask around it. So
    /// bytes that were moved to and fro are found to be those of one word.
    fn shifted_inside(&mut self, operator: Operator, bits: u16, word: TermId) -> Option<TermId> {
        let Term::Apply(inner, first, second) = *self.get(word) else { return None };
        let by = self.number(bits.into());
        match inner {
            Operator::Or => {
                let one = self.apply(operator, by, first);
                let other = self.apply(operator, by, second);
                Some(self.apply(Operator::Or, one, other))
            }
            Operator::And => {
                let mask = self.as_constant(second)?;
                let word = self.apply(operator, by, first);
                let mask = self.constant(operator.apply(U256::from(bits), mask));
                Some(self.apply(Operator::And, word, mask))
            }
            Operator::Shl | Operator::Shr => {
                let before = self.as_constant(first).and_then(|bits| u16::try_from(bits).ok())?;
                if inner == operator {
                    let bits = self.number(u64::from(bits) + u64::from(before));
                    return Some(self.apply(operator, bits, second));
                }
                let (further, direction) =
                    if bits > before { (bits - before, operator) } else { (before - bits, inner) };
                let further = self.number(further.into());
                let word = self.apply(direction, further, second);
                let kept = inner.apply(U256::from(before), U256::MAX);
                let kept = self.constant(operator.apply(U256::from(bits), kept));
                Some(self.apply(Operator::And, word, kept))
            }
            _ => None,
        }
    }

    /// What an operation leaves of words that are not exact. Where in an array something lies is worth
    /// keeping even if the index is not known.
    fn inexact(&mut self, operator: Operator, left: TermId, right: TermId) -> TermId {
        let index = self.lost(&[left, right]);
        if operator == Operator::Add {
            for (one, other) in [(left, right), (right, left)] {
                if self.is_hash(one) && !self.is_exact(other) {
                    let hash = self.neighbourhood(one);
                    return self.intern(Term::Apply(Operator::Add, hash, index));
                }
                if let Some(hash) = self.somewhere_behind(one) {
                    return self.intern(Term::Apply(Operator::Add, hash, index));
                }
            }
        }
        index
    }

    /// What holds of two words that differ: that they lie behind the same hash, or nothing.
    pub(crate) fn either(&mut self, one: TermId, other: TermId) -> TermId {
        let index = self.lost(&[one, other]);
        let (hash, other) = (self.hash_before(one), self.hash_before(other));
        match hash {
            Some(hash) if other == Some(hash) => {
                self.intern(Term::Apply(Operator::Add, hash, index))
            }
            _ => index,
        }
    }

    /// The hash that a word lies behind, if any.
    fn hash_before(&mut self, id: TermId) -> Option<TermId> {
        if let Some(hash) = self.somewhere_behind(id) {
            return Some(hash);
        }
        let base = self.split(id).0.unwrap_or(id);
        self.is_hash(base).then(|| self.neighbourhood(base))
    }

    /// A hash without its last bits where it is a number, of which nobody can tell what was added to it.
    fn neighbourhood(&mut self, hash: TermId) -> TermId {
        match self.as_constant(hash) {
            Some(number) => self.constant(number >> NEIGHBOURS << NEIGHBOURS),
            None => hash,
        }
    }

    /// Whether it is a hash, or a number that looks like one.
    fn is_hash(&self, id: TermId) -> bool {
        match self.get(id) {
            Term::Keccak { .. } => true,
            Term::Constant(value) => value.bit_len() > 128 && *value < U256::MAX << 128,
            _ => false,
        }
    }

    /// The hash, where it is one with an unknown number added.
    fn somewhere_behind(&self, id: TermId) -> Option<TermId> {
        match *self.get(id) {
            Term::Apply(Operator::Add, hash, index) if !self.is_exact(index) => Some(hash),
            _ => None,
        }
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
        let number = |bytes: u32| u64::from(8 * bytes);
        let moved = if to >= from {
            let bits = self.number(number(to - from));
            self.apply(Operator::Shr, bits, word)
        } else {
            let bits = self.number(number(from - to));
            self.apply(Operator::Shl, bits, word)
        };
        let mask = low_bits(u16::try_from(8 * length).unwrap_or(256));
        let mask = self.constant(mask << (8 * (32 - to - length)));
        self.apply(Operator::And, moved, mask)
    }
}

/// The number whose low `width` bits are set.
fn low_bits(width: u16) -> U256 {
    if width >= 256 { U256::MAX } else { (U256::from(1) << width) - U256::from(1) }
}

fn bit_len(value: U256) -> u16 {
    u16::try_from(value.bit_len()).unwrap_or(256)
}
