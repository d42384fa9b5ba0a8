//! The ordered commit: validation by value, gas, fees and receipts.

use alloy_consensus::Transaction;
use alloy_eip7928::BlockAccessList;
use alloy_primitives::U256;
use revm::{context::result::ResultGas, state::EvmState};
use warpline_primitives::{Account, CommitObserver, CommitStep, StateDiff};

use crate::{
    BlockRules, InvalidBlock,
    access_list::{FeePayment, ListBuilder, ListSink, merged},
    vm::Commit,
};

/// Whom the ordered commit tells what became of each step.
#[derive(Default)]
pub(crate) struct Sinks<'o> {
    pub(crate) observer: Option<&'o mut dyn CommitObserver>,
    pub(crate) list: ListSink<'o>,
    /// What is owed to the beneficiary before each transaction, where somebody wants to know. The
    /// parallel path tells.
    pub(crate) owed: Option<&'o mut Vec<Fees>>,
}

impl<'o> Sinks<'o> {
    /// `observer`, and a new access list if one is wanted.
    pub(crate) fn new(observer: Option<&'o mut dyn CommitObserver>, builds_list: bool) -> Self {
        let list =
            if builds_list { ListSink::Builder(ListBuilder::default()) } else { ListSink::Nobody };
        Self { observer, list, owed: None }
    }

    /// Whether it matters what the beneficiary's account is after each transaction.
    pub(crate) const fn follow_fees(&self) -> bool {
        self.observer.is_some() || self.list.listens()
    }

    /// Tells what a step around the transactions committed.
    pub(crate) fn step(
        &mut self,
        step: CommitStep,
        commits: Vec<Commit>,
    ) -> Result<(), InvalidBlock> {
        if let Some(observer) = &mut self.observer {
            for commit in &commits {
                observer.on_commit(step, &commit.diff());
            }
        }
        if self.list.listens() {
            let journals = commits.into_iter().filter_map(Commit::into_journal);
            self.list.step(&merged(journals), None)?;
        }
        Ok(())
    }

    /// Tells what a transaction did: its journal, what that changes (for the observer), and a fee
    /// that is not part of either.
    pub(crate) fn transaction(
        &mut self,
        index: usize,
        state: &EvmState,
        changes: Option<StateDiff>,
        fee: Option<FeePayment>,
    ) -> Result<(), InvalidBlock> {
        self.list.step(state, fee)?;
        if let Some(changes) = changes {
            self.observe(index, changes, fee);
        }
        Ok(())
    }

    /// Tells the observer alone.
    pub(crate) fn observe(
        &mut self,
        index: usize,
        mut changes: StateDiff,
        fee: Option<FeePayment>,
    ) {
        let Some(observer) = &mut self.observer else { return };
        if let Some(FeePayment { beneficiary, before, after }) = fee
            && before != after
        {
            let entry = changes.account_mut(beneficiary);
            entry.account = after;
            entry.storage_wiped = after.is_none();
        }
        observer.on_commit(CommitStep::Transaction(index), &changes);
    }

    /// The access list, if one was built. One that was given is proven.
    pub(crate) fn finish(self) -> Result<Option<BlockAccessList>, InvalidBlock> {
        Ok(self.list.finish()?)
    }
}

/// An observer of a block that is begun anew: it is told nothing twice.
pub(crate) struct Resumable<'o> {
    observer: &'o mut dyn CommitObserver,
    /// How much it was told, and how much of that again.
    told: usize,
    again: usize,
}

impl<'o> Resumable<'o> {
    pub(crate) fn new(observer: &'o mut dyn CommitObserver) -> Self {
        Self { observer, told: 0, again: 0 }
    }

    /// The block begins (anew).
    pub(crate) fn restarted(&mut self) -> &mut Self {
        self.again = 0;
        self
    }
}

impl CommitObserver for Resumable<'_> {
    fn on_commit(&mut self, step: CommitStep, changes: &StateDiff) {
        self.again += 1;
        if self.again > self.told {
            self.told = self.again;
            self.observer.on_commit(step, changes);
        }
    }
}

/// Fees earned by the beneficiary since its account was last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fees {
    sum: U256,
    /// Whether there was any credit, be it of zero: before EIP-161 that creates the account,
    /// since then it deletes an empty one.
    touched: bool,
    deletes_empty: bool,
}

impl Fees {
    /// No fees. `deletes_empty` says whether EIP-161 is in force.
    pub(crate) const fn none(deletes_empty: bool) -> Self {
        Self { sum: U256::ZERO, touched: false, deletes_empty }
    }

    /// Whether nothing was credited.
    pub(crate) const fn is_none(&self) -> bool {
        !self.touched
    }

    /// Adds the fee of one transaction.
    pub(crate) fn add(&mut self, fee: U256) {
        self.sum += fee;
        self.touched = true;
    }

    /// Whether the beneficiary was touched and given nothing, which deletes it if it is empty.
    pub(crate) fn may_delete(&self) -> bool {
        self.touched && self.deletes_empty && self.sum.is_zero()
    }

    /// The beneficiary's account was written with all fees in it.
    pub(crate) fn clear(&mut self) {
        *self = Self::none(self.deletes_empty);
    }

    /// The account with the fees in it.
    pub(crate) fn credited_to(&self, account: Option<Account>) -> Option<Account> {
        if !self.touched {
            return account;
        }
        let mut credited = account.unwrap_or_default();
        credited.balance += self.sum;
        (!self.deletes_empty || !credited.is_empty()).then_some(credited)
    }
}

/// What the block has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlockGas {
    /// After refunds: what receipts accumulate.
    cumulative: u64,
    /// The two dimensions of EIP-8037, which bound the block from Amsterdam on.
    regular: u64,
    state: u64,
    blob: u64,
}

impl BlockGas {
    /// How much gas is left for transactions.
    pub(crate) fn available(&self, rules: &BlockRules) -> u64 {
        let used = if rules.two_dimensional_gas { self.regular } else { self.cumulative };
        rules.gas_limit.saturating_sub(used)
    }

    /// Whether a transaction still fits.
    pub(crate) fn check(
        &self,
        index: usize,
        tx: &impl Transaction,
        rules: &BlockRules,
    ) -> Result<(), InvalidBlock> {
        let gas_limit = tx.gas_limit();
        let available = self.available(rules);
        if gas_limit.min(rules.transaction_gas_cap) > available {
            return Err(InvalidBlock::GasLimit { index, gas_limit, available });
        }
        let available = rules.gas_limit.saturating_sub(self.state);
        if rules.two_dimensional_gas && gas_limit > available {
            return Err(InvalidBlock::GasLimit { index, gas_limit, available });
        }
        Ok(())
    }

    /// Adds a committed transaction and returns the cumulative gas for its receipt.
    pub(crate) fn add(&mut self, gas: &ResultGas, tx: &impl Transaction) -> u64 {
        self.cumulative += gas.tx_gas_used();
        self.regular += gas.block_regular_gas_used();
        self.state += gas.block_state_gas_used();
        self.blob += tx.blob_gas_used().unwrap_or_default();
        self.cumulative
    }

    /// Gas used by the block, as its header states it.
    pub(crate) fn used(&self, rules: &BlockRules) -> u64 {
        if rules.two_dimensional_gas { self.regular.max(self.state) } else { self.cumulative }
    }

    /// Blob gas used by the block.
    pub(crate) const fn blob(&self) -> u64 {
        self.blob
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_fee_creates_or_deletes_an_empty_account_as_the_fork_has_it() {
        let empty = Some(Account::default());
        for (deletes_empty, account, expected) in
            [(false, None, empty), (false, empty, empty), (true, None, None), (true, empty, None)]
        {
            let mut fees = Fees::none(deletes_empty);
            assert_eq!(fees.credited_to(account), account, "no transaction, no touch");
            fees.add(U256::ZERO);
            assert_eq!(fees.credited_to(account), expected, "EIP-161: {deletes_empty}");
        }
    }

    #[test]
    fn fees_add_up_until_they_are_cleared() {
        let mut fees = Fees::none(true);
        fees.add(U256::from(3));
        fees.add(U256::from(4));
        let rich = fees.credited_to(Some(Account { nonce: 1, ..Account::default() }));
        assert_eq!(rich.map(|account| (account.balance, account.nonce)), Some((U256::from(7), 1)));
        fees.clear();
        assert!(fees.is_none());
    }
}
