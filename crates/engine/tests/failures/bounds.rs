//! What an execution may take at most, whatever the schedule.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, Bytes, U256};
use warpline_engine::{
    Strategy,
    testing::{MAX_EXECUTIONS, Perturbation, WINDOW},
};
use warpline_primitives::{Account, MemoryState, MissingState, StateSource};
use warpline_testkit::{Asm, Case, Fork, Tx, account, op, within};

use super::{LIMIT, engine, run};

/// A chain through storage that no sender and no function gives away: each transaction calls
/// another contract, which takes what the one before left and passes it on.
fn hidden_chain(length: u8) -> Case {
    let store = account(0xee);
    // Slot `args[0]` becomes slot `args[1]` plus one.
    let pass_on = Asm::new().arg(1).op(op::SLOAD).push(1).op(op::ADD).arg(0).op(op::SSTORE);
    let relay = |n: u64| Asm::new().memory(&words(&[n + 1, n])).call_with(store, 0, 64, 90_000);
    let mut case = Case::new(Fork::Prague).contract(store, pass_on);
    for n in 0..length {
        let (sender, contract) = (account(n), account(0x80 + n));
        case = case.fund(sender).contract(contract, relay(n.into())).tx(Tx::call(sender, contract));
    }
    case
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| U256::from(*word).to_be_bytes::<32>()).collect()
}

#[test]
fn no_transaction_is_executed_without_bound() {
    within(LIMIT, || {
        let case = hidden_chain(40);
        let (block, state) = (case.block(), case.state());
        let expected = run(&engine(&case, 1), &block, state, Strategy::Sequential).unwrap();
        assert_eq!(expected.state.account(&account(0xee)).map(|diff| diff.storage.len()), Some(40));
        let mut most = 0;
        for (threads, seeds) in [(1, 60), (2, 60), (8, 30)] {
            let engine = engine(&case, threads);
            for seed in 0..seeds {
                let disturbed = engine.perturbed(Perturbation::seeded(seed));
                let found = run(&disturbed, &block, state, Strategy::Parallel(threads)).unwrap();
                expected.compare(&found).unwrap();
                let work = found.work;
                assert!(work.most_executions <= MAX_EXECUTIONS, "{seed} on {threads}: {work:?}");
                assert!(work.executions <= 40 * work.most_executions, "{work:?}");
                most = most.max(work.most_executions);
            }
        }
        assert!(most > 2, "a block without much trouble: {most}");
    });
}

/// More payments than a worker takes at once: those it does not come to while it waits.
const BATCH: usize = 64;

/// Answers about one account only when nobody asks about others any more, or too many have.
struct Gate<'s> {
    state: &'s MemoryState,
    shut: Address,
    asked: Mutex<BTreeSet<Address>>,
}

impl Gate<'_> {
    fn asked(&self) -> usize {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl StateSource for Gate<'_> {
    type Error = MissingState;

    fn account(&self, address: Address) -> Result<Option<Account>, MissingState> {
        if address == self.shut {
            let begun = Instant::now();
            while self.asked() < WINDOW - BATCH && begun.elapsed() < LIMIT / 2 {
                thread::sleep(Duration::from_millis(1));
            }
            thread::sleep(Duration::from_millis(50));
            assert!(self.asked() < WINDOW, "{} asked beyond the window", self.asked());
        } else if address.ends_with(b"sender") {
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
        }
        self.state.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, MissingState> {
        self.state.storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, MissingState> {
        self.state.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, MissingState> {
        self.state.block_hash(number)
    }
}

#[test]
fn speculation_does_not_run_ahead_of_the_window() {
    within(LIMIT, || {
        let named = |n: usize, role: &[u8]| {
            let mut address = Address::left_padding_from(role);
            address[..8].copy_from_slice(&(n as u64).to_be_bytes());
            address
        };
        let senders = (0..WINDOW + 200).map(|n| named(n, b"sender"));
        let pay = |(n, sender)| Tx::pay(sender, named(n, b"taker"), 1);
        let case = Case::new(Fork::Prague)
            .gas_limit(100_000_000)
            .fund_all(senders.clone())
            .txs(senders.enumerate().map(pay));
        let (block, state) = (case.block(), case.state());
        let expected = run(&engine(&case, 1), &block, state, Strategy::Sequential).unwrap();
        for threads in [2, 8] {
            let gate = Gate { state, shut: named(0, b"sender"), asked: Mutex::default() };
            let found = run(&engine(&case, threads), &block, &gate, Strategy::Parallel(threads));
            expected.compare(&found.expect("nobody ran ahead")).unwrap();
        }
    });
}
