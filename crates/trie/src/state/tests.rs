//! A database model over random blocks. Keys are given as hashes that no hash would be, with long
//! shared prefixes: branches collapse and grow again, and nodes are short enough to stand inside
//! their parents.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_trie::{
    EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieAccount, nodes::TrieNode, proof::ProofRetainer,
};
use proptest::{collection::vec, prelude::*};
use warpline_primitives::Account;

use super::{
    HashedAccount, StateTrie,
    apply::{HashedChange, Wanted},
};
use crate::{
    MemoryTables, NodeSource, NodeSourceError, Recorder, TrieError, TrieKey, leaf::storage_leaf,
    update::Change,
};

type Slots = BTreeMap<B256, U256>;
type State = BTreeMap<B256, (Account, Slots)>;
type StoredNodes = BTreeMap<(TrieKey, Nibbles), Bytes>;

/// One account in one block: its key, what it becomes, whether it is wiped, and slots.
type Step = (B256, Option<u8>, bool, Vec<(B256, u8)>);

/// What happens from one commit to the next: blocks, each with whether its keys are prefetched,
/// whether the trie is opened anew first, and how many nodes it may keep in the end.
#[derive(Clone, Debug)]
struct Round {
    blocks: Vec<(Vec<Step>, bool)>,
    reopen: bool,
    keep: Option<usize>,
    sequential: bool,
}

/// About thirty keys, close together: near the end of their paths, or with one nibble other
/// elsewhere. So few that many a block meets all that others left below a branch.
fn key() -> impl Strategy<Value = B256> {
    let spread = prop_oneof![
        2 => Just((0_usize, 0_u8)),
        1 => (prop_oneof![Just(0_usize), Just(1), Just(29)], prop_oneof![Just(0x01), Just(0x20)]),
    ];
    let last = prop_oneof![3 => 0_u8..3, 1 => Just(0x10_u8)];
    (spread, last).prop_map(|((byte, bit), last)| {
        let mut key = B256::with_last_byte(last);
        key[byte] |= bit;
        key
    })
}

/// Blocks that mostly add, and blocks that mostly remove.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kinds = (prop_oneof![Just(0.2), Just(0.95)], prop_oneof![Just(1_u32), Just(20)]);
    kinds.prop_flat_map(|(exists, zeros)| {
        let after = proptest::option::weighted(exists, any::<u8>());
        let value = prop_oneof![zeros => Just(0_u8), 3 => 1_u8..4, 2 => any::<u8>()];
        let slots = prop_oneof![Just(0_usize..1), Just(0..4), Just(4..24)];
        let slots = slots.prop_flat_map(move |count| vec((key(), value.clone()), count));
        vec((key(), after, proptest::bool::weighted(0.1), slots), 0..12)
    })
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let blocks = vec((steps(), any::<bool>()), 1..4);
    let keep = proptest::option::of(0_usize..40);
    let round = (blocks, any::<bool>(), keep, any::<bool>());
    let round = round.prop_map(|(blocks, reopen, keep, sequential)| Round {
        blocks,
        reopen,
        keep,
        sequential,
    });
    vec(round, 1..8)
}

/// Small values stay short, large ones are longer than a hash.
fn slot_value(seed: u8) -> U256 {
    if seed < 128 { U256::from(seed) } else { U256::MAX - U256::from(seed) }
}

fn account(seed: u8) -> Account {
    Account { balance: U256::from(seed), nonce: u64::from(seed / 2), ..Account::default() }
}

/// What a block does to the accounts, as the trie takes it and with hashed keys.
fn block(steps: &[Step]) -> BTreeMap<B256, (Option<Account>, bool, Slots)> {
    let change = |(key, after, wiped, slots): &Step| {
        let slots = if after.is_some() { slots.as_slice() } else { &[] };
        let slots = slots.iter().map(|(key, seed)| (*key, slot_value(*seed))).collect();
        (*key, (after.map(account), *wiped, slots))
    };
    steps.iter().map(change).collect()
}

fn advance(state: &mut State, steps: &[Step]) {
    for (key, (account, wiped, slots)) in block(steps) {
        let Some(account) = account else {
            state.remove(&key);
            continue;
        };
        let entry = state.entry(key).or_default();
        entry.0 = account;
        if wiped {
            entry.1.clear();
        }
        entry.1.extend(slots);
        entry.1.retain(|_, value| !value.is_zero());
    }
}

/// An address for errors.
const NOBODY: Address = Address::ZERO;

fn changes(steps: &[Step]) -> Vec<HashedChange> {
    let change = |(slot, value): (B256, U256)| Change {
        key: Nibbles::unpack(slot),
        value: (!value.is_zero()).then(|| storage_leaf(value)),
    };
    let blocks = block(steps).into_iter().map(|(key, (account, wiped, slots))| {
        let slots = slots.into_iter().map(change).collect();
        HashedChange { address: NOBODY, key, account, wiped, slots }
    });
    blocks.collect()
}

fn wanted(steps: &[Step]) -> Vec<Wanted> {
    let wanted = block(steps).into_iter().map(|(key, (.., slots))| {
        let slots = slots.into_keys().map(Nibbles::unpack).collect();
        Wanted { address: NOBODY, key, slots }
    });
    wanted.collect()
}

fn write(tables: &MemoryTables, steps: &[Step]) {
    for (key, (account, wiped, slots)) in block(steps) {
        tables.write_tables().change(key, account, wiped, slots);
    }
}

/// The branches and extensions of a trie with these leaves that have hashes of their own, and the
/// root, by another implementation.
fn oracle_trie(leaves: &BTreeMap<B256, Vec<u8>>, trie: TrieKey, nodes: &mut StoredNodes) -> B256 {
    let retainer = ProofRetainer::new(leaves.keys().map(Nibbles::unpack).collect());
    let mut builder = HashBuilder::default().with_proof_retainer(retainer);
    for (key, value) in leaves {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    let root = builder.root();
    for (path, rlp) in builder.take_proof_nodes().into_nodes_sorted() {
        let node: TrieNode = alloy_rlp::decode_exact(&rlp).unwrap();
        let inner = matches!(node, TrieNode::Branch(_) | TrieNode::Extension(_));
        if inner && (rlp.len() >= 32 || path.is_empty()) {
            nodes.insert((trie, path), rlp);
        }
    }
    root
}

fn oracle(state: &State) -> (B256, StoredNodes) {
    let mut nodes = StoredNodes::new();
    let leaf = |(key, (account, slots)): (&B256, &(Account, Slots))| {
        let slots = slots.iter().map(|(slot, value)| (*slot, alloy_rlp::encode(value))).collect();
        let root = oracle_trie(&slots, TrieKey::Storage(*key), &mut nodes);
        let Account { balance, nonce, code_hash } = *account;
        (*key, alloy_rlp::encode(TrieAccount::new(nonce, balance, root, code_hash)))
    };
    let leaves = state.iter().map(leaf).collect();
    let root = oracle_trie(&leaves, TrieKey::Accounts, &mut nodes);
    (root, nodes)
}

fn rebuild(state: &State) -> StateTrie {
    StateTrie::from_hashed(state.iter().map(|(key, (account, slots))| HashedAccount {
        key: *key,
        account: *account,
        slots: slots.iter().map(|(slot, value)| (*slot, *value)).collect(),
    }))
}

/// Tables that hold `state` and nothing else.
fn tables_of(state: &State) -> (MemoryTables, B256) {
    let tables = MemoryTables::new();
    let updates = rebuild(state).commit();
    for (key, (account, slots)) in state {
        tables.write_tables().change(*key, Some(*account), false, slots.clone());
    }
    tables.write_tables().update(&updates);
    (tables, updates.root)
}

/// A source that fails at one of its reads.
#[derive(Debug)]
struct Failing {
    source: Arc<dyn NodeSource>,
    left: AtomicUsize,
}

impl NodeSource for Failing {
    fn node(
        &self,
        trie: TrieKey,
        path: &Nibbles,
        hash: B256,
    ) -> Result<Option<Bytes>, NodeSourceError> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            return Err(NodeSourceError::new(std::io::Error::other("out of order")));
        }
        self.source.node(trie, path, hash)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_database_has_the_nodes_of_a_rebuild_and_no_others(rounds in rounds()) {
        let mut state = State::new();
        let tables = Arc::new(MemoryTables::new());
        let mut trie = StateTrie::from_source(EMPTY_ROOT_HASH, tables.clone());
        let mut root = EMPTY_ROOT_HASH;
        for round in rounds {
            if round.reopen {
                trie = StateTrie::from_source(root, tables.clone());
            }
            trie.set_parallel(!round.sequential);
            for (steps, prefetch) in &round.blocks {
                if *prefetch {
                    trie.prefetch_hashed(wanted(steps)).unwrap();
                }
                trie.apply_hashed(changes(steps)).unwrap();
                advance(&mut state, steps);
            }
            let updates = trie.commit();
            // Only now: until it commits, the trie reads what was there before.
            round.blocks.iter().for_each(|(steps, _)| write(&tables, steps));
            tables.write_tables().update(&updates);
            let (expected, nodes) = oracle(&state);
            prop_assert_eq!(updates.root, expected);
            for (nodes, wiped) in updates.storages.values().map(|s| (&s.nodes, s.wiped)).chain([(&updates.accounts, false)]) {
                prop_assert!(nodes.removed.is_empty() || !wiped);
                let written = |path| nodes.written.iter().any(|(other, _)| other == path);
                prop_assert!(!nodes.removed.iter().any(written));
            }
            prop_assert_eq!(&tables.read().nodes, &nodes);
            let roots: BTreeMap<_, _> =
                tables.read().accounts.iter().map(|(key, (_, root))| (*key, *root)).collect();
            for (key, root) in roots {
                prop_assert_eq!(trie.leaf(key).unwrap().unwrap().storage_root, root);
            }
            let (rebuilt, _) = tables_of(&state);
            prop_assert_eq!(&rebuilt.read().nodes, &nodes);
            prop_assert!(trie.commit().is_empty(), "everything is committed");
            if let Some(keep) = round.keep {
                trie.shrink(keep);
                prop_assert!(trie.cached_nodes() <= keep);
            }
            root = expected;
        }
    }

    #[test]
    fn what_was_recorded_is_a_witness(first in steps(), second in steps(), reads in vec(key(), 0..6)) {
        let mut state = State::new();
        advance(&mut state, &first);
        let (tables, root) = tables_of(&state);
        let recorder = Arc::new(Recorder::new(Arc::new(tables)));
        let mut trie = StateTrie::from_source(root, recorder.clone());
        let found: Vec<_> = reads.iter().map(|key| trie.leaf(*key).unwrap()).collect();
        trie.apply_hashed(changes(&second)).unwrap();
        advance(&mut state, &second);
        prop_assert_eq!(trie.root(), oracle(&state).0);

        let mut witness = StateTrie::from_witness(root, recorder.take()).unwrap();
        prop_assert!(recorder.take().is_empty());
        for (key, found) in reads.iter().zip(found) {
            prop_assert_eq!(witness.leaf(*key).unwrap(), found);
        }
        witness.apply_hashed(changes(&second)).unwrap();
        prop_assert_eq!(witness.root(), trie.root());
    }

    #[test]
    fn an_error_changes_nothing(first in steps(), second in steps(), reads in 1_usize..20) {
        let mut state = State::new();
        advance(&mut state, &first);
        let (tables, root) = tables_of(&state);
        let source = Failing { source: Arc::new(tables), left: reads.into() };
        let mut trie = StateTrie::from_source(root, Arc::new(source));
        let failed = trie.apply_hashed(changes(&second));
        if let Err(error) = failed {
            prop_assert!(matches!(error, TrieError::Source { .. }), "{error}");
            prop_assert_eq!(&error, &error.clone());
            prop_assert_eq!(trie.root(), root);
            prop_assert!(trie.commit().is_empty());
            trie.apply_hashed(changes(&second)).unwrap();
        }
        advance(&mut state, &second);
        prop_assert_eq!(trie.root(), oracle(&state).0);
    }
}

/// A branch inside its parent is listed when it grows out of it, and removed when it shrinks.
#[test]
fn nodes_move_in_and_out_of_their_parents() {
    let owner = B256::ZERO;
    let close = |last: u8| B256::with_last_byte(last);
    let far = B256::repeat_byte(0x77);
    let all = [(close(0), 1), (close(1), 1), (far, 1)];
    let step = |slots: &[(B256, u8)]| vec![(owner, Some(1), false, slots.to_vec())];
    let tables = Arc::new(MemoryTables::new());
    let mut trie = StateTrie::from_source(EMPTY_ROOT_HASH, tables.clone());
    let mut state = State::new();
    let stored = [all.as_slice(), &[(close(0), 200)], &[(close(0), 2)], &[(close(0), 0)]];
    let stored = stored.map(|slots| {
        let steps = step(slots);
        advance(&mut state, &steps);
        trie.apply_hashed(changes(&steps)).unwrap();
        let updates = trie.commit();
        write(&tables, &steps);
        tables.write_tables().update(&updates);
        assert_eq!(tables.read().nodes, oracle(&state).1);
        tables.nodes()
    });
    // The branch above all, an extension, and the branch below it only while it is large.
    assert_eq!(stored, [2, 3, 2, 1]);
}

#[test]
fn a_damaged_node_is_noticed() {
    let state: State = (0_u8..20).map(|n| (B256::repeat_byte(n * 7), Default::default())).collect();
    let (tables, root) = tables_of(&state);
    let path = *tables.read().nodes.keys().map(|(_, path)| path).last().unwrap();
    let other = tables.read().nodes.values().next().unwrap().clone();
    tables.write_tables().nodes.insert((TrieKey::Accounts, path), other.clone());
    let trie = StateTrie::from_source(root, Arc::new(tables));
    let errors = state.keys().filter_map(|key| trie.leaf(*key).err());
    let errors: Vec<_> = errors.collect();
    assert!(!errors.is_empty());
    for error in errors {
        let TrieError::DamagedNode(damaged) = error else { panic!("{error}") };
        assert_eq!(damaged.path, path);
        assert_eq!(damaged.found, alloy_primitives::keccak256(&other));
        assert_ne!(damaged.found, damaged.expected);
    }
}
