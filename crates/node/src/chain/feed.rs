//! What a state root will need, fetched while the block still executes.
//!
//! The ordered commit tells which accounts and slots changed. A thread of its own looks up the nodes on the
//! way to them, so that they are in memory when the last transaction is through: what is left is to change
//! and to hash them. It changes nothing itself, so what it comes to late, or not at all, costs time only.

use std::{
    mem,
    sync::mpsc::{Receiver, Sender, channel},
    thread::{Scope, ScopedJoinHandle},
};

use alloy_primitives::{Address, U256};
use warpline_primitives::{CommitObserver, CommitStep, StateDiff};
use warpline_trie::StateTrie;

/// Blocks with fewer transactions are over before the thread has begun.
const LEAST_TRANSACTIONS: usize = 64;

/// How many accounts are told of at once: the thread that commits should not be kept with telling.
const PORTION: usize = 64;

type Keys = Vec<(Address, Vec<U256>)>;

/// Somebody who is told of commits.
#[derive(Debug)]
pub(super) struct Feed {
    sender: Sender<Keys>,
    keys: Keys,
}

/// The thread that fetches.
#[derive(Debug)]
pub(super) struct Fetching<'scope>(ScopedJoinHandle<'scope, StateTrie>);

/// Whether a block is worth it.
pub(super) const fn pays(transactions: usize) -> bool {
    transactions >= LEAST_TRANSACTIONS
}

/// Begins to fetch into `trie` what the feed is told of. Where the system has no thread to spare, the trie
/// comes back as it is.
pub(super) fn begin<'scope>(
    scope: &'scope Scope<'scope, '_>,
    trie: &StateTrie,
) -> Option<(Feed, Fetching<'scope>)> {
    let (sender, receiver) = channel();
    let trie = trie.clone();
    let thread = std::thread::Builder::new().name("root".into());
    let fetching = thread.spawn_scoped(scope, move || fetch(trie, &receiver)).ok()?;
    Some((Feed { sender, keys: Keys::new() }, Fetching(fetching)))
}

fn fetch(mut trie: StateTrie, receiver: &Receiver<Keys>) -> StateTrie {
    // The cores belong to the execution.
    trie.set_parallel(false);
    while let Ok(keys) = receiver.recv() {
        let all = keys.into_iter().chain(receiver.try_iter().flatten());
        if trie.prefetch(all).is_err() {
            // Whoever changes the trie meets the same error, and reports it.
            break;
        }
    }
    trie.set_parallel(true);
    trie
}

impl Fetching<'_> {
    /// The trie with what was fetched, once the feed is gone; `None` where the thread panicked.
    pub(super) fn finish(self) -> Option<StateTrie> {
        self.0.join().ok()
    }
}

impl Feed {
    fn tell(&mut self) {
        // The thread may have given up.
        let _ = self.sender.send(mem::take(&mut self.keys));
    }
}

impl CommitObserver for Feed {
    fn on_commit(&mut self, _: CommitStep, changes: &StateDiff) {
        self.keys.extend(changes.accounts().map(|(address, change)| {
            let slots = change.storage.iter().map(|(slot, _)| *slot);
            (*address, slots.collect::<Vec<_>>())
        }));
        if self.keys.len() >= PORTION {
            self.tell();
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.tell();
    }
}
