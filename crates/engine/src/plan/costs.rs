//! How long the transactions of a block are going to take, and how to cut it into pieces.

use std::ops::Range;

use alloy_consensus::{Transaction, transaction::Recovered};
use warpline_primitives::RecoveredBlock;

use super::Advice;

/// Gas of a payment that runs no code.
const PAYMENT_GAS: u64 = 21_000;
/// What such a payment takes, in nanoseconds, where what the block touches fits into caches.
const PAYMENT_NS: u64 = 1_100;
/// What any transaction takes besides, in a block of more than that many.
const COLD_NS: u64 = 800;
const COLD_FROM: usize = 4_096;
/// What a call takes besides that and running code, at most, and for each unit of gas it spends: many
/// payments ask for the gas of a call.
const CALL_NS: u64 = 1_300;
const CALL_PS_PER_GAS: u64 = 130;
/// Picoseconds for a unit of gas spent in code: the median over mainnet blocks since London, and
/// less than that before, when most gas went into creating accounts and filling slots (the median
/// rises from 30 in the first years to 350).
const PS_PER_GAS: u64 = 500;
const PS_PER_GAS_BEFORE_LONDON: u64 = 100;
/// What waking the workers and gathering their results takes.
const PARALLEL_NS: u64 = 90_000;
/// What the parallel path takes above sequential execution: in percent, and for each transaction, a
/// part of which is what travels between caches.
const PARALLEL_PERCENT: u64 = 10;
const PARALLEL_TRANSACTION_NS: u64 = 1_400;

/// What a worker takes at once, in nanoseconds: little enough that nobody waits long for it, and
/// enough that its transactions find what they share in the worker's own caches.
const BATCH_NS: u64 = 30_000;
/// Batches a worker, at least, so that all end at about the same time.
const BATCHES: u64 = 8;
/// Blocks up to this length are looked at in full before they run.
pub(super) const SMALL: usize = 512;
/// Of longer blocks, so many stretches of so many transactions stand for the rest.
const SAMPLES: usize = 8;
pub(super) const SAMPLE: usize = SMALL / SAMPLES;

/// A block cut into batches: what a worker takes at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batches<'b, T> {
    block: &'b RecoveredBlock<T>,
    pub(super) costs: Costs<'b>,
    batch_ns: u64,
}

impl<'b, T: Transaction> Batches<'b, T> {
    /// Whether a block is so small that cutting it is not worth while.
    pub(crate) fn are_pointless(block: &RecoveredBlock<T>, advice: Advice<'_>) -> bool {
        let transactions = &block.transactions;
        transactions.len() < 2
            || (transactions.len() <= SMALL && Costs::of(block, advice).total() < PARALLEL_NS)
    }

    /// The batches of `block` for `width` workers.
    pub(crate) fn of(block: &'b RecoveredBlock<T>, advice: Advice<'b>, width: usize) -> Self {
        let costs = Costs::of(block, advice);
        Self::of_time(block, costs, costs.total(), width)
    }

    /// As [`of`](Self::of), where all transactions are known to take `total_ns`.
    pub(super) fn of_time(
        block: &'b RecoveredBlock<T>,
        costs: Costs<'b>,
        total_ns: u64,
        width: usize,
    ) -> Self {
        let share = total_ns / (width.max(1) as u64 * BATCHES);
        Self { block, costs, batch_ns: share.min(BATCH_NS) }
    }

    /// These with one transaction each.
    pub(super) const fn of_one(mut self) -> Self {
        self.batch_ns = 0;
        self
    }

    /// The transactions that had better be started before their turn, in block order: those that
    /// make up at least one of `parts` of a worker's share, and would end after everything else if
    /// `width` workers took all in order.
    pub(crate) fn long(&self, width: usize, parts: u64) -> Vec<u32> {
        let (transactions, width) = (&self.block.transactions, width.max(1) as u64);
        let share = self.costs.total() / width;
        let of = |(at, tx): (usize, &Recovered<T>)| self.costs.of_transaction(at, tx.inner());
        // The guess grows with the gas that is asked for; what is said of it need not.
        let longest = transactions.iter().enumerate().max_by_key(|(_, tx)| tx.gas_limit());
        let is_short = longest.is_none_or(|longest| of(longest).saturating_mul(parts) < share);
        if is_short && !self.costs.advice.is_given() {
            return Vec::new();
        }
        let mut before = 0;
        (0..)
            .zip(transactions.iter().enumerate())
            .filter(|(_, tx)| {
                let cost = of(*tx);
                let start = before / width;
                before = before.saturating_add(cost);
                cost.saturating_mul(parts) >= share && start.saturating_add(cost) > share
            })
            .map(|(index, _)| index)
            .collect()
    }

    /// Where the batch that begins at `from` ends: beyond it, and at `limit` at the latest.
    pub(crate) fn end(&self, from: usize, limit: usize) -> usize {
        let mut ns = 0;
        let rest = (from..).zip(&self.block.transactions[from..limit]);
        let takes = rest.take_while(|(at, tx)| {
            let takes = ns == 0 || ns < self.batch_ns;
            ns += self.costs.of_transaction(*at, tx.inner());
            takes
        });
        from + takes.count()
    }
}

impl Costs<'_> {
    /// Whether `width` workers are likely to be quicker than one with transactions that take
    /// `total_ns`, if no line of them that need each other takes more than `critical_ns`.
    pub(super) fn pay(&self, width: usize, total_ns: u64, critical_ns: u64) -> bool {
        let share = |ns: u64| ns / width.max(1) as u64;
        let work = critical_ns.max(share(total_ns));
        let besides = share(self.transactions * PARALLEL_TRANSACTION_NS) + PARALLEL_NS;
        work + work * PARALLEL_PERCENT / 100 + besides < total_ns
    }
}

/// The stretches of a block that stand for the rest.
pub(super) fn samples(transactions: usize) -> impl Iterator<Item = Range<usize>> {
    let stride = (transactions - SAMPLE) / (SAMPLES - 1);
    (0..SAMPLES).map(move |sample| sample * stride..sample * stride + SAMPLE)
}

/// Guesses how long transactions take from the gas they ask for, where nobody knows better.
#[derive(Clone, Copy, Debug)]
pub(super) struct Costs<'b> {
    transactions: u64,
    /// Gas that transactions other than payments ask for beyond what every transaction pays.
    asked: u64,
    /// How much of it is used, as far as the header says; half of it where it says nothing.
    used: u64,
    ps_per_gas: u64,
    payment_ns: u64,
    pub(super) advice: Advice<'b>,
    /// How long all transactions are said to take, or guessed where nothing is said.
    hinted_ns: Option<u64>,
}

impl<'b> Costs<'b> {
    pub(super) fn of<T: Transaction>(block: &RecoveredBlock<T>, advice: Advice<'b>) -> Self {
        let transactions = block.transactions.len();
        let beyond = |tx: &Recovered<T>| u128::from(tx.gas_limit().saturating_sub(PAYMENT_GAS));
        let asked =
            |range: Range<usize>| -> u128 { block.transactions[range].iter().map(beyond).sum() };
        let asked = if transactions <= SMALL {
            asked(0..transactions)
        } else {
            samples(transactions).map(asked).sum::<u128>() * transactions as u128 / SMALL as u128
        };
        let asked = u64::try_from(asked).unwrap_or(u64::MAX);
        let payment_ns = PAYMENT_NS + if transactions > COLD_FROM { COLD_NS } else { 0 };
        let transactions = transactions as u64;
        let used = match block.header.gas_used {
            0 => asked / 2,
            used => used.saturating_sub(transactions * PAYMENT_GAS).min(asked),
        };
        let since_london = block.header.base_fee_per_gas.is_some();
        let ps_per_gas = if since_london { PS_PER_GAS } else { PS_PER_GAS_BEFORE_LONDON };
        let hinted_ns = None;
        let mut costs =
            Self { transactions, asked, used, ps_per_gas, payment_ns, advice, hinted_ns };
        if advice.is_given() {
            let all = block.transactions.iter().enumerate();
            let each = all.map(|(at, tx)| costs.of_transaction(at, tx.inner()));
            costs.hinted_ns = Some(each.fold(0, u64::saturating_add));
        }
        costs
    }

    /// A lower guess at the time of all transactions, without looking at each.
    pub(super) const fn total(&self) -> u64 {
        match self.hinted_ns {
            Some(ns) => ns,
            None => {
                let of_gas = self.used.saturating_mul(self.ps_per_gas) / 1000;
                self.transactions * self.payment_ns + of_gas
            }
        }
    }

    /// The time of `tx` at that index of the block.
    pub(super) fn of_transaction(&self, index: usize, tx: &impl Transaction) -> u64 {
        if let Some(ns) = self.advice.time_ns(index) {
            return ns;
        }
        let beyond = tx.gas_limit().saturating_sub(PAYMENT_GAS);
        if beyond == 0 {
            return self.payment_ns;
        }
        let share = u128::from(beyond) * u128::from(self.used) / u128::from(self.asked.max(1));
        let gas = u64::try_from(share).unwrap_or(u64::MAX);
        let of_gas = |ps: u64| gas.saturating_mul(ps) / 1000;
        let call = of_gas(CALL_PS_PER_GAS).min(CALL_NS);
        of_gas(self.ps_per_gas).saturating_add(self.payment_ns + call)
    }
}
