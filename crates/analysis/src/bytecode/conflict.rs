//! What makes calls of a contract's functions conflict.
//!
//! Two calls conflict if one writes a slot that the other reads or writes. Which slots these are depends on
//! what the templates depend on: nothing, who calls, an argument, or what storage holds.

use alloy_primitives::U256;

use super::{
    Contract,
    function::{AccessKind, Entry, Function, WriteValue},
    operator::Operator,
    simplify::NEIGHBOURS,
    template::{Expr, Template, Value, argument_at},
};

/// A slot that a function touches, with everything that it does to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Which slot.
    pub slot: Template,
    /// What is done with it.
    pub action: Action,
    /// Which calls of the function itself mean the same slot.
    pub scope: Scope,
    /// Whether every path that ends well touches it.
    pub always: bool,
    /// The functions that may write it, in the contract's order. Of a slot that only this function writes it
    /// is the function alone.
    pub writers: Vec<Entry>,
}

/// What a function does with a slot, on all of its paths together.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// It is read.
    Read,
    /// It is set to the same value by every write, which may be preceded by reads.
    Set(U256),
    /// Something is added to it, or to the number in these bits of it.
    Add {
        /// Which bits; all where the whole slot is a number.
        bits: U256,
        /// What, where it is the same template on all paths.
        by: Option<Template>,
        /// Whether the function may decide something by what the slot held.
        is_tested: bool,
    },
    /// Only these bits are written.
    WriteBits(U256),
    /// It is written without being read.
    Write,
    /// It is read and written.
    Update,
}

/// Which calls of one function mean the same slot by a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Those of one caller only.
    pub caller: bool,
    /// Those in which the arguments with these indices are the same only.
    pub arguments: Vec<usize>,
    /// Those in which other parts of the call data, the origin or the payment are the same only.
    pub other: bool,
    /// Those that find the same in these slots only.
    pub loads: Vec<Template>,
    /// Nobody knows, because the slot is unknown at least in part.
    pub unknown: bool,
}

/// How calls of two functions get on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Relation {
    /// They never conflict.
    Never,
    /// They conflict if what the slots depend on is the same.
    Depends,
    /// They conflict on a slot that depends on nothing, on some of their paths at least.
    Always,
    /// At least one may touch slots of which it is not known which.
    Unknown,
}

impl Scope {
    /// What a template depends on.
    pub fn of(slot: &Template) -> Self {
        let mut scope = Self::default();
        scope.add(slot);
        scope.arguments.sort_unstable();
        scope.arguments.dedup();
        scope
    }

    /// Whether the slot is one and the same for all calls.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, template: &Template) {
        match template.expr() {
            Expr::Unknown => self.unknown = true,
            Expr::Value(Value::Caller) => self.caller = true,
            Expr::Value(Value::Origin | Value::CallValue | Value::CalldataSize) => {
                self.other = true
            }
            // The same for all calls of the contract in a block.
            Expr::Constant(_) | Expr::Value(_) => {}
            Expr::Calldata(offset) => match argument_at(offset) {
                Some(index) => self.arguments.push(index),
                None => {
                    self.other = true;
                    self.add(offset);
                }
            },
            Expr::Load(slot) => {
                if !self.loads.contains(slot) {
                    self.loads.push(slot.clone());
                }
            }
            Expr::Keccak { words, .. } => words.iter().for_each(|word| self.add(word)),
            Expr::Apply(_, left, right) => {
                self.add(left);
                self.add(right);
            }
        }
    }
}

impl Contract {
    /// The slots that `function` touches and some function of the contract may write, in the order of
    /// its accesses.
    pub fn touches(&self, function: &Function) -> Vec<Touch> {
        let mut slots: Vec<&Template> = Vec::new();
        for access in &function.accesses {
            if !slots.contains(&&access.slot) {
                slots.push(&access.slot);
            }
        }
        // A loop over an array reads single slots first and then some that are not known.
        let arrays: Vec<_> = slots.iter().filter_map(|slot| somewhere_behind(slot)).collect();
        slots.retain(|slot| !arrays.iter().any(|array| is_behind(slot, array)));
        let touches = slots.into_iter().filter_map(|slot| {
            let writers = self.writers_of(slot);
            let here = function.accesses.iter().filter(|access| access.slot == *slot);
            (!writers.is_empty()).then(|| Touch {
                slot: slot.clone(),
                action: Action::of(here.clone().map(|access| &access.kind)),
                scope: Scope::of(slot),
                always: here.clone().any(|access| access.always),
                writers,
            })
        });
        touches.collect()
    }

    /// The slots that `function` reads and no function of the contract writes, in the order of its
    /// accesses.
    pub fn constants(&self, function: &Function) -> Vec<Template> {
        let mut slots: Vec<Template> = Vec::new();
        for access in &function.accesses {
            if !slots.contains(&access.slot) && self.writers_of(&access.slot).is_empty() {
                slots.push(access.slot.clone());
            }
        }
        slots
    }

    fn writers_of(&self, slot: &Template) -> Vec<Entry> {
        let may_write = |function: &&Function| {
            let mut writes = function.accesses.iter().filter(|access| access.is_write());
            writes.any(|access| may_coincide(&access.slot, slot))
        };
        self.functions.iter().filter(may_write).map(|function| function.entry).collect()
    }

    /// How a call of `left` and one of `right` get on.
    pub fn relation(&self, left: &Function, right: &Function) -> Relation {
        let mut relation = Relation::Never;
        let is_open = |function: &Function| function.incomplete.is_some() || function.delegates();
        let touches_anything =
            |function: &Function| !function.accesses.is_empty() || is_open(function);
        if (is_open(left) && touches_anything(right)) || (is_open(right) && touches_anything(left))
        {
            relation = Relation::Unknown;
        }
        for one in &left.accesses {
            for other in &right.accesses {
                if (one.is_write() || other.is_write()) && may_coincide(&one.slot, &other.slot) {
                    relation = relation.max(pair_relation(&one.slot, &other.slot));
                }
            }
        }
        relation
    }
}

/// How two slots that may be one get on.
fn pair_relation(one: &Template, other: &Template) -> Relation {
    if *one == *other && Scope::of(one).is_everything() {
        Relation::Always
    } else if one.is_known() && other.is_known() {
        Relation::Depends
    } else {
        Relation::Unknown
    }
}

impl Action {
    fn of<'a>(kinds: impl Iterator<Item = &'a AccessKind>) -> Self {
        let (mut is_read, mut written) = (false, None);
        for kind in kinds {
            match kind {
                AccessKind::Read => is_read = true,
                AccessKind::Write(value) => {
                    let next = Self::of_write(value);
                    written =
                        Some(written.map_or_else(|| next.clone(), |before| join(&before, &next)));
                }
            }
        }
        match written {
            None => Self::Read,
            Some(Self::Write) if is_read => Self::Update,
            Some(written) => written,
        }
    }

    fn of_write(value: &WriteValue) -> Self {
        let add = |bits, increment: &super::Increment| Self::Add {
            bits,
            by: Some(increment.by.clone()),
            is_tested: increment.is_tested,
        };
        match value {
            WriteValue::Constant(value) => Self::Set(*value),
            WriteValue::Value(_) => Self::Write,
            WriteValue::Increment(increment) => add(U256::MAX, increment),
            WriteValue::FieldIncrement { bits, increment } => add(*bits, increment),
            WriteValue::Field { bits } => Self::WriteBits(*bits),
            WriteValue::Derived | WriteValue::Unknown => Self::Update,
        }
    }
}

/// What two writes do together.
fn join(one: &Action, other: &Action) -> Action {
    match (one, other) {
        (one, other) if one == other => one.clone(),
        (
            Action::Add { bits, by, is_tested },
            Action::Add { bits: other_bits, by: other_by, is_tested: other_is_tested },
        ) if bits == other_bits => Action::Add {
            bits: *bits,
            by: by.clone().filter(|by| other_by.as_ref() == Some(by)),
            is_tested: *is_tested || *other_is_tested,
        },
        (
            Action::WriteBits(bits) | Action::Add { bits, .. },
            Action::WriteBits(other) | Action::Add { bits: other, .. },
        ) => Action::WriteBits(*bits | *other),
        (Action::Set(_) | Action::Write, Action::Set(_) | Action::Write) => Action::Write,
        _ => Action::Update,
    }
}

/// Whether two calls, not necessarily of one function, may mean one slot by two templates. `false` rests
/// on hashes not colliding, and on no hash being a small number.
pub(super) fn may_coincide(left: &Template, right: &Template) -> bool {
    let (left_base, left_offset) = split(left);
    let (right_base, right_offset) = split(right);
    let are_small = left_offset.bit_len() <= 64 && right_offset.bit_len() <= 64;
    match (left_base.map(Template::expr), right_base.map(Template::expr)) {
        (None, None) => left_offset == right_offset,
        (None, Some(Expr::Keccak { .. })) | (Some(Expr::Keccak { .. }), None) => !are_small,
        (
            Some(Expr::Keccak { words: left, length: left_length }),
            Some(Expr::Keccak { words: right, length: right_length }),
        ) if are_small => {
            left_offset == right_offset
                && left_length == right_length
                && left.iter().zip(right).all(|(left, right)| may_coincide(left, right))
        }
        _ => true,
    }
}

/// The hash, where a slot is one with an unknown number added.
fn somewhere_behind(slot: &Template) -> Option<&Template> {
    match slot.expr() {
        Expr::Apply(Operator::Add, hash, index) if !index.is_known() => Some(hash),
        _ => None,
    }
}

/// Whether a slot is `base` and a small number.
fn is_behind(slot: &Template, base: &Template) -> bool {
    match (slot.as_constant(), base.as_constant()) {
        (Some(number), Some(base)) => number >> NEIGHBOURS == base >> NEIGHBOURS,
        _ => split(slot).0.is_some_and(|it| it == base),
    }
}

/// A template as a base and a number to be added.
pub(super) fn split(template: &Template) -> (Option<&Template>, U256) {
    match template.expr() {
        Expr::Constant(number) => (None, *number),
        Expr::Apply(Operator::Add, base, offset) => match offset.as_constant() {
            Some(offset) => (Some(base), offset),
            None => (Some(template), U256::ZERO),
        },
        _ => (Some(template), U256::ZERO),
    }
}
