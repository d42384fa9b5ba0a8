//! Random diffs, applied one after another, against a state root computed from scratch.

use std::collections::BTreeMap;

use alloy_consensus::proofs::{state_root_unhashed, storage_root_unhashed};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{HashBuilder, Nibbles, TrieAccount, proof::ProofRetainer};
use proptest::{collection::vec, prelude::*};
use warpline_primitives::{Account, AccountDiff, StateDiff};
use warpline_trie::{StateTrie, TrieError, TrieId};

type Slots = BTreeMap<U256, U256>;
type State = BTreeMap<Address, (Account, Slots)>;

/// A step of one account: what it becomes, whether its storage is cleared, and slots.
type Step = (u8, Option<u8>, bool, Vec<(u8, u8)>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let account = proptest::option::weighted(0.75, any::<u8>());
    let slots = vec((0_u8..24, prop_oneof![Just(0_u8), any::<u8>()]), 0..12);
    vec((0_u8..40, account, proptest::bool::weighted(0.15), slots), 0..30)
}

fn account(seed: u8) -> Account {
    // Zero is the empty account of the times before EIP-161.
    let code_hash = if seed < 128 { Account::default().code_hash } else { keccak256([seed]) };
    Account { balance: U256::from(seed), nonce: u64::from(seed / 2), code_hash }
}

/// Makes the steps a diff and applies them to `state`.
fn advance(state: &mut State, steps: Vec<Step>) -> StateDiff {
    let mut diff = StateDiff::default();
    for (address, after, wiped, slots) in steps {
        let address = Address::repeat_byte(address);
        let mut change = AccountDiff { account: after.map(account), ..AccountDiff::default() };
        match change.account {
            None => {
                state.remove(&address);
            }
            Some(account) => {
                let entry = state.entry(address).or_default();
                entry.0 = account;
                // Only the last step of an address may stand in the diff; a wipe makes it whole.
                change.storage_wiped = wiped || diff.account(&address).is_some();
                if wiped {
                    entry.1.clear();
                }
                for (slot, value) in slots {
                    let (slot, value) = (U256::from(slot), U256::from(value));
                    change.storage.insert(slot, value);
                    if value.is_zero() {
                        entry.1.remove(&slot);
                    } else {
                        entry.1.insert(slot, value);
                    }
                }
                if change.storage_wiped {
                    change.storage = entry.1.iter().map(|(slot, value)| (*slot, *value)).collect();
                }
            }
        }
        diff.insert_account(address, change);
    }
    diff
}

fn storage_root(slots: &Slots) -> B256 {
    let slots = slots.iter().map(|(slot, value)| (B256::from(*slot), *value));
    storage_root_unhashed(slots)
}

fn leaf((account, slots): &(Account, Slots)) -> TrieAccount {
    TrieAccount::new(account.nonce, account.balance, storage_root(slots), account.code_hash)
}

fn oracle(state: &State) -> B256 {
    state_root_unhashed(state.iter().map(|(address, entry)| (*address, leaf(entry))))
}

fn complete(state: &State) -> StateTrie {
    StateTrie::from_accounts(
        state.iter().map(|(address, (account, slots))| (*address, *account, slots.clone())),
    )
}

/// The nodes on the paths of `keys` in the trie of these leaves.
fn proof(leaves: BTreeMap<B256, Vec<u8>>, keys: impl IntoIterator<Item = B256>) -> Vec<Bytes> {
    let targets = keys.into_iter().map(Nibbles::unpack).collect();
    let mut builder = HashBuilder::default().with_proof_retainer(ProofRetainer::new(targets));
    for (key, value) in &leaves {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    builder.root();
    builder.take_proof_nodes().into_inner().into_values().collect()
}

/// What a witness for `diff` holds before it is known which branches merge: the paths of all keys.
fn witness(state: &State, diff: &StateDiff) -> Vec<Bytes> {
    let leaves = state.iter();
    let leaves =
        leaves.map(|(address, entry)| (keccak256(address), alloy_rlp::encode(leaf(entry))));
    let changes = diff.sorted_accounts();
    let mut nodes = proof(leaves.collect(), changes.iter().map(|(address, _)| keccak256(address)));
    for (address, change) in changes {
        let Some((_, slots)) = state.get(address) else { continue };
        if change.storage_wiped {
            continue;
        }
        let hash = |slot: &U256| keccak256(B256::from(*slot));
        let leaves = slots.iter().map(|(slot, value)| (hash(slot), alloy_rlp::encode(value)));
        nodes.extend(proof(leaves.collect(), change.storage.keys().map(hash)));
    }
    nodes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn diffs_in_a_row_equal_a_rebuild(rounds in vec((steps(), any::<bool>()), 1..6)) {
        let (mut state, mut trie) = (State::new(), StateTrie::default());
        for (steps, ask) in rounds {
            let diff = advance(&mut state, steps);
            trie.apply(&diff).unwrap();
            if ask {
                prop_assert_eq!(trie.root(), oracle(&state));
            }
        }
        prop_assert_eq!(trie.root(), oracle(&state));
        prop_assert_eq!(complete(&state).root(), oracle(&state));
        for address in (0..40).map(Address::repeat_byte) {
            let expected = state.get(&address);
            prop_assert_eq!(trie.account(address).unwrap(), expected.map(|entry| entry.0));
            let root = expected.map_or(warpline_trie::EMPTY_ROOT_HASH, |e| storage_root(&e.1));
            prop_assert_eq!(trie.storage_root(address).unwrap(), root);
            for slot in (0..24).map(U256::from) {
                let value = expected.and_then(|entry| entry.1.get(&slot)).copied();
                prop_assert_eq!(trie.storage(address, slot).unwrap(), value.unwrap_or_default());
            }
        }
    }

    #[test]
    fn a_witness_gives_the_root_or_names_what_it_lacks(first in steps(), second in steps()) {
        let mut state = State::new();
        advance(&mut state, first);
        let root = oracle(&state);
        let before = state.clone();
        let diff = advance(&mut state, second);
        let mut partial = StateTrie::from_witness(root, witness(&before, &diff)).unwrap();
        for (address, change) in diff.sorted_accounts() {
            let known = before.get(address);
            prop_assert_eq!(partial.account(*address).unwrap(), known.map(|entry| entry.0));
            if !change.storage_wiped {
                let slots: BTreeMap<_, _> = change.storage.iter().collect();
                for slot in slots.into_keys() {
                    let value = known.and_then(|entry| entry.1.get(slot)).copied();
                    let found = partial.storage(*address, *slot).unwrap();
                    prop_assert_eq!(found, value.unwrap_or_default());
                }
            }
        }
        let removes = diff.accounts().any(|(_, change)| {
            change.account.is_none() || change.storage.values().any(U256::is_zero)
        });
        match partial.apply(&diff) {
            Ok(()) => prop_assert_eq!(partial.root(), oracle(&state)),
            Err(TrieError::MissingNode { .. }) if removes => {
                prop_assert_eq!(partial.root(), root, "an error changes nothing");
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        }
    }
}

/// Two accounts in one branch, of which the witness knows one. Removing it needs the other.
#[test]
fn removal_beside_an_unknown_sibling_names_the_sibling() {
    let [gone, left] = [1, 2].map(Address::repeat_byte);
    let state: State = [gone, left].map(|address| (address, (account(1), Slots::new()))).into();
    let mut diff = StateDiff::default();
    diff.insert_account(gone, AccountDiff::default());
    let mut trie = StateTrie::from_witness(oracle(&state), witness(&state, &diff)).unwrap();
    let error = trie.apply(&diff).unwrap_err();
    let TrieError::MissingNode { trie: TrieId::Accounts, path, .. } = error else {
        panic!("{error}");
    };
    assert!(Nibbles::unpack(keccak256(left)).starts_with(&path));
    assert_eq!(trie.account(left).unwrap_err(), error);

    // With a new account in the same branch nothing merges, whatever the order in the diff.
    let shared =
        Nibbles::unpack(keccak256(left)).common_prefix_length(&Nibbles::unpack(keccak256(gone)));
    let depth = |address: &Address| {
        Nibbles::unpack(keccak256(address)).common_prefix_length(&Nibbles::unpack(keccak256(left)))
    };
    let nibble = |address: &Address| Nibbles::unpack(keccak256(address)).get(shared);
    let fresh = (3..=255).map(Address::repeat_byte);
    let fresh = fresh.into_iter().find(|a| depth(a) == shared && nibble(a) != nibble(&gone));
    let change = AccountDiff { account: Some(account(9)), ..AccountDiff::default() };
    diff.insert_account(fresh.unwrap(), change);
    trie.apply(&diff).unwrap();
    assert_eq!(trie.account(gone).unwrap(), None);
}

#[test]
fn a_wipe_does_not_ask_for_the_old_storage() {
    let address = Address::repeat_byte(1);
    let slots: Slots = (1_u8..50).map(|slot| (U256::from(slot), U256::from(7))).collect();
    let mut state = State::from([(address, (account(200), slots))]);
    let root = oracle(&state);
    let wipe = vec![(1, Some(201), true, vec![(3, 4)])];
    let before = state.clone();
    let diff = advance(&mut state, wipe);
    let mut trie = StateTrie::from_witness(root, witness(&before, &diff)).unwrap();
    let error = trie.storage(address, U256::from(1)).unwrap_err();
    assert!(
        matches!(error, TrieError::MissingNode { trie: TrieId::Storage(a), .. } if a == address)
    );
    trie.apply(&diff).unwrap();
    assert_eq!(trie.root(), oracle(&state));
    assert_eq!(trie.storage(address, U256::from(3)).unwrap(), U256::from(4));
}

#[test]
fn clones_go_their_own_way() {
    let mut state = State::new();
    let mut trie = StateTrie::default();
    trie.apply(&advance(&mut state, vec![(1, Some(1), false, vec![(1, 1)])])).unwrap();
    let (mut side_state, mut side) = (state.clone(), trie.clone());
    trie.apply(&advance(&mut state, vec![(1, Some(1), false, vec![(1, 2)])])).unwrap();
    side.apply(&advance(&mut side_state, vec![(1, None, false, vec![])])).unwrap();
    assert_eq!(trie.root(), oracle(&state));
    assert_eq!(side.root(), oracle(&side_state));
    assert_ne!(trie.root(), side.root());
}

#[test]
fn bytes_that_are_no_node_are_an_error() {
    for bytes in [&b""[..], b"\x01", b"\xc0", b"\xc2\x80\x80", b"\xf8", b"\xc3\x20\x01\x02\x03"] {
        let error = StateTrie::from_witness(keccak256(bytes), [Bytes::from(bytes)]).unwrap_err();
        assert!(matches!(error, TrieError::MalformedNode { .. }), "{error}");
        StateTrie::from_witness(B256::ZERO, [Bytes::from(bytes)]).unwrap();
    }
}

#[test]
fn tries_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<StateTrie>();
}
