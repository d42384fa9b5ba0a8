//! One worker: executes transactions, and commits them when it holds the commit role.

mod commit;

use alloy_evm::Evm;
use alloy_primitives::U256;
use revm::state::EvmState;
use warpline_primitives::{StateSource, WorkCounts};

use crate::{
    Activity, Technique,
    execute::{Committed, Done, Job, Record, Run, version_of},
    hooks::Site,
    memory::{AccountRead, Changed, Shift, Version, Writer},
    read_ahead::{self, Key},
    scheduler::{Ahead, Classes, Freed, NO_DEPENDENCY, Portion, Reach, Scheduler, Seat},
    sync::{Mutex, atomic::Ordering::Relaxed},
    vm::{
        BalanceUses, BlockVm, EvmOf, HaltOf, Interruption, Mode, Noted, Transacted, WorkerDb,
        Written, classify, diff_of, publish, take_back,
    },
};

/// How often a worker repeats a transaction that came into doubt while it ran. Beyond that, what
/// disturbs it is better left to settle: the commit will look at it.
const MAX_ROUNDS: usize = if cfg!(feature = "model") { 2 } else { 3 };

/// How many records a worker keeps to use again.
const MAX_SPARE: usize = 64;

/// A balance that is sufficient, in whichever token, and far from any overflow.
const PLENTY: U256 = U256::from_limbs([0, 1 << 36, 0, 0]);

/// What an execution ended in.
enum Ended<H, E, X> {
    Done(Transacted<H>),
    Interrupted(Interruption<E>),
    Failed(X),
}

type EndedOf<V, S, DB> = Ended<HaltOf<V>, <S as StateSource>::Error, crate::vm::ErrorOf<V, DB>>;

/// A worker of one block.
pub(crate) struct Worker<'r, 'o, V: BlockVm, S: StateSource> {
    run: &'r Run<'r, V, S>,
    committed: &'r Mutex<Committed<'o, V::Receipt, S::Error>>,
    /// Which worker of the pool it is.
    index: usize,
    /// For executions that only read, once there was one. Dropped before `evm`, whose copies of code
    /// are those to keep.
    evm_ahead: Option<EvmOf<V, WorkerDb<'r, S>>>,
    evm: EvmOf<V, WorkerDb<'r, S>>,
    portion: Portion,
    /// Where the permits are; `None` where every worker may run.
    seat: Option<Seat<'r>>,
    suspects: Vec<Version>,
    /// What the one to commit saw of accounts that have another balance than that, and by how much
    /// that is more.
    shifts: Vec<(AccountRead, Shift)>,
    /// Records without content.
    spare: Vec<Record<V::Receipt>>,
    counts: WorkCounts,
    /// What it did, where somebody wants to know.
    activities: Vec<Activity>,
}

impl<'r, 'o, V: BlockVm, S: StateSource> Worker<'r, 'o, V, S> {
    /// The worker at that index of the pool.
    pub(crate) fn new(
        run: &'r Run<'r, V, S>,
        committed: &'r Mutex<Committed<'o, V::Receipt, S::Error>>,
        index: usize,
        seat: Option<Seat<'r>>,
    ) -> Self {
        Self {
            run,
            committed,
            index,
            evm_ahead: None,
            evm: run.evm(index, seat),
            portion: Portion::default(),
            seat,
            suspects: Vec::new(),
            shifts: Vec::new(),
            spare: Vec::new(),
            counts: WorkCounts::default(),
            activities: Vec::new(),
        }
    }

    /// Works until the block is done or called off, and returns what it did.
    pub(crate) fn work(mut self) -> WorkCounts {
        let scheduler = &self.run.scheduler;
        // A transaction that this worker set free: its inputs are in this worker's caches.
        let mut mine = None;
        if self.index > 0 {
            mine = self.start_early();
        }
        if let Some(seat) = &self.seat {
            seat.rest(scheduler);
        }
        while !scheduler.is_over() {
            scheduler.hooks.at(Site::Choose, scheduler.committed());
            if let Some(end) = self.run.job.early_end.reason() {
                // Who holds the lock may wait for a permit.
                if let Some(seat) = &self.seat {
                    seat.leave();
                }
                self.committed.lock().end_early(end);
                scheduler.halt();
                break;
            }
            if self.commit_own() {
                continue;
            }
            let tx = mine.take().or_else(|| scheduler.next(&mut self.portion, &self.run.plan));
            match tx {
                // What is next in line is better executed once and for all.
                Some(tx) if tx == scheduler.committed() && self.commit_own() => {}
                Some(tx) => mine = self.look_at(tx),
                None if self.commit(false) => {}
                None => match self.take_over() {
                    Some(tx) => mine = self.look_at(tx),
                    None => match scheduler.next_ahead() {
                        Some(ahead) => self.work_ahead(ahead),
                        None => scheduler.idle(self.seat),
                    },
                },
            }
        }
        if let Some(log) = self.run.job.activity {
            log.add(self.activities);
        }
        self.counts
    }

    /// A transaction that another worker took and has not come to.
    fn take_over(&self) -> Option<u32> {
        let Run { job, plan, scheduler, .. } = self.run;
        job.techniques.has(Technique::Takeover).then(|| scheduler.steal(plan)).flatten()
    }

    /// Executes what is better not left for the end. The calling thread takes the block in order
    /// meanwhile. Returns a transaction that this set free.
    fn start_early(&mut self) -> Option<u32> {
        let Run { plan, started_early, scheduler, .. } = self.run;
        let mut mine = None;
        while mine.is_none() && !scheduler.is_over() {
            let tx = *plan.long().get(started_early.fetch_add(1, Relaxed))?;
            mine = self.look_at(tx);
        }
        mine
    }

    /// Commits, if what is next in line is this worker's. Returns whether it held the commit role.
    ///
    /// With permits everything is: whoever took it may be reading, and what is next in line had better
    /// not wait for that.
    fn commit_own(&mut self) -> bool {
        match self.seat {
            Some(_) => self.commit(false),
            None => self.portion.contains(self.run.scheduler.committed()) && self.commit(true),
        }
    }

    /// Commits what can be committed, unless somebody else does: of this worker's `own` portion, or
    /// all. Returns whether it held the commit role.
    fn commit(&mut self, own: bool) -> bool {
        let scheduler = &self.run.scheduler;
        let Some(role) = scheduler.try_enter_commit() else { return false };
        if let Err(error) = self.commit_in_order(&role, own) {
            self.committed.lock().error.get_or_insert(error);
            scheduler.halt();
        }
        true
    }

    /// Executes `tx`, or looks whether its reads still hold, if either is called for. Returns a
    /// transaction that this set free.
    fn look_at(&mut self, tx: u32) -> Option<u32> {
        let scheduler = &self.run.scheduler;
        if scheduler.claim(tx) {
            return self.speculate(tx);
        }
        if !scheduler.claim_suspect(tx) {
            return None;
        }
        if self.reads_hold(tx) {
            return self.settle(tx);
        }
        scheduler.reopen(tx);
        self.speculate(tx)
    }

    /// Executes `tx`, which this worker owns, on what is known now.
    fn speculate(&mut self, tx: u32) -> Option<u32> {
        let scheduler = &self.run.scheduler;
        let writer = Writer { version: version_of(tx as usize), is_final: false };
        for _ in 0..scheduler.hooks.rounds(MAX_ROUNDS) {
            if !scheduler.may_speculate(tx) {
                return self.leave(tx);
            }
            match self.execute(tx, Mode::Speculative) {
                Ended::Interrupted(Interruption::Blocked(writer)) => {
                    scheduler.release(tx);
                    let waits = scheduler.wait(tx, writer - 1);
                    // Where there is nothing to wait for any more, it goes on at once, unless
                    // somebody else was quicker.
                    if waits || !scheduler.claim(tx) {
                        return None;
                    }
                    continue;
                }
                Ended::Interrupted(Interruption::AwaitsCommit | Interruption::Halted) => {
                    return self.leave(tx);
                }
                // Whether a failure counts is for the commit to find out, on final values.
                Ended::Interrupted(Interruption::Source(_)) | Ended::Failed(_) => {
                    self.keep(writer, None)
                }
                Ended::Done(transacted) => self.keep(writer, Some(transacted)),
            }
            match scheduler.finish(tx) {
                Some(freed) => return self.hand_out(freed),
                None if self.reads_hold(tx) => return self.settle(tx),
                None => {}
            }
        }
        let freed = scheduler.finish_anyway(tx);
        self.hand_out(freed)
    }

    /// Sees to it that something is in the memory by the time it is wanted. What else comes of it is
    /// forgotten.
    fn work_ahead(&mut self, ahead: Ahead) {
        match ahead {
            Ahead::Read(key) => self.read_keys(key),
            Ahead::Execute(tx) => {
                self.execute_ahead(tx, Mode::Ahead);
            }
            Ahead::Guess(tx) => {
                // Much code ends early where it finds something, and much where it finds nothing.
                let succeeds = self.execute_ahead(tx, Mode::Guessing(U256::ZERO));
                if succeeds == Some(false) {
                    self.execute_ahead(tx, Mode::Guessing(PLENTY));
                }
            }
        }
    }

    /// Executes `tx` for its reads only, and returns whether it succeeds, if it can be executed.
    fn execute_ahead(&mut self, tx: u32, mode: Mode) -> Option<bool> {
        let run = self.run;
        if run.scheduler.hooks.spuriously(Site::ReadAhead, tx) {
            return None;
        }
        self.counts.executions += 1;
        let Job { vm, block, .. } = run.job;
        let evm = self.evm_ahead.get_or_insert_with(|| run.evm_ahead(self.index, self.seat));
        evm.db_mut().begin(version_of(tx as usize), mode);
        let env = vm.tx_env(&block.transactions[tx as usize]);
        let transacted = vm.transact(evm, env).ok()?;
        Some(transacted.result.is_success())
    }

    /// Reads `key` and what else is to be read.
    fn read_keys(&mut self, key: Key) {
        let Run { job, memory, scheduler, .. } = self.run;
        let Some(seat) = self.seat else { return };
        seat.leave();
        let mut key = Some(key);
        while let Some(next) = key.filter(|_| !scheduler.is_over()) {
            // Whoever needs it reads it again, and reports what fails.
            let _ = read_ahead::read(job, memory, &seat, next);
            key = scheduler.next_key();
        }
        seat.rest(scheduler);
    }

    /// Leaves `tx` to the commit. Whoever meets its values, if it published any, waits for that.
    fn leave(&mut self, tx: u32) -> Option<u32> {
        self.run.scheduler.release(tx);
        self.run.scheduler.defer(tx);
        self.send_to_suspects();
        None
    }

    /// Ends a look at `tx` whose reads were found to hold.
    fn settle(&mut self, tx: u32) -> Option<u32> {
        let scheduler = &self.run.scheduler;
        let freed = scheduler.finish(tx).unwrap_or_else(|| scheduler.finish_anyway(tx));
        self.hand_out(freed)
    }

    /// Hands out what was set free, keeping the first for this worker, and sends somebody to look
    /// at the transactions whose reads came into doubt.
    fn hand_out(&mut self, freed: Freed) -> Option<u32> {
        let scheduler = &self.run.scheduler;
        let mut freed = freed.into_iter().peekable();
        let mine = freed.next_if(|first| !scheduler.hooks.spuriously(Site::Keep, *first));
        if freed.len() > 0 {
            scheduler.push(freed);
        }
        self.send_to_suspects();
        mine
    }

    fn send_to_suspects(&mut self) {
        let Run { job, scheduler, .. } = self.run;
        if !job.techniques.has(Technique::Doubts) {
            self.suspects.clear();
        }
        for suspect in self.suspects.drain(..) {
            scheduler.suspect(suspect - 1);
        }
    }

    /// Runs the virtual machine on `tx`, and notes that if it is wanted.
    fn execute(&mut self, tx: u32, mode: Mode) -> EndedOf<V, S, WorkerDb<'r, S>> {
        let Some(log) = self.run.job.activity else { return self.run_vm(tx, mode) };
        let start = log.now();
        let ended = self.run_vm(tx, mode);
        let gas_used = match &ended {
            Ended::Done(transacted) => Some(transacted.result.gas().tx_gas_used()),
            Ended::Interrupted(_) | Ended::Failed(_) => None,
        };
        let (worker, transaction, end) = (self.index, tx as usize, log.now());
        self.activities.push(Activity { worker, transaction, start, end, gas_used, counts: false });
        ended
    }

    fn run_vm(&mut self, tx: u32, mode: Mode) -> EndedOf<V, S, WorkerDb<'r, S>> {
        self.counts.executions += 1;
        self.run.scheduler.hooks.at(Site::Execute, tx);
        let index = tx as usize;
        let conflicts = &self.run.scheduler.conflicts;
        self.evm.db_mut().begin(version_of(index), mode);
        let previous = conflicts.previous(tx);
        if previous != NO_DEPENDENCY && self.run.scheduler.is_settled(previous) {
            self.evm.db_mut().watch(previous + 1);
        }
        let Job { vm, techniques, .. } = self.run.job;
        if techniques.has(Technique::Pauses)
            && let Some((slots, reach)) = self.run.scheduler.begin(tx, &self.run.plan)
        {
            self.evm.db_mut().expect(slots, reach, previous);
        }
        let env = vm.tx_env(&self.run.job.block.transactions[index]);
        let result = if mode == Mode::Speculative && self.run.job.notes_balances() {
            vm.transact_noting(&mut self.evm, env)
        } else {
            let transacted = vm.transact(&mut self.evm, env);
            transacted.map(|transacted| Noted { transacted, balances: BalanceUses::default() })
        };
        self.run.scheduler.hooks.at(Site::Executed, tx);
        match result {
            Ok(Noted { mut transacted, balances }) => {
                if !self.evm.db_mut().note(&balances, &mut transacted.state) {
                    return Ended::Interrupted(Interruption::AwaitsCommit);
                }
                if let Some(depended) = self.evm.db().saw_watched() {
                    conflicts.executed(tx, depended);
                }
                self.learn_reach(tx);
                Ended::Done(transacted)
            }
            Err(error) => match self.evm.db_mut().take_interruption() {
                Some(interruption) => Ended::Interrupted(interruption),
                None => Ended::Failed(error),
            },
        }
    }

    /// Publishes what the transaction of `writer` wrote and keeps its result, replacing those of an earlier execution.
    fn keep(&mut self, writer: Writer, transacted: Option<Transacted<HaltOf<V>>>) {
        let run = self.run;
        let version = writer.version;
        let tx = version - 1;
        let index = tx as usize;
        let mut record = run.records[index].lock();
        let record = &mut *record;
        let mut earlier = std::mem::replace(record, self.spare.pop().unwrap_or_default());
        self.evm.db_mut().swap_reads(&mut record.reads);
        record.done = transacted.map(|transacted| {
            let Transacted { result, state, deferred_fee } = transacted;
            let written = &mut record.written;
            publish(run.memory, writer, &state, &mut self.suspects, |at| written.push(at));
            let wrote_beneficiary = writes(&state, run);
            let changes = run.observed.then(|| Box::new(diff_of(&state)));
            let journal = if run.listed {
                state
            } else {
                run.job.vm.recycle(&mut self.evm, state);
                EvmState::default()
            };
            Box::new(Done {
                gas: *result.gas(),
                receipt: run.job.vm.receipt(&run.job.block.transactions[index], result),
                deferred_fee,
                wrote_beneficiary,
                changes,
                journal,
            })
        });
        if !earlier.written.is_empty() {
            // Sorted, because a transaction can write thousands of slots, and again and again.
            record.written.sort_unstable();
            let again = |at: &Written| record.written.binary_search(at).is_ok();
            let not_again = earlier.written.drain(..).filter(|at| !again(at));
            take_back(run.memory, version, not_again, &mut self.suspects);
        }
        self.set_aside(earlier);
        run.scheduler.hooks.at(Site::Kept, tx);
    }

    /// Keeps the memory of a record that is done with for another transaction.
    fn set_aside(&mut self, record: Record<V::Receipt>) {
        if self.spare.len() < MAX_SPARE {
            self.spare.extend(record.emptied());
        }
    }

    /// Whether `tx`, which this worker owns, would read the same again.
    fn reads_hold(&mut self, tx: u32) -> bool {
        self.counts.validations += 1;
        let run = self.run;
        let version = version_of(tx as usize);
        let record = run.records[tx as usize].lock();
        let hold = run.memory.hold(&record.reads, version);
        self.judge(tx, hold)
    }

    /// Lets the class of `tx` learn from whether its reads `hold`. Returns whether they do.
    fn judge(&self, tx: u32, hold: Result<(), Changed>) -> bool {
        let run = self.run;
        if !run.job.techniques.has(Technique::Lines) {
            return hold.is_ok();
        }
        if hold.is_err() || run.scheduler.hooks.spuriously(Site::Validate, tx) {
            let slot = match hold {
                Err(Changed::Slot(slot)) => Some(slot),
                Ok(()) | Err(Changed::Account) => None,
            };
            run.scheduler.conflicts.conflict(tx, slot, || Classes::new(run.class_keys()));
        }
        hold.is_ok()
    }

    /// Lets the class of `tx` learn when that came to what the class conflicts over, if it was
    /// measured.
    fn learn_reach(&self, tx: u32) {
        let Scheduler { hooks, conflicts, .. } = &self.run.scheduler;
        if let Some(reach) = self.evm.db().reach() {
            let late = hooks.spuriously(Site::Reach, tx);
            conflicts.measured(tx, if late { Reach::Late } else { reach });
        }
    }
}

/// Whether `state` writes the beneficiary's account.
fn writes<V: BlockVm, S: StateSource>(state: &EvmState, run: &Run<'_, V, S>) -> bool {
    let account = state.get(&run.job.rules.beneficiary);
    account.and_then(classify).is_some_and(|change| change.changed)
}
