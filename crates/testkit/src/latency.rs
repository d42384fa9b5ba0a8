//! A parent state that is slow to answer, to measure on.

use std::{
    fmt,
    hash::BuildHasher,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use alloy_primitives::{
    Address, B256, Bytes, U256,
    map::{DefaultHashBuilder, Entry, HashMap},
};
use warpline_primitives::{Account, StateSource};

/// How many reads are under way at once, at most.
pub const MAX_OUTSTANDING: usize = 32;

const SHARDS: usize = 64;

/// Answers the first read of each key after a pause of fixed length, and every further one at once,
/// as a database does that keeps what it fetched. Make a new one for each execution.
///
/// A key is an account, a slot, a code, a block's hash, or the question whether an account has
/// storage. Of the pauses at most [`MAX_OUTSTANDING`] run at the same time; further reads queue. Who
/// asks for a key whose first read is under way waits for that one: it neither pauses again nor
/// counts as another outstanding read. A read that fails pauses as well.
pub struct LatentSource<S> {
    source: S,
    latency: Duration,
    hasher: DefaultHashBuilder,
    seen: [Shard; SHARDS],
    outstanding: Mutex<Outstanding>,
    one_less: Condvar,
}

#[derive(Default)]
struct Shard {
    /// Whether the first read of a key is through.
    keys: Mutex<HashMap<Key, bool>>,
    another: Condvar,
}

#[derive(Default)]
struct Outstanding {
    now: usize,
    greatest: usize,
    all: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Account(Address),
    Slot(Address, U256),
    Code(B256),
    BlockHash(u64),
}

impl<S> LatentSource<S> {
    /// `source`, of which nothing has been read, with a pause of `latency` before each first read.
    pub fn new(source: S, latency: Duration) -> Self {
        Self {
            source,
            latency,
            hasher: DefaultHashBuilder::default(),
            seen: std::array::from_fn(|_| Shard::default()),
            outstanding: Mutex::default(),
            one_less: Condvar::new(),
        }
    }

    /// The most reads that were outstanding at the same time.
    pub fn greatest_depth(&self) -> usize {
        lock(&self.outstanding).greatest
    }

    /// How many keys were read.
    pub fn first_reads(&self) -> u64 {
        lock(&self.outstanding).all
    }

    /// Pauses if `key` was not read before.
    fn before(&self, key: Key) {
        let shard = &self.seen[(self.hasher.hash_one(key) >> 48) as usize % SHARDS];
        let mut keys = lock(&shard.keys);
        loop {
            match keys.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(false);
                    break;
                }
                Entry::Occupied(through) if *through.get() => return,
                Entry::Occupied(_) => {
                    keys = shard.another.wait(keys).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        drop(keys);
        self.pause();
        lock(&shard.keys).insert(key, true);
        shard.another.notify_all();
    }

    fn pause(&self) {
        let mut outstanding = lock(&self.outstanding);
        while outstanding.now == MAX_OUTSTANDING {
            outstanding = self.one_less.wait(outstanding).unwrap_or_else(PoisonError::into_inner);
        }
        outstanding.now += 1;
        outstanding.all += 1;
        outstanding.greatest = outstanding.greatest.max(outstanding.now);
        drop(outstanding);
        thread::sleep(self.latency);
        lock(&self.outstanding).now -= 1;
        self.one_less.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: StateSource> StateSource for LatentSource<S> {
    type Error = S::Error;

    fn account(&self, address: Address) -> Result<Option<Account>, S::Error> {
        self.before(Key::Account(address));
        self.source.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, S::Error> {
        self.before(Key::Slot(address, slot));
        self.source.storage(address, slot)
    }

    /// Where there is an account's record, it says whether there is storage.
    fn has_storage(&self, address: Address) -> Result<bool, S::Error> {
        self.before(Key::Account(address));
        self.source.has_storage(address)
    }

    fn code(&self, code_hash: B256) -> Result<Bytes, S::Error> {
        self.before(Key::Code(code_hash));
        self.source.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, S::Error> {
        self.before(Key::BlockHash(number));
        self.source.block_hash(number)
    }
}

impl<S> fmt::Debug for LatentSource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatentSource").field("latency", &self.latency).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use warpline_primitives::MemoryState;

    use super::*;
    use crate::account;

    #[test]
    fn the_first_read_of_a_key_pauses_and_no_other() {
        let pause = Duration::from_millis(20);
        let source = LatentSource::new(MemoryState::default(), pause);
        let took = |read: &dyn Fn()| {
            let start = Instant::now();
            read();
            start.elapsed()
        };
        let of = |n: u8| move |source: &LatentSource<MemoryState>| drop(source.account(account(n)));
        assert!(took(&|| of(1)(&source)) >= pause);
        assert!(took(&|| drop(source.storage(account(1), U256::ZERO))) >= pause, "another key");
        (0..100).for_each(|_| of(1)(&source));
        assert_eq!((source.first_reads(), source.greatest_depth()), (2, 1));
    }

    #[test]
    fn who_asks_for_a_key_under_way_waits_for_it() {
        let source = LatentSource::new(MemoryState::default(), Duration::from_millis(20));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| source.account(account(1)));
            }
        });
        assert_eq!((source.first_reads(), source.greatest_depth()), (1, 1));
    }

    #[test]
    fn so_many_pauses_run_at_once_and_no_more() {
        let source = LatentSource::new(MemoryState::default(), Duration::from_millis(20));
        thread::scope(|scope| {
            for n in 0..100 {
                let source = &source;
                scope.spawn(move || source.account(account(n)));
            }
        });
        assert_eq!(source.first_reads(), 100);
        assert!(source.greatest_depth() <= MAX_OUTSTANDING);
    }
}
