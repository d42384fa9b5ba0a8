//! The worker that holds the commit role: validates in block order, makes right, and accounts.

use alloy_primitives::{Address, U256};
use warpline_primitives::{Account, StateSource};

use super::{Ended, Worker};
use crate::{
    BuildEnd, EngineBug, ExecutionError,
    access_list::FeePayment,
    commit::Fees,
    execute::{Committed, Done, Run, version_of},
    memory::{Changed, Version, Writer},
    scheduler::{CommitClaim, CommitRole},
    vm::{BlockVm, Interruption, Mode, refusal, take_back},
};

impl<'o, V: BlockVm, S: StateSource> Worker<'_, 'o, V, S> {
    pub(super) fn commit_in_order(
        &mut self,
        role: &CommitRole<'_>,
        own: bool,
    ) -> Result<(), ExecutionError<S::Error>> {
        let scheduler = &self.run.scheduler;
        let committed = self.committed;
        let mut committed = committed.lock();
        while !scheduler.is_over() {
            let end = self.run.job.early_end.reason();
            let end = end.or_else(|| committed.admission.is_full().then_some(BuildEnd::Full));
            if let Some(end) = end {
                committed.end_early(end);
                scheduler.halt();
                return Ok(());
            }
            let portion = (own && !role.is_alone()).then_some(&mut self.portion);
            let Some((tx, claim)) = role.begin(portion) else { return Ok(()) };
            let keep = match claim {
                CommitClaim::Busy => return Ok(()),
                CommitClaim::Pending => false,
                CommitClaim::Executed => self.validate(role, tx, &committed.fees),
            };
            let executions = scheduler.speculations(tx) + u32::from(!keep);
            self.counts.most_executions = self.counts.most_executions.max(executions.into());
            self.commit_one(tx, keep, &mut committed)?;
            if committed.end.is_some() || committed.error.is_some() {
                scheduler.halt();
                return Ok(());
            }
            let freed = role.commit(tx);
            if !freed.is_empty() {
                scheduler.push(freed);
            }
            self.send_to_suspects();
            if role.learn_use(tx, executions > 1) {
                break;
            }
        }
        Ok(())
    }

    /// Whether the execution of `tx`, next in line, stands. If not, it is open again.
    fn validate(&mut self, role: &CommitRole<'_>, tx: u32, fees: &Fees) -> bool {
        let done = self.run.records[tx as usize].lock().done.is_some();
        let sabotaged = self.run.scheduler.hooks.skips_validation(tx);
        let stands = done && (self.reads_hold_finally(tx, fees) || sabotaged);
        if !stands {
            role.restart(tx);
        }
        stands
    }

    /// As [`reads_hold`](Self::reads_hold) for the next in line, before which `fees` are owed. Where
    /// they hold but for balances that make no difference, those are noted.
    fn reads_hold_finally(&mut self, tx: u32, fees: &Fees) -> bool {
        self.counts.validations += 1;
        let Run { memory, job, records, .. } = self.run;
        let version = version_of(tx as usize);
        let beneficiary = job.rules.beneficiary;
        let with_fees = |address: Address, account: Option<Account>| {
            if address == beneficiary { fees.credited_to(account) } else { account }
        };
        let shifts = &mut self.shifts;
        shifts.clear();
        let record = records[tx as usize].lock();
        let hold = record.reads.accounts.iter().all(|read| {
            let shift = memory.account_holds(read, version, with_fees);
            let is_to_do = shift.filter(|shift| read.held_back.is_some() || !shift.is_zero());
            shifts.extend(is_to_do.map(|shift| (*read, shift)));
            shift.is_some()
        });
        let hold = if hold {
            memory.slots_hold(&record.reads.slots, version)
        } else {
            Err(Changed::Account)
        };
        drop(record);
        self.judge(tx, hold)
    }

    /// Makes the balances right that the execution of `tx`, which stands, came to on others.
    fn make_right(&mut self, tx: u32) {
        let Run { memory, records, .. } = self.run;
        let version = version_of(tx as usize);
        for (read, shift) in self.shifts.drain(..) {
            match (read.held_back, read.seen) {
                (Some(added), Some(mut account)) => {
                    account.balance = account.balance.wrapping_add(shift).wrapping_add(added);
                    let writer = Writer::last(version);
                    memory.write_account(read.at, writer, Some(account), false, &mut self.suspects);
                }
                _ => memory.shift_balance(read.at, version, shift),
            }
            if let Some(done) = &mut records[tx as usize].lock().done {
                done.shift_balance(read.address, shift);
            }
        }
    }

    /// Makes `tx`, next in line, part of the block, or skips it where that is allowed. Its
    /// execution is to be kept as it is, or there is none that counts.
    fn commit_one(
        &mut self,
        tx: u32,
        keep: bool,
        committed: &mut Committed<'o, V::Receipt, S::Error>,
    ) -> Result<(), ExecutionError<S::Error>> {
        let index = tx as usize;
        let job = &self.run.job;
        let bytes = job.encoded_len(index, &committed.admission);
        if !committed.admission.admit(index, job.block.transactions[index].inner(), bytes)? {
            self.withdraw(tx);
            return Ok(());
        }
        if keep {
            self.make_right(tx);
        } else {
            match self.execute(tx, Mode::Final(committed.fees)) {
                Ended::Done(transacted) => {
                    self.keep(Writer::last(version_of(index)), Some(transacted));
                }
                Ended::Interrupted(Interruption::Source(error)) => {
                    return Err(ExecutionError::StateRead(error));
                }
                Ended::Interrupted(Interruption::Halted) => {
                    let end = job.early_end.reason().unwrap_or(BuildEnd::Cancelled);
                    committed.end_early(end);
                    return Ok(());
                }
                Ended::Interrupted(Interruption::Blocked(_) | Interruption::AwaitsCommit) => {
                    return Err(EngineBug::FinalReadInterrupted { index }.into());
                }
                Ended::Failed(error) => {
                    let error = refusal(index, error)?;
                    committed.admission.refuse(index, error)?;
                    self.withdraw(tx);
                    return Ok(());
                }
            }
        }
        let mut record = std::mem::take(&mut *self.run.records[index].lock());
        let done = record.done.take();
        self.set_aside(record);
        let Some(done) = done else {
            return Err(EngineBug::ResultMissing { index }.into());
        };
        self.finalise(index, *done, committed)?;
        committed.admission.include(index, bytes);
        Ok(())
    }

    /// Takes back what `tx` wrote: it is not part of the block.
    fn withdraw(&mut self, tx: u32) {
        let record = std::mem::take(&mut *self.run.records[tx as usize].lock());
        let version = version_of(tx as usize);
        take_back(self.run.memory, version, record.written, &mut self.suspects);
    }

    /// Accounts for the transaction at `index`, whose result is final.
    fn finalise(
        &mut self,
        index: usize,
        done: Done<V::Receipt>,
        committed: &mut Committed<'o, V::Receipt, S::Error>,
    ) -> Result<(), ExecutionError<S::Error>> {
        let run = self.run;
        let Done { mut receipt, gas, deferred_fee, wrote_beneficiary, changes, journal } = done;
        let tx = run.job.block.transactions[index].inner();
        let cumulative = committed.admission.gas.add(&gas, tx);
        V::set_cumulative_gas(&mut receipt, cumulative);
        if let Some(owed) = &mut committed.sinks.owed {
            owed.push(committed.fees);
        }
        let position = committed.receipts.len();
        committed.receipts.push(receipt);
        if wrote_beneficiary {
            committed.fees.clear();
        }
        let version = version_of(index);
        let fee = match deferred_fee {
            Some(fee) if run.observed || run.listed => {
                let before = committed.fees.credited_to(run.beneficiary(version)?.1);
                self.owe(fee, version, committed)?;
                let after = committed.fees.credited_to(run.beneficiary(version + 1)?.1);
                Some(FeePayment { beneficiary: run.job.rules.beneficiary, before, after })
            }
            Some(fee) => {
                self.owe(fee, version, committed)?;
                None
            }
            None => None,
        };
        committed.sinks.transaction(position, &journal, changes.map(|changes| *changes), fee)?;
        Ok(())
    }

    /// Owes the beneficiary the fee of the transaction of `version`. A fee of nothing deletes an
    /// empty account, which is done at once: what follows finds none.
    fn owe(
        &mut self,
        fee: U256,
        version: Version,
        committed: &mut Committed<'o, V::Receipt, S::Error>,
    ) -> Result<(), ExecutionError<S::Error>> {
        committed.fees.add(fee);
        if committed.fees.may_delete() {
            let (at, account) = self.run.beneficiary(version)?;
            if account.is_some_and(|account| account.is_empty()) {
                self.run.memory.write_account(
                    at,
                    Writer::last(version),
                    None,
                    true,
                    &mut self.suspects,
                );
                committed.fees.clear();
            }
        }
        Ok(())
    }
}
