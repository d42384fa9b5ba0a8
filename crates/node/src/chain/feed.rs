//! What a state root will need, fetched while the block still executes.
//!
//! The ordered commit tells which accounts and slots changed. A thread of its own looks up the nodes on the
//! way to them, so that they are in memory when the last transaction is through: what is left is to change
//! and to hash them. It changes nothing itself, so what it comes to late, or not at all, costs time only.

use std::{
    mem,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use alloy_primitives::{Address, U256};
use parking_lot::Mutex;
use warpline_primitives::{CommitObserver, CommitStep, StateDiff};
use warpline_trie::StateTrie;

/// Blocks with fewer transactions are over before the thread has begun.
const LEAST_TRANSACTIONS: usize = 64;

/// How many accounts are told of at once: the thread that commits should not be kept with telling.
const PORTION: usize = 64;

type Keys = Vec<(Address, Vec<U256>)>;

/// How many portions may wait. What comes when there is no room is not fetched ahead.
const MOST_WAITING: usize = 64;

/// Somebody who is told of commits.
#[derive(Debug)]
pub(super) struct Feed {
    sender: SyncSender<Keys>,
    keys: Keys,
}

/// Whether a block is worth it.
pub(super) const fn pays(transactions: usize) -> bool {
    transactions >= LEAST_TRANSACTIONS
}

/// Does `work`, and meanwhile fetches into `trie` what the feed is told of. Where the system has no thread
/// to spare, there is no feed.
pub(super) fn beside<T>(
    trie: StateTrie,
    work: impl FnOnce(Option<&mut Feed>) -> T,
) -> (T, StateTrie) {
    // Handed over here, so that it is still there when no thread comes for it.
    let hand = Mutex::new(trie);
    let (sender, receiver) = sync_channel(MOST_WAITING);
    let result = thread::scope(|scope| {
        let hand = &hand;
        let fetching = move || fetch(&mut hand.lock(), &receiver);
        let begun = thread::Builder::new().name("root".into()).spawn_scoped(scope, fetching);
        let mut feed = begun.is_ok().then(|| Feed { sender, keys: Keys::new() });
        work(feed.as_mut())
    });
    (result, hand.into_inner())
}

fn fetch(trie: &mut StateTrie, receiver: &Receiver<Keys>) {
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
}

impl Feed {
    fn tell(&mut self) {
        // The thread may have given up, or be busy.
        let _ = self.sender.try_send(mem::take(&mut self.keys));
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
