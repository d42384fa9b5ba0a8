//! Proofs of tries from every origin, held against another implementation's verifier.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{TrieAccount, proof::verify_proof};
use proptest::{collection::vec, prelude::*};
use warpline_primitives::{Account, AccountDiff, StateDiff};
use warpline_trie::{
    AccountProof, EMPTY_ROOT_HASH, MemoryTables, Nibbles, Recorder, StateTrie, TrieError,
};

type State = BTreeMap<Address, (Account, BTreeMap<U256, U256>)>;

fn state() -> impl Strategy<Value = State> {
    let slots = vec((0_u8..40, 1_u8..), 0..40);
    let account = (any::<u8>(), slots).prop_map(|(balance, slots)| {
        let slots = slots.into_iter().map(|(slot, value)| (U256::from(slot), U256::from(value)));
        let account = Account { balance: U256::from(balance), ..Account::default() };
        (account, slots.collect())
    });
    let address = (0_u8..60).prop_map(Address::repeat_byte);
    proptest::collection::btree_map(address, account, 0..60)
}

fn complete(state: &State) -> StateTrie {
    let accounts = state.iter();
    StateTrie::from_accounts(
        accounts.map(|(key, (account, slots))| (*key, *account, slots.clone())),
    )
}

fn database(state: &State) -> (Arc<MemoryTables>, B256) {
    let tables = MemoryTables::new();
    let updates = complete(state).commit();
    let accounts = state.iter();
    let accounts = accounts.map(|(key, (account, slots))| (*key, *account, slots.clone()));
    tables.write_state(accounts, &updates);
    (Arc::new(tables), updates.root)
}

/// Checks the nodes and that what is proven is what `state` says.
fn check(proof: &AccountProof, state_root: B256, state: &State) {
    let expected = state.get(&proof.address);
    assert_eq!(proof.account, expected.map(|(account, _)| *account));
    let leaf = proof.account.map(|Account { balance, nonce, code_hash }| {
        alloy_rlp::encode(TrieAccount::new(nonce, balance, proof.storage_root, code_hash))
    });
    let key = Nibbles::unpack(keccak256(proof.address));
    verify_proof(state_root, key, leaf, &proof.nodes).unwrap();
    for slot in &proof.slots {
        let value = expected.and_then(|(_, slots)| slots.get(&slot.slot)).copied();
        assert_eq!(slot.value, value.unwrap_or_default());
        let leaf = value.map(alloy_rlp::encode);
        let key = Nibbles::unpack(keccak256(B256::from(slot.slot)));
        verify_proof(proof.storage_root, key, leaf, &slot.nodes).unwrap();
        assert_eq!(slot.nodes.is_empty(), proof.storage_root == EMPTY_ROOT_HASH);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn proofs_of_every_origin_verify(
        mut state in state(),
        asked in vec((0_u8..80, vec(0_u8..60, 0..6)), 1..6),
    ) {
        let asked: Vec<(Address, Vec<U256>)> = asked.into_iter().map(|(address, slots)| {
            (Address::repeat_byte(address), slots.into_iter().map(U256::from).collect())
        }).collect();
        let (tables, root) = database(&state);
        let recorder = Arc::new(Recorder::new(tables));
        let mut stored = StateTrie::from_source(root, recorder.clone());
        let mut built = complete(&state);
        prop_assert_eq!(built.root(), root);
        let mut nodes = Vec::new();
        for (address, slots) in &asked {
            let proof = stored.proof(*address, slots).unwrap();
            check(&proof, root, &state);
            prop_assert_eq!(&built.proof(*address, slots).unwrap(), &proof);
            nodes.extend(proof.nodes);
            nodes.extend(proof.slots.into_iter().flat_map(|slot| slot.nodes));
        }

        // What proves it is a witness of it.
        let mut partial = StateTrie::from_witness(root, nodes).unwrap();
        for (address, slots) in &asked {
            let proof = partial.proof(*address, slots).unwrap();
            prop_assert_eq!(&built.proof(*address, slots).unwrap(), &proof);
        }

        // After a change, asked for the root or not.
        let mut diff = StateDiff::default();
        for (address, slots) in &asked {
            let account = Account { nonce: 7, ..Account::default() };
            let mut change = AccountDiff { account: Some(account), ..AccountDiff::default() };
            let entry = state.entry(*address).or_default();
            entry.0 = account;
            for slot in slots {
                change.storage.insert(*slot, U256::from(9));
                entry.1.insert(*slot, U256::from(9));
            }
            for (slot, value) in &entry.1 {
                change.storage.insert(*slot, *value);
            }
            diff.insert_account(*address, change);
        }
        let expected = complete(&state).root();
        for trie in [&mut stored, &mut built] {
            trie.apply(&diff).unwrap();
            for (address, slots) in &asked {
                check(&trie.proof(*address, slots).unwrap(), expected, &state);
            }
            prop_assert_eq!(trie.root(), expected);
            for (address, slots) in &asked {
                check(&trie.proof(*address, slots).unwrap(), expected, &state);
            }
        }
        // The witness knows the keys, but not the other slots that the diff repeats.
        match partial.apply(&diff) {
            Ok(()) => prop_assert_eq!(partial.root(), expected),
            Err(error) => {
                let missing = matches!(error, TrieError::MissingNode { .. });
                prop_assert!(missing, "{error}");
            }
        }
    }
}

#[test]
fn nothing_is_proven_without_nodes() {
    let address = Address::repeat_byte(1);
    let proof = StateTrie::default().proof(address, &[U256::ZERO]).unwrap();
    assert_eq!((proof.account, proof.storage_root), (None, EMPTY_ROOT_HASH));
    assert!(proof.nodes.is_empty() && proof.slots[0].nodes.is_empty());
    check(&proof, EMPTY_ROOT_HASH, &State::new());
    // Of a lone account without storage the root is all there is.
    let state = State::from([(address, (Account::default(), BTreeMap::new()))]);
    let mut trie = complete(&state);
    let root = trie.root();
    for asked in [address, Address::repeat_byte(2)] {
        let proof = trie.proof(asked, &[U256::ZERO]).unwrap();
        assert_eq!(proof.nodes.len(), 1);
        check(&proof, root, &state);
    }
}
