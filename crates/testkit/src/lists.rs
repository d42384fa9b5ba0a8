//! Executes a block from its access list, and from lists that are not quite its.

use alloy_eip7928::AccountChanges;
use alloy_primitives::{Address, U256};
use warpline_engine::{AccessListMode, Engine, ExecuteOptions, ExecutionError, Strategy};
use warpline_primitives::{CommitStep, MemoryState, MissingState, RecoveredBlock, StateDiff};

use crate::check::{Executed, Observed, assert_steps};

/// An engine, and the block to execute on it.
pub(crate) struct ListCheck<'c> {
    pub(crate) engine: &'c Engine,
    pub(crate) width: usize,
    pub(crate) block: &'c RecoveredBlock,
    pub(crate) state: &'c MemoryState,
}

impl ListCheck<'_> {
    /// The block's own `list` gives what the block gives without: `expected`.
    ///
    /// # Panics
    /// When that is not so.
    pub(crate) fn run(
        &self,
        expected: &Executed<MissingState>,
        steps: &Observed,
        list: &[AccountChanges],
    ) {
        for strategy in [Strategy::Sequential, Strategy::Parallel(self.width)] {
            let way = format!("from the access list, {strategy:?}");
            let (found, found_steps) = self.execute(strategy, list);
            match (expected, &found) {
                (Ok(expected), Ok(found)) => {
                    if let Err(mismatch) = expected.compare(found) {
                        panic!("{way} differs from sequential: {mismatch}");
                    }
                }
                (_, Ok(_)) => panic!("{way}: an invalid block was accepted"),
                (_, Err(error)) => panic!("{way}: {error}"),
            }
            assert_steps(steps, &found_steps, &way);
        }
    }

    /// Every other list is rejected, for the same reason in parallel and sequentially.
    ///
    /// # Panics
    /// When that is not so.
    pub(crate) fn reject_others(&self, list: &[AccountChanges]) {
        for (what, list) in spoilt(list) {
            self.assert_rejected(&what, &list);
        }
    }

    fn execute(
        &self,
        strategy: Strategy,
        list: &[AccountChanges],
    ) -> (Executed<MissingState>, Observed) {
        let mut steps = Observed::new();
        let mut observer =
            |step: CommitStep, changes: &StateDiff| steps.push((step, changes.clone()));
        let options = ExecuteOptions::from(strategy)
            .access_list(AccessListMode::Verify(list))
            .observed_by(&mut observer);
        let result = self.engine.execute_with(self.block, self.state, options);
        (result, steps)
    }

    /// The block, which is invalid, is rejected with `list` for the same reason in parallel and
    /// sequentially.
    ///
    /// # Panics
    /// When that is not so.
    pub(crate) fn reject_block(&self, list: &[AccountChanges]) {
        let [sequential, parallel] = self.reasons("of an invalid block", list);
        assert_eq!(sequential, parallel, "an invalid block is rejected for another reason");
    }

    fn assert_rejected(&self, what: &str, list: &[AccountChanges]) {
        let [sequential, parallel] = self.reasons(what, list);
        assert_eq!(sequential, parallel, "a list {what} is rejected for another reason");
        assert!(sequential.contains("block access list"), "a list {what}: {sequential}");
    }

    /// Why the block is rejected with `list`, sequentially and in parallel.
    fn reasons(&self, what: &str, list: &[AccountChanges]) -> [String; 2] {
        [Strategy::Sequential, Strategy::Parallel(self.width)].map(|strategy| {
            match self.execute(strategy, list).0 {
                Err(ExecutionError::InvalidBlock(reason)) => reason.to_string(),
                Err(other) => panic!("a list {what}, {strategy:?}: {other}"),
                Ok(_) => panic!("a list {what}, {strategy:?}: accepted"),
            }
        })
    }
}

/// Lists that differ from `list` in one place each. A few places suffice: all blocks of all tests
/// come by here.
fn spoilt(list: &[AccountChanges]) -> Vec<(String, Vec<AccountChanges>)> {
    let mut spoilt: Vec<(String, Vec<AccountChanges>)> = Vec::new();
    let mut spoil = |what: &str, change: &dyn Fn(&mut Vec<AccountChanges>)| {
        let mut list = list.to_vec();
        change(&mut list);
        spoilt.push((what.to_owned(), list));
    };
    let mut places = vec![0, list.len() / 2, list.len().saturating_sub(1)];
    places.dedup();
    for at in places.into_iter().filter(|at| *at < list.len()) {
        let account = &list[at];
        spoil("that lacks an account", &|list| drop(list.remove(at)));
        spoil("that has an account twice", &|list| list.insert(at, list[at].clone()));
        spoil("with a slot that nobody reads", &|list| list[at].storage_reads.push(U256::MAX));
        if !account.balance_changes.is_empty() {
            spoil("with another balance", &|list| {
                list[at].balance_changes[0].post_balance ^= U256::ONE;
            });
            spoil("that lacks a balance", &|list| list[at].balance_changes.truncate(0));
            spoil("with a balance at another step", &|list| {
                list[at].balance_changes[0].block_access_index.0 ^= 1;
            });
        }
        if !account.nonce_changes.is_empty() {
            spoil("with another nonce", &|list| list[at].nonce_changes[0].new_nonce ^= 1);
        }
        if !account.code_changes.is_empty() {
            spoil("that lacks a code", &|list| drop(list[at].code_changes.pop()));
        }
        if !account.storage_changes.is_empty() {
            spoil("with another slot value", &|list| {
                list[at].storage_changes[0].changes[0].new_value ^= U256::ONE;
            });
            spoil("that has a change as a read", &|list| {
                let slot = list[at].storage_changes.remove(0).slot;
                list[at].storage_reads.push(slot);
                list[at].storage_reads.sort_unstable();
            });
        }
        if !account.storage_reads.is_empty() {
            spoil("that lacks a read", &|list| list[at].storage_reads.truncate(0));
        }
    }
    spoil("with an account that nobody touches", &|list| {
        list.push(AccountChanges::new(Address::repeat_byte(0xff)));
    });
    spoilt
}
