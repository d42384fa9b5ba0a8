//! All paths of one function, in bounded work.
//!
//! A *node* is a block in one state. Paths that meet in the same state share a node. A block that is met
//! in ever other states at the same height of the stack and with the same places to return to, as the
//! head of a loop is, is *widened* from the eighth on: what differs from state to state becomes
//! unknown, until nothing differs any more. So loops end without being counted, at the price of what
//! they count being unknown; and everything else that does not end is cut off by the [`Budget`], and
//! said to be incomplete.

use std::rc::Rc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use super::{
    code::Code,
    effect::Effect,
    function::Incomplete,
    machine::{Flow, Machine, Use},
    memory::Memory,
    opcode,
    state::State,
    term::{Facts, TermId, Terms},
};

/// From so many states on, a block is widened.
const DISTINCT_STATES: u32 = 8;
/// A block that is widened more often is left.
const MAX_WIDENINGS: u32 = 96;
/// So many operations on terms are a step, where an instruction takes more than one.
const APPLICATIONS: u64 = 4;
/// Nodes of one function.
const MAX_NODES: usize = 8_000;
/// Effects of one function; more say no more to anybody.
const MAX_EFFECTS: usize = 2_000;

/// How much work an analysis may take.
///
/// A step is an instruction executed symbolically, every four operations on terms that it takes beyond
/// that, or the copying and comparing of eight words of a state. It takes about a tenth of a microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Steps for each function.
    pub function_steps: u64,
    /// Steps for all functions of a contract together.
    pub contract_steps: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { function_steps: 200_000, contract_steps: 3_000_000 }
    }
}

/// What the paths of a function were found to do.
#[derive(Debug)]
pub(crate) struct Explored {
    pub(crate) terms: Terms,
    pub(crate) nodes: Vec<Node>,
    /// Everything that is done on some path, once.
    pub(crate) effects: Vec<Effect>,
    /// Conditions that decide between paths.
    pub(crate) conditions: Vec<TermId>,
    /// Words that go somewhere on paths that do not fail at once.
    pub(crate) uses: Vec<Use>,
    pub(crate) incomplete: Option<Incomplete>,
    pub(crate) steps: u64,
}

/// A block in one state.
#[derive(Debug)]
pub(crate) struct Node {
    /// The offset of the block.
    pub(crate) pc: u32,
    /// What is done in it, as indices into the effects.
    pub(crate) effects: Vec<u32>,
    /// The nodes that follow.
    pub(crate) next: Vec<u32>,
    /// Whether a path ends here with what it did.
    pub(crate) is_done: bool,
}

/// Explores what code does with call data as its terms' facts say.
pub(crate) fn explore(code: &Code<'_>, terms: Terms, reserved: u32, steps: u64) -> Explored {
    let mut explorer = Explorer {
        code,
        explored: Explored {
            terms,
            nodes: Vec::new(),
            effects: Vec::new(),
            conditions: Vec::new(),
            uses: Vec::new(),
            incomplete: None,
            steps: 0,
        },
        budget: steps,
        waiting: Vec::new(),
        seen: HashMap::default(),
        meetings: HashMap::default(),
        effects: HashMap::default(),
        conditions: HashSet::default(),
        uses: HashSet::default(),
        fresh: 0,
    };
    explorer.arrive(None, 0, State::new(reserved));
    while let Some((node, state)) = explorer.waiting.pop() {
        if explorer.explored.steps >= explorer.budget {
            explorer.leave(Incomplete::Budget);
            break;
        }
        explorer.run(node, Rc::unwrap_or_clone(state));
    }
    explorer.explored
}

/// How many bytes at the beginning of memory no pointer points to: as Solidity has it, which sets its
/// pointer to free memory first of all; and none in other code.
pub(crate) fn reserved_memory(code: &Code<'_>) -> u32 {
    let mut terms = Terms::new(Facts::Other(Vec::new()));
    let mut machine = Machine {
        code,
        terms: &mut terms,
        state: State::new(0),
        effects: Vec::new(),
        conditions: Vec::new(),
        uses: Vec::new(),
        fresh: &mut 0,
    };
    let first = code.blocks().first().map_or(0, |block| block.end);
    for (at, _) in super::code::instructions(&code.bytes[..first as usize], 0).take(PROLOGUE) {
        if machine.step(u32::try_from(at).unwrap_or(u32::MAX)) != Flow::On {
            break;
        }
    }
    let Machine { state, .. } = machine;
    let pointer = state.memory.read(&mut terms, Memory::FREE_POINTER, 32);
    match terms.as_offset(pointer) {
        Some(free @ 0x60..0x1_0000) => free.min(0x80),
        _ => 0,
    }
}

/// What of a block's state is never made unknown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    pc: u32,
    height: usize,
    /// Where on the stack there are offsets that may be jumped to, and which.
    returns: SmallVec<[(usize, TermId); 8]>,
}

/// The states in which a block was met in one place.
#[derive(Debug, Default)]
struct Meeting {
    states: u32,
    widenings: u32,
    /// Names the moment of a change of storage that was another from state to state. No state that comes
    /// here from before has anything that is named so, so it stays the same from widening to widening.
    moment: u32,
    /// What holds of all states from some on, and its node.
    widened: Option<(Rc<State>, u32)>,
}

/// How many instructions are looked at for that: it takes three, after some that it does not take.
const PROLOGUE: usize = 16;

#[derive(Debug)]
struct Explorer<'a, 'c> {
    code: &'a Code<'c>,
    explored: Explored,
    budget: u64,
    waiting: Vec<(u32, Rc<State>)>,
    seen: HashMap<(u32, Rc<State>), u32, RandomState>,
    meetings: HashMap<Place, Meeting, RandomState>,
    effects: HashMap<Effect, u32, RandomState>,
    conditions: HashSet<TermId, RandomState>,
    uses: HashSet<Use, RandomState>,
    fresh: u32,
}

impl Explorer<'_, '_> {
    /// Executes a block from `state` on.
    fn run(&mut self, node: u32, state: State) {
        let start = self.explored.nodes[node as usize].pc;
        let mut machine = Machine {
            code: self.code,
            terms: &mut self.explored.terms,
            state,
            effects: Vec::new(),
            conditions: Vec::new(),
            uses: Vec::new(),
            fresh: &mut self.fresh,
        };
        let mut pc = start;
        let flow = loop {
            if pc != start && machine.code.byte(pc as usize) == opcode::JUMPDEST {
                break Flow::To(pc);
            }
            if self.explored.steps >= self.budget {
                break Flow::Cut;
            }
            self.explored.steps += 1 + machine.terms.take_work() / APPLICATIONS;
            let opcode = machine.code.byte(pc as usize);
            let flow = machine.step(pc);
            pc += 1 + u32::try_from(opcode::immediate(opcode)).unwrap_or(0);
            if flow != Flow::On || opcode == opcode::JUMPI {
                break flow;
            }
        };
        let Machine { state, effects, conditions, uses, .. } = machine;
        self.record(node, effects, conditions);
        // What is told of why it failed is of no consequence.
        if flow != Flow::Failed {
            let is_new = |it: &Use| self.uses.insert(*it);
            self.explored.uses.extend(uses.into_iter().filter(is_new));
        }
        match flow {
            Flow::On => self.arrive(Some(node), pc, state),
            Flow::To(target) => self.arrive(Some(node), target, state),
            Flow::Fork(target) => {
                self.arrive(Some(node), target, state.clone());
                self.arrive(Some(node), pc, state);
            }
            Flow::Done => self.explored.nodes[node as usize].is_done = true,
            Flow::Failed => {}
            Flow::Lost => self.leave(Incomplete::Jump),
            Flow::Cut => self.leave(Incomplete::Budget),
        }
    }

    fn leave(&mut self, reason: Incomplete) {
        self.explored.incomplete.get_or_insert(reason);
    }

    fn record(&mut self, node: u32, effects: Vec<Effect>, conditions: Vec<TermId>) {
        for effect in effects {
            let next = u32::try_from(self.effects.len()).unwrap_or(u32::MAX);
            if self.effects.len() >= MAX_EFFECTS && !self.effects.contains_key(&effect) {
                self.leave(Incomplete::Budget);
                continue;
            }
            let index = *self.effects.entry(effect).or_insert_with_key(|effect| {
                self.explored.effects.push(effect.clone());
                next
            });
            self.explored.nodes[node as usize].effects.push(index);
        }
        for condition in conditions {
            if self.conditions.insert(condition) {
                self.explored.conditions.push(condition);
            }
        }
    }

    /// A path comes from a node to the block at `pc`.
    fn arrive(&mut self, from: Option<u32>, pc: u32, state: State) {
        self.explored.steps += 1 + state.weight() as u64 / 8;
        let state = Rc::new(state);
        let known = self.seen.get(&(pc, Rc::clone(&state))).copied();
        let node = known.or_else(|| self.meet(pc, state));
        if let (Some(from), Some(node)) = (from, node) {
            self.explored.nodes[from as usize].next.push(node);
        }
    }

    /// The node for a state in which the block at `pc` was not met before.
    fn meet(&mut self, pc: u32, state: Rc<State>) -> Option<u32> {
        let place = self.place(pc, &state);
        let meeting = self.meetings.entry(place.clone()).or_default();
        meeting.states += 1;
        if meeting.states <= DISTINCT_STATES {
            return self.node(pc, state);
        }
        let wider = match &meeting.widened {
            None => state,
            Some((widened, node)) => {
                if meeting.moment == 0 {
                    self.fresh += 1;
                    meeting.moment = self.fresh;
                }
                let wider = widened.join(&state, &mut self.explored.terms, meeting.moment);
                if wider == **widened {
                    return Some(*node);
                }
                Rc::new(wider)
            }
        };
        meeting.widenings += 1;
        if meeting.widenings > MAX_WIDENINGS {
            self.leave(Incomplete::Budget);
            return None;
        }
        let node = match self.seen.get(&(pc, Rc::clone(&wider))) {
            Some(node) => *node,
            None => self.node(pc, Rc::clone(&wider))?,
        };
        if let Some(meeting) = self.meetings.get_mut(&place) {
            meeting.widened = Some((wider, node));
        }
        Some(node)
    }

    fn node(&mut self, pc: u32, state: Rc<State>) -> Option<u32> {
        if self.explored.nodes.len() >= MAX_NODES {
            self.leave(Incomplete::Budget);
            return None;
        }
        let node = u32::try_from(self.explored.nodes.len()).ok()?;
        let (effects, next) = (Vec::new(), Vec::new());
        self.explored.nodes.push(Node { pc, effects, next, is_done: false });
        self.seen.insert((pc, Rc::clone(&state)), node);
        self.waiting.push((node, state));
        Some(node)
    }

    fn place(&self, pc: u32, state: &State) -> Place {
        let is_return = |id: &TermId| {
            let offset = self.explored.terms.as_offset(*id);
            offset.is_some_and(|offset| self.code.is_jump_destination(offset as usize))
        };
        let returns = state.stack.iter().copied().enumerate().filter(|(_, id)| is_return(id));
        Place { pc, height: state.stack.len(), returns: returns.collect() }
    }
}
