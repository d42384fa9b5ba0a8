//! How good predictions were: what was predicted against what happened.

use alloy_consensus::Transaction;
use alloy_primitives::Address;
use warpline_primitives::{AccessHint, AccessHints, Chance, Location, RecoveredBlock};

/// How many locations were predicted and touched, predicted in vain, and missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Predicted, and so it was.
    pub hits: u64,
    /// Predicted, and it was not.
    pub vain: u64,
    /// Not predicted, and it was.
    pub missed: u64,
}

/// What a location is, as far as that makes it hard to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A slot.
    Slot,
    /// An account that is not named by the transaction or the header.
    Account,
    /// The account of the sender, the recipient or the beneficiary: no merit in that.
    Plain,
}

/// How good the predictions of some blocks were. Each transaction counts for itself: who predicts one
/// location for two transactions is right or wrong twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    reads: [Tally; 3],
    writes: [Tally; 3],
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Slot, Self::Account, Self::Plain];
}

impl Tally {
    /// Which part of what was predicted was touched; `None` where nothing was predicted.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.hits, self.hits + self.vain)
    }

    /// Which part of what was touched was predicted; `None` where nothing was touched.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.hits, self.hits + self.missed)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl Score {
    /// Of reads, those of what is written included.
    pub const fn reads(&self, kind: Kind) -> Tally {
        self.reads[kind as usize]
    }

    /// Of writes.
    pub const fn writes(&self, kind: Kind) -> Tally {
        self.writes[kind as usize]
    }

    /// Adds what was `predicted` of `block` with a chance of `at_least`, against what `happened`.
    pub fn add(
        &mut self,
        block: &RecoveredBlock,
        predicted: &AccessHints,
        happened: &AccessHints,
        at_least: Chance,
    ) {
        for (index, tx) in block.transactions.iter().enumerate() {
            let plain = [Some(tx.signer()), tx.to(), Some(block.header.beneficiary)];
            let of = |hints: &AccessHints, chance: fn(&AccessHint) -> Chance| {
                let hints = hints.of(index).into_iter().flat_map(|tx| &tx.accesses);
                let likely = hints.filter(|access| chance(access) >= at_least);
                let mut found: Vec<_> = likely.map(|access| access.location).collect();
                found.sort_unstable();
                found.dedup();
                found
            };
            for (tallies, chance) in [
                (&mut self.reads, (|access| access.read) as fn(&AccessHint) -> Chance),
                (&mut self.writes, |access| access.write),
            ] {
                compare(tallies, &plain, &of(predicted, chance), &of(happened, chance));
            }
        }
    }
}

/// Compares locations, both in order.
fn compare(
    tallies: &mut [Tally; 3],
    plain: &[Option<Address>],
    predicted: &[Location],
    happened: &[Location],
) {
    let kind = |location: &Location| match location {
        Location::Slot(..) => Kind::Slot,
        Location::Account(address) if plain.contains(&Some(*address)) => Kind::Plain,
        Location::Account(_) => Kind::Account,
    };
    for location in predicted {
        let tally = &mut tallies[kind(location) as usize];
        match happened.binary_search(location) {
            Ok(_) => tally.hits += 1,
            Err(_) => tally.vain += 1,
        }
    }
    for location in happened {
        if predicted.binary_search(location).is_err() {
            tallies[kind(location) as usize].missed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::*;

    #[test]
    fn what_is_predicted_is_hit_or_in_vain_and_what_is_not_is_missed() {
        let account = |n| Location::Account(Address::with_last_byte(n));
        let slot = |n: u8| Location::Slot(Address::with_last_byte(9), U256::from(n));
        let mut tallies = [Tally::default(); 3];
        let plain = [Some(Address::with_last_byte(1)), None, None];
        let predicted = [account(1), account(2), slot(1), slot(2)];
        let happened = [account(1), slot(2), slot(3), slot(4)];
        compare(&mut tallies, &plain, &predicted, &happened);
        let tally = |hits, vain, missed| Tally { hits, vain, missed };
        assert_eq!(tallies, [tally(1, 1, 2), tally(0, 1, 0), tally(1, 0, 0)]);
        assert_eq!(tallies[0].precision(), Some(0.5));
        assert_eq!(tallies[0].recall(), Some(1.0 / 3.0));
        assert_eq!(tallies[1].recall(), None);
        assert_eq!(Tally::default().precision(), None);
    }
}
