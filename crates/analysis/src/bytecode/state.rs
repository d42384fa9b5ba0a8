//! What is known at one point of one path: stack, memory, and the storage written so far.

use super::{
    memory::Memory,
    operator::Operator,
    term::{FOREIGN, Term, TermId, Terms, UNKNOWN},
};

/// More slots written on one path are not told apart.
const MAX_WRITTEN: usize = 48;

/// A point of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) stack: Vec<TermId>,
    pub(crate) memory: Memory,
    pub(crate) storage: Storage,
    /// Whether there may be data that a call returned.
    pub(crate) has_called: bool,
}

/// The contract's storage on one path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Storage {
    /// What was written and still stands.
    entries: Vec<(TermId, TermId)>,
    /// Everything that was written.
    written: Vec<TermId>,
    /// Whether any slot may hold something else than before.
    is_disturbed: bool,
    /// Names the moment of the last change; 0 is when the call began.
    version: u32,
}

/// What a write makes of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Written {
    /// Adds a word that has nothing to do with the slot.
    Increment(TermId),
    /// Replaces the bits outside `kept` by some that have nothing to do with the slot.
    Field { kept: TermId },
    /// Adds to the number in the bits outside `kept`.
    FieldIncrement { kept: TermId, by: TermId },
    /// A word that has nothing to do with the slot.
    Value(TermId),
    /// Made of what the slot held, in another way.
    Derived,
    /// Not known.
    Unknown,
}

impl State {
    /// Before the first instruction.
    pub(crate) fn new(reserved: u32) -> Self {
        Self {
            stack: Vec::with_capacity(32),
            memory: Memory::new(reserved),
            storage: Storage::default(),
            has_called: false,
        }
    }

    /// What holds of both, which have stacks of one height. `fresh` names the moment.
    pub(crate) fn join(&self, other: &Self, terms: &mut Terms, fresh: u32) -> Self {
        let pairs = self.stack.iter().zip(&other.stack);
        Self {
            stack: pairs
                .map(|(one, two)| if one == two { *one } else { terms.either(*one, *two) })
                .collect(),
            memory: self.memory.join(&other.memory),
            storage: self.storage.join(&other.storage, fresh),
            has_called: self.has_called || other.has_called,
        }
    }

    /// How much there is to copy and compare.
    pub(crate) fn weight(&self) -> usize {
        self.stack.len() + self.memory.weight() + self.storage.written.len()
    }
}

impl Storage {
    /// The word in `slot`.
    pub(crate) fn load(&self, terms: &mut Terms, slot: TermId) -> TermId {
        if terms.is_exact(slot)
            && let Some((_, value)) = self.entries.iter().find(|(it, _)| *it == slot)
        {
            return *value;
        }
        let is_as_before =
            !self.is_disturbed && !self.written.iter().any(|it| terms.may_alias(*it, slot));
        terms.load(slot, if is_as_before { 0 } else { self.version })
    }

    /// Writes `value`, at the moment that `fresh` names.
    pub(crate) fn store(&mut self, terms: &Terms, slot: TermId, value: TermId, fresh: u32) {
        self.version = fresh;
        self.entries.retain(|(it, _)| !terms.may_alias(*it, slot));
        if terms.is_exact(slot) && terms.is_exact(value) {
            self.entries.push((slot, value));
        }
        if !self.written.contains(&slot) {
            self.written.push(slot);
        }
        if self.written.len() > MAX_WRITTEN {
            self.disturb(fresh);
        }
    }

    /// Lets somebody else write anything, as a call that comes back may.
    pub(crate) fn disturb(&mut self, fresh: u32) {
        *self = Self { is_disturbed: true, version: fresh, ..Self::default() };
    }

    /// What writing `value` to `slot` makes of it.
    pub(crate) fn classify(&self, terms: &mut Terms, slot: TermId, value: TermId) -> Written {
        if !terms.is_exact(value) {
            return Written::Unknown;
        }
        let depends = |terms: &Terms, id: TermId| {
            let mut depends = false;
            terms.visit_loads(id, &mut |it, _| depends |= it == slot);
            depends
        };
        if !depends(terms, value) {
            return Written::Value(value);
        }
        let is_current = |terms: &Terms, id: TermId| match terms.get(id) {
            Term::Load { slot: it, stamp } => {
                *it == slot && (*stamp == 0 || *stamp == self.version)
            }
            _ => false,
        };
        if let Some(by) = increment(terms, value, &is_current, &|terms, id| depends(terms, id)) {
            return Written::Increment(by);
        }
        let Some((kept, rest)) = field(terms, value, &is_current) else { return Written::Derived };
        if !depends(terms, rest) {
            return Written::Field { kept };
        }
        let is_part = |terms: &Terms, id: TermId| is_current(terms, strip(terms, id));
        let number = strip(terms, rest);
        match increment(terms, number, &is_part, &|terms, id| depends(terms, id)) {
            Some(by) => Written::FieldIncrement { kept, by },
            None => Written::Derived,
        }
    }

    fn join(&self, other: &Self, fresh: u32) -> Self {
        let mut written = self.written.clone();
        written.extend(other.written.iter().filter(|slot| !self.written.contains(slot)));
        let entries = self.entries.iter().filter(|entry| other.entries.contains(entry));
        Self {
            entries: entries.copied().collect(),
            is_disturbed: self.is_disturbed || other.is_disturbed || written.len() > MAX_WRITTEN,
            written,
            version: if self.version == other.version { self.version } else { fresh },
        }
    }
}

/// What `value` adds to a word that `is_base` recognises, where it is a sum of that and others that do
/// not depend on it.
fn increment(
    terms: &mut Terms,
    value: TermId,
    is_base: &dyn Fn(&Terms, TermId) -> bool,
    depends: &dyn Fn(&Terms, TermId) -> bool,
) -> Option<TermId> {
    if is_base(terms, value) {
        return Some(super::term::ZERO);
    }
    let Term::Apply(operator @ (Operator::Add | Operator::Sub), left, right) = *terms.get(value)
    else {
        return None;
    };
    if !depends(terms, right) {
        let before = increment(terms, left, is_base, depends)?;
        return Some(terms.apply(operator, before, right));
    }
    if operator == Operator::Add && !depends(terms, left) {
        let before = increment(terms, right, is_base, depends)?;
        return Some(terms.apply(operator, before, left));
    }
    None
}

/// The mask and the other part, where `value` is some bits of a word that `is_base` recognises, and
/// something else in the others.
fn field(
    terms: &Terms,
    value: TermId,
    is_base: &dyn Fn(&Terms, TermId) -> bool,
) -> Option<(TermId, TermId)> {
    let Term::Apply(Operator::Or, left, right) = *terms.get(value) else { return None };
    [(left, right), (right, left)].into_iter().find_map(|(one, rest)| match *terms.get(one) {
        Term::Apply(Operator::And, word, mask)
            if is_base(terms, word) && terms.as_constant(mask).is_some() =>
        {
            Some((mask, rest))
        }
        _ => None,
    })
}

/// A word without the shifts and masks around it.
fn strip(terms: &Terms, mut id: TermId) -> TermId {
    loop {
        id = match *terms.get(id) {
            Term::Apply(Operator::And, word, mask) if terms.as_constant(mask).is_some() => word,
            Term::Apply(Operator::Shl | Operator::Shr, bits, word)
                if terms.as_constant(bits).is_some() =>
            {
                word
            }
            _ => return id,
        }
    }
}

/// A word that comes from outside, as far as what it is taken from does.
pub(crate) fn from_outside(terms: &Terms, operands: &[TermId]) -> TermId {
    if terms.lost(operands) == FOREIGN { FOREIGN } else { UNKNOWN }
}
