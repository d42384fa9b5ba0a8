//! Hints that are true, that are random, and that are meant to harm.

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, U256};
use warpline_engine::TransactionTrace;
use warpline_primitives::{
    AccessHint, AccessHints, Chance, Location, RecoveredBlock, TransactionHints,
};

/// What transactions did that have these `traces`, in the order of their block: hints that could not be
/// better.
pub fn true_hints(traces: &[TransactionTrace]) -> AccessHints {
    let mut hints = AccessHints { transactions: traces.iter().map(Into::into).collect() };
    hints.link(Chance::EVEN);
    for tx in &mut hints.transactions {
        tx.conflict = if tx.after.is_some() { Chance::CERTAIN } else { Chance::NEVER };
    }
    hints
}

/// Hints at `block` that follow from `seed` and have nothing else to do with what it does, but that
/// they name its accounts. There may be more or fewer of them than transactions.
pub fn random_hints(block: &RecoveredBlock, seed: u64) -> AccessHints {
    let mut dice = Dice(seed);
    let senders = block.transactions.iter().map(|tx| tx.signer());
    let recipients = block.transactions.iter().filter_map(|tx| tx.to());
    let mut addresses: Vec<Address> = senders.chain(recipients).collect();
    addresses.push(Address::with_last_byte(dice.below(255)));
    let length = usize::from(dice.below(200)) * block.transactions.len() / 100;
    let transaction = |index: usize| {
        let mut access = || {
            let address = addresses[usize::from(dice.below(u8::MAX)) % addresses.len()];
            let slot = U256::from(dice.below(8));
            let location = match dice.below(3) {
                0 => Location::Account(address),
                _ => Location::Slot(address, slot),
            };
            let [read, write] = [(); 2].map(|()| Chance::percent(dice.below(101)));
            let commutes = dice.below(4) == 0;
            let at_ns = [None, Some(0), Some(u64::MAX)][usize::from(dice.below(3))];
            AccessHint { location, read, write, commutes, at_ns }
        };
        let accesses = (0..index % 12).map(|_| access()).collect();
        let time_ns = match dice.below(5) {
            0 => None,
            1 => Some(0),
            2 => Some(u64::MAX),
            _ => Some(u64::from(dice.below(250)) << dice.below(30)),
        };
        let after = match dice.below(4) {
            0 => None,
            1 => Some(usize::from(dice.below(255)) * length / 200),
            _ => index.checked_sub(usize::from(dice.below(8))),
        };
        let (conflict, is_late) = (Chance::percent(dice.below(101)), dice.below(4) == 0);
        TransactionHints { accesses, time_ns, conflict, after, is_late }
    };
    AccessHints { transactions: (0..length).map(transaction).collect() }
}

/// What hints can be that somebody made to do harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malice {
    /// Each transaction needs the one before it.
    Line,
    /// Everything writes everything, and so needs the one before.
    Everything,
    /// Transactions need later ones, themselves, those of other blocks, and each other.
    Cycles,
    /// Everything takes no time at all.
    Instant,
    /// Everything takes for ever.
    Endless,
    /// Every other transaction takes for ever, and the others none.
    Uneven,
    /// The first transaction reads a million locations, and each other some more.
    Million,
}

impl Malice {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Line,
        Self::Everything,
        Self::Cycles,
        Self::Instant,
        Self::Endless,
        Self::Uneven,
        Self::Million,
    ];

    /// Such hints at `block`.
    pub fn hints(self, block: &RecoveredBlock) -> AccessHints {
        let length = block.transactions.len();
        let mut hints = AccessHints {
            transactions: (0..length + 3).map(|index| self.transaction(index, length)).collect(),
        };
        if self == Self::Everything {
            let locations = block.transactions.iter().map(|tx| Location::Account(tx.signer()));
            let all: Vec<_> = locations.map(AccessHint::write).take(100).collect();
            hints.transactions.iter_mut().for_each(|tx| tx.accesses.clone_from(&all));
            hints.link(Chance::CERTAIN);
        }
        hints
    }

    fn transaction(self, index: usize, length: usize) -> TransactionHints {
        let plain = TransactionHints { conflict: Chance::CERTAIN, ..TransactionHints::default() };
        let taking = |ns| TransactionHints { time_ns: Some(ns), ..plain.clone() };
        let read = |slot: usize| {
            AccessHint::read(Location::Slot(Address::with_last_byte(1), U256::from(slot)))
        };
        match self {
            Self::Everything => plain,
            Self::Line => TransactionHints { after: index.checked_sub(1), ..plain },
            Self::Cycles => {
                let after = [index + 1, index, length, usize::MAX, length.saturating_sub(index)];
                TransactionHints { after: Some(after[index % after.len()]), ..plain }
            }
            Self::Instant => taking(0),
            Self::Endless => taking(u64::MAX),
            Self::Uneven => taking(if index.is_multiple_of(2) { u64::MAX } else { 0 }),
            Self::Million => {
                let locations = if index == 0 { 1_000_000 } else { 100 };
                let accesses = (0..locations).map(|slot| read(slot + index)).collect();
                TransactionHints { accesses, ..plain }
            }
        }
    }
}

/// A small generator of numbers that follow from a seed (SplitMix64).
struct Dice(u64);

impl Dice {
    /// A number below `end`.
    fn below(&mut self, end: u8) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let [first, ..] = (mixed % u64::from(end)).to_le_bytes();
        first
    }
}
