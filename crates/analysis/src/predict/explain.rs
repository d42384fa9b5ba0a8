//! What function of the transaction a location is: found by trying.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, U256};
use warpline_primitives::Location;

use super::pattern::{
    Call, Load, Order, Pattern, Place, Word, address_of, is_address, is_hash, word_of,
};

/// How many words of the call data are tried.
const MAX_ARGUMENTS: u32 = 24;
/// How many patterns a location may have: two arguments can be the same by chance.
const MAX_PATTERNS: usize = 4;
/// Mappings are looked for at the slots up to this one, nested ones up to that.
const BASES: u8 = 64;
const NESTED_BASES: u8 = 20;
/// Where contracts that can be upgraded have theirs, behind what is reserved for those they inherit.
const INHERITED_BASES: [u8; 8] = [51, 52, 101, 102, 151, 152, 201, 202];
/// How many slots behind the first belong to one entry.
const ENTRY: u8 = 8;
/// How many keys are tried, how many of nested mappings outside, and how many inside.
const MAX_KEYS: usize = 32;
const MAX_OUTER: usize = 6;
const MAX_INNER: usize = 20;

/// Finds patterns, as long as there is something left to try with.
#[derive(Debug)]
pub(super) struct Explainer {
    /// How many hashes may be computed, and how many of them still.
    budget: u32,
    left: u32,
}

/// For each location the patterns that it is.
pub(super) type Explained = BTreeMap<Location, Vec<Pattern>>;

impl Explainer {
    /// One that computes about `budget` hashes at most.
    pub(super) const fn new(budget: u32) -> Self {
        Self { budget, left: budget }
    }

    /// How many hashes it has computed.
    pub(super) const fn spent(&self) -> u32 {
        self.budget - self.left
    }

    /// What each of `touched` is, of which the first ones of the recipient may be loaded. `known` are
    /// patterns that were seen before and are tried first.
    pub(super) fn explain<'p>(
        &mut self,
        call: &Call<'_>,
        touched: &BTreeSet<Location>,
        known: impl Iterator<Item = &'p Pattern>,
        load: &mut Load<'_>,
    ) -> Explained {
        let mut found = Explained::new();
        for pattern in known.filter(|pattern| !pattern.is_constant()) {
            let Some(location) = call.locate(pattern, load) else { continue };
            if touched.contains(&location) {
                add(&mut found, location, *pattern);
            }
        }
        let words = words(call);
        let is_unknown = |at: &&Location| !found.contains_key(at);
        let hashes: Vec<(U256, Address)> =
            touched.iter().filter(is_unknown).filter_map(hash_of).collect();
        if !hashes.is_empty() && self.left > 0 {
            let search = Search::new(call, hashes, &words, touched, load);
            search.run(&mut self.left, &mut found);
        }
        for location in touched {
            if !found.contains_key(location) {
                let place = match *location {
                    Location::Account(_) => Place::Account,
                    Location::Slot(_, slot) => Place::Slot(slot),
                };
                for address in owners(location.address(), &words) {
                    add(&mut found, *location, Pattern { address, place });
                }
            }
        }
        found
    }
}

fn add(found: &mut Explained, location: Location, pattern: Pattern) {
    let patterns = found.entry(location).or_default();
    if patterns.len() < MAX_PATTERNS && !patterns.contains(&pattern) {
        patterns.push(pattern);
    }
}

fn hash_of(location: &Location) -> Option<(U256, Address)> {
    match *location {
        Location::Slot(address, slot) if is_hash(slot) => Some((slot, address)),
        _ => None,
    }
}

/// What words the account may be: one of the transaction's own, or else always this one.
fn owners(address: &Address, words: &[(Word, U256)]) -> Vec<Word> {
    let word = word_of(*address);
    let same = words.iter().filter(|(_, value)| *value == word).map(|(word, _)| *word);
    let own: Vec<_> = same.take(2).collect();
    if own.is_empty() { vec![Word::Constant(word)] } else { own }
}

/// The words that a transaction brings along: the recipient before the sender, for most of what is the
/// recipient's is the same for all.
pub(super) fn words(call: &Call<'_>) -> Vec<(Word, U256)> {
    let mut words = Vec::new();
    words.extend(call.recipient.map(|recipient| (Word::Recipient, word_of(recipient))));
    words.push((Word::Sender, word_of(call.sender)));
    let aligned = (0..MAX_ARGUMENTS).map(|index| (4 + 32 * index, true));
    // Calls within calls have a selector of their own in front.
    let shifted = (0..MAX_ARGUMENTS).map(|index| (8 + 32 * index, false));
    for (offset, any) in aligned.chain(shifted) {
        let Some(value) = call.argument(offset) else { continue };
        if !value.is_zero() && (any || is_address(value)) {
            words.push((Word::Argument(offset), value));
        }
    }
    words
}

/// A search for what some hashes are of.
struct Search<'s> {
    /// What is searched, ascending.
    hashes: Vec<(U256, Address)>,
    words: &'s [(Word, U256)],
    keys: Vec<(Word, U256)>,
    inner: Vec<(Word, U256)>,
}

impl<'s> Search<'s> {
    fn new(
        call: &Call<'_>,
        mut hashes: Vec<(U256, Address)>,
        words: &'s [(Word, U256)],
        touched: &BTreeSet<Location>,
        load: &mut Load<'_>,
    ) -> Self {
        hashes.sort_unstable();
        let mut keys: Vec<_> = words.to_vec();
        let own = touched.iter().filter_map(|location| match *location {
            Location::Slot(address, slot) if Some(address) == call.recipient && !is_hash(slot) => {
                Some(slot)
            }
            _ => None,
        });
        for slot in own.take(4) {
            for plus in [0, 1] {
                let word = Word::Loaded { slot, plus };
                let value = call.value(word, load).filter(|value| !value.is_zero());
                keys.extend(value.map(|value| (word, value)));
            }
        }
        keys.truncate(MAX_KEYS);
        let mut inner: Vec<_> =
            words.iter().copied().filter(|(_, value)| is_address(*value)).collect();
        let met = touched.iter().filter_map(|location| match location {
            Location::Account(address) => Some(word_of(*address)),
            Location::Slot(..) => None,
        });
        inner.extend(met.map(|word| (Word::Constant(word), word)));
        inner.truncate(MAX_INNER);
        Self { hashes, words, keys, inner }
    }

    fn run(&self, budget: &mut u32, found: &mut Explained) {
        for order in [Order::KeyFirst, Order::SlotFirst] {
            for (key, value) in &self.keys {
                for base in (0..BASES).chain(INHERITED_BASES.into_iter().skip(2)) {
                    if std::mem::replace(budget, budget.saturating_sub(1)) == 0 {
                        return;
                    }
                    let hash = order.hash(*value, U256::from(base));
                    self.compare(hash, found, |further| Place::Entry {
                        base,
                        order,
                        key: *key,
                        further,
                    });
                }
            }
        }
        for order in [Order::KeyFirst, Order::SlotFirst] {
            let outer = self.words.iter().filter(|(_, value)| is_address(*value));
            for (outer, owner) in outer.take(MAX_OUTER) {
                for base in (0..NESTED_BASES).chain(INHERITED_BASES) {
                    let mapping = order.hash(*owner, U256::from(base));
                    for (inner, value) in &self.inner {
                        if std::mem::replace(budget, budget.saturating_sub(1)) == 0 {
                            return;
                        }
                        let hash = order.hash(*value, mapping);
                        self.compare(hash, found, |further| Place::Nested {
                            base,
                            order,
                            outer: *outer,
                            inner: *inner,
                            further,
                        });
                    }
                }
            }
        }
    }

    /// Adds those locations that are `hash` or little more.
    fn compare(&self, hash: U256, found: &mut Explained, place: impl Fn(u8) -> Place) {
        let from = self.hashes.partition_point(|(slot, _)| *slot < hash);
        for (slot, address) in &self.hashes[from..] {
            let Some(further) = u8::try_from(slot.wrapping_sub(hash)).ok().filter(|it| *it < ENTRY)
            else {
                return;
            };
            for owner in owners(address, self.words) {
                let pattern = Pattern { address: owner, place: place(further) };
                add(found, Location::Slot(*address, *slot), pattern);
            }
        }
    }
}

/// The addresses that the call data names, besides whom it is for, in ascending order.
pub(super) fn mentioned(call: &Call<'_>) -> BTreeSet<Address> {
    let words = words(call).into_iter();
    let arguments =
        words.filter(|(word, value)| matches!(word, Word::Argument(_)) && is_address(*value));
    arguments.filter_map(|(_, value)| address_of(value)).collect()
}
