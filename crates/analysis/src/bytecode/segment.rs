//! Functions divided where they first touch what calls may conflict on.
//!
//! An *opener* is an instruction at which execution meets the outside: a call of another contract, a
//! write, or a read of a slot that some function of the contract may write. Of several accesses
//! of one slot in one basic block only the first is an opener. A *static segment* is an opener with all
//! code that is reached from it, and from it alone, without another opener between; code that is reached
//! from several begins a segment where their paths meet. So the segments of a function do not overlap, and
//! every instruction that it may run is in one.
//!
//! A stretch that ends with a failed call is a segment like others: it takes its time, too.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::{
    code::{Block, Code, instructions},
    conflict::may_coincide,
    function::{Access, Function},
    opcode,
    template::Template,
};

/// A stretch of a function's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// What begins it.
    pub opener: Opener,
    /// The code that belongs to it, as offsets from and to, in order.
    pub ranges: Vec<(u32, u32)>,
    /// What all of its instructions cost together, once each, with everything warm and no memory
    /// to pay for: a lower bound of what a path through all of them costs.
    pub gas: u64,
}

/// What begins a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Opener {
    /// The beginning of the code.
    Entry,
    /// An access of storage by the instruction at this offset.
    Access(u32),
    /// A call, or a creation, by the instruction at this offset.
    Call(u32),
    /// Paths of several segments meet in the block at this offset.
    Meeting(u32),
}

/// Of contracts with more slots than it takes so many comparisons to tell apart, every slot counts as
/// written by somebody.
const MAX_COMPARISONS: usize = 1 << 20;

/// Divides functions of one contract.
pub(super) fn divide(functions: &mut [Function], code: &Code<'_>) {
    let incomplete = functions.iter().any(|function| function.incomplete.is_some());
    let accesses = functions.iter().flat_map(|function| &function.accesses);
    let written: BTreeSet<Template> =
        accesses.filter(|access| access.is_write()).map(|access| access.slot.clone()).collect();
    let mut answers: BTreeMap<Template, bool> = BTreeMap::new();
    let mut may_be_written = |access: &Access| {
        if incomplete || answers.len().saturating_mul(written.len()) > MAX_COMPARISONS {
            return true;
        }
        let find = || written.iter().any(|slot| may_coincide(slot, &access.slot));
        *answers.entry(access.slot.clone()).or_insert_with(find)
    };
    for function in functions {
        let openers = openers(function, code, &mut may_be_written);
        function.segments = segments(function, code, &openers);
    }
}

/// The openers within blocks, by offset.
fn openers(
    function: &Function,
    code: &Code<'_>,
    may_be_written: &mut dyn FnMut(&Access) -> bool,
) -> HashMap<u32, Opener> {
    let mut openers = HashMap::new();
    let mut touched: HashMap<(u32, &Template), u32> = HashMap::new();
    for access in &function.accesses {
        if !access.is_write() && !may_be_written(access) {
            continue;
        }
        let block = block_of(code, access.pc).map_or(0, |block| block.start);
        let first = *touched.entry((block, &access.slot)).or_insert(access.pc);
        if first == access.pc {
            openers.insert(access.pc, Opener::Access(access.pc));
        }
    }
    for call in &function.calls {
        openers.insert(call.pc, Opener::Call(call.pc));
    }
    openers
}

fn block_of<'c>(code: &'c Code<'_>, pc: u32) -> Option<&'c Block> {
    let after = code.blocks().partition_point(|block| block.start <= pc);
    code.blocks().get(after.checked_sub(1)?).filter(|block| pc < block.end)
}

/// The segments that the openers make of a function's blocks.
fn segments(function: &Function, code: &Code<'_>, openers: &HashMap<u32, Opener>) -> Vec<Segment> {
    let blocks: Vec<_> =
        function.blocks.iter().filter_map(|start| block_of(code, *start)).collect();
    let last: HashMap<u32, Option<Opener>> = blocks
        .iter()
        .map(|block| {
            (block.start, offsets(code, block).filter_map(|it| openers.get(&it.0)).last().copied())
        })
        .collect();
    let first = incoming(function, &last);
    let mut segments: Vec<Segment> = Vec::new();
    let mut index: HashMap<Opener, usize> = HashMap::new();
    for block in blocks {
        let mut opener = first.get(&block.start).copied().unwrap_or(Opener::Entry);
        for (at, opcode) in offsets(code, block) {
            opener = openers.get(&at).copied().unwrap_or(opener);
            let segment = *index.entry(opener).or_insert_with(|| {
                segments.push(Segment { opener, ranges: Vec::new(), gas: 0 });
                segments.len() - 1
            });
            let end = at + 1 + u32::try_from(opcode::immediate(opcode)).unwrap_or(0);
            segments[segment].add(at, end.min(block.end), opcode);
        }
    }
    segments.sort_by_key(|segment| segment.opener);
    segments
}

impl Segment {
    fn add(&mut self, from: u32, to: u32, opcode: u8) {
        self.gas += opcode::effect(opcode).map_or(0, |effect| effect.gas);
        match self.ranges.last_mut() {
            Some((_, end)) if *end == from => *end = to,
            _ => self.ranges.push((from, to)),
        }
    }
}

/// The instructions of a block.
fn offsets(code: &Code<'_>, block: &Block) -> impl Iterator<Item = (u32, u8)> {
    let bytes = &code.bytes[..block.end as usize];
    instructions(bytes, block.start as usize)
        .map(|(at, opcode)| (u32::try_from(at).unwrap_or(u32::MAX), opcode))
}

/// The segment that each block begins in.
///
/// A fixed point: a block takes the segment of whoever comes first, and begins one of its own as soon as
/// somebody comes from another. It never goes back, so each block changes twice at most.
fn incoming(function: &Function, last: &HashMap<u32, Option<Opener>>) -> HashMap<u32, Opener> {
    let mut incoming = HashMap::from([(0, Opener::Entry)]);
    let mut changed = vec![0];
    while let Some(block) = changed.pop() {
        let Some(first) = incoming.get(&block).copied() else { continue };
        let outgoing = last.get(&block).copied().flatten().unwrap_or(first);
        let from = function.edges.partition_point(|(from, _)| *from < block);
        for (_, next) in function.edges[from..].iter().take_while(|(from, _)| *from == block) {
            let meeting = Opener::Meeting(*next);
            let merged = match incoming.get(next) {
                None => outgoing,
                Some(before) if *before == outgoing || *before == meeting => continue,
                // The way in is a way like others.
                Some(_) => meeting,
            };
            incoming.insert(*next, merged);
            changed.push(*next);
        }
    }
    incoming
}
