//! Any state that is kept can be read, proven and gone back to, whatever changed since.

use std::time::{Duration, Instant};

use crate::common::{
    Change, Changes, Entries, Step, address, append, assert_state, changes, commit, dump, genesis,
    step,
};
use alloy_primitives::U256;
use proptest::prelude::*;
use warpline_storage::{Database, DatabaseOptions, Durability, ExecutedBlock, StorageError};
use warpline_trie::TrieUpdates;

const OPTIONS: DatabaseOptions = DatabaseOptions { cache_bytes: 16 << 20, check_integrity: false };

/// A database, its blocks, and its entries after each of them.
fn chain(blocks: &[Changes]) -> (tempfile::TempDir, Database, Vec<Step>, Vec<Entries>) {
    let folder = tempfile::tempdir().unwrap();
    let (block, mut state) = genesis();
    let database = Database::create(folder.path(), &block, OPTIONS).unwrap();
    let mut header = database.view().unwrap().head().header.clone();
    let (mut steps, mut dumps) = (Vec::new(), vec![dump(&database)]);
    for changes in blocks {
        let step = step(&header, &state, changes);
        commit(&database, &step).unwrap();
        (header, state) = (step.block.header.clone(), step.state.clone());
        dumps.push(dump(&database));
        steps.push(step);
    }
    (folder, database, steps, dumps)
}

/// Its tables are filled by several threads.
#[test]
fn a_block_that_changes_much_is_written_as_one_that_changes_little() {
    let set = |accounts: std::ops::Range<u8>, value: u8| -> Changes {
        let of = move |account: u8| {
            (0..16).map(move |slot| {
                let value = value.wrapping_mul(account) & 3;
                (account, Change::Set { balance: account ^ value, slot, value })
            })
        };
        accounts.flat_map(of).collect()
    };
    let mut second = set(100..200, 5);
    second.extend((0..60).map(|account| (account, Change::Wipe { slot: account, value: 1 })));
    second.extend((60..100).map(|account| (account, Change::Remove)));
    let blocks = [set(0..150, 3), second, set(50..250, 7), vec![(1, Change::Remove)]];
    let (_folder, database, steps, dumps) = chain(&blocks);
    let view = database.view().unwrap();
    for step in &steps {
        assert_state(&view, step.block.number(), &step.state);
    }
    drop(view);
    database.check(|_| {}).unwrap();
    let mut writer = database.writer().unwrap();
    writer.revert_to(1).unwrap();
    writer.commit(Durability::Durable).unwrap();
    assert_eq!(dump(&database), dumps[1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_state_is_as_it_was(blocks in proptest::collection::vec(changes(), 1..12)) {
        let (_folder, database, steps, _) = chain(&blocks);
        let view = database.view().unwrap();
        assert_state(&view, 0, &genesis().1);
        for step in &steps {
            assert_state(&view, step.block.number(), &step.state);
        }
        let report = database.check(|_| {}).unwrap();
        prop_assert_eq!(report.blocks, steps.len() as u64 + 1);
    }

    #[test]
    fn going_back_leaves_nothing(
        blocks in proptest::collection::vec(changes(), 1..10),
        back in any::<prop::sample::Index>(),
        others in proptest::collection::vec(changes(), 0..4),
    ) {
        let (_folder, database, steps, dumps) = chain(&blocks);
        let to = back.index(steps.len() + 1);
        let mut writer = database.writer().unwrap();
        writer.revert_to(to as u64).unwrap();
        writer.commit(Durability::Durable).unwrap();
        // Code is kept: another block may have deployed it, too.
        let without_codes = |dump: &Entries| -> Entries {
            dump.iter().filter(|(table, ..)| *table != "codes").cloned().collect()
        };
        prop_assert_eq!(without_codes(&dump(&database)), without_codes(&dumps[to]));

        let mut header = database.view().unwrap().head().header.clone();
        let mut state = if to == 0 { genesis().1 } else { steps[to - 1].state.clone() };
        for changes in &others {
            let step = step(&header, &state, changes);
            commit(&database, &step).unwrap();
            (header, state) = (step.block.header, step.state);
        }
        let view = database.view().unwrap();
        assert_state(&view, header.number, &state);
        for step in &steps[..to] {
            assert_state(&view, step.block.number(), &step.state);
        }
        database.check(|_| {}).unwrap();
    }

    #[test]
    fn pruning_forgets_only_what_is_old(
        blocks in proptest::collection::vec(changes(), 2..10),
        keep in any::<prop::sample::Index>(),
    ) {
        let (_folder, database, steps, _) = chain(&blocks);
        let earliest = keep.index(steps.len()) as u64;
        let mut writer = database.writer().unwrap();
        prop_assert_eq!(writer.prune(earliest, u64::MAX).unwrap(), earliest);
        writer.commit(Durability::Durable).unwrap();
        let view = database.view().unwrap();
        for step in &steps {
            let number = step.block.number();
            if number >= earliest {
                assert_state(&view, number, &step.state);
            } else {
                let error = view.state_at(number).unwrap_err();
                prop_assert!(matches!(error, StorageError::Pruned { .. }), "{error}");
            }
        }
        database.check(|_| {}).unwrap();
        let error = database.writer().unwrap().revert_to(earliest.wrapping_sub(1)).unwrap_err();
        let refused = matches!(error, StorageError::Pruned { .. } | StorageError::Ahead { .. });
        prop_assert!(refused, "{error}");
    }
}

#[test]
fn a_view_sees_one_moment() {
    let (_folder, database, steps, _) = chain(&[vec![(1, Change::Remove)]]);
    let before = database.view().unwrap();
    let next = step(&steps[0].block.header, &steps[0].state, &[(5, Change::Code(1))]);
    commit(&database, &next).unwrap();
    assert_eq!(before.head().header.number, 1);
    assert_state(&before, 1, &steps[0].state);
    assert_eq!(database.view().unwrap().head().header.number, 2);
}

#[test]
fn a_search_ends_when_its_time_is_over() {
    let one = |account, slot| (account, Change::Set { balance: 1, slot, value: 1 });
    let many = (0..24).map(|slot| one(9, slot)).collect();
    let (_folder, database, ..) = chain(&[vec![one(9, 0)], many]);
    let view = database.view().unwrap();
    for number in [1, 2] {
        let slots = [U256::ZERO];
        let state = view.state_at(number).unwrap();
        let prove = |time: Duration| {
            let state = state.clone().until(Instant::now() + time);
            state.trie().proof(address(9), &slots)
        };
        assert_eq!(prove(Duration::from_secs(3600)).unwrap().slots[0].value, U256::ONE);
        let late = StorageError::from(prove(Duration::ZERO).unwrap_err()).to_string();
        assert!(late.contains("took too long"), "{late}");
    }
}

#[test]
fn a_writer_that_is_dropped_wrote_nothing() {
    let (_folder, database, steps, dumps) = chain(&[vec![(1, Change::Remove)]]);
    let next = step(&steps[0].block.header, &steps[0].state, &[(5, Change::Code(1))]);
    let mut writer = database.writer().unwrap();
    append(&mut writer, &database.view().unwrap(), &next).unwrap();
    drop(writer);
    assert_eq!(dump(&database), dumps[1]);
}

#[test]
fn a_block_must_follow_the_head() {
    let (_folder, database, steps, dumps) = chain(&[vec![(1, Change::Remove)]]);
    let again = ExecutedBlock {
        block: &steps[0].block,
        total_difficulty: U256::ZERO,
        receipts: &steps[0].receipts,
        state: &steps[0].diff,
        trie: &TrieUpdates::default(),
        access_list: None,
    };
    let error = database.writer().unwrap().append(&again).unwrap_err();
    assert!(matches!(error, StorageError::Disconnected { number: 1, head: 1, .. }), "{error}");
    assert_eq!(dump(&database), dumps[1]);
}
