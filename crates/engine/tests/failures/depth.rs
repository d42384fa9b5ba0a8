//! Several reads outstanding: what can go wrong while workers wait for a slow source and for permits.

use std::sync::{
    Condvar, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use alloy_primitives::{Address, B256, Bytes, U256};
use warpline_engine::{
    Cancellation, Engine, EngineConfig, Ethereum, ExecuteOptions, ExecutionError, Strategy,
};
use warpline_primitives::{Account, MemoryState, MissingState, StateSource};
use warpline_testkit::{
    Asm, Case, FailingSource, Fork, ReadFailed, SlowSource, Tx, account, op, within,
};

use super::{ALICE, Attempt, COUNTER, LIMIT, at_each_read, panics::panic_at_each_read, run};

/// Threads and reads: more reads than threads each, once with nobody to run beside a blocked worker.
const DEPTHS: [(usize, usize); 4] = [(1, 2), (1, 32), (2, 4), (2, 32)];

pub(crate) fn engine(case: &Case, (threads, reads): (usize, usize)) -> Engine {
    let vm = Ethereum::new(case.chain().clone());
    let config = EngineConfig::with_threads(threads).read_depth(reads);
    Engine::new(vm, config).expect("threads can be started")
}

#[test]
fn a_source_that_fails() {
    within(LIMIT, || {
        for depth in DEPTHS {
            at_each_read(
                |case| engine(case, depth),
                |Attempt { engine, block, state, expected, at }| {
                    let source = FailingSource::from(state, at);
                    let error = engine.execute(block, &source).expect_err("it cannot succeed");
                    assert!(
                        matches!(error, ExecutionError::StateRead(ReadFailed::OnPurpose(_))),
                        "{depth:?}, from read {at} on: {error}"
                    );
                    let source = FailingSource::once(SlowSource::new(state, at), at);
                    match engine.execute(block, &source) {
                        Ok(output) => expected.compare(&output).expect("a right success"),
                        Err(ExecutionError::StateRead(_)) => {}
                        Err(other) => panic!("{depth:?}, read {at}: {other}"),
                    }
                },
            );
        }
    });
}

#[test]
fn a_source_that_panics_at_any_read() {
    within(LIMIT, || {
        for depth in DEPTHS {
            let found = panic_at_each_read(|case| engine(case, depth), Strategy::Auto);
            assert_eq!(found.contained, found.reads, "{depth:?}");
        }
    });
}

/// Switches at its `at`-th read.
struct Cancelling<'s> {
    state: &'s MemoryState,
    cancellation: Cancellation,
    at: u64,
    reads: AtomicU64,
}

impl Cancelling<'_> {
    fn before(&self) {
        if self.reads.fetch_add(1, Relaxed) == self.at {
            self.cancellation.cancel();
        }
    }
}

impl StateSource for Cancelling<'_> {
    type Error = MissingState;

    fn account(&self, address: Address) -> Result<Option<Account>, MissingState> {
        self.before();
        self.state.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, MissingState> {
        self.before();
        self.state.storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, MissingState> {
        self.before();
        self.state.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, MissingState> {
        self.before();
        self.state.block_hash(number)
    }
}

#[test]
fn a_cancellation_at_any_read() {
    within(LIMIT, || {
        for depth in DEPTHS {
            at_each_read(
                |case| engine(case, depth),
                |Attempt { engine, block, state, expected, at }| {
                    let cancellation = Cancellation::default();
                    let options = ExecuteOptions::default().cancelled_by(&cancellation);
                    let (reads, cancellation) = (AtomicU64::new(0), cancellation.clone());
                    let source = Cancelling { state, cancellation, at, reads };
                    match engine.execute_with(block, &source, options) {
                        Err(ExecutionError::Cancelled) => {}
                        // The last transaction may have been under way.
                        Ok(output) => expected.compare(&output).expect("equal"),
                        Err(other) => panic!("{depth:?}, read {at}: {other}"),
                    }
                },
            );
        }
    });
}

/// Answers nobody who asks for one of the slots from `from` on, until so many do at once.
struct Together<'s> {
    state: &'s MemoryState,
    wanted: usize,
    from: u64,
    /// How many ask, and whether there were ever as many as wanted.
    asking: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Together<'_> {
    fn meet(&self) {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        asking.0 += 1;
        asking.1 |= asking.0 == self.wanted;
        self.changed.notify_all();
        while !asking.1 {
            asking = self.changed.wait(asking).unwrap_or_else(PoisonError::into_inner);
        }
        asking.0 -= 1;
    }
}

impl StateSource for Together<'_> {
    type Error = MissingState;

    fn account(&self, address: Address) -> Result<Option<Account>, MissingState> {
        self.state.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, MissingState> {
        if slot >= U256::from(self.from) {
            self.meet();
        }
        self.state.storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, MissingState> {
        self.state.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, MissingState> {
        self.state.block_hash(number)
    }
}

/// Reads slots 0, 1, 2, ... and adds them up.
fn sum_of_slots(slots: u64) -> Asm {
    (0..slots).fold(Asm::new().push(0), |code, slot| code.sload(slot).op(op::ADD)).store_top(99)
}

#[test]
fn transactions_read_at_the_same_time() {
    within(LIMIT, || {
        let contracts = (0..16).map(|n| account(0x40 + n));
        let case = contracts.clone().enumerate().fold(Case::new(Fork::London), |case, (n, it)| {
            let sender = account(0x80 + u8::try_from(n).unwrap_or(0));
            case.fund(sender).contract(it, sum_of_slots(2)).tx(Tx::call(sender, it))
        });
        let (block, state) = (case.block(), case.state());
        let expected = run(&engine(&case, (1, 0)), &block, state, Strategy::Sequential).unwrap();
        for (threads, reads) in [(1, 4), (2, 16)] {
            let asking = Mutex::default();
            let source =
                Together { state, wanted: reads, from: 0, asking, changed: Condvar::new() };
            let found = engine(&case, (threads, reads)).execute(&block, &source);
            expected.compare(&found.unwrap()).unwrap();
        }
    });
}

#[test]
fn one_transaction_reads_ahead_of_itself() {
    within(LIMIT, || {
        let case = Case::new(Fork::London)
            .fund(ALICE)
            .contract(COUNTER, sum_of_slots(90))
            .slot(COUNTER, 70, 7)
            .tx(Tx::call(ALICE, COUNTER));
        let (block, state) = (case.block(), case.state());
        let expected = run(&engine(&case, (1, 0)), &block, state, Strategy::Sequential).unwrap();
        for (threads, reads) in DEPTHS {
            let asking = Mutex::default();
            let wanted = reads.min(8);
            let source = Together { state, wanted, from: 8, asking, changed: Condvar::new() };
            let found = engine(&case, (threads, reads)).execute(&block, &source);
            expected.compare(&found.unwrap()).unwrap();
        }
    });
}
