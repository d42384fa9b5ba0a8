//! What code says that transactions touch, weighed by how often it did.
//!
//! Code says what it may do on each of its ways, and not which way it takes. So it is counted, for each
//! function of each code and each thing that it may do, how often it did: that holds for all contracts
//! that have the code.

use std::collections::BTreeMap;

use warpline_primitives::{AccessHint, Chance, Location};

use super::{
    expand::{Act, Running, Visit},
    model::{Context, Count, Key, Limits, Model, Occurrence},
    pattern::Pattern,
};

/// How likely a call has to be to be followed.
const WORTH_FOLLOWING: Chance = Chance::percent(10);

impl From<Running> for Key {
    fn from(running: Running) -> Self {
        Self::Code(running.code_hash, running.selector)
    }
}

/// Collects what a transaction is likely to do.
pub(super) struct Guess<'m> {
    model: &'m Model,
    limits: Limits,
    found: Vec<AccessHint>,
}

/// One chance, if another thing happens first.
fn both(one: Chance, other: Chance) -> Chance {
    let percent = u16::from(one.as_percent()) * u16::from(other.as_percent()) / 100;
    Chance::percent(u8::try_from(percent).unwrap_or(u8::MAX))
}

impl<'m> Guess<'m> {
    /// One that knows what `model` does.
    pub(super) const fn new(model: &'m Model, limits: Limits) -> Self {
        Self { model, limits, found: Vec::new() }
    }

    /// What was collected, each with how much came before it.
    pub(super) fn into_hints(self) -> impl Iterator<Item = (u16, AccessHint)> {
        (0..u16::MAX).zip(self.found)
    }

    fn chances(&self, act: &Act) -> (Chance, Chance) {
        let context = self.model.context(&act.running.into(), &self.limits);
        let (read, write) = Context::at_site(context, act.site, act.always);
        (both(act.frame, read), both(act.frame, write))
    }
}

impl Visit for Guess<'_> {
    fn enter(&mut self, _running: Running) {}

    fn touch(&mut self, act: Act) {
        let (read, write) = self.chances(&act);
        let write = if act.writes { write } else { Chance::NEVER };
        self.found.push(AccessHint { read, write, ..AccessHint::read(act.location) });
    }

    fn call(&mut self, act: Act) -> Option<Chance> {
        let (read, _) = self.chances(&act);
        let write = if act.writes { read } else { Chance::NEVER };
        self.found.push(AccessHint {
            read,
            write,
            commutes: act.writes,
            ..AccessHint::read(act.location)
        });
        (read >= WORTH_FOLLOWING).then_some(read)
    }
}

/// Counts what code did of what it may do.
pub(super) struct Lesson {
    /// What was touched, and whether it was written.
    touched: BTreeMap<Location, bool>,
    /// For each function that ran which sites did what.
    found: BTreeMap<Running, BTreeMap<Pattern, Count>>,
}

impl Lesson {
    /// The lesson of a transaction that touched this, and wrote some of it.
    pub(super) const fn new(touched: BTreeMap<Location, bool>) -> Self {
        Self { touched, found: BTreeMap::new() }
    }

    /// Lets `model` learn it.
    pub(super) fn teach(self, model: &mut Model, limits: &Limits) {
        for (running, patterns) in self.found {
            let patterns = patterns.into_iter().collect();
            let occurrence = Occurrence { patterns, ..Occurrence::default() };
            model.add(running.into(), &occurrence, limits, |_| true);
        }
    }

    fn note(&mut self, act: &Act) -> bool {
        let did = self.touched.get(&act.location);
        let wrote = did.copied().unwrap_or_default();
        let count = Count { read: did.is_some().into(), write: wrote.into(), ..Count::default() };
        let patterns = self.found.entry(act.running).or_default();
        // What one call of it did in a transaction, another need not do as well.
        let known = patterns.entry(Pattern::site(act.site)).or_insert(count);
        known.read |= count.read;
        known.write |= count.write;
        did.is_some()
    }
}

impl Visit for Lesson {
    fn enter(&mut self, running: Running) {
        self.found.entry(running).or_default();
    }

    fn touch(&mut self, act: Act) {
        self.note(&act);
    }

    fn call(&mut self, act: Act) -> Option<Chance> {
        self.note(&act).then_some(Chance::CERTAIN)
    }
}
