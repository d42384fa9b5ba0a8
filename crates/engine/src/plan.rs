//! What can be known of a block before it runs: who certainly waits for whom, and whether it pays
//! to wake other workers.

use std::hash::BuildHasher;

use alloy_consensus::{Transaction, transaction::Recovered};
use alloy_primitives::{Address, TxKind};
use foldhash::fast::RandomState;
use warpline_primitives::RecoveredBlock;

use crate::scheduler::NO_DEPENDENCY;

/// Gas of a payment that runs no code.
const PAYMENT_GAS: u64 = 21_000;
/// What such a payment takes, in nanoseconds.
const PAYMENT_NS: u64 = 1_200;
/// What a call takes besides running code.
const CALL_NS: u64 = 2_500;
/// Picoseconds for a unit of gas spent in code, over the contracts of mainnet.
const PS_PER_GAS: u64 = 350;
/// What waking the workers and gathering their results takes.
const PARALLEL_NS: u64 = 90_000;
/// What the parallel path takes above sequential execution, in percent.
const PARALLEL_PERCENT: u64 = 15;

/// The plan of a block. Wrong guesses cost time only.
#[derive(Debug)]
pub(crate) struct Plan {
    /// For each transaction the last earlier one that is certain to change an account it reads:
    /// its sender's or, if it pays somebody, the recipient's. Starting before that one ran would
    /// be in vain.
    pub(crate) dependencies: Vec<u32>,
    /// Guessed time of all transactions.
    total_ns: u64,
    /// Guessed time of the longest line of dependencies.
    critical_ns: u64,
}

impl Plan {
    /// Whether a block is so small that its plan is not worth making.
    pub(crate) fn is_pointless<T: Transaction>(block: &RecoveredBlock<T>) -> bool {
        block.transactions.len() < 2 || Costs::of(block).total() < PARALLEL_NS
    }

    /// Plans `block`.
    pub(crate) fn new<T: Transaction>(block: &RecoveredBlock<T>) -> Self {
        let costs = Costs::of(block);
        let mut last = LastTouch::with_room_for(block.transactions.len());
        let mut ends: Vec<u64> = Vec::with_capacity(block.transactions.len());
        let (mut total_ns, mut critical_ns) = (0, 0);
        let dependency = |(index, tx): (u32, &Recovered<T>)| {
            let sender = last.replace(tx.signer(), index);
            let recipient = match tx.kind() {
                TxKind::Call(to) if !tx.value().is_zero() && to != tx.signer() => {
                    last.replace(to, index)
                }
                _ => None,
            };
            let dependency = sender.max(recipient);
            let cost = costs.of_transaction(tx.inner());
            let start = dependency.map_or(0, |dependency| ends[dependency as usize]);
            ends.push(start + cost);
            total_ns += cost;
            critical_ns = critical_ns.max(start + cost);
            dependency.unwrap_or(NO_DEPENDENCY)
        };
        let dependencies = (0..).zip(&block.transactions).map(dependency).collect();
        Self { dependencies, total_ns, critical_ns }
    }

    /// Whether `width` workers are likely to be quicker than one.
    pub(crate) fn pays(&self, width: usize) -> bool {
        let shared = self.total_ns / width.max(1) as u64;
        let work = self.critical_ns.max(shared);
        work + work * PARALLEL_PERCENT / 100 + PARALLEL_NS < self.total_ns
    }
}

/// Which transaction touched an address last.
///
/// Addresses are told apart by 64 bits of a keyed hash: nobody can craft a collision, and a chance
/// one in 2^64 makes a hint wrong. A map that keeps addresses would take a noticeable part of a
/// block of payments.
struct LastTouch {
    /// Hash and transaction, at the hash's place or the next that is free.
    places: Vec<(u64, u32)>,
    hasher: RandomState,
}

impl LastTouch {
    fn with_room_for(transactions: usize) -> Self {
        // Two addresses each, at most half full.
        let places = (transactions * 4).next_power_of_two();
        Self { places: vec![(0, NO_DEPENDENCY); places], hasher: RandomState::default() }
    }

    /// Notes that `tx` touches `address`, and returns who did before.
    fn replace(&mut self, address: Address, tx: u32) -> Option<u32> {
        let hash = self.hasher.hash_one(address);
        let mask = self.places.len() - 1;
        #[expect(clippy::cast_possible_truncation, reason = "a part of the hash is wanted")]
        let mut at = hash as usize & mask;
        while self.places[at].1 != NO_DEPENDENCY && self.places[at].0 != hash {
            at = (at + 1) & mask;
        }
        let (_, old) = std::mem::replace(&mut self.places[at], (hash, tx));
        (old != NO_DEPENDENCY).then_some(old)
    }
}

/// Guesses how long transactions take from the gas they ask for.
#[derive(Clone, Copy, Debug)]
struct Costs {
    transactions: u64,
    /// Gas that transactions other than payments ask for beyond what every transaction pays.
    asked: u64,
    /// How much of it is used, as far as the header says; half of it where it says nothing.
    used: u64,
}

impl Costs {
    fn of<T: Transaction>(block: &RecoveredBlock<T>) -> Self {
        let transactions = block.transactions.len() as u64;
        let beyond = |tx: &Recovered<T>| tx.gas_limit().saturating_sub(PAYMENT_GAS);
        let asked =
            block.transactions.iter().fold(0, |sum: u64, tx| sum.saturating_add(beyond(tx)));
        let used = match block.header.gas_used {
            0 => asked / 2,
            used => used.saturating_sub(transactions * PAYMENT_GAS).min(asked),
        };
        Self { transactions, asked, used }
    }

    /// A lower guess at the time of all transactions, without looking at each.
    const fn total(&self) -> u64 {
        self.transactions * PAYMENT_NS + self.used.saturating_mul(PS_PER_GAS) / 1000
    }

    fn of_transaction(&self, tx: &impl Transaction) -> u64 {
        let beyond = tx.gas_limit().saturating_sub(PAYMENT_GAS);
        if beyond == 0 {
            return PAYMENT_NS;
        }
        let share = u128::from(beyond) * u128::from(self.used) / u128::from(self.asked.max(1));
        let gas = u64::try_from(share).unwrap_or(u64::MAX);
        CALL_NS + gas.saturating_mul(PS_PER_GAS) / 1000
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
            header: Header::default(),
            hash: B256::ZERO,
            transactions: transactions.iter().map(transaction).collect(),
            ommers: Vec::new(),
            withdrawals: None,
        }
    }

    #[test]
    fn transactions_wait_for_those_that_touch_their_sender_or_pay_the_same() {
        let dependencies = |transactions: &[_]| Plan::new(&block(transactions)).dependencies;
        const NONE: u32 = NO_DEPENDENCY;
        let gas = PAYMENT_GAS;
        assert_eq!(dependencies(&[(1, 9, 0, gas), (1, 8, 0, gas)]), [NONE, 0], "same sender");
        assert_eq!(dependencies(&[(1, 2, 5, gas), (2, 3, 0, gas)]), [NONE, 0], "paid before");
        assert_eq!(dependencies(&[(1, 9, 5, gas), (2, 9, 5, gas)]), [NONE, 0], "same payee");
        assert_eq!(dependencies(&[(1, 9, 0, gas), (2, 9, 0, gas)]), [NONE, NONE], "no payment");
        assert_eq!(dependencies(&[(1, 1, 5, gas), (1, 1, 5, gas)]), [NONE, 0], "pays itself");
    }

    #[test]
    fn small_blocks_and_lines_of_payments_do_not_pay() {
        let payments = |count: usize, line: bool| {
            let of = |index: usize| {
                let index = u8::try_from(index % 100).unwrap();
                (if line { 1 } else { index + 2 }, index + 102, 1, PAYMENT_GAS)
            };
            block(&(0..count).map(of).collect::<Vec<_>>())
        };
        assert!(Plan::is_pointless(&payments(20, false)));
        assert!(!Plan::new(&payments(1000, true)).pays(2), "one sender");
        assert!(Plan::new(&payments(1000, false)).pays(2), "many senders");
        assert!(!Plan::new(&payments(1000, false)).pays(1));
        let calls = block(&[(1, 2, 0, 2_000_000), (3, 4, 0, 2_000_000)]);
        assert!(Plan::new(&calls).pays(2), "two long calls");
        assert!(!Plan::new(&block(&[])).pays(2));
    }
}
