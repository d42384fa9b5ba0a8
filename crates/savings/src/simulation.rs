//! What the engine's way to schedule makes of a block on any number of cores.
//!
//! The model keeps what decides about time and leaves out what costs it: workers take transactions in
//! block order and execute them on what is there; one that certainly needs an earlier one, because
//! that has the same sender, waits for it; one that saw something of another that had not ended is
//! executed again, once it has; and calls of a function that were executed in vain before wait for each
//! other from then on, before they begin or, between segments, before they look. There is no price for
//! publishing, validating and committing, and none for caches and memory that cores share, and it is
//! known at once what was in vain. So what is measured lies below.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    time::Duration,
};

use alloy_primitives::Address;

use crate::{Granularity, Need, Place, Schedule, Span, Timeline};

/// What the engine sees of a transaction before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who sends it.
    pub sender: Address,
    /// Whom it calls or pays; `None` where it creates a contract.
    pub to: Option<Address>,
    /// The first four bytes of its input, filled up with zeros.
    pub selector: [u8; 4],
    /// Whether it has input at all.
    pub has_input: bool,
}

impl Call {
    /// What it has in common with others that are likely to conflict with it.
    const fn class(&self) -> (Option<Address>, [u8; 4]) {
        (self.to, self.selector)
    }
}

/// Simulates the execution of the block of `timeline`, which consists of `calls`, on `cores`.
/// `granularity` says whether an execution that began before one it needs ended can count, if it did
/// not look before that, which is how the engine does it: then spans can be longer than what they
/// execute, because a worker waits within.
///
/// # Panics
/// If there are no cores, or not one call for each transaction.
pub fn simulate(
    timeline: &Timeline<'_>,
    calls: &[Call],
    cores: usize,
    granularity: Granularity,
) -> Schedule {
    assert!(cores > 0, "somebody has to do it");
    assert_eq!(calls.len(), timeline.times.len(), "one call for each transaction");
    Simulation::new(timeline, calls, cores, granularity).run()
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody has executed it, or it has to be executed again.
    Open,
    /// A worker has it.
    Running {
        /// When it will end.
        end: Duration,
    },
    /// Its last execution has ended.
    Ended {
        /// When that began.
        start: Duration,
        /// When it ended.
        end: Duration,
    },
}

struct Simulation<'a> {
    timeline: &'a Timeline<'a>,
    calls: &'a [Call],
    granularity: Granularity,
    states: Vec<State>,
    /// For each transaction the pauses of its last execution: how far it was then, and for how long it
    /// had been waiting afterwards.
    pauses: Vec<Vec<(Duration, Duration)>>,
    /// For each transaction those that wait until it ends.
    waiting: Vec<Vec<usize>>,
    /// The next transaction in block order.
    next: usize,
    /// Those to be executed before the next.
    again: BTreeSet<usize>,
    /// The calls that are known to conflict with their like.
    classes: BTreeSet<(Option<Address>, [u8; 4])>,
    idle: Vec<usize>,
    running: BinaryHeap<Reverse<(Duration, usize, usize)>>,
    now: Duration,
    schedule: Schedule,
}

impl<'a> Simulation<'a> {
    fn new(
        timeline: &'a Timeline<'a>,
        calls: &'a [Call],
        cores: usize,
        granularity: Granularity,
    ) -> Self {
        let count = calls.len();
        Self {
            timeline,
            calls,
            granularity,
            states: vec![State::Open; count],
            pauses: vec![Vec::new(); count],
            waiting: vec![Vec::new(); count],
            next: 0,
            again: BTreeSet::new(),
            classes: BTreeSet::new(),
            idle: (0..cores.min(count)).rev().collect(),
            running: BinaryHeap::new(),
            now: Duration::ZERO,
            schedule: Schedule::default(),
        }
    }

    fn run(mut self) -> Schedule {
        loop {
            while let Some(worker) = self.idle.last().copied()
                && let Some(tx) = self.choose()
            {
                self.idle.pop();
                self.start(tx, worker);
            }
            let Some(Reverse((now, ..))) = self.running.peek() else { break };
            self.now = *now;
            // Whoever ends at the same time does so before anybody chooses.
            while let Some(Reverse((end, ..))) = self.running.peek()
                && *end == self.now
                && let Some(Reverse((_, tx, worker))) = self.running.pop()
            {
                self.idle.push(worker);
                self.end(tx, worker);
            }
        }
        // Of the executions of a transaction the last is the one that counts.
        let mut seen = vec![false; self.calls.len()];
        for span in self.schedule.spans.iter_mut().rev() {
            span.counts = !std::mem::replace(&mut seen[span.transaction], true);
        }
        self.schedule.makespan = self.now;
        self.schedule
    }

    /// What to execute now, if anything.
    fn choose(&mut self) -> Option<usize> {
        loop {
            let tx = match self.again.pop_first() {
                Some(tx) => tx,
                None if self.next < self.calls.len() => {
                    self.next += 1;
                    self.next - 1
                }
                None => return None,
            };
            match self.known_obstacle(tx) {
                Some(on) => self.waiting[on].push(tx),
                None => return Some(tx),
            }
        }
    }

    /// A worker begins to execute `tx`.
    fn start(&mut self, tx: usize, worker: usize) {
        let mut pauses = Vec::new();
        let mut waited = Duration::ZERO;
        if self.granularity == Granularity::Segments {
            let mut looks: Vec<(Duration, Duration)> = Vec::new();
            for need in self.timeline.dependencies.needs(tx) {
                if let State::Running { end } = self.states[need.on]
                    && self.is_known(tx, need)
                {
                    looks.push((need.at.time.min(self.timeline.times[tx]), end));
                }
            }
            looks.sort_unstable();
            for (at, end) in looks {
                waited += end.saturating_sub(self.now + at + waited);
                pauses.push((at, waited));
            }
        }
        let end = self.now + self.timeline.times[tx] + waited;
        self.pauses[tx] = pauses;
        self.states[tx] = State::Running { end };
        self.running.push(Reverse((end, tx, worker)));
        if self.granularity == Granularity::Segments {
            // Who can wait within may begin.
            let waiting = std::mem::take(&mut self.waiting[tx]);
            let known = |later: &usize| {
                let mut needs = self.timeline.dependencies.needs(*later).iter();
                needs.any(|need| need.on == tx && self.is_known(*later, need))
            };
            let (may_begin, left): (Vec<_>, Vec<_>) = waiting.into_iter().partition(known);
            self.waiting[tx] = left;
            self.again.extend(may_begin);
        }
    }

    /// Whether the transaction at `tx` can be known to need that, before it looks.
    fn is_known(&self, tx: usize, need: &Need) -> bool {
        let (call, other) = (&self.calls[tx], &self.calls[need.on]);
        let same_sender = match need.place {
            Place::Account(address) | Place::Balance(address) => address == call.sender,
            Place::Slot(..) => false,
        };
        let same_class = call.has_input && call.class() == other.class();
        same_sender || (same_class && self.classes.contains(&call.class()))
    }

    /// The last transaction that this one is known to need and that has not ended, or not begun if it
    /// suffices to wait for it within.
    fn known_obstacle(&self, tx: usize) -> Option<usize> {
        let stands_in_the_way = |need: &&Need| match self.states[need.on] {
            State::Open => true,
            State::Running { .. } => self.granularity == Granularity::Transactions,
            State::Ended { .. } => false,
        };
        let needs = self.timeline.dependencies.needs(tx).iter().rev();
        let mut open = needs.filter(stands_in_the_way);
        open.find(|need| self.is_known(tx, need)).map(|need| need.on)
    }

    fn has_ended(&self, tx: usize) -> bool {
        matches!(self.states[tx], State::Ended { .. })
    }

    /// The execution of `tx` ends.
    fn end(&mut self, transaction: usize, worker: usize) {
        let waited = self.pauses[transaction].last().map_or(Duration::ZERO, |(_, waited)| *waited);
        let (end, start) = (self.now, self.now - self.timeline.times[transaction] - waited);
        let span = Span { worker, transaction, start, end, counts: false };
        self.schedule.spans.push(span);
        self.states[transaction] = State::Ended { start, end };
        match self.missed(transaction) {
            // Executed again at once, or when the last one that it needs has ended.
            Some(on) => self.in_vain(transaction, on),
            None => {
                let released = std::mem::take(&mut self.waiting[transaction]);
                self.again.extend(released);
            }
        }
    }

    /// The last transaction that had not ended when the execution of `tx`, which has, looked at what it
    /// changes.
    fn missed(&self, tx: usize) -> Option<usize> {
        let State::Ended { start, .. } = self.states[tx] else { return None };
        let looked = |need: &Need| match self.granularity {
            Granularity::Transactions => start,
            Granularity::Segments => {
                let at = need.at.time.min(self.timeline.times[tx]);
                let waits = self.pauses[tx].iter().take_while(|(paused_at, _)| *paused_at <= at);
                start + at + waits.last().map_or(Duration::ZERO, |(_, waited)| *waited)
            }
        };
        let needs = self.timeline.dependencies.needs(tx).iter().rev();
        let mut missed = needs.filter(|need| match self.states[need.on] {
            State::Ended { end, .. } => looked(need) < end,
            State::Open | State::Running { .. } => true,
        });
        missed.next().map(|need| need.on)
    }

    /// `tx` was executed in vain because of `on`.
    fn in_vain(&mut self, tx: usize, on: usize) {
        if self.calls[tx].class() == self.calls[on].class() && self.calls[tx].has_input {
            self.classes.insert(self.calls[tx].class());
        }
        self.states[tx] = State::Open;
        if self.has_ended(on) {
            self.again.insert(tx);
        } else {
            self.waiting[on].push(tx);
        }
    }
}
