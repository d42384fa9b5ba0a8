//! Large blocks on a database: threads, reads, and what is kept in memory.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use warpline_primitives::{Account, AccountDiff, StateDiff};
use warpline_trie::{
    MemoryTables, Nibbles, NodeSource, NodeSourceError, Recorder, StateTrie, TrieError, TrieKey,
    TrieUpdates,
};

const ACCOUNTS: u64 = 3000;
/// The first accounts have many slots, each half as many as the one before it.
const SLOTS: u64 = 2000;

fn address(index: u64) -> Address {
    Address::from_word(keccak256(index.to_be_bytes()))
}

fn slots(index: u64) -> u64 {
    SLOTS >> index.min(16)
}

fn accounts() -> impl Iterator<Item = (Address, Account, Vec<(U256, U256)>)> {
    (0..ACCOUNTS).map(|index| {
        let account = Account { balance: U256::from(index), ..Account::default() };
        let slots = (0..slots(index)).map(|slot| (U256::from(slot), U256::from(slot + 1)));
        (address(index), account, slots.collect())
    })
}

fn tables() -> (Arc<MemoryTables>, B256) {
    let updates = StateTrie::from_accounts(accounts()).commit();
    let tables = MemoryTables::new();
    tables.write_state(accounts(), &updates);
    (Arc::new(tables), updates.root)
}

/// A block that sets, removes and wipes, other ones for other seeds.
fn block(seed: u64) -> StateDiff {
    let mut diff = StateDiff::default();
    for index in (0..ACCOUNTS + 500).filter(|index| (index * 7 + seed) % 5 < 2) {
        let account = Account { nonce: seed, ..Account::default() };
        let gone = index > 20 && (index + seed).is_multiple_of(6);
        let mut change = AccountDiff {
            account: (!gone).then_some(account),
            storage_wiped: !gone && index == 3 + seed,
            ..AccountDiff::default()
        };
        for slot in (0..slots(index)).filter(|slot| !gone && (slot + seed).is_multiple_of(3)) {
            let kept = (slot + seed).is_multiple_of(2) || change.storage_wiped;
            let value = if kept { slot + seed + 1 } else { 0 };
            change.storage.insert(U256::from(slot), U256::from(value));
        }
        diff.insert_account(address(index), change);
    }
    diff
}

/// Counts what is read.
#[derive(Debug)]
struct Counted {
    tables: Arc<MemoryTables>,
    reads: AtomicUsize,
}

impl Counted {
    fn new(tables: Arc<MemoryTables>) -> Arc<Self> {
        Arc::new(Self { tables, reads: AtomicUsize::new(0) })
    }

    fn take(&self) -> usize {
        self.reads.swap(0, Ordering::Relaxed)
    }
}

impl NodeSource for Counted {
    fn node(
        &self,
        trie: TrieKey,
        path: &Nibbles,
        hash: B256,
    ) -> Result<Option<Bytes>, NodeSourceError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.tables.node(trie, path, hash)
    }
}

/// The keys that a diff changes.
fn keys(diff: &StateDiff) -> impl Iterator<Item = (Address, Vec<U256>)> {
    let keys = |(address, change): (&Address, &AccountDiff)| {
        (*address, change.storage.keys().copied().collect())
    };
    diff.accounts().map(keys)
}

#[test]
fn threads_change_nothing() {
    let (tables, root) = tables();
    let run = |parallel: bool| -> Vec<TrieUpdates> {
        let mut trie = StateTrie::from_source(root, tables.clone());
        trie.set_parallel(parallel);
        let blocks = (0..3).map(|seed| {
            trie.apply(&block(seed)).unwrap();
            trie.apply(&block(seed + 10)).unwrap();
            trie.commit()
        });
        blocks.collect()
    };
    let expected = run(false);
    assert!(expected.iter().all(|updates| updates.written() > 500 && updates.removed() > 20));
    for threads in [1, 2, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| run(true)), expected, "{threads} threads");
    }
}

#[test]
fn the_first_error_is_the_same_for_all_threads() {
    let (tables, root) = tables();
    let mut trie = StateTrie::from_source(root, tables);
    let diff = block(1);
    let known = keys(&diff).take(10).map(|(address, _)| (address, Vec::new()));
    trie.prefetch(known.collect::<Vec<_>>()).unwrap();
    let mut holed = trie.clone();
    // From here on there is nothing to be had.
    holed.set_source(Arc::new(MemoryTables::new()));
    let run = |parallel: bool| {
        let mut trie = holed.clone();
        trie.set_parallel(parallel);
        let error = trie.apply(&diff).unwrap_err();
        assert_eq!(trie.root(), root);
        error
    };
    let expected = run(false);
    assert!(matches!(expected, TrieError::MissingNode { .. }));
    for threads in [1, 2, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| (0..5).for_each(|_| assert_eq!(run(true), expected)));
    }
}

#[test]
fn what_is_prefetched_is_not_read_again() {
    let (tables, root) = tables();
    let counted = Counted::new(tables);
    let mut trie = StateTrie::from_source(root, counted.clone());
    let diff = block(1);
    trie.apply(&diff).unwrap();
    let (all, expected) = (counted.take(), trie.root());

    let mut trie = StateTrie::from_source(root, counted.clone());
    trie.prefetch(keys(&diff)).unwrap();
    let ahead = counted.take();
    assert_eq!(trie.root(), root, "nothing has changed");
    trie.prefetch(keys(&diff)).unwrap();
    assert_eq!(counted.take(), 0);
    trie.apply(&diff).unwrap();
    // Siblings of what is removed are on nobody's way.
    let rest = counted.take();
    assert!(rest < all / 10, "{rest} of {all}");
    assert!(ahead + rest <= all + all / 10, "{ahead} and {rest} of {all}");
    assert_eq!(trie.root(), expected);
}

#[test]
fn what_is_forgotten_is_read_again() {
    let (tables, root) = tables();
    let counted = Counted::new(tables.clone());
    let mut trie = StateTrie::from_source(root, counted.clone());
    let mut expected = StateTrie::from_accounts(accounts());
    for (seed, limit) in (0..6).zip([100_000, 500, 50, 17, 1, 0]) {
        let diff = block(seed);
        trie.apply(&diff).unwrap();
        let held = trie.cached_nodes();
        trie.shrink(0);
        // What is changed and not committed cannot be had again.
        assert!(trie.cached_nodes() > held / 2);
        let updates = trie.commit();
        tables.write([&diff], &updates);
        expected.apply(&diff).unwrap();
        assert_eq!(updates.root, expected.root());
        trie.shrink(limit);
        assert!(trie.cached_nodes() <= limit);
    }
    assert_eq!(trie.cached_nodes(), 0);
    counted.take();
    assert_eq!(trie.account(address(1)).unwrap(), expected.account(address(1)).unwrap());
    assert!(counted.take() > 2);
}

/// The storage of an account that nobody touches any more goes, while there is room for others.
#[test]
fn unused_storages_are_forgotten_first() {
    let (tables, root) = tables();
    let counted = Counted::new(tables);
    let mut trie = StateTrie::from_source(root, counted.clone());
    let all = |index| (address(index), (0..slots(index)).map(U256::from).collect::<Vec<_>>());
    trie.prefetch([all(1)]).unwrap();
    trie.shrink(usize::MAX);
    trie.prefetch([all(2)]).unwrap();
    counted.take();
    let limit = trie.cached_nodes() - 1;
    trie.shrink(limit);
    trie.prefetch([all(2)]).unwrap();
    assert_eq!(counted.take(), 0);
    trie.prefetch([all(1)]).unwrap();
    assert!(counted.take() > 1000);
}

/// What is complete could not get its nodes back.
#[test]
fn complete_tries_forget_nothing() {
    let mut trie = StateTrie::from_accounts(accounts());
    let root = trie.commit().root;
    trie.shrink(0);
    assert!(trie.cached_nodes() > 5000);
    trie.apply(&block(1)).unwrap();
    assert_ne!(trie.root(), root);
}

/// What a block read and changed on a recording trie is all that another needs for the same.
#[test]
fn a_recorded_block_is_a_witness() {
    let (tables, root) = tables();
    let recorder = Arc::new(Recorder::new(tables));
    let mut trie = StateTrie::from_source(root, recorder.clone());
    let read = |trie: &StateTrie| -> Vec<(Option<Account>, Vec<U256>)> {
        let read = (0..40).map(|index| {
            let account = trie.account(address(index * 91)).unwrap();
            let slots = (0..9).map(|slot| trie.storage(address(index), U256::from(slot * 300)));
            (account, slots.collect::<Result<_, _>>().unwrap())
        });
        read.collect()
    };
    let found = read(&trie);
    assert!(found.iter().any(|(account, _)| account.is_none()));
    let diff = block(2);
    trie.apply(&diff).unwrap();

    let nodes = recorder.take();
    let mut witness = StateTrie::from_witness(root, nodes.clone()).unwrap();
    assert_eq!(read(&witness), found);
    witness.apply(&diff).unwrap();
    assert_eq!(witness.root(), trie.root());
    assert_eq!(read(&witness), read(&trie));

    // Every node is needed by one or the other.
    for missing in (0..nodes.len()).step_by(nodes.len() / 40) {
        let some = nodes.iter().enumerate().filter(|(at, _)| *at != missing);
        let mut witness =
            StateTrie::from_witness(root, some.map(|(_, node)| node.clone())).unwrap();
        let reads = (0..40).try_for_each(|index| {
            witness.account(address(index * 91))?;
            (0..9).try_for_each(|slot| {
                witness.storage(address(index), U256::from(slot * 300)).map(|_| ())
            })
        });
        let result = reads.and_then(|()| witness.apply(&diff));
        assert!(matches!(result, Err(TrieError::MissingNode { .. })), "{result:?}");
    }
}
