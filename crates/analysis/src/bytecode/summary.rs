//! From the paths of a function to what is said of it.

use std::collections::{BTreeMap, btree_map::Entry};

use alloy_primitives::U256;
use hashbrown::HashMap;

use super::{
    effect::{CallEffect, Effect, InputEffect},
    explore::{Explored, Node},
    function::{self, Access, AccessKind, Call, CallInput, Function, Increment, WriteValue},
    state::Written,
    template::Template,
    term::{Templates, TermId, Terms, UNKNOWN},
};

/// Above this many steps of searching it is not found out what is done on every path.
const MAX_SEARCH: usize = 400_000;

/// The function whose paths were explored. It has no segments yet.
pub(crate) fn summarize(entry: function::Entry, explored: &Explored) -> Function {
    let mut writer = Writer {
        terms: &explored.terms,
        templates: explored.terms.templates(),
        tested: Tested::of(explored),
    };
    let mut function = Function {
        entry,
        offset: None,
        arguments: None,
        accesses: Vec::new(),
        calls: Vec::new(),
        creates: false,
        self_destructs: false,
        incomplete: explored.incomplete,
        blocks: Vec::new(),
        edges: Vec::new(),
        segments: Vec::new(),
    };
    let mut groups = Groups::default();
    for effect in &explored.effects {
        let (pc, always) = (effect.pc(), false);
        match effect {
            Effect::Read { slot, .. } => {
                let slot = writer.templates.of(*slot);
                groups.access(Access { pc, slot, kind: AccessKind::Read, always });
            }
            Effect::Write { slot, written, .. } => {
                let kind = AccessKind::Write(writer.write_value(*slot, *written));
                let slot = writer.templates.of(*slot);
                groups.access(Access { pc, slot, kind, always });
            }
            Effect::Call(call) => groups.call(writer.call(call, always)),
            Effect::Create { .. } => groups.other(&mut function.creates),
            Effect::SelfDestruct { .. } => groups.other(&mut function.self_destructs),
        }
    }
    groups.find_always(explored);
    function.accesses = groups.accesses.into_values().map(|(_, access)| access).collect();
    let always = groups.always;
    let calls = groups.calls.into_iter();
    function.calls =
        calls.map(|(call, group)| Call { always: always.contains(&group), ..call }).collect();
    function.accesses.sort_by(|one, two| (one.pc, &one.slot).cmp(&(two.pc, &two.slot)));
    function.calls.sort();
    function.blocks = sorted(explored.nodes.iter().map(|node| node.pc).collect());
    let edges = explored
        .nodes
        .iter()
        .flat_map(|node| node.next.iter().map(|next| (node.pc, explored.nodes[*next as usize].pc)));
    function.edges = sorted(edges.collect());
    function
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list.dedup();
    list
}

/// The slots whose earlier content decides something.
struct Tested {
    slots: Vec<TermId>,
    /// Something is decided by what may have come from anywhere.
    any: bool,
}

impl Tested {
    fn of(explored: &Explored) -> Self {
        let mut tested = Self { slots: Vec::new(), any: false };
        for condition in &explored.conditions {
            tested.any |= *condition == UNKNOWN;
            explored.terms.visit_loads(*condition, &mut |slot, _| tested.slots.push(slot));
        }
        tested
    }
}

/// Makes public words of terms.
struct Writer<'a> {
    terms: &'a Terms,
    templates: Templates<'a>,
    tested: Tested,
}

impl Writer<'_> {
    fn write_value(&mut self, slot: TermId, written: Written) -> WriteValue {
        let bits = |terms: &Terms, kept: TermId| !terms.as_constant(kept).unwrap_or_default();
        match written {
            Written::Increment(by) => WriteValue::Increment(self.increment(slot, by)),
            Written::Field { kept } => WriteValue::Field { bits: bits(self.terms, kept) },
            Written::FieldIncrement { kept, by } => WriteValue::FieldIncrement {
                bits: bits(self.terms, kept),
                increment: self.increment(slot, by),
            },
            Written::Value(value) => match self.terms.as_constant(value) {
                Some(value) => WriteValue::Constant(value),
                None => WriteValue::Value(self.templates.of(value)),
            },
            Written::Derived => WriteValue::Derived,
            Written::Unknown => WriteValue::Unknown,
        }
    }

    fn increment(&mut self, slot: TermId, by: TermId) -> Increment {
        let is_tested = self.tested.any || self.tested.slots.contains(&slot);
        Increment { by: self.templates.of(by), is_tested }
    }

    fn call(&mut self, call: &CallEffect, always: bool) -> Call {
        Call {
            pc: call.pc,
            kind: call.kind,
            target: self.templates.of(call.target),
            value: self.templates.of(call.value),
            input: self.input(&call.input),
            always,
        }
    }

    fn input(&mut self, input: &InputEffect) -> CallInput {
        match input {
            InputEffect::Words { length, head, words } => CallInput::Words {
                selector: if *length < 4 { None } else { self.selector(*head) },
                words: words.iter().map(|word| self.templates.of(*word)).collect(),
                length: *length,
            },
            InputEffect::Unknown { head } => CallInput::Unknown { selector: self.selector(*head) },
            InputEffect::Forwarded => CallInput::Forwarded,
        }
    }

    /// The selector that a word begins with.
    fn selector(&self, head: TermId) -> Option<[u8; 4]> {
        let word: U256 = self.terms.as_constant(head)?;
        let bytes = word.to_be_bytes::<32>();
        bytes.first_chunk().copied()
    }
}

/// Effects that look the same from outside. Terms differ where templates do not: what is unknown looks
/// the same.
#[derive(Default)]
struct Groups {
    /// The group of each effect.
    of: Vec<u32>,
    count: u32,
    accesses: BTreeMap<(u32, bool, Template), (u32, Access)>,
    calls: HashMap<Call, u32>,
    /// The groups of calls that every path has.
    always: Vec<u32>,
}

impl Groups {
    fn access(&mut self, access: Access) {
        let key = (access.pc, access.is_write(), access.slot.clone());
        let group = match self.accesses.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert((self.count, access));
                self.count += 1;
                self.count - 1
            }
            Entry::Occupied(mut entry) => {
                let (group, before) = entry.get_mut();
                if let (AccessKind::Write(before), AccessKind::Write(value)) =
                    (&mut before.kind, &access.kind)
                {
                    *before = before.join(value);
                }
                *group
            }
        };
        self.of.push(group);
    }

    fn call(&mut self, call: Call) {
        let next = self.count;
        let group = *self.calls.entry(call).or_insert(next);
        self.count += u32::from(group == next);
        self.of.push(group);
    }

    fn other(&mut self, flag: &mut bool) {
        *flag = true;
        self.of.push(u32::MAX);
    }

    /// Finds out which groups every path has that ends well: those without which none ends well.
    fn find_always(&mut self, explored: &Explored) {
        let nodes = &explored.nodes;
        let ends = nodes.iter().any(|node| node.is_done);
        let too_many = nodes.len().saturating_mul(self.count as usize) > MAX_SEARCH;
        if explored.incomplete.is_some() || !ends || too_many {
            return;
        }
        let mut search =
            Search { groups: &self.of, reached: vec![u32::MAX; nodes.len()], waiting: Vec::new() };
        for (group, access) in self.accesses.values_mut() {
            access.always = !search.ends_without(nodes, *group);
        }
        for group in self.calls.values_mut() {
            if !search.ends_without(nodes, *group) {
                self.always.push(*group);
            }
        }
    }
}

/// A search for paths, which keeps its lists.
struct Search<'a> {
    /// The group of each effect.
    groups: &'a [u32],
    /// The search that reached the node last.
    reached: Vec<u32>,
    waiting: Vec<u32>,
}

impl Search<'_> {
    /// Whether some path ends well without an effect of the group.
    fn ends_without(&mut self, nodes: &[Node], group: u32) -> bool {
        self.waiting.clear();
        self.waiting.push(0);
        while let Some(node) = self.waiting.pop() {
            let reached = &mut self.reached[node as usize];
            let node = &nodes[node as usize];
            let mut effects = node.effects.iter().map(|effect| self.groups[*effect as usize]);
            if std::mem::replace(reached, group) == group || effects.any(|it| it == group) {
                continue;
            }
            if node.is_done {
                return true;
            }
            self.waiting.extend(&node.next);
        }
        false
    }
}

/// The template of a call's target that is a number, as an address.
pub(crate) fn as_address(target: &Template) -> Option<alloy_primitives::Address> {
    let number = target.as_constant()?;
    Some(alloy_primitives::Address::from_word(number.into()))
}
