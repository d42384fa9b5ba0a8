//! Tries over keys that no hash would produce: long shared prefixes give every shape of split and
//! merge, and nodes short enough to stand inside their parents.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::{
    EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieMask,
    nodes::{BranchNode, ExtensionNode, LeafNode, RlpNode, TrieNode},
};
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{Change, build};
use crate::{
    TrieError, TrieId, TrieKey,
    node::{Link, Node},
    source::{Nodes, Source},
    walk::Walk,
};

type Map = BTreeMap<B256, Vec<u8>>;

/// Keys that differ in few places, so that paths are long and branches meet.
fn key() -> impl Strategy<Value = B256> {
    let spread = vec((0_usize..32, prop_oneof![Just(0x01_u8), Just(0x10), Just(0x11)]), 0..3);
    let last = prop_oneof![Just(0_u8), 0_u8..4, any::<u8>()];
    (spread, last).prop_map(|(bits, last)| {
        let mut key = B256::with_last_byte(last);
        for (byte, bit) in bits {
            key[byte] |= bit;
        }
        key
    })
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 1..4), vec(any::<u8>(), 1..60)]
}

/// Sets (`Some`) and removals (`None`).
fn changes() -> impl Strategy<Value = Vec<(B256, Option<Vec<u8>>)>> {
    vec((key(), proptest::option::weighted(0.6, value())), 0..24)
}

fn oracle(map: &Map) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in map {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    builder.root()
}

fn boxed(map: &Map) -> Vec<(B256, Box<[u8]>)> {
    map.iter().map(|(key, value)| (*key, value.clone().into())).collect()
}

fn walk(source: &Source) -> Walk<'_> {
    Walk { source, trie: TrieId::Accounts, key: TrieKey::Accounts, parallel: false }
}

fn get(source: &Source, link: &Link, key: &B256) -> Result<Option<Vec<u8>>, TrieError> {
    walk(source).get(link, &Nibbles::unpack(key), &mut |_, _| {}, <[u8]>::to_vec)
}

fn apply(
    source: &Source,
    link: &mut Link,
    changes: &[(B256, Option<Vec<u8>>)],
) -> Result<bool, TrieError> {
    let last: BTreeMap<_, _> = changes.iter().cloned().collect();
    let change = |(key, value): (B256, Option<Vec<u8>>)| Change {
        key: Nibbles::unpack(key),
        value: value.map(Into::into),
    };
    let mut changes: Vec<_> = last.into_iter().map(change).collect();
    Ok(walk(source).update(link, &mut changes, 0)?.changed)
}

fn apply_to_map(map: &mut Map, changes: &[(B256, Option<Vec<u8>>)]) {
    for (key, value) in changes {
        match value {
            Some(value) => map.insert(*key, value.clone()),
            None => map.remove(key),
        };
    }
}

/// A node of some shape over the nodes before it: leaves and extensions of any length, branches of
/// any width, children by hash and inside, canonical or not.
type Garbage = (u8, usize, Vec<(u8, Index)>, Vec<u8>);

fn garbage_node() -> impl Strategy<Value = Garbage> {
    let children = vec((0_u8..16, any::<Index>()), 0..6);
    let length = prop_oneof![0_usize..4, 0_usize..65, 60_usize..65];
    (0_u8..4, length, children, vec(any::<u8>(), 0..8))
}

fn encode_garbage(specs: Vec<Garbage>) -> Vec<Vec<u8>> {
    let mut nodes: Vec<Vec<u8>> = Vec::new();
    for (kind, length, children, value) in specs {
        let path = Nibbles::from_nibbles(vec![0; length]);
        let refer = |index: Index| {
            let node = nodes.get(index.index(nodes.len().max(1)));
            node.map_or_else(|| RlpNode::word_rlp(&B256::ZERO), |node| RlpNode::from_rlp(node))
        };
        let node = match kind {
            0 => TrieNode::Leaf(LeafNode::new(path, value)),
            1 if !children.is_empty() => {
                TrieNode::Extension(ExtensionNode::new(path, refer(children[0].1)))
            }
            2 => {
                let children: BTreeMap<_, _> = children.into_iter().collect();
                let mut mask = TrieMask::default();
                children.keys().for_each(|nibble| mask.set_bit(*nibble));
                let stack = children.into_values().map(refer).collect();
                TrieNode::Branch(BranchNode::new(stack, mask))
            }
            _ => TrieNode::Leaf(LeafNode::new(path, vec![1])),
        };
        let mut rlp = Vec::new();
        node.encode(&mut rlp);
        nodes.push(rlp);
    }
    nodes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn building_and_changing_agree_with_the_oracle(rounds in vec(changes(), 1..5)) {
        let (mut map, mut link) = (Map::new(), Link::Empty);
        let source = Source::default();
        for changes in rounds {
            let before = map.clone();
            apply_to_map(&mut map, &changes);
            let changed = apply(&source, &mut link, &changes).unwrap();
            prop_assert_eq!(changed, map != before);
            let expected = oracle(&map);
            prop_assert_eq!(link.hash(0), expected);
            prop_assert_eq!(build(boxed(&map)).hash(0), expected);
            for (key, _) in &changes {
                let found = get(&source, &link, key).unwrap();
                prop_assert_eq!(found.as_ref(), map.get(key));
            }
        }
    }

    #[test]
    fn a_subset_of_the_nodes_gives_the_root_or_misses_one(
        entries in changes(),
        changes in changes(),
        kept in vec(any::<bool>(), 64),
    ) {
        let mut map = Map::new();
        apply_to_map(&mut map, &entries);
        let mut full = build(boxed(&map));
        let root = full.hash(0);
        let all = full.encoded_nodes();
        prop_assert!(all.is_empty() || all.iter().any(|node| keccak256(node) == root));
        let some = all.iter().zip(kept.iter().cycle()).filter(|(_, kept)| **kept);
        let partial = Nodes::decode(some.map(|(node, _)| node.clone()));
        let whole = Nodes::decode(all.iter().cloned());
        let source = Source::Witness(whole.clone());
        apply_to_map(&mut map, &changes);
        let expected = oracle(&map);

        let mut link = Link::root(root);
        apply(&source, &mut link, &changes).unwrap();
        prop_assert_eq!(link.hash(0), expected);

        let mut link = Link::root(root);
        match apply(&Source::Witness(partial.clone()), &mut link, &changes) {
            Ok(_) => prop_assert_eq!(link.hash(0), expected),
            Err(TrieError::MissingNode { hash, .. }) => {
                prop_assert!(whole.get(hash)?.is_some() && partial.get(hash)?.is_none());
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }

    #[test]
    fn garbage_never_panics(
        specs in vec(garbage_node(), 1..12),
        junk in vec(vec(any::<u8>(), 0..80), 0..3),
        changes in changes(),
    ) {
        let rlp = encode_garbage(specs);
        let root = keccak256(rlp.last().unwrap());
        let nodes = rlp.into_iter().chain(junk).map(Bytes::from);
        let source = Source::Witness(Nodes::decode(nodes));
        let mut link = Link::root(root);
        for (key, _) in &changes {
            let _ = get(&source, &link, key);
            let _ = walk(&source).fetch(&mut link, &[Nibbles::unpack(key)]);
        }
        for change in changes {
            let mut trial = link.clone();
            if apply(&source, &mut trial, &[change]).is_ok() {
                link = trial;
            }
            link.hash(0);
        }
    }
}

impl Link {
    /// Every node of at least 32 bytes below this link, and the root, encoded.
    fn encoded_nodes(&self) -> Vec<Bytes> {
        let mut found = Vec::new();
        self.collect_nodes(&mut found, true);
        found
    }

    fn collect_nodes(&self, found: &mut Vec<Bytes>, root: bool) {
        let Self::Node(known) = self else { return };
        if root || known.has_hash() {
            let mut rlp = Vec::new();
            known.node.encode(&mut rlp);
            found.push(rlp.into());
        }
        match &*known.node {
            Node::Leaf { .. } => {}
            Node::Extension { child, .. } => child.collect_nodes(found, false),
            Node::Branch(children) => {
                children.iter().for_each(|(_, child)| child.collect_nodes(found, false));
            }
        }
    }
}

#[test]
fn the_empty_trie_has_the_empty_root() {
    let mut link = build(Vec::new());
    assert_eq!(link.hash(0), EMPTY_ROOT_HASH);
    assert!(Link::root(EMPTY_ROOT_HASH).is_empty());
}

#[test]
fn of_a_key_given_twice_the_last_value_counts() {
    let key = B256::repeat_byte(7);
    let twice = vec![(key, Box::from([1_u8])), (key, Box::from([2_u8]))];
    let mut link = build(twice);
    assert_eq!(link.hash(0), oracle(&Map::from([(key, vec![2])])));
}

/// A set of a few nodes can describe a tree of 16^63 leaves: each branch has one node in all its
/// places. Reading and changing it must cost what its depth costs.
#[test]
fn a_node_in_many_places_is_not_expanded() {
    let mut nodes = vec![alloy_rlp::encode(LeafNode::new(Nibbles::new(), vec![1; 32]))];
    for _ in 0..64 {
        let child = RlpNode::from_rlp(nodes.last().unwrap());
        let branch = BranchNode::new(vec![child; 16], TrieMask::new(u16::MAX));
        nodes.push(alloy_rlp::encode(branch));
    }
    let mut link = Link::root(keccak256(nodes.last().unwrap()));
    let source = Source::Witness(Nodes::decode(nodes.into_iter().map(Bytes::from)));
    let key = B256::repeat_byte(0x5a);
    assert_eq!(get(&source, &link, &key).unwrap(), Some(vec![1; 32]));
    assert!(apply(&source, &mut link, &[(key, None)]).unwrap());
    assert_eq!(get(&source, &link, &key).unwrap(), None);
    link.hash(0);
}
