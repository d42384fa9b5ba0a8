//! Sharded hash tables whose entries keep their index.

use hashbrown::HashTable;

use super::Guard;
use crate::sync::Mutex;

const SHARD_BITS: u32 = if cfg!(feature = "model") { 4 } else { 6 };
/// How many shards each table has.
pub(super) const SHARDS: usize = 1 << SHARD_BITS;

/// Where the bits for the shard begin in a hash. The tables take the lowest and the seven highest.
const SHARD_SHIFT: u32 = 48;

/// A table a shard: entries in order of arrival, found through an index of their positions.
#[derive(Debug)]
pub(super) struct Table<E> {
    index: HashTable<u32>,
    pub(super) entries: Vec<E>,
}

impl<E> Table<E> {
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(&E) -> bool) -> Option<usize> {
        let found = self.index.find(hash, |at| is_it(&self.entries[*at as usize]));
        found.map(|at| *at as usize)
    }

    pub(super) fn find_or_insert(
        &mut self,
        hash: u64,
        is_it: impl Fn(&E) -> bool,
        new: impl FnOnce() -> E,
        hash_of: impl Fn(&E) -> u64,
    ) -> usize {
        let Self { index, entries } = self;
        let found = index.entry(
            hash,
            |at| is_it(&entries[*at as usize]),
            |at| hash_of(&entries[*at as usize]),
        );
        match found {
            hashbrown::hash_table::Entry::Occupied(at) => *at.get() as usize,
            hashbrown::hash_table::Entry::Vacant(place) => {
                let at = entries.len();
                #[expect(clippy::cast_possible_truncation, reason = "bounded by a block's gas")]
                place.insert(at as u32);
                entries.push(new());
                at
            }
        }
    }
}

/// `hash` with other bits for the shard: one of those that leave the rest `residue` when divided by
/// `modulus`, a power of two that is at most the number of shards.
pub(super) const fn with_shard(hash: u64, residue: usize, modulus: usize) -> u64 {
    hash & !((modulus as u64 - 1) << SHARD_SHIFT) | (residue as u64) << SHARD_SHIFT
}

/// The shard and the index there that a name stands for.
pub(super) const fn split(name: u32) -> (usize, usize) {
    (name as usize % SHARDS, (name >> SHARD_BITS) as usize)
}

/// The name of the entry at `index` of `shard`.
pub(super) const fn name(shard: usize, index: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "2^26 entries a shard, bounded by gas")]
    let name = (index << SHARD_BITS | shard) as u32;
    name
}

/// On a cache line of its own, so that workers on neighbouring shards do not slow each other.
#[derive(Debug)]
#[repr(align(128))]
struct Aligned<E>(Mutex<Table<E>>);

/// The shards. An entry's *name* is its shard and its index there in one word.
#[derive(Debug)]
pub(super) struct Shards<E>(Box<[Aligned<E>]>);

impl<E> Default for Shards<E> {
    fn default() -> Self {
        let table = || Table { index: HashTable::new(), entries: Vec::new() };
        Self((0..SHARDS).map(|_| Aligned(Mutex::new(table()))).collect())
    }
}

impl<E> Shards<E> {
    pub(super) fn of_hash(&self, hash: u64) -> Guard<'_, E> {
        self.0[Self::shard(hash)].0.lock()
    }

    pub(super) fn of_name(&self, name: u32) -> (Guard<'_, E>, usize) {
        let (shard, index) = split(name);
        (self.0[shard].0.lock(), index)
    }

    pub(super) fn name(&self, hash: u64, index: usize) -> u32 {
        name(Self::shard(hash), index)
    }

    pub(super) fn clear(&mut self) {
        for shard in &mut self.0 {
            let table = shard.0.get_mut();
            if !table.entries.is_empty() {
                table.index.clear();
                table.entries.clear();
            }
        }
    }

    /// All shards.
    pub(super) fn all(&self) -> Vec<Guard<'_, E>> {
        self.0.iter().map(|shard| shard.0.lock()).collect()
    }

    const fn shard(hash: u64) -> usize {
        (hash >> SHARD_SHIFT) as usize % SHARDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_whose_hashes_collide_are_told_apart() {
        const HASH: u64 = 42;
        let shards = Shards::default();
        let mut shard = shards.of_hash(HASH);
        for entry in 0..1000 {
            let new = shard.find_or_insert(HASH, |it| *it == entry, || entry, |_| HASH);
            assert_eq!(new, entry, "a new entry");
        }
        for entry in 0..1000 {
            assert_eq!(shard.find(HASH, |it| *it == entry), Some(entry));
            let again = shard.find_or_insert(HASH, |it| *it == entry, || unreachable!(), |_| HASH);
            assert_eq!(again, entry);
        }
    }
}
