//! What stands in the way: which places in the state make transactions wait, and what it would give to
//! be rid of each.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use alloy_primitives::Address;
use warpline_engine::{Function, TransactionTrace};

use crate::{Dependencies, Granularity, Need, Place, Timeline};

/// Something that makes transactions need each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// One place in the state.
    Place(Place),
    /// A function, whoever changed what it looks at.
    Function(Function),
    /// Everything of one account.
    Contract(Address),
}

/// What there is to gain where a cause is gone: the counterfactual of one block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conflict {
    /// What makes transactions wait.
    pub cause: Cause,
    /// How many transactions of the block saw a change because of it.
    pub transactions: usize,
    /// Gas that those use, and the part of it that they use after they looked: what could be executed
    /// before, if they could be stopped there.
    pub gas: u64,
    /// See [`gas`](Self::gas).
    pub gas_behind: u64,
    /// How long those take, and the part of it after they looked.
    pub time: Duration,
    /// See [`time`](Self::time).
    pub time_behind: Duration,
    /// The critical path of the block without the cause, transactions being executed whole.
    pub critical_path: Duration,
    /// What the cores that were asked about take for the block without the cause, if they know everything
    /// beforehand.
    pub makespan: Duration,
}

/// How many causes of each kind are looked into, besides those on the critical path, of which there are
/// at most as many.
const MOST: usize = 8;

/// The causes because of which the longest transactions need others, of each kind at most eight, and as
/// many that decide on the critical path; each with what the block would be without it on `cores`.
///
/// # Panics
/// If there is not one time for each of `traces`.
pub fn conflicts(
    traces: &[TransactionTrace],
    timeline: &Timeline<'_>,
    cores: usize,
) -> Vec<Conflict> {
    let dependencies = timeline.dependencies;
    let mut totals: BTreeMap<Cause, Waiting> = BTreeMap::new();
    for (tx, need) in dependencies.iter() {
        for cause in causes(need) {
            totals.entry(cause).or_default().add(tx, need, &traces[tx], timeline.times[tx]);
        }
    }
    let mut found: Vec<(Cause, Waiting)> = totals.into_iter().collect();
    // The order of the map decides between equals, so the result is the same every time.
    found.sort_by_key(|(cause, waiting)| (cause.rank(), std::cmp::Reverse(waiting.time)));
    let critical = critical_causes(timeline);
    let mut conflicts = Vec::new();
    for of_kind in found.chunk_by(|(one, _), (other, _)| one.rank() == other.rank()) {
        let is_critical = |(cause, _): &&(Cause, Waiting)| critical.contains(cause);
        let deciding = of_kind.iter().skip(MOST).filter(is_critical).take(MOST);
        let worst = of_kind.iter().take(MOST).chain(deciding);
        conflicts.extend(worst.map(|(cause, waiting)| {
            let left = dependencies.without(|_, need| cause.is_of(need));
            conflict(*cause, waiting, &Timeline::new(timeline.times, &left), cores)
        }));
    }
    conflicts
}

/// What makes each transaction of the critical path need the one before it.
fn critical_causes(timeline: &Timeline<'_>) -> BTreeSet<Cause> {
    let path = timeline.critical_path(Granularity::Transactions).transactions;
    let links = path.windows(2).flat_map(|pair| {
        let needs = timeline.dependencies.needs(pair[1]).iter();
        needs.filter(|need| need.on == pair[0]).flat_map(causes)
    });
    links.collect()
}

/// What is added up over the transactions that need others because of a cause.
#[derive(Clone, Copy, Debug, Default)]
struct Waiting {
    /// The last transaction that was counted, from 1 on.
    last: usize,
    /// What it uses after it first looked.
    last_behind: (u64, Duration),
    transactions: usize,
    gas: u64,
    gas_behind: u64,
    time: Duration,
    time_behind: Duration,
}

impl Waiting {
    /// Counts each transaction once, from where it first looked.
    fn add(&mut self, tx: usize, need: &Need, trace: &TransactionTrace, time: Duration) {
        let gas_behind = trace.gas_used.saturating_sub(need.at.gas);
        let time_behind = time.saturating_sub(need.at.time);
        if self.last != tx + 1 {
            self.last = tx + 1;
            self.last_behind = (0, Duration::ZERO);
            self.transactions += 1;
            self.gas += trace.gas_used;
            self.time += time;
        }
        let (last_gas, last_time) = self.last_behind;
        self.gas_behind += gas_behind.saturating_sub(last_gas);
        self.time_behind += time_behind.saturating_sub(last_time);
        self.last_behind = (gas_behind.max(last_gas), time_behind.max(last_time));
    }
}

fn conflict(cause: Cause, waiting: &Waiting, without: &Timeline<'_>, cores: usize) -> Conflict {
    let Waiting { transactions, gas, gas_behind, time, time_behind, .. } = *waiting;
    let critical_path = without.critical_path(Granularity::Transactions).length;
    let makespan = without.in_order(cores).makespan;
    Conflict { cause, transactions, gas, gas_behind, time, time_behind, critical_path, makespan }
}

/// All that a need counts for.
fn causes(need: &Need) -> impl Iterator<Item = Cause> {
    let function = need.at.function.map(Cause::Function);
    let contract = Cause::Contract(need.place.account());
    [Cause::Place(need.place), contract].into_iter().chain(function)
}

impl Cause {
    /// Whether it is because of this.
    pub fn is_of(&self, need: &Need) -> bool {
        match self {
            Self::Place(place) => need.place == *place,
            Self::Function(function) => need.at.function == Some(*function),
            Self::Contract(address) => need.place.account() == *address,
        }
    }

    /// Puts causes of a kind together.
    const fn rank(&self) -> u8 {
        match self {
            Self::Place(_) => 0,
            Self::Function(_) => 1,
            Self::Contract(_) => 2,
        }
    }
}

/// The dependencies without those that have any of the causes.
pub fn without(dependencies: &Dependencies, causes: &[Cause]) -> Dependencies {
    dependencies.without(|_, need| causes.iter().any(|cause| cause.is_of(need)))
}
