//! A chain of random changes in a database, with every state it went through beside it.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{
    Header, Receipt as ReceiptBody, ReceiptEnvelope, constants::EMPTY_OMMER_ROOT_HASH,
    proofs::calculate_receipt_root,
};
use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, keccak256};
use proptest::prelude::*;
use warpline_primitives::{
    Account, AccountDiff, MemoryState, Receipt, RecoveredBlock, StateDiff, StateSource,
};
use warpline_storage::{
    Database, Durability, ExecutedBlock, GenesisBlock, StateView, StorageError, View, Writer,
};
use warpline_trie::StateTrie;

/// One change of one account.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// It has this balance, and this slot this value.
    Set { balance: u8, slot: u8, value: u8 },
    /// It is gone.
    Remove,
    /// All its slots are gone, and then this one has this value.
    Wipe { slot: u8, value: u8 },
    /// It has code made of this byte.
    Code(u8),
}

/// The changes of a block, by account.
pub(crate) type Changes = Vec<(u8, Change)>;

/// Changes of a few accounts and slots, so that they meet again.
pub(crate) fn changes() -> impl Strategy<Value = Changes> {
    let change = prop_oneof![
        8 => (any::<u8>(), 0..24_u8, 0..4_u8)
            .prop_map(|(balance, slot, value)| Change::Set { balance, slot, value }),
        1 => Just(Change::Remove),
        2 => (0..24_u8, 0..4_u8).prop_map(|(slot, value)| Change::Wipe { slot, value }),
        1 => any::<u8>().prop_map(Change::Code),
    ];
    proptest::collection::vec((0..40_u8, change), 0..30)
}

pub(crate) fn address(account: u8) -> Address {
    Address::repeat_byte(account)
}

/// What `changes` make of `state`, one after the other, as one canonical diff.
pub(crate) fn diff_of(state: &MemoryState, changes: &[(u8, Change)]) -> StateDiff {
    /// An account afterwards, whether it was wiped, and its slots since then.
    type Now = (Option<Account>, bool, BTreeMap<U256, U256>);
    let mut accounts: BTreeMap<Address, Now> = BTreeMap::new();
    let mut codes = Vec::new();
    for (account, change) in changes {
        let address = address(*account);
        let before = state.account(address).unwrap();
        let (now, wiped, slots) =
            accounts.entry(address).or_insert_with(|| (before, false, BTreeMap::new()));
        match *change {
            Change::Set { balance, slot, value } => {
                now.get_or_insert_default().balance = U256::from(balance);
                slots.insert(U256::from(slot), U256::from(value));
            }
            Change::Remove => (*now, *wiped, *slots) = (None, before.is_some(), BTreeMap::new()),
            Change::Wipe { slot, value } => {
                (*wiped, *slots) = (before.is_some(), BTreeMap::new());
                now.get_or_insert_default().nonce += 1;
                slots.insert(U256::from(slot), U256::from(value));
            }
            Change::Code(byte) => {
                let code = Bytes::from(vec![byte; 40]);
                now.get_or_insert_default().code_hash = keccak256(&code);
                codes.push(code);
            }
        }
    }
    let mut diff = StateDiff::default();
    for (address, (account, storage_wiped, slots)) in accounts {
        let before = state.account(address).unwrap();
        let storage = slots.into_iter().filter(|(slot, value)| {
            let old =
                if storage_wiped { U256::ZERO } else { state.storage(address, *slot).unwrap() };
            *value != old
        });
        let entry = AccountDiff { account, storage_wiped, storage: storage.collect() };
        if account != before || storage_wiped || !entry.storage.is_empty() {
            diff.insert_account(address, entry);
        }
    }
    for code in codes {
        diff.insert_code(keccak256(&code), code);
    }
    diff
}

/// A block with what it came to, and the state after it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) block: RecoveredBlock,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) diff: StateDiff,
    pub(crate) state: MemoryState,
}

pub(crate) fn full_trie(state: &MemoryState) -> StateTrie {
    StateTrie::from_accounts(state.accounts().map(|(address, account, slots)| {
        let slots = slots.into_iter().flatten().map(|(slot, value)| (*slot, *value));
        (*address, *account, slots)
    }))
}

/// The genesis block that all of these chains begin with.
pub(crate) fn genesis() -> (GenesisBlock, MemoryState) {
    let mut state = MemoryState::default();
    let diff = diff_of(
        &state,
        &[
            (1, Change::Set { balance: 7, slot: 3, value: 2 }),
            (2, Change::Code(0x60)),
            (3, Change::Set { balance: 1, slot: 0, value: 0 }),
        ],
    );
    state.apply(&diff);
    let header = Header { gas_limit: 30_000_000, ..Header::default() };
    (GenesisBlock { config: b"{}"[..].into(), header, state: diff }, state)
}

/// The block after `parent` with these changes.
pub(crate) fn step(parent: &Header, state: &MemoryState, changes: &[(u8, Change)]) -> Step {
    let diff = diff_of(state, changes);
    let mut after = state.clone();
    after.apply(&diff);
    let logs = changes.iter().map(|(account, _)| {
        let topics = vec![B256::repeat_byte(*account), B256::repeat_byte(account % 3)];
        Log { address: address(account % 5), data: LogData::new_unchecked(topics, Bytes::new()) }
    });
    let receipt = ReceiptBody { status: true.into(), cumulative_gas_used: 1, logs: logs.collect() };
    // No transaction belongs to it: storage asks only that it is in the receipts root.
    let receipts = vec![ReceiptEnvelope::Legacy(receipt.into())];
    let header = Header {
        parent_hash: parent.hash_slow(),
        number: parent.number + 1,
        state_root: full_trie(&after).root(),
        receipts_root: calculate_receipt_root(&receipts),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        gas_limit: 30_000_000,
        timestamp: parent.timestamp + 12,
        ..Header::default()
    };
    let block = RecoveredBlock {
        hash: header.hash_slow(),
        header,
        transactions: Vec::new(),
        ommers: Vec::new(),
        withdrawals: None,
    };
    Step { block, receipts, diff, state: after }
}

/// Appends `step` on the head of `view`.
pub(crate) fn append(
    writer: &mut Writer,
    view: &Arc<View>,
    step: &Step,
) -> Result<(), StorageError> {
    append_after(writer, &view.state(), step)
}

/// Appends `step` after the block whose state `state` is.
pub(crate) fn append_after(
    writer: &mut Writer,
    state: &StateView,
    step: &Step,
) -> Result<(), StorageError> {
    let mut trie = state.trie();
    trie.apply(&step.diff)?;
    let updates = trie.commit();
    assert_eq!(updates.root, step.block.header.state_root, "block {}", step.block.number());
    writer.append(&ExecutedBlock {
        block: &step.block,
        total_difficulty: U256::ZERO,
        receipts: &step.receipts,
        state: &step.diff,
        trie: &updates,
        access_list: None,
    })
}

/// Appends `step` durably.
pub(crate) fn commit(database: &Database, step: &Step) -> Result<(), StorageError> {
    let mut writer = database.writer()?;
    append(&mut writer, &database.view()?, step)?;
    writer.commit(Durability::Durable)
}

/// Entries: their table, key and value.
pub(crate) type Entries = Vec<(&'static str, Vec<u8>, Vec<u8>)>;

/// All entries of all tables.
pub(crate) fn dump(database: &Database) -> Entries {
    let mut entries = Vec::new();
    let none: [&str; 0] = [];
    let view = database.view().unwrap();
    view.visit_entries(&none, &mut |table, key, value| {
        entries.push((table, key.to_vec(), value.to_vec()));
    })
    .unwrap();
    entries
}

/// Reads everything that could be in the state after block `number`, and its root through its nodes.
pub(crate) fn assert_state(view: &Arc<View>, number: u64, expected: &MemoryState) {
    let state = view.state_at(number).unwrap();
    let trie = state.trie();
    let mut full = full_trie(expected);
    assert_eq!(state.root(), full.root(), "block {number}");
    for account in 0..40 {
        let address = address(account);
        let here = (number, address);
        assert_eq!(state.account(address).unwrap(), expected.account(address).unwrap(), "{here:?}");
        assert_eq!(
            state.has_storage(address).unwrap(),
            expected.has_storage(address).unwrap(),
            "{here:?}"
        );
        for slot in 0..24 {
            let slot = U256::from(slot);
            let value = expected.storage(address, slot).unwrap();
            assert_eq!(state.storage(address, slot).unwrap(), value, "{here:?} {slot}");
            assert_eq!(trie.storage(address, slot).unwrap(), value, "{here:?} {slot}");
        }
        assert_eq!(trie.account(address).unwrap(), expected.account(address).unwrap(), "{here:?}");
        assert_eq!(trie.storage_root(address).unwrap(), full.storage_root(address).unwrap());
    }
}
