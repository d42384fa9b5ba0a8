//! What each transaction of a block did: how long it took, what it read and what it changed, and how
//! much of it lay behind when it first met what it read.
//!
//! Times and gas come from two executions of the block, because what tells the gas slows down
//! execution. The first is ordinary sequential execution with a clock; the second counts gas with an
//! inspector.

mod meter;

use std::time::Duration;

use alloy_consensus::Transaction;
use alloy_evm::{Evm, EvmFactory};
use alloy_primitives::{Address, U256};
use revm::state::EvmState;
use warpline_primitives::{
    AccessHint, BlockOutput, Chance, Location, StateSource, TransactionHints,
};

use crate::{
    BalanceUse, BalanceUses, ExecutionError,
    execute::Job,
    step,
    vm::{BlockVm, account_of, classify, refusal},
};
use meter::GasMeter;
pub(crate) use meter::{Meeting, Met, Meter, Position};

/// What a transaction did, executed after all those before it in its block.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionTrace {
    /// Its index in the block.
    pub index: usize,
    /// Gas used, after refunds.
    pub gas_used: u64,
    /// How long it took to execute and commit.
    pub took: Duration,
    /// The accounts that it met, by address. Its fee is not among what they changed.
    pub accounts: Vec<AccountTrace>,
    /// The slots that it read, by address and slot; what is written is read before.
    pub slots: Vec<SlotTrace>,
    /// Whether a fee was credited to the block's beneficiary.
    pub pays_fee: bool,
}

/// The output of a block, and what each of its transactions did.
pub type TracedBlock<R> = (BlockOutput<R>, Vec<TransactionTrace>);

/// What a transaction had to do with an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccountTrace {
    /// Which.
    pub address: Address,
    /// On which balances of it the outcome rests. Nonce, code and whether it exists count as read.
    pub balance: BalanceUse,
    /// Its balance before and after the transaction, in wei; 0 where it does not exist.
    pub balances: [U256; 2],
    /// Whether it has another nonce or code afterwards, or came into being, or is gone.
    pub changes_more: bool,
    /// Whether all its storage was cleared.
    pub wipes: bool,
    /// How far the transaction was when it first met the account.
    pub first: Progress,
}

/// What a transaction had to do with a storage slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotTrace {
    /// Whose.
    pub address: Address,
    /// Which.
    pub slot: U256,
    /// Whether it has another value afterwards.
    pub changes: bool,
    /// How far the transaction was when it first read the slot.
    pub first: Progress,
}

/// How far a transaction was at some point, at which it could be stopped and resumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How long it had been running.
    pub time: Duration,
    /// Gas spent by then, before refunds. The price of the instruction that is to be executed next, a
    /// call with all of its own included, may be part of it.
    pub gas: u64,
    /// Which function was running; `None` before the first.
    pub function: Option<Function>,
}

/// A function of a contract, as a call names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Function {
    /// The account that is called, whose storage is used.
    pub contract: Address,
    /// The first four bytes of what it is given, filled up with zeros.
    pub selector: [u8; 4],
}

impl AccountTrace {
    /// Whether it has another balance after the transaction.
    pub fn changes_balance(&self) -> bool {
        self.balances[0] != self.balances[1]
    }
}

impl TransactionTrace {
    /// What the transaction at `index` did, which left `state`, made use of balances like that, and
    /// met accounts and slots at those times. Gas and time are still to be filled in.
    #[expect(clippy::iter_over_hash_type, reason = "sorted afterwards")]
    pub(crate) fn of(index: usize, state: &EvmState, balances: &BalanceUses, met: &[Met]) -> Self {
        let (mut accounts, mut slots) = (Vec::with_capacity(state.len()), Vec::new());
        for (address, account) in state {
            let address = *address;
            let existed = !account.is_loaded_as_not_existing();
            let before = existed.then(|| account_of(&account.original_info()));
            let change = classify(account).filter(|change| change.changed);
            let after = change.map_or(before, |change| change.account);
            let rest = |account: warpline_primitives::Account| (account.nonce, account.code_hash);
            let balance = |account: Option<warpline_primitives::Account>| {
                account.map_or(U256::ZERO, |account| account.balance)
            };
            accounts.push(AccountTrace {
                address,
                balance: balances.of(&address, account),
                balances: [balance(before), balance(after)],
                changes_more: before.map(rest) != after.map(rest),
                wipes: classify(account).is_some_and(|change| change.wiped),
                first: Progress::default(),
            });
            let is_kept = after.is_some();
            slots.extend(account.storage.iter().map(|(slot, value)| SlotTrace {
                address,
                slot: *slot,
                changes: is_kept && value.is_changed(),
                first: Progress::default(),
            }));
        }
        accounts.sort_unstable_by_key(|account| account.address);
        slots.sort_unstable_by_key(|slot| (slot.address, slot.slot));
        let pays_fee = false;
        let mut trace =
            Self { index, gas_used: 0, took: Duration::ZERO, accounts, slots, pays_fee };
        trace.note(met, |first, met| first.time = met.time);
        trace
    }

    /// Takes over from each of `met` what it tells of the account or slot it is about.
    fn note(&mut self, met: &[Met], take: impl Fn(&mut Progress, &Met)) {
        for met in met {
            let first = match met.slot {
                None => {
                    let found = self.accounts.binary_search_by_key(&met.address, |it| it.address);
                    found.ok().map(|at| &mut self.accounts[at].first)
                }
                Some(slot) => {
                    let key = (met.address, slot);
                    let found = self.slots.binary_search_by_key(&key, |it| (it.address, it.slot));
                    found.ok().map(|at| &mut self.slots[at].first)
                }
            };
            if let Some(first) = first {
                take(first, met);
            }
        }
    }
}

/// What a transaction did, as hints that could not be better. What it came after is not among them: see
/// [`AccessHints::link`](warpline_primitives::AccessHints::link).
impl From<&TransactionTrace> for TransactionHints {
    fn from(trace: &TransactionTrace) -> Self {
        let chance = |happens| if happens { Chance::CERTAIN } else { Chance::NEVER };
        let ns = |time: Duration| u64::try_from(time.as_nanos()).ok();
        let accounts = trace.accounts.iter().map(|account| {
            let commutes = account.balance != BalanceUse::Exact && !account.changes_more;
            let write = chance(account.changes_balance() || account.changes_more || account.wipes);
            let read = AccessHint::read(Location::Account(account.address));
            let at_ns = ns(account.first.time);
            (account.first.time, AccessHint { write, commutes, at_ns, ..read })
        });
        let slots = trace.slots.iter().map(|slot| {
            let read = AccessHint::read(Location::Slot(slot.address, slot.slot));
            let (write, at_ns) = (chance(slot.changes), ns(slot.first.time));
            (slot.first.time, AccessHint { write, at_ns, ..read })
        });
        let mut accesses: Vec<_> = accounts.chain(slots).collect();
        accesses.sort_by_key(|(first, _)| *first);
        Self {
            accesses: accesses.into_iter().map(|(_, access)| access).collect(),
            time_ns: ns(trace.took),
            ..Self::default()
        }
    }
}

/// Executes the block once more, counting gas, and notes in `traces`, one for each transaction, how much
/// was spent when, and by which function.
pub(crate) fn note_gas<V: BlockVm, S: StateSource>(
    job: Job<'_, V, S>,
    traces: &mut [TransactionTrace],
) -> Result<(), ExecutionError<S::Error>> {
    let Job { vm, block, source, env, .. } = job;
    let ((), mut db) = step::run(&job, source, false, |evm| vm.pre_block(evm, block))?;
    let position = Position::default();
    db.meter_gas(position.clone());
    let meter = GasMeter::new(position.clone());
    let mut evm = vm.factory().create_evm_with_inspector(db, env.clone(), meter);
    for ((index, tx), trace) in block.transactions.iter().enumerate().zip(traces) {
        position.begin(tx.gas_limit());
        let executed = match evm.transact_raw(vm.tx_env(tx)) {
            Ok(executed) => executed,
            Err(error) => {
                return Err(match evm.db_mut().take_failure() {
                    Some(error) => ExecutionError::StateRead(error),
                    None => refusal(index, error)?.into(),
                });
            }
        };
        let db = evm.db_mut();
        let met = db.take_met();
        db.commit_transaction(&executed.state, None, false)?;
        trace.note(&met, |first, met| (first.gas, first.function) = (met.gas, met.function));
    }
    Ok(())
}
