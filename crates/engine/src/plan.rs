//! What can be known of a block before it runs: whether it pays to wake other workers, how much of
//! it to take at once, and who certainly waits for whom.

mod advice;
mod costs;

use std::{hash::BuildHasher, ops::Range};

use alloy_consensus::{Transaction, transaction::Recovered};
use alloy_primitives::{Address, TxKind};
use foldhash::fast::RandomState;
use warpline_primitives::RecoveredBlock;

use crate::{
    Technique, Techniques,
    scheduler::{Forecast, NO_DEPENDENCY, WINDOW},
    sync::Mutex,
};
pub(crate) use advice::Advice;
pub(crate) use costs::Batches;
use costs::{Costs, SAMPLE, SMALL, samples};

/// Which part of a worker's share a transaction is at least that does not wait for its turn.
const PARTS: u64 = 5;

/// The plan of a block. Wrong guesses cost time only.
#[derive(Debug)]
pub(crate) struct Plan<'b, T> {
    block: &'b RecoveredBlock<T>,
    batches: Batches<'b, T>,
    /// Guessed time of all transactions.
    total_ns: u64,
    /// Guessed time of the longest line of dependencies.
    critical_ns: u64,
    dependencies: Dependencies,
    /// Whether anybody waits for those.
    waits: bool,
    /// What to start before its turn.
    long: Vec<u32>,
}

/// For each transaction the last earlier one that is certain to change what it needs of an account:
/// of its sender everything, of whom it pays the nonce, where credits commute. Starting before that
/// one ran would be in vain. Or a later one still that somebody's hints name.
#[derive(Debug)]
enum Dependencies {
    /// Of all transactions.
    Known(Vec<u32>),
    /// Found out as the workers take the transactions: of a long block that would take too long
    /// beforehand. Workers that take theirs at the same time may miss dependencies between them.
    Found(Mutex<LastTouch>),
}

impl<'b, T: Transaction> Plan<'b, T> {
    /// Plans `block` for `width` workers.
    /// `credits_commute` says whether payments to one recipient can be made in any order.
    pub(crate) fn new(
        block: &'b RecoveredBlock<T>,
        advice: Advice<'b>,
        width: usize,
        credits_commute: bool,
    ) -> Self {
        let transactions = block.transactions.len();
        let last_touch = |transactions| LastTouch::with_room_for(transactions, credits_commute);
        let costs = Costs::of(block, advice);
        let (total_ns, critical_ns, dependencies) = if transactions <= SMALL {
            let mut known = Vec::with_capacity(transactions);
            let last = last_touch(transactions);
            let (total_ns, critical_ns) = weigh(block, &costs, 0..transactions, last, &mut known);
            (total_ns, critical_ns, Dependencies::Known(known))
        } else {
            let (mut total, mut critical) = (0, 0);
            for sample in samples(transactions) {
                let last = last_touch(SAMPLE);
                let (total_ns, critical_ns) = weigh(block, &costs, sample, last, &mut Vec::new());
                total += total_ns;
                critical += critical_ns;
            }
            let scaled = |ns: u64| ns.saturating_mul(transactions as u64) / SMALL as u64;
            let found = Mutex::new(last_touch(transactions));
            (scaled(total), scaled(critical), Dependencies::Found(found))
        };
        let batches = Batches::of_time(block, costs, total_ns, width);
        let long = match &dependencies {
            Dependencies::Known(known) => {
                let mut long = batches.long(width, PARTS);
                let needs = |tx: usize| known[tx] != NO_DEPENDENCY;
                long.retain(|tx| {
                    let tx = *tx as usize;
                    !needs(tx) && !advice.is_likely_to_conflict(tx)
                });
                long
            }
            Dependencies::Found(_) => Vec::new(),
        };
        Self { block, batches, total_ns, critical_ns, dependencies, waits: true, long }
    }

    /// Plans `block` where reads are slow: one transaction at a time, for who waits for a read keeps
    /// others from the rest of its batch.
    pub(crate) fn of_slow_reads(
        block: &'b RecoveredBlock<T>,
        advice: Advice<'b>,
        credits_commute: bool,
    ) -> Self {
        let plan = Self::new(block, advice.without_pauses(), 1, credits_commute);
        Self { batches: plan.batches.of_one(), long: Vec::new(), ..plan }
    }

    /// This plan without what is not among `techniques`.
    pub(crate) fn limited_to(mut self, techniques: Techniques) -> Self {
        if !techniques.has(Technique::Batches) {
            self.batches = self.batches.of_one();
        }
        if !techniques.has(Technique::Early) {
            self.long.clear();
        }
        self.waits = techniques.has(Technique::Known);
        self
    }

    /// The transactions that are worth starting before those before them, although these may turn out
    /// to change what they need.
    pub(crate) fn long(&self) -> &[u32] {
        &self.long
    }

    /// Whether `width` workers are likely to be quicker than one.
    pub(crate) fn pays(&self, width: usize) -> bool {
        self.batches.costs.pay(width, self.total_ns, self.critical_ns)
    }
}

impl<T: Transaction> Forecast for Plan<'_, T> {
    fn batch_end(&self, from: u32, limit: u32) -> u32 {
        let end = self.batches.end(from as usize, limit as usize);
        #[expect(clippy::cast_possible_truncation, reason = "at most `limit`")]
        let end = end as u32;
        end
    }

    fn dependencies(&self, txs: Range<u32>, into: &mut Vec<u32>) {
        if !self.waits {
            into.extend(txs.map(|_| NO_DEPENDENCY));
            return;
        }
        let range = txs.start as usize..txs.end as usize;
        match &self.dependencies {
            Dependencies::Known(known) => into.extend_from_slice(&known[range]),
            Dependencies::Found(last) => {
                let mut last = last.lock();
                let advice = &self.batches.costs.advice;
                let dependency = |(index, tx)| {
                    let hinted = advice.dependency_within(0, index as usize);
                    later(last.dependency(index, tx), hinted)
                };
                into.extend(txs.zip(&self.block.transactions[range]).map(dependency));
            }
        }
    }

    fn known_dependency(&self, tx: u32) -> Option<u32> {
        match &self.dependencies {
            Dependencies::Known(_) if !self.waits => Some(NO_DEPENDENCY),
            Dependencies::Known(known) => known.get(tx as usize).copied(),
            Dependencies::Found(_) => None,
        }
    }
}

/// The later of two dependencies: by the time that is executed, the other mostly is.
const fn later(one: u32, other: u32) -> u32 {
    match (one, other) {
        (NO_DEPENDENCY, only) | (only, NO_DEPENDENCY) => only,
        (one, other) => {
            if one > other {
                one
            } else {
                other
            }
        }
    }
}

/// The guessed time of the transactions in `range`, and of the longest line of dependencies among
/// them. Adds the dependencies to `found`.
fn weigh<T: Transaction>(
    block: &RecoveredBlock<T>,
    costs: &Costs<'_>,
    range: Range<usize>,
    mut last: LastTouch,
    found: &mut Vec<u32>,
) -> (u64, u64) {
    let mut ends: Vec<u64> = Vec::with_capacity(range.len());
    let (mut total_ns, mut critical_ns) = (0, 0);
    for ((index, at), tx) in (0..).zip(range.clone()).zip(&block.transactions[range.clone()]) {
        let certain = last.dependency(index, tx);
        let hinted = costs.advice.dependency_within(range.start, at);
        let cost = costs.of_transaction(at, tx.inner());
        let end_of = |tx: u32| ends.get(tx as usize).copied().unwrap_or_default();
        let end = end_of(certain).max(end_of(hinted)) + cost;
        ends.push(end);
        total_ns += cost;
        critical_ns = critical_ns.max(end);
        found.push(later(certain, hinted));
    }
    (total_ns, critical_ns)
}

/// Which transaction touched an address last, as far as that matters: who is more than the window
/// away is committed.
///
/// Addresses are told apart by 32 bits of a keyed hash besides their place: nobody can craft a
/// collision, and a chance one makes a hint wrong. A map that keeps addresses, or all of them, would
/// take a noticeable part of a block of payments.
#[derive(Debug)]
struct LastTouch {
    sets: Vec<Set>,
    /// Whether who is paid need not have been paid before.
    credits_commute: bool,
    hasher: RandomState,
}

/// Addresses that share a cache line; with one more the oldest is forgotten.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Set([Touch; WAYS]);

const WAYS: usize = 5;

/// Who touched an address. Transactions are counted from 1; 0 is none.
#[derive(Clone, Copy, Debug, Default)]
struct Touch {
    /// A part of the address's hash.
    tag: u32,
    /// The last to send from it, and to do anything with it.
    sent: u32,
    last: u32,
}

impl LastTouch {
    fn with_room_for(transactions: usize, credits_commute: bool) -> Self {
        // Two addresses each, at a quarter full.
        let recent = transactions.min(WINDOW as usize);
        let sets = (recent * 8).div_ceil(WAYS).next_power_of_two();
        let hasher = RandomState::default();
        Self { sets: vec![Set::default(); sets], credits_commute, hasher }
    }

    /// Notes whom `tx` at `index` touches, and returns which transaction did last before.
    fn dependency<T: Transaction>(&mut self, index: u32, tx: &Recovered<T>) -> u32 {
        let count = index + 1;
        let sender = self.touch(tx.signer());
        // Two workers may come out of order.
        let before = |touch: u32| if touch < count { touch } else { 0 };
        let mut dependency = before(sender.last);
        (sender.sent, sender.last) = (count, count);
        if let TxKind::Call(to) = tx.kind()
            && !tx.value().is_zero()
            && to != tx.signer()
        {
            let credits_commute = self.credits_commute;
            let recipient = self.touch(to);
            let touch = if credits_commute { recipient.sent } else { recipient.last };
            dependency = dependency.max(before(touch));
            recipient.last = count;
        }
        dependency.checked_sub(1).unwrap_or(NO_DEPENDENCY)
    }

    /// The place of `address`.
    fn touch(&mut self, address: Address) -> &mut Touch {
        let hash = self.hasher.hash_one(address);
        #[expect(clippy::cast_possible_truncation, reason = "parts of the hash are wanted")]
        let (at, tag) = (hash as usize & (self.sets.len() - 1), (hash >> 32) as u32);
        let Set(set) = &mut self.sets[at];
        let known = set.iter().position(|touch| touch.tag == tag && touch.last > 0);
        let oldest = || (0..WAYS).min_by_key(|way| set[*way].last).unwrap_or_default();
        let way = known.unwrap_or_else(oldest);
        if known.is_none() {
            set[way] = Touch { tag, ..Touch::default() };
        }
        &mut set[way]
    }
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{Header, Signed, TxLegacy};
    use alloy_primitives::{Address, B256, Signature, U256};
    use warpline_primitives::Transaction as Envelope;

    use super::*;

    /// A block of transactions given as sender, recipient, value and gas limit.
    fn block(transactions: &[(u8, u8, u64, u64)]) -> RecoveredBlock {
        let transaction = |(from, to, value, gas_limit): &(u8, u8, u64, u64)| {
            let tx = TxLegacy {
                to: TxKind::Call(Address::repeat_byte(*to)),
                value: U256::from(*value),
                gas_limit: *gas_limit,
                ..TxLegacy::default()
            };
            let signed = Signed::new_unchecked(tx, Signature::test_signature(), B256::ZERO);
            Recovered::new_unchecked(Envelope::from(signed), Address::repeat_byte(*from))
        };
        RecoveredBlock {
            header: Header { base_fee_per_gas: Some(7), ..Header::default() },
            hash: B256::ZERO,
            transactions: transactions.iter().map(transaction).collect(),
            ommers: Vec::new(),
            withdrawals: None,
        }
    }

    /// On whom each waits.
    fn dependencies(transactions: &[(u8, u8, u64, u64)], credits_commute: bool) -> Vec<u32> {
        let mut found = Vec::new();
        let all = 0..u32::try_from(transactions.len()).unwrap();
        let block = block(transactions);
        Plan::new(&block, NO_ADVICE, 2, credits_commute).dependencies(all, &mut found);
        found
    }

    const NO_ADVICE: Advice<'static> = Advice::NONE;
    const NONE: u32 = NO_DEPENDENCY;
    const GAS: u64 = 21_000;

    #[test]
    fn transactions_wait_for_those_that_touch_their_sender() {
        let dependencies = |transactions: &[_]| dependencies(transactions, true);
        assert_eq!(dependencies(&[(1, 9, 0, GAS), (1, 8, 0, GAS)]), [NONE, 0], "same sender");
        assert_eq!(dependencies(&[(1, 2, 5, GAS), (2, 3, 0, GAS)]), [NONE, 0], "paid before");
        assert_eq!(dependencies(&[(1, 9, 5, GAS), (9, 1, 5, GAS)]), [NONE, 0], "pays each other");
        assert_eq!(dependencies(&[(1, 9, 0, GAS), (2, 9, 0, GAS)]), [NONE, NONE], "no payment");
        assert_eq!(dependencies(&[(1, 1, 5, GAS), (1, 1, 5, GAS)]), [NONE, 0], "pays itself");
    }

    #[test]
    fn who_pays_the_same_waits_unless_credits_commute() {
        let payments = [(1, 9, 5, GAS), (2, 9, 5, GAS), (9, 3, 1, GAS), (4, 9, 5, GAS)];
        assert_eq!(dependencies(&payments, true), [NONE, NONE, 1, 2]);
        assert_eq!(dependencies(&payments, false), [NONE, 0, 1, 2]);
    }

    #[test]
    fn dependencies_of_a_long_block_are_found_batch_by_batch() {
        let payment = |index: usize| (u8::try_from(index % 200).unwrap(), 250, 5, GAS);
        let block = block(&(0..SMALL * 3).map(payment).collect::<Vec<_>>());
        let plan = Plan::new(&block, NO_ADVICE, 2, true);
        assert!(matches!(plan.dependencies, Dependencies::Found(_)));
        let mut found = Vec::new();
        let end = u32::try_from(block.transactions.len()).unwrap();
        let mut from = 0;
        while from < end {
            let to = plan.batch_end(from, end);
            assert!(to > from && to - from <= 30_000 / 1_100 + 1, "{from}..{to}");
            plan.dependencies(from..to, &mut found);
            from = to;
        }
        let expected = (0..end).map(|tx| tx.checked_sub(200).unwrap_or(NONE));
        assert_eq!(found, expected.collect::<Vec<_>>(), "none is missed by who takes all");
    }

    #[test]
    fn a_batch_ends_before_the_limit_and_takes_no_more_than_its_time() {
        let long = (1, 2, 0, 2_000_000);
        let block = block(&[[long; 100], [(1, 2, 0, GAS); 100]].concat());
        let plan = Plan::new(&block, NO_ADVICE, 1, true);
        assert_eq!(plan.batch_end(3, 100), 4, "a long call is a batch of its own");
        assert_eq!(plan.batch_end(150, 153), 153);
        assert!(plan.batch_end(110, 200) > 120);
    }

    #[test]
    fn where_reads_are_slow_a_batch_is_one_transaction() {
        let block = block(&[(1, 2, 5, GAS); 100]);
        assert_eq!(Plan::of_slow_reads(&block, NO_ADVICE, true).batch_end(3, 100), 4);
        assert!(Plan::new(&block, NO_ADVICE, 1, true).batch_end(3, 100) > 4);
    }

    #[test]
    fn what_would_end_last_is_started_before_its_turn() {
        let short = |index: u8| (index, 200, 0, 100_000);
        let with_long_at = |at: u8, sender: u8| {
            let transaction =
                |index| if index == at { (sender, 201, 0, 3_000_000) } else { short(index) };
            block(&(0..40).map(transaction).collect::<Vec<_>>())
        };
        let long = |at, sender, width| {
            let block = with_long_at(at, sender);
            Plan::new(&block, NO_ADVICE, width, true).long().to_vec()
        };
        assert_eq!(long(35, 100, 2), [35]);
        assert_eq!(long(35, 100, 8), [35]);
        assert_eq!(long(0, 100, 2), [0_u32; 0], "it is started first as it is");
        assert_eq!(long(35, 34, 2), [0_u32; 0], "it needs one before it");
        let even = block(&(0..40).map(short).collect::<Vec<_>>());
        assert!(
            Plan::new(&even, NO_ADVICE, 2, true).long().is_empty(),
            "none is longer than others"
        );
        let slow = with_long_at(35, 100);
        assert!(Plan::of_slow_reads(&slow, NO_ADVICE, true).long().is_empty());
    }

    #[test]
    fn what_is_left_out_of_a_plan_is_not_in_it() {
        let payment = |index: usize| (u8::try_from(index % 200).unwrap(), 250, 5, GAS);
        let all = Techniques::default();
        for transactions in [300, SMALL * 3] {
            let block = block(&(0..transactions).map(payment).collect::<Vec<_>>());
            let plan = |techniques| Plan::new(&block, NO_ADVICE, 2, true).limited_to(techniques);
            let with = |techniques| {
                let (plan, mut found) = (plan(techniques), Vec::new());
                plan.dependencies(250..251, &mut found);
                (plan.batch_end(0, 300), found, plan.known_dependency(250))
            };
            let (end, found, known) = with(all);
            assert!(end > 1);
            assert_eq!(found, if transactions == 300 { [50] } else { [NONE] }, "not asked before");
            let is_known = known.is_some();
            assert_eq!((is_known, known.unwrap_or(50)), (transactions == 300, 50));
            let expected = (end, vec![NONE], is_known.then_some(NONE));
            assert_eq!(with(all.without(Technique::Known)), expected, "and no more is known");
            assert_eq!(with(all.without(Technique::Batches)).0, 1);
        }
        let mut calls = [(0, 200, 0, 100_000); 40];
        (0..40).for_each(|index| calls[usize::from(index)].0 = index);
        calls[35].3 = 3_000_000;
        let block = block(&calls);
        let long = |techniques| {
            Plan::new(&block, NO_ADVICE, 2, true).limited_to(techniques).long().to_vec()
        };
        assert_eq!(long(all), [35]);
        assert!(long(all.without(Technique::Early)).is_empty());
    }

    #[test]
    fn small_blocks_and_lines_of_payments_do_not_pay() {
        let payments = |count: usize, line: bool| {
            let of = |index: usize| {
                let index = u8::try_from(index % 100).unwrap();
                (if line { 1 } else { index + 2 }, index + 102, 1, GAS)
            };
            block(&(0..count).map(of).collect::<Vec<_>>())
        };
        assert!(Batches::are_pointless(&payments(20, false), NO_ADVICE));
        assert!(
            !Plan::new(&payments(1000, false), NO_ADVICE, 2, true).pays(2),
            "they fit into caches"
        );
        assert!(
            Plan::new(&payments(1000, false), NO_ADVICE, 8, true).pays(8),
            "but eight are many"
        );
        assert!(!Plan::new(&payments(1000, true), NO_ADVICE, 2, true).pays(2), "one sender");
        assert!(Plan::new(&payments(5000, false), NO_ADVICE, 2, true).pays(2), "many senders");
        assert!(!Plan::new(&payments(1000, false), NO_ADVICE, 2, true).pays(1));
        let calls = block(&[(1, 2, 0, 2_000_000), (3, 4, 0, 2_000_000)]);
        assert!(Plan::new(&calls, NO_ADVICE, 2, true).pays(2), "two long calls");
        assert!(!Plan::new(&block(&[]), NO_ADVICE, 2, true).pays(2));
    }
}
