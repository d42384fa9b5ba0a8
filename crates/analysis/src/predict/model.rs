//! What is remembered, and for how long.
//!
//! Everything is filed under *contexts*: what a transaction has in common with earlier ones. A context
//! counts how often it occurred and how often each pattern was read and written then. All counts of a
//! context fade with the blocks that are learned, so that what a contract does now outweighs what it did
//! once, and what does not occur any more is forgotten. There is room for so many contexts and patterns
//! and no more: whatever occurred least recently goes first.
//!
//! Everything is kept in order and counted in integers: the same blocks give the same model everywhere.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use warpline_primitives::Chance;

use super::pattern::Pattern;

/// One occurrence, as counts have it.
const ONE: u32 = 1 << 8;
/// What is counted less often than that is forgotten.
const FORGOTTEN: u32 = ONE / 8;
/// By so much a pattern is taken to have been seen too seldom to be sure of it; one that is somebody
/// else's, for whom the next transaction may have another; and one that is most likely of something that the
/// next has another of.
const DOUBT: u32 = ONE / 2;
const FOREIGN_DOUBT: u32 = ONE * 5 / 4;
const STRONG_DOUBT: u32 = 2 * ONE;
/// How likely code does what it does on all its ways, and what it does on some, as counts have it.
const ALWAYS: u32 = ONE * 95 / 100;
const SOMETIMES: u32 = ONE * 40 / 100;
/// Patterns of one context.
pub(super) const MAX_PATTERNS: usize = 512;
/// Over how many calls times are averaged.
const TIMES: i64 = 8;

/// What transactions have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Key {
    /// They call this function.
    Function(Address, [u8; 4]),
    /// They call this address.
    Contract(Address),
    /// They call this function and name that address.
    Mention(Address, [u8; 4], Address),
    /// The first calls the second.
    Caller(Address, Address),
    /// They bring no data along.
    Payment,
    /// They run this function of this code, wherever it is.
    Code(B256, [u8; 4]),
}

/// How often something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) read: u32,
    pub(super) write: u32,
    /// How often the order made no difference.
    pub(super) commutes: u32,
    /// How many other locations came before, the last time.
    pub(super) rank: u16,
    /// How long after its beginning a transaction first came to it, the last time, in microseconds.
    pub(super) at_us: Option<u32>,
}

/// How long calls take: on average each, and for each unit of gas they ask for, and by how much either
/// is wrong on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Times {
    calls: u8,
    call_ns: i64,
    call_off_ns: i64,
    gas_ps: i64,
    gas_off_ns: i64,
}

/// What is known of a context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Context {
    /// How often it occurred.
    pub(super) seen: u32,
    /// After how many learned blocks that was counted last.
    pub(super) at: u64,
    /// How often it read what an earlier transaction of the block had written.
    pub(super) conflicts: u32,
    pub(super) times: Times,
    pub(super) patterns: BTreeMap<Pattern, Count>,
}

/// What one transaction did, in terms of patterns.
#[derive(Clone, Debug, Default)]
pub(super) struct Occurrence {
    pub(super) patterns: Vec<(Pattern, Count)>,
    pub(super) conflicts: bool,
    pub(super) time_ns: Option<u64>,
    pub(super) gas_limit: u64,
}

/// Everything that is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    /// How many blocks were learned.
    pub(super) blocks: u64,
    pub(super) contexts: BTreeMap<Key, Context>,
    /// Patterns of all contexts.
    pub(super) patterns: usize,
}

/// How much is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) contexts: usize,
    pub(super) patterns: usize,
    /// After how many blocks half of every count is left.
    pub(super) half_life: u64,
}

/// What is left of `count` after `age` blocks: halves that are not over are straight lines.
fn faded(count: u32, age: u64, half_life: u64) -> u32 {
    let half_life = half_life.max(1);
    let halves = u32::try_from(age / half_life).unwrap_or(u32::MAX);
    let count = count.checked_shr(halves).unwrap_or(0);
    let lost = u128::from(count) * u128::from(age % half_life) / u128::from(half_life) / 2;
    count - u32::try_from(lost).unwrap_or(count)
}

/// `part` of `whole` in percent, as far as so much `doubt` lets one say.
fn chance(part: u32, whole: u32, doubt: u32) -> Chance {
    let percent = u64::from(part) * 100 / (u64::from(whole) + u64::from(doubt)).max(1);
    Chance::percent(u8::try_from(percent).unwrap_or(u8::MAX))
}

impl Context {
    /// Lets all counts fade until `now`.
    fn fade(&mut self, now: u64, half_life: u64) {
        let age = now.saturating_sub(std::mem::replace(&mut self.at, now));
        if age == 0 {
            return;
        }
        let fade = |count: &mut u32| *count = faded(*count, age, half_life);
        fade(&mut self.seen);
        fade(&mut self.conflicts);
        self.patterns.retain(|_, count| {
            fade(&mut count.read);
            fade(&mut count.write);
            fade(&mut count.commutes);
            count.read >= FORGOTTEN
        });
    }

    /// Counts one occurrence.
    fn add(&mut self, occurrence: &Occurrence, is_kept: impl Fn(&Pattern) -> bool) {
        let add = |count: &mut u32, happens: bool| {
            *count = count.saturating_add(if happens { ONE } else { 0 });
        };
        add(&mut self.seen, true);
        add(&mut self.conflicts, occurrence.conflicts);
        if let Some(ns) = occurrence.time_ns {
            self.times.add(ns, occurrence.gas_limit);
        }
        for (pattern, now) in occurrence.patterns.iter().filter(|(pattern, _)| is_kept(pattern)) {
            if now.read == 0 {
                continue;
            }
            let count = self.patterns.entry(*pattern).or_default();
            add(&mut count.read, now.read > 0);
            add(&mut count.write, now.write > 0);
            add(&mut count.commutes, now.commutes > 0);
            (count.rank, count.at_us) = (now.rank, now.at_us);
        }
        if self.patterns.len() > MAX_PATTERNS {
            let mut least: Vec<_> =
                self.patterns.iter().map(|(pattern, count)| (count.read, *pattern)).collect();
            least.sort_unstable();
            for (_, pattern) in &least[..self.patterns.len() - MAX_PATTERNS * 7 / 8] {
                self.patterns.remove(pattern);
            }
        }
    }

    /// How likely a transaction of this context is to read and to write what `pattern` is, and whether
    /// the order in which it does so makes no difference.
    pub(super) fn chances(&self, pattern: &Pattern, count: &Count) -> (Chance, Chance, bool) {
        let doubt = match pattern {
            pattern if pattern.is_unexplained() => STRONG_DOUBT,
            pattern if pattern.is_constant() => FOREIGN_DOUBT,
            _ => DOUBT,
        };
        let of = |part| chance(part, self.seen, doubt);
        let commutes = u64::from(count.commutes) * 10 >= u64::from(count.read) * 9;
        (of(count.read), of(count.write), commutes)
    }

    /// How likely code, which this context is about, is to do what it may do at `site`, and to write
    /// there, if it does `always` for all that it says itself.
    pub(super) fn at_site(context: Option<&Self>, site: u32, always: bool) -> (Chance, Chance) {
        let before = if always { ALWAYS } else { SOMETIMES };
        let seen = context.map_or(0, |context| context.seen);
        let count = context.and_then(|context| context.patterns.get(&Pattern::site(site)));
        let count = count.copied().unwrap_or_default();
        // As if it had been seen once more, with that chance.
        let of = |part: u32| chance(part.saturating_add(before), seen.saturating_add(ONE), 0);
        (of(count.read), of(count.write))
    }

    /// How likely a transaction of this context is to read what an earlier one writes.
    pub(super) fn conflict(&self) -> Chance {
        chance(self.conflicts, self.seen, DOUBT)
    }
}

impl Times {
    /// Whether durations can have come to this: what is computed with them later then fits.
    pub(super) fn are_possible(&self) -> bool {
        let Self { call_ns, call_off_ns, gas_ps, gas_off_ns, .. } = self;
        [call_ns, call_off_ns, gas_ps, gas_off_ns]
            .iter()
            .all(|time| (0..=i64::MAX / 4).contains(*time))
    }

    fn add(&mut self, ns: u64, gas_limit: u64) {
        let ns = i64::try_from(ns).unwrap_or(i64::MAX / 4096).min(i64::MAX / 4096);
        let gas = i64::try_from(gas_limit.max(1)).unwrap_or(i64::MAX);
        let ps_per_gas = ns.saturating_mul(1000) / gas;
        if self.calls > 0 {
            let share = i64::from(self.calls).min(TIMES);
            let towards = |mean: &mut i64, value: i64| *mean += (value - *mean) / share;
            towards(&mut self.call_off_ns, (self.call_ns - ns).abs());
            let by_gas = self.gas_ps.saturating_mul(gas) / 1000;
            towards(&mut self.gas_off_ns, by_gas.saturating_sub(ns).saturating_abs());
        }
        self.calls = self.calls.saturating_add(1);
        let share = i64::from(self.calls).min(TIMES);
        self.call_ns += (ns - self.call_ns) / share;
        self.gas_ps += (ps_per_gas - self.gas_ps) / share;
    }

    /// How long a call takes that asks for so much gas, in nanoseconds.
    pub(super) fn of(&self, gas_limit: u64) -> Option<u64> {
        if self.calls == 0 {
            return None;
        }
        let gas = i64::try_from(gas_limit).unwrap_or(i64::MAX);
        let by_gas = self.gas_ps.saturating_mul(gas) / 1000;
        let ns = if self.gas_off_ns < self.call_off_ns { by_gas } else { self.call_ns };
        u64::try_from(ns).ok()
    }
}

impl Model {
    /// The context, if it occurred recently enough, with counts as they were then.
    pub(super) fn context(&self, key: &Key, limits: &Limits) -> Option<&Context> {
        let context = self.contexts.get(key)?;
        let age = self.blocks.saturating_sub(context.at);
        (faded(context.seen, age, limits.half_life) >= FORGOTTEN).then_some(context)
    }

    /// Counts one occurrence of the context, with those patterns that are to be kept of it.
    pub(super) fn add(
        &mut self,
        key: Key,
        occurrence: &Occurrence,
        limits: &Limits,
        is_kept: impl Fn(&Pattern) -> bool,
    ) {
        let context = self.contexts.entry(key).or_default();
        let before = context.patterns.len();
        context.fade(self.blocks, limits.half_life);
        context.add(occurrence, is_kept);
        self.patterns = self.patterns + context.patterns.len() - before;
        self.fit(limits);
    }

    /// Makes room where there is too much.
    pub(super) fn fit(&mut self, limits: &Limits) {
        if self.contexts.len() > limits.contexts || self.patterns > limits.patterns {
            self.forget(limits);
        }
    }

    /// Forgets what occurred least recently, and least often, until an eighth of the room is free.
    fn forget(&mut self, limits: &Limits) {
        let mut oldest: Vec<_> =
            self.contexts.iter().map(|(key, context)| (context.at, context.seen, *key)).collect();
        oldest.sort_unstable();
        let is_too_much = |model: &Self| {
            model.contexts.len() > limits.contexts / 8 * 7
                || model.patterns > limits.patterns / 8 * 7
        };
        for (_, _, key) in oldest {
            if !is_too_much(self) {
                break;
            }
            let forgotten = self.contexts.remove(&key);
            self.patterns -= forgotten.map_or(0, |context| context.patterns.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_halved_once_in_a_half_life() {
        assert_eq!(faded(1024, 0, 100), 1024);
        assert_eq!(faded(1024, 50, 100), 768);
        assert_eq!(faded(1024, 100, 100), 512);
        assert_eq!(faded(1024, 1000, 100), 1);
        assert_eq!(faded(u32::MAX, u64::MAX, 1), 0);
        assert_eq!(faded(7, 5, 0), 0, "no half-life is the shortest");
    }

    #[test]
    fn time_is_told_by_call_or_by_gas_whichever_is_better() {
        let mut by_call = Times::default();
        let mut by_gas = Times::default();
        for gas in [100_000, 200_000, 50_000, 400_000, 100_000] {
            by_call.add(30_000, gas);
            by_gas.add(gas / 2, gas);
        }
        assert_eq!(Times::default().of(100), None);
        assert_eq!(by_call.of(1_000_000), Some(30_000));
        assert_eq!(by_gas.of(1_000_000), Some(500_000));
        let mut huge = Times::default();
        for _ in 0..20 {
            huge.add(u64::MAX, 0);
            huge.add(0, u64::MAX);
        }
        assert!(huge.of(u64::MAX).is_some());
    }
}
