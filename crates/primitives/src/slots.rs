//! The changed slots of one account.

use alloy_primitives::U256;

/// Storage slots with their values, by slot, each at most once.
///
/// Kept as a sorted list: most accounts change a handful of slots, and a list of those is smaller
/// than a hash map and quicker to build, to compare and to walk in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slots(Vec<(U256, U256)>);

impl Slots {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// The value of `slot`, if it is among them.
    pub fn get(&self, slot: &U256) -> Option<&U256> {
        let at = self.0.binary_search_by_key(slot, |(slot, _)| *slot).ok()?;
        Some(&self.0[at].1)
    }

    /// Whether `slot` is among them.
    pub fn contains_key(&self, slot: &U256) -> bool {
        self.get(slot).is_some()
    }

    /// Sets the value of `slot` and returns the one it had. Takes time in proportion to the number
    /// of slots behind it: collect an iterator to add many.
    pub fn insert(&mut self, slot: U256, value: U256) -> Option<U256> {
        match self.0.binary_search_by_key(&slot, |(slot, _)| *slot) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                self.0.insert(at, (slot, value));
                None
            }
        }
    }

    /// The slots with their values, by slot.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&U256, &U256)> + Clone {
        self.0.iter().map(|(slot, value)| (slot, value))
    }

    /// The slots, ascending.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &U256> + Clone {
        self.0.iter().map(|(slot, _)| slot)
    }

    /// The values, by slot.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &U256> + Clone {
        self.0.iter().map(|(_, value)| value)
    }
}

/// Of a slot that occurs several times the last value counts.
impl FromIterator<(U256, U256)> for Slots {
    fn from_iter<I: IntoIterator<Item = (U256, U256)>>(iter: I) -> Self {
        let mut slots: Vec<_> = iter.into_iter().collect();
        slots.sort_by_key(|(slot, _)| *slot);
        slots.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = later.1;
            }
            same
        });
        Self(slots)
    }
}

impl<'a> IntoIterator for &'a Slots {
    type Item = &'a (U256, U256);
    type IntoIter = std::slice::Iter<'a, (U256, U256)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(pairs: &[(u64, u64)]) -> Slots {
        pairs.iter().map(|(slot, value)| (U256::from(*slot), U256::from(*value))).collect()
    }

    #[test]
    fn collected_slots_are_sorted_and_the_last_value_counts() {
        let slots = slots(&[(7, 1), (3, 2), (7, 3), (3, 4), (7, 5)]);
        let found: Vec<_> = slots.iter().map(|(slot, value)| (slot.to(), value.to())).collect();
        assert_eq!(found, [(3u64, 4u64), (7, 5)]);
    }

    #[test]
    fn inserted_slots_are_found_in_whatever_order_they_came() {
        let mut found = Slots::default();
        for slot in [5u64, 1, 9, 3] {
            assert_eq!(found.insert(U256::from(slot), U256::from(slot * 10)), None);
        }
        assert_eq!(found.insert(U256::from(9), U256::ZERO), Some(U256::from(90)));
        assert_eq!(found, slots(&[(1, 10), (3, 30), (5, 50), (9, 0)]));
        assert_eq!(found.get(&U256::from(3)), Some(&U256::from(30)));
        assert!(!found.contains_key(&U256::from(4)));
    }
}
