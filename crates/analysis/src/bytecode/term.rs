//! The symbolic machine's words: interned, so that equal ones have equal numbers.
//!
//! A term stands for what a word of the machine is in *every* call that takes the path at hand. What
//! cannot be said is one of three: [`UNKNOWN`], which may depend on anything; [`FOREIGN`], which comes from outside and
//! does not depend on the contract's storage but by what other frames do; and a [`Term::Opaque`], of which only
//! that it equals itself is known. Of the first two not even that holds, hence [`Terms::is_exact`].

use alloy_primitives::{U256, keccak256};
use hashbrown::HashMap;

use super::{
    operator::Operator,
    template::{Expr, MAX_PREIMAGE, MAX_SIZE, Template, Value},
};

/// A term's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TermId(u32);

/// Any word.
pub(crate) const UNKNOWN: TermId = TermId(0);
/// Any word that comes from outside.
pub(crate) const FOREIGN: TermId = TermId(1);
/// The number zero.
pub(crate) const ZERO: TermId = TermId(2);

/// What a word is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Term {
    Unknown,
    Foreign,
    /// One particular word of which nothing is known.
    Opaque(u32),
    Constant(U256),
    Value(Value),
    Calldata(TermId),
    /// What a slot held: with stamp 0 when the call began, else at the moment that the stamp names.
    Load {
        slot: TermId,
        stamp: u32,
    },
    Keccak {
        words: Box<[TermId]>,
        length: u32,
    },
    Apply(Operator, TermId, TermId),
}

/// What is known of the call data before anything runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Facts {
    /// At least four bytes, and the first are these.
    Selector(u32),
    /// There is none.
    Empty,
    /// If there are four bytes, they are none of these, which are in order.
    Other(Vec<u32>),
}

/// What is kept of each term beside itself.
#[derive(Clone, Copy, Debug)]
struct Meta {
    /// Nodes of the tree.
    size: u32,
    /// How many low bits may be other than zero.
    width: u16,
    /// Neither unknown nor foreign words in it.
    exact: bool,
    /// Nothing in it that cannot be filled in.
    known: bool,
    /// What a slot held is in it.
    loads: bool,
}

/// All terms of one function.
#[derive(Debug)]
pub(crate) struct Terms {
    terms: Vec<Term>,
    metas: Vec<Meta>,
    numbers: HashMap<Term, TermId, foldhash::fast::FixedState>,
    facts: Facts,
    /// Operations since this was asked for.
    work: u64,
}

impl Terms {
    pub(crate) fn new(facts: Facts) -> Self {
        let numbers = HashMap::with_hasher(foldhash::fast::FixedState::default());
        let mut terms = Self { terms: Vec::new(), metas: Vec::new(), numbers, facts, work: 0 };
        let first = [Term::Unknown, Term::Foreign, Term::Constant(U256::ZERO)];
        for (term, id) in first.into_iter().zip([UNKNOWN, FOREIGN, ZERO]) {
            let found = terms.intern(term);
            debug_assert_eq!(found, id);
        }
        terms
    }

    pub(crate) fn get(&self, id: TermId) -> &Term {
        &self.terms[id.0 as usize]
    }

    fn meta(&self, id: TermId) -> Meta {
        self.metas[id.0 as usize]
    }

    /// Whether the term equals itself wherever it occurs.
    pub(crate) fn is_exact(&self, id: TermId) -> bool {
        self.meta(id).exact
    }

    /// How many low bits of the word may be other than zero.
    pub(crate) fn width(&self, id: TermId) -> u16 {
        self.meta(id).width
    }

    pub(crate) fn as_constant(&self, id: TermId) -> Option<U256> {
        match self.get(id) {
            Term::Constant(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, where it is one that fits memory or code.
    pub(crate) fn as_offset(&self, id: TermId) -> Option<u32> {
        u32::try_from(self.as_constant(id)?).ok().filter(|offset| *offset <= super::MAX_OFFSET)
    }

    pub(crate) fn constant(&mut self, value: U256) -> TermId {
        self.intern(Term::Constant(value))
    }

    pub(crate) fn number(&mut self, value: u64) -> TermId {
        self.constant(U256::from(value))
    }

    pub(crate) fn opaque(&mut self, name: u32) -> TermId {
        self.intern(Term::Opaque(name))
    }

    pub(crate) fn value(&mut self, value: Value) -> TermId {
        match (value, &self.facts) {
            (Value::CalldataSize, Facts::Empty) => ZERO,
            _ => self.intern(Term::Value(value)),
        }
    }

    pub(crate) fn calldata(&mut self, offset: TermId) -> TermId {
        match self.facts {
            Facts::Empty => ZERO,
            _ if !self.is_exact(offset) => self.lost(&[offset]),
            _ => self.intern(Term::Calldata(offset)),
        }
    }

    pub(crate) fn load(&mut self, slot: TermId, stamp: u32) -> TermId {
        if self.is_exact(slot) { self.intern(Term::Load { slot, stamp }) } else { UNKNOWN }
    }

    /// The hash of the first `length` bytes of `words`.
    pub(crate) fn keccak(&mut self, words: Vec<TermId>, length: u32) -> TermId {
        let values: Option<Vec<_>> = words.iter().map(|word| self.as_constant(*word)).collect();
        let Some(values) = values else {
            return self.intern(Term::Keccak { words: words.into(), length });
        };
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes::<32>()).collect();
        debug_assert!(bytes.len() <= MAX_PREIMAGE);
        self.constant(keccak256(&bytes[..bytes.len().min(length as usize)]).into())
    }

    /// What became of words that an operation on them says nothing about.
    pub(crate) fn lost(&self, words: &[TermId]) -> TermId {
        let is_foreign =
            |word: &TermId| *word == FOREIGN || (self.is_exact(*word) && !self.meta(*word).loads);
        if words.iter().all(is_foreign) { FOREIGN } else { UNKNOWN }
    }

    /// Whether a word is other than zero, where that can be said.
    pub(crate) fn truth(&mut self, id: TermId) -> Option<bool> {
        let is_zero = self.apply(Operator::Eq, id, ZERO);
        self.as_constant(is_zero).map(|is_zero| is_zero.is_zero())
    }

    /// A term as a base and a number to be added.
    pub(crate) fn split(&self, id: TermId) -> (Option<TermId>, U256) {
        match self.get(id) {
            Term::Constant(value) => (None, *value),
            Term::Apply(Operator::Add, base, offset) => match self.as_constant(*offset) {
                Some(offset) => (Some(*base), offset),
                None => (Some(id), U256::ZERO),
            },
            _ => (Some(id), U256::ZERO),
        }
    }

    /// Calls `visit` with every slot whose earlier content is in the term.
    pub(crate) fn visit_loads(&self, id: TermId, visit: &mut dyn FnMut(TermId, u32)) {
        if !self.meta(id).loads {
            return;
        }
        match self.get(id) {
            Term::Load { slot, stamp } => {
                visit(*slot, *stamp);
                self.visit_loads(*slot, visit);
            }
            Term::Calldata(inner) => self.visit_loads(*inner, visit),
            Term::Keccak { words, .. } => {
                words.iter().for_each(|word| self.visit_loads(*word, visit));
            }
            Term::Apply(_, left, right) => {
                self.visit_loads(*left, visit);
                self.visit_loads(*right, visit);
            }
            Term::Unknown
            | Term::Foreign
            | Term::Opaque(_)
            | Term::Constant(_)
            | Term::Value(_) => {}
        }
    }

    /// Whether two slots may be one. `false` rests on hashes not colliding, and on no hash being a small
    /// number.
    pub(crate) fn may_alias(&self, left: TermId, right: TermId) -> bool {
        if left == right {
            return true;
        }
        let (left_base, left_offset) = self.split(left);
        let (right_base, right_offset) = self.split(right);
        let is_small = |offset: U256| offset.bit_len() <= 64;
        let keccak = |base: Option<TermId>| match self.get(base?) {
            Term::Keccak { words, length } => Some((words, *length)),
            _ => None,
        };
        match (left_base, right_base) {
            (None, None) => left_offset == right_offset,
            (Some(left), Some(right)) if left == right && self.is_exact(left) => {
                left_offset == right_offset
            }
            (None, base) | (base, None) => {
                let (number, offset) = if left_base.is_none() {
                    (left_offset, right_offset)
                } else {
                    (right_offset, left_offset)
                };
                !(keccak(base).is_some() && is_small(number) && is_small(offset))
            }
            _ => match (keccak(left_base), keccak(right_base)) {
                (Some((left, left_length)), Some((right, right_length)))
                    if is_small(left_offset) && is_small(right_offset) =>
                {
                    left_offset == right_offset
                        && left_length == right_length
                        && left
                            .iter()
                            .zip(right.iter())
                            .all(|(left, right)| self.may_equal(*left, *right))
                }
                _ => true,
            },
        }
    }

    /// Whether two words may be equal, of which at least one is not a slot of the other's kind.
    fn may_equal(&self, left: TermId, right: TermId) -> bool {
        match (self.as_constant(left), self.as_constant(right)) {
            (Some(left), Some(right)) => left == right,
            _ => self.may_alias(left, right),
        }
    }

    /// The templates of terms, shared where terms are.
    pub(crate) fn templates(&self) -> Templates<'_> {
        Templates { terms: self, made: vec![None; self.terms.len()] }
    }

    /// How many operations were made of the terms since this was last asked for.
    pub(crate) const fn take_work(&mut self) -> u64 {
        std::mem::replace(&mut self.work, 0)
    }

    /// Counts an operation.
    pub(super) const fn count(&mut self) {
        self.work += 1;
    }

    pub(super) const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The number of `term`; [`UNKNOWN`] where it has grown too large.
    pub(super) fn intern(&mut self, term: Term) -> TermId {
        if let Some(id) = self.numbers.get(&term) {
            return *id;
        }
        let meta = self.meta_of(&term);
        if meta.size > MAX_SIZE {
            return UNKNOWN;
        }
        // Each step of the machine makes a bounded number of terms, and steps are bounded.
        let Ok(id) = u32::try_from(self.terms.len()).map(TermId) else { return UNKNOWN };
        self.terms.push(term.clone());
        self.metas.push(meta);
        self.numbers.insert(term, id);
        id
    }

    fn meta_of(&self, term: &Term) -> Meta {
        let leaf = Meta { size: 1, width: 256, exact: true, known: true, loads: false };
        let over = |ids: &[TermId]| {
            ids.iter().fold(leaf, |all, id| {
                let meta = self.meta(*id);
                Meta {
                    size: all.size.saturating_add(meta.size),
                    width: 256,
                    exact: all.exact && meta.exact,
                    known: all.known && meta.known,
                    loads: all.loads || meta.loads,
                }
            })
        };
        match term {
            Term::Unknown => Meta { exact: false, known: false, loads: true, ..leaf },
            Term::Foreign => Meta { exact: false, known: false, ..leaf },
            Term::Opaque(_) => Meta { known: false, loads: true, ..leaf },
            Term::Constant(value) => Meta { width: bits(*value), ..leaf },
            Term::Value(Value::This | Value::Caller | Value::Origin | Value::Coinbase) => {
                Meta { width: 160, ..leaf }
            }
            Term::Value(Value::CalldataSize | Value::Timestamp | Value::Number) => {
                Meta { width: 64, ..leaf }
            }
            Term::Value(_) => leaf,
            Term::Calldata(offset) => over(&[*offset]),
            Term::Load { slot, stamp } => {
                let meta = over(&[*slot]);
                Meta { known: meta.known && *stamp == 0, loads: true, ..meta }
            }
            Term::Keccak { words, .. } => over(words),
            Term::Apply(operator, left, right) => {
                Meta { width: self.width_of(*operator, *left, *right), ..over(&[*left, *right]) }
            }
        }
    }

    fn width_of(&self, operator: Operator, left: TermId, right: TermId) -> u16 {
        let (wide, narrow) = {
            let (left, right) = (self.width(left), self.width(right));
            (left.max(right), left.min(right))
        };
        let shift = self.as_constant(left).and_then(|bits| u16::try_from(bits).ok());
        match (operator, shift) {
            (Operator::Lt | Operator::Gt | Operator::Slt | Operator::Sgt | Operator::Eq, _) => 1,
            (Operator::And, _) => narrow,
            (Operator::Or | Operator::Xor, _) => wide,
            (Operator::Add, _) => (wide + 1).min(256),
            (Operator::Shr, Some(bits)) => self.width(right).saturating_sub(bits),
            (Operator::Shl, Some(bits)) => self.width(right).saturating_add(bits).min(256),
            _ => 256,
        }
    }
}

/// How many bits a number takes.
fn bits(value: U256) -> u16 {
    u16::try_from(value.bit_len()).unwrap_or(256)
}

/// Makes templates of terms.
#[derive(Debug)]
pub(crate) struct Templates<'a> {
    terms: &'a Terms,
    made: Vec<Option<Template>>,
}

impl Templates<'_> {
    /// The template of a term. What cannot be filled in is [`Expr::Unknown`] in it.
    pub(crate) fn of(&mut self, id: TermId) -> Template {
        if let Some(template) = &self.made[id.0 as usize] {
            return template.clone();
        }
        let expr = match self.terms.get(id) {
            Term::Unknown | Term::Foreign | Term::Opaque(_) | Term::Load { stamp: 1.., .. } => {
                Expr::Unknown
            }
            Term::Constant(value) => Expr::Constant(*value),
            Term::Value(value) => Expr::Value(*value),
            Term::Calldata(offset) => Expr::Calldata(self.of(*offset)),
            Term::Load { slot, .. } => Expr::Load(self.of(*slot)),
            Term::Keccak { words, length } => Expr::Keccak {
                words: words.iter().map(|word| self.of(*word)).collect(),
                length: *length,
            },
            Term::Apply(operator, left, right) => {
                Expr::Apply(*operator, self.of(*left), self.of(*right))
            }
        };
        let template = Template::new(expr);
        self.made[id.0 as usize] = Some(template.clone());
        template
    }
}
