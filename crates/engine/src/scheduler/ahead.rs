//! What to do with workers and reads that the transactions in order leave free, where the parent state
//! is slow: things to read that will be wanted later. All of it is a guess, and losing any of it costs
//! time only.

use std::collections::VecDeque;

use super::Scheduler;
use crate::{
    read_ahead::Key,
    sync::{
        Mutex,
        atomic::{
            AtomicUsize,
            Ordering::{Acquire, Relaxed, SeqCst},
        },
    },
};

/// How many keys are remembered at most. Beyond, reading ahead is late anyway.
const MAX_KEYS: usize = 1 << 16;

/// Something to do ahead of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// Read this.
    Read(Key),
    /// Execute a transaction that reads much, taking what is not known for nothing instead of waiting
    /// for it, and so find out what to read.
    Guess(u32),
    /// Execute a transaction that waits for others, for its reads.
    Execute(u32),
}

impl Scheduler {
    /// `tx` will be executed later. Where reads are slow, somebody may do them now.
    pub(crate) fn defer(&self, tx: u32) {
        let deferred = &self.slots[tx as usize].deferred;
        // Relaxed: whoever comes second leaves it.
        if self.permits.is_some() && !deferred.swap(true, Relaxed) {
            self.push_ahead(Ahead::Execute(tx));
        }
    }

    /// Lets somebody without work do `ahead`, if reads are slow.
    pub(crate) fn push_ahead(&self, ahead: Ahead) {
        if self.permits.is_some() {
            self.ahead.push(ahead);
            self.wake();
        }
    }

    /// Lets those without work read `keys`, if reads are slow.
    pub(crate) fn push_keys(&self, keys: impl Iterator<Item = Key>) {
        if self.permits.is_some() {
            self.ahead.push_keys(keys);
            self.wake();
        }
    }

    /// The next key to read ahead of its time.
    pub(crate) fn next_key(&self) -> Option<Key> {
        self.ahead.pop_key()
    }

    /// The next thing to do ahead of its time.
    pub(crate) fn next_ahead(&self) -> Option<Ahead> {
        let is_wanted = |ahead: &Ahead| match ahead {
            Ahead::Read(_) => true,
            Ahead::Guess(tx) => *tx >= self.committed(),
            Ahead::Execute(tx) => self.slots[*tx as usize].status.is_pending(),
        };
        std::iter::from_fn(|| self.ahead.pop()).find(is_wanted)
    }
}

/// The queue of such things.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lists: Mutex<Lists>,
    /// How many there are, to look without locking.
    len: AtomicUsize,
}

#[derive(Debug, Default)]
struct Lists {
    keys: VecDeque<Key>,
    transactions: VecDeque<Ahead>,
}

impl Queue {
    pub(super) fn push(&self, ahead: Ahead) {
        let mut lists = self.lists.lock();
        match ahead {
            Ahead::Read(key) if lists.keys.len() < MAX_KEYS => lists.keys.push_back(key),
            Ahead::Read(_) => {}
            // It has begun, and others wait for it.
            Ahead::Guess(_) => lists.transactions.push_front(ahead),
            Ahead::Execute(_) => lists.transactions.push_back(ahead),
        }
        self.len.store(lists.len(), SeqCst);
    }

    /// Adds `keys`, as many as fit.
    pub(super) fn push_keys(&self, keys: impl Iterator<Item = Key>) {
        let mut lists = self.lists.lock();
        let room = MAX_KEYS.saturating_sub(lists.keys.len());
        lists.keys.extend(keys.take(room));
        self.len.store(lists.len(), SeqCst);
    }

    /// Takes the next: keys first, for they let others begin to wait.
    pub(super) fn pop(&self) -> Option<Ahead> {
        if self.len.load(Acquire) == 0 {
            return None;
        }
        self.take(|lists| {
            let key = lists.keys.pop_front().map(Ahead::Read);
            key.or_else(|| lists.transactions.pop_front())
        })
    }

    /// Takes the next key.
    pub(super) fn pop_key(&self) -> Option<Key> {
        self.take(|lists| lists.keys.pop_front())
    }

    fn take<T>(&self, take: impl FnOnce(&mut Lists) -> T) -> T {
        let mut lists = self.lists.lock();
        let taken = take(&mut lists);
        self.len.store(lists.len(), SeqCst);
        taken
    }

    /// Whether there is none. Sequentially consistent, as everything that decides about sleeping.
    pub(super) fn is_empty(&self) -> bool {
        self.len.load(SeqCst) == 0
    }
}

impl Lists {
    fn len(&self) -> usize {
        self.keys.len() + self.transactions.len()
    }
}
