//! One transaction, executed again on other balances.

use std::sync::Arc;

use alloy_evm::{Evm, EvmFactory};
use alloy_primitives::{Address, B256, U256, map::AddressMap};
use revm::{
    Database,
    bytecode::Bytecode,
    context::result::{ExecutionResult, HaltReason},
    database_interface::EmptyDB,
    state::{Account as RevmAccount, AccountId, AccountInfo, AccountStatus, EvmState},
};
use warpline_chain::ChainSpec;
use warpline_engine::{BalanceUse, BalanceUses, BlockVm, Ethereum, Noted, Transacted};
use warpline_primitives::{Account, MemoryState, RecoveredBlock, StateDiff, StateSource};

/// The highest balance that can be said to be enough.
const HIGHEST: U256 = U256::from_limbs([u64::MAX, u64::MAX, u64::MAX, u64::MAX >> 1]);

const READABLE: &str = "everything in memory can be read";

/// A state of which the transaction sees some balances otherwise, and what it read.
#[derive(Debug)]
struct Db<'s> {
    state: &'s MemoryState,
    balances: &'s AddressMap<U256>,
    reads: Vec<Read>,
}

/// A read with all that must be the same again: of accounts, everything but the balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Account(Address, Option<(u64, B256)>),
    Slot(Address, U256),
    Code(B256),
    Hash(u64),
}

impl Database for Db<'_> {
    type Error = <EmptyDB as Database>::Error;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, Self::Error> {
        let account = self.state.account(address).expect(READABLE);
        let seen = account.map(|account| (account.nonce, account.code_hash));
        self.reads.push(Read::Account(address, seen));
        Ok(account.map(|Account { balance, nonce, code_hash }| AccountInfo {
            balance: *self.balances.get(&address).unwrap_or(&balance),
            nonce,
            code_hash,
            account_id: AccountId::new(self.reads.len()),
            code: None,
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, Self::Error> {
        self.reads.push(Read::Code(hash));
        let code = self.state.code(hash).expect(READABLE);
        let legacy = || Bytecode::new_legacy(code.clone());
        Ok(Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| legacy()))
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, Self::Error> {
        self.reads.push(Read::Slot(address, slot));
        Ok(self.state.storage(address, slot).expect(READABLE))
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, Self::Error> {
        self.reads.push(Read::Hash(number));
        Ok(self.state.block_hash(number).unwrap_or_default())
    }
}

/// What a transaction came to.
pub(crate) struct Outcome {
    pub(crate) result: ExecutionResult<HaltReason>,
    pub(crate) state: EvmState,
    fee: Option<U256>,
    uses: BalanceUses,
    reads: Vec<Read>,
}

impl Outcome {
    /// What was made of the balance at `address`.
    pub(crate) fn of(&self, address: Address) -> BalanceUse {
        self.uses.of(&address, &self.state[&address])
    }

    /// Everyone whose balance may be another, in order: the address, what it was before and what it
    /// must be at least.
    pub(crate) fn relaxed(&self) -> Vec<(Address, U256, U256)> {
        let relaxed = self.state.iter().filter_map(|(address, account)| {
            let before = account.original_info().balance;
            match self.of(*address) {
                BalanceUse::Exact => None,
                BalanceUse::AtLeast(required) => Some((*address, before, required)),
            }
        });
        let mut relaxed: Vec<_> = relaxed.collect();
        relaxed.sort_unstable();
        relaxed
    }
}

/// A block, executed one transaction after the other.
pub(crate) struct Oracle {
    vm: Ethereum,
    block: RecoveredBlock,
    pub(crate) state: MemoryState,
}

impl Oracle {
    pub(crate) fn new(
        chain: impl Into<Arc<ChainSpec>>,
        block: RecoveredBlock,
        state: MemoryState,
    ) -> Self {
        Self { vm: Ethereum::new(chain), block, state }
    }

    /// Executes a transaction where those in `balances` have other balances. `None` if it is invalid.
    pub(crate) fn execute(&self, index: usize, balances: &AddressMap<U256>) -> Option<Outcome> {
        let db = Db { state: &self.state, balances, reads: Vec::new() };
        let mut evm = self.vm.factory().create_evm(db, self.vm.env(&self.block));
        let tx = self.vm.tx_env(&self.block.transactions[index]);
        let Noted { transacted, balances: uses } = self.vm.transact_noting(&mut evm, tx).ok()?;
        let reads = std::mem::take(&mut evm.db_mut().reads);
        let Transacted { result, state, deferred_fee: fee } = transacted;
        Some(Outcome { result, state, fee, uses, reads })
    }

    /// Executes a transaction, and again on balances that `choose` takes from those said to make no
    /// difference: it is told the least and the highest. What it then came to becomes the state.
    pub(crate) fn check(
        &mut self,
        index: usize,
        mut choose: impl FnMut(U256, U256) -> U256,
    ) -> Option<Outcome> {
        let outcome = self.execute(index, &AddressMap::default())?;
        let relaxed = outcome.relaxed();
        for (address, before, required) in &relaxed {
            assert!(required <= before, "{address} has {before} and needs {required}");
            let next = required.saturating_add(U256::ONE).min(HIGHEST);
            for balance in [*required, next, choose(*required, HIGHEST), HIGHEST] {
                let balances = [(*address, balance)].into_iter().collect();
                self.compare(index, &outcome, &balances);
            }
        }
        for _ in 0..2 {
            let all = relaxed.iter().map(|(address, _, least)| (*address, choose(*least, HIGHEST)));
            self.compare(index, &outcome, &all.collect());
        }
        self.commit(&outcome);
        Some(outcome)
    }

    /// Compares with an execution on other balances.
    #[expect(clippy::iter_over_hash_type, reason = "each account is compared on its own")]
    fn compare(&self, index: usize, expected: &Outcome, balances: &AddressMap<U256>) {
        let there = format!("transaction {index} with {balances:?}");
        let found = self.execute(index, balances);
        let found = found.unwrap_or_else(|| panic!("{there} is not valid any more"));
        assert_eq!(expected.result, found.result, "{there}: result");
        assert_eq!(expected.fee, found.fee, "{there}: fee");
        assert_eq!(expected.reads, found.reads, "{there}: reads");
        assert_eq!(expected.state.len(), found.state.len(), "{there}: accounts");
        for (address, account) in &expected.state {
            let other = &found.state[address];
            let before = account.original_info().balance;
            let shift = balances.get(address).map_or(U256::ZERO, |now| now.wrapping_sub(before));
            let shifted = account.info.balance.wrapping_add(shift);
            assert_eq!(shifted, other.info.balance, "{there}: balance of {address}");
            let rest = |info: &AccountInfo| (info.nonce, info.code_hash, info.code.clone());
            assert_eq!(rest(&account.info), rest(&other.info), "{there}: {address}");
            let flags = |account: &RevmAccount| account.status - AccountStatus::Touched;
            assert_eq!(flags(account), flags(other), "{there}: status of {address}");
            assert_eq!(account.storage, other.storage, "{there}: storage of {address}");
            assert_eq!(end_of(account), end_of(other), "{there}: end of {address}");
            let same = expected.of(*address) == found.uses.of(address, other);
            assert!(same, "{there}: use of the balance of {address}");
        }
    }

    #[expect(clippy::iter_over_hash_type, reason = "each account is recorded on its own")]
    fn commit(&mut self, outcome: &Outcome) {
        let mut diff = StateDiff::default();
        for (address, account) in &outcome.state {
            let end = end_of(account);
            if end == End::Stays {
                continue;
            }
            let entry = diff.account_mut(*address);
            if end == End::Goes {
                continue;
            }
            let AccountInfo { balance, nonce, code_hash, .. } = account.info;
            entry.account = Some(Account { balance, nonce, code_hash });
            let slots = account.changed_storage_slots();
            entry.storage = slots.map(|(slot, value)| (*slot, value.present_value)).collect();
            if let Some(code) = &account.info.code {
                diff.insert_code(code_hash, code.original_bytes());
            }
        }
        self.state.apply(&diff);
        if let Some(fee) = outcome.fee.filter(|fee| !fee.is_zero()) {
            let beneficiary = self.block.header.beneficiary;
            let mut account = self.state.account(beneficiary).expect(READABLE).unwrap_or_default();
            account.balance += fee;
            self.state.insert_account(beneficiary, account);
        }
    }

    pub(crate) const fn transactions(&self) -> usize {
        self.block.transactions.len()
    }
}

/// What becomes of an account of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stays,
    Changes,
    Goes,
}

fn end_of(account: &RevmAccount) -> End {
    let emptied = !account.is_created() && account.is_empty();
    let slots = account.changed_storage_slots().next();
    if !account.is_touched() {
        End::Stays
    } else if account.is_selfdestructed() || emptied {
        End::Goes
    } else if account.is_loaded_as_not_existing() || account.is_changed() || slots.is_some() {
        End::Changes
    } else {
        End::Stays
    }
}
