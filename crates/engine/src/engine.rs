//! The engine: a virtual machine, a pool of workers and what is kept between blocks.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use alloy_eip7928::AccountChanges;
use parking_lot::Mutex;
use warpline_primitives::{BlockOutput, CommitObserver, RecoveredBlock, StateSource};

use crate::{
    AccessListMode, BlockVm, Budget, BuiltBlock, EngineBug, EngineConfig, Ethereum, ExecuteOptions,
    ExecutionError, InvalidBlock, PoolError, Strategy, Technique, Techniques, TracedBlock,
    access_list::{Claims, ListSink, from_list},
    build::Admission,
    cancel::EarlyEnd,
    commit::{Resumable, Sinks},
    execute::{self, Ended, Job, Outcome, Resources},
    hooks::Hooks,
    memory::Memory,
    plan::{Advice, Batches, Plan},
    pool::{Pool, panic_message},
    sequential, trace,
    vm::{CodeCache, EnvOf, reference},
};

/// Executes blocks. Cheap to clone; clones share workers and caches.
///
/// See the [crate's documentation](crate) for an example.
#[derive(Clone, Debug)]
pub struct Engine<V: BlockVm = Ethereum> {
    vm: V,
    shared: Arc<Shared>,
    techniques: Techniques,
    hooks: Hooks,
}

/// The workers and caches of an engine, for engines to come.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    shared: Arc<Shared>,
    techniques: Techniques,
    hooks: Hooks,
}

impl Workers {
    /// An engine for the chain that `vm` describes.
    pub(crate) fn engine<V: BlockVm>(&self, vm: V) -> Engine<V> {
        let Self { shared, techniques, hooks } = self.clone();
        Engine { vm, shared, techniques, hooks }
    }
}

/// What all clones share. Nothing in it depends on a block or a chain: workers, code by hash, and
/// memory whose contents are gone.
#[derive(Debug)]
struct Shared {
    pool: Pool,
    codes: CodeCache,
    /// Emptied memories whose allocations wait for another block.
    memories: Mutex<Vec<Memory>>,
}

impl<V: BlockVm> Engine<V> {
    /// An engine for the chain that `vm` describes.
    ///
    /// # Errors
    /// When the worker threads cannot be started.
    pub fn new(vm: V, config: EngineConfig) -> Result<Self, PoolError> {
        let pool = Pool::new(config.threads, config.read_depth, config.pin)?;
        let shared = Shared {
            codes: CodeCache::new(config.code_cache_bytes, pool.workers()),
            pool,
            memories: Mutex::default(),
        };
        let techniques = Techniques::default();
        Ok(Self { vm, shared: Arc::new(shared), techniques, hooks: Hooks::none() })
    }

    /// An engine for another chain on the same workers.
    pub fn with_vm<W: BlockVm>(&self, vm: W) -> Engine<W> {
        self.workers().engine(vm)
    }

    /// An engine on the same workers whose parallel path uses these techniques only, to measure what
    /// they give. What it comes to is the same for every block. Execution from an access list is a path
    /// of its own, and is not affected.
    pub fn with_techniques(&self, techniques: Techniques) -> Self {
        Self { techniques, ..self.clone() }
    }

    /// An engine on the same workers whose parallel path is disturbed in the way that
    /// `perturbation` says. What it comes to is the same for every block: nothing is remembered.
    #[cfg(feature = "testing")]
    pub fn perturbed(&self, perturbation: crate::testing::Perturbation) -> Self {
        Self { hooks: Hooks::new(perturbation), ..self.clone() }
    }

    /// The workers and caches, without the chain.
    pub(crate) fn workers(&self) -> Workers {
        let Self { shared, techniques, hooks, .. } = self.clone();
        Workers { shared, techniques, hooks }
    }

    /// The threads.
    pub(crate) fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    /// Analysed code by hash.
    pub(crate) fn codes(&self) -> &CodeCache {
        &self.shared.codes
    }

    /// The virtual machine.
    pub const fn vm(&self) -> &V {
        &self.vm
    }

    /// How many threads may run at once.
    pub fn threads(&self) -> usize {
        self.shared.pool.threads()
    }

    /// Executes `block` on the state that `source` reads: a [`StateSource`] of any kind, be it a
    /// `&dyn StateSource` or an `Arc` of one.
    ///
    /// The output is the same for every strategy, thread count and timing. Header rules and roots
    /// are not checked here: compare the output with the header.
    ///
    /// # Errors
    /// [`ExecutionError::InvalidBlock`] with the first rule that the block breaks in execution,
    /// [`ExecutionError::StateRead`] when `source` failed, [`ExecutionError::EngineBug`] when the
    /// engine did. The engine stays usable after any of them.
    pub fn execute<S: StateSource>(
        &self,
        block: &RecoveredBlock<V::Transaction>,
        source: &S,
    ) -> Result<BlockOutput<V::Receipt>, ExecutionError<S::Error>> {
        self.execute_with(block, source, Strategy::Auto)
    }

    /// As [`execute`](Self::execute), with a say in how, and in what happens besides: a
    /// [`Strategy`] or [`ExecuteOptions`].
    ///
    /// # Errors
    /// As [`execute`](Self::execute), and [`ExecutionError::Cancelled`] where the options' switch
    /// called it off.
    pub fn execute_with<'o, S: StateSource>(
        &self,
        block: &RecoveredBlock<V::Transaction>,
        source: &S,
        options: impl Into<ExecuteOptions<'o>>,
    ) -> Result<BlockOutput<V::Receipt>, ExecutionError<S::Error>> {
        let ExecuteOptions { strategy, observer, access_list, cancellation, activity, hints } =
            options.into();
        let early_end = EarlyEnd { cancellation, deadline: None };
        contain(|| {
            let env = &self.vm.env(block);
            let job = self.job(block, source, env, early_end);
            let job = Job { activity, advice: hints.into(), ..job };
            let sinks = match access_list {
                AccessListMode::Verify(list) => {
                    return self.run_from_list(job, strategy, list, observer);
                }
                mode => Sinks::new(observer, mode.builds(&job.rules)),
            };
            let admission = Admission::new(job.rules, None);
            Ok(self.run(job, strategy, sinks, admission)?.output)
        })
    }

    /// Executes `block` one transaction after the other, and says of each how long it took, what it
    /// read and what it changed, and how far it was by then: what depends on what, and how much
    /// parallelism there is. Executes it twice, the second time to count gas.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub fn trace<S: StateSource>(
        &self,
        block: &RecoveredBlock<V::Transaction>,
        source: &S,
    ) -> Result<TracedBlock<V::Receipt>, ExecutionError<S::Error>> {
        contain(|| {
            let env = &self.vm.env(block);
            let job = self.job(block, source, env, EarlyEnd::default());
            let sinks = Sinks::new(None, false);
            let mut traces = Vec::with_capacity(block.transactions.len());
            let admission = Admission::new(job.rules, None);
            let finished = sequential::execute(job, sinks, admission, Some(&mut traces))?;
            trace::note_gas(job, &mut traces)?;
            Ok((finished.output, traces))
        })
    }

    /// Builds a block from candidates: those transactions of `draft` that are valid one after the
    /// other and fit into `budget`, in their order.
    ///
    /// `draft` is the block as far as it is known: the header says number, timestamp, beneficiary,
    /// gas limit and fees; what it commits to is not looked at. An observer is shown the steps of
    /// the block that is built, whose transactions are counted from 0. A cancellation ends the
    /// block instead of calling it off, and access lists cannot be verified, only built.
    ///
    /// The block is the same for every strategy, thread count and timing, except that a deadline or
    /// a cancellation may end it after any candidate.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), but for transactions: where a step around them makes every
    /// block invalid, the state cannot be read, or the engine has a bug.
    pub fn build<'o, S: StateSource>(
        &self,
        draft: &RecoveredBlock<V::Transaction>,
        source: &S,
        budget: Budget,
        options: impl Into<ExecuteOptions<'o>>,
    ) -> Result<BuiltBlock<V::Receipt>, ExecutionError<S::Error>> {
        let ExecuteOptions { strategy, observer, access_list, cancellation, activity, hints } =
            options.into();
        let early_end = EarlyEnd { cancellation, deadline: budget.deadline };
        contain(|| {
            let env = &self.vm.env(draft);
            let job = self.job(draft, source, env, early_end);
            let mut job = Job { activity, advice: hints.into(), ..job };
            job.rules.gas_limit = job.rules.gas_limit.min(budget.gas);
            let sinks = Sinks::new(observer, access_list.builds(&job.rules));
            let admission = Admission::new(job.rules, Some(budget));
            Ok(self.run(job, strategy, sinks, admission)?.into_built())
        })
    }

    pub(crate) fn job<'b, S: StateSource>(
        &'b self,
        block: &'b RecoveredBlock<V::Transaction>,
        source: &'b S,
        env: &'b EnvOf<V>,
        early_end: EarlyEnd<'b>,
    ) -> Job<'b, V, S> {
        let codes = &self.shared.codes;
        let (rules, techniques) = (self.vm.rules(env), self.techniques);
        Job {
            vm: &self.vm,
            block,
            source,
            env,
            rules,
            codes,
            early_end,
            techniques,
            activity: None,
            advice: Advice::NONE,
        }
    }

    /// Executes without knowing anything of the block beforehand.
    fn run<S: StateSource>(
        &self,
        job: Job<'_, V, S>,
        strategy: Strategy,
        sinks: Sinks<'_>,
        admission: Admission,
    ) -> Ended<V, S> {
        match plan(&job, strategy, self.pool()) {
            None => sequential::execute(job, sinks, admission, None),
            Some(plan) => self
                .with_memory(|resources| execute::execute(job, plan, resources, sinks, admission)),
        }
    }

    /// Executes from an access list that was given with the block, and verifies it.
    fn run_from_list<S: StateSource>(
        &self,
        job: Job<'_, V, S>,
        strategy: Strategy,
        list: &[AccountChanges],
        observer: Option<&mut dyn CommitObserver>,
    ) -> Outcome<V, S> {
        let transactions = job.block.transactions.len();
        let claims = Claims::new(list, transactions, job.block.header.gas_limit)
            .map_err(InvalidBlock::AccessList)?;
        let width = match strategy {
            Strategy::Sequential => None,
            Strategy::Parallel(width) => Some(width),
            Strategy::Auto if self.pool().depth().is_some() => Some(self.threads()),
            Strategy::Auto if Batches::are_pointless(job.block, Advice::NONE) => None,
            Strategy::Auto => Some(self.threads()).filter(|threads| *threads > 1),
        };
        let mut observer = observer.map(Resumable::new);
        if let Some(width) = width {
            let sinks = Sinks {
                observer: resume(&mut observer),
                list: ListSink::Verifier(&claims, 0),
                owed: None,
            };
            let workers = (self.pool(), &self.hooks.of_run());
            let outcome = from_list::execute(job, width, workers, &claims, sinks);
            if let Some(outcome) = outcome {
                return outcome;
            }
            claims.forget_accesses();
        }
        let sinks = Sinks {
            observer: resume(&mut observer),
            list: ListSink::Verifier(&claims, 0),
            owed: None,
        };
        let admission = Admission::new(job.rules, None);
        Ok(self.run(job, strategy, sinks, admission)?.output)
    }

    /// Runs `work` on the pool with a memory that is fresh, and empties it afterwards.
    fn with_memory<T>(&self, work: impl FnOnce(Resources<'_>) -> T) -> T {
        self.with_prepared_memory(|_| {}, work)
    }

    /// As [`with_memory`](Self::with_memory), with a memory that was prepared for it.
    pub(crate) fn with_prepared_memory<T>(
        &self,
        prepare: impl FnOnce(&mut Memory),
        work: impl FnOnce(Resources<'_>) -> T,
    ) -> T {
        let Shared { pool, memories, .. } = &*self.shared;
        let mut memory = memories.lock().pop().unwrap_or_default();
        let hooks = self.hooks.of_run();
        memory.hook(hooks.clone());
        prepare(&mut memory);
        let result = work(Resources { pool, memory: &memory, hooks });
        memory.reset();
        memories.lock().push(memory);
        result
    }
}

/// How to execute `block` in parallel, and on how many workers; `None` for sequentially.
fn plan<'b, V: BlockVm, S: StateSource>(
    job: &Job<'b, V, S>,
    strategy: Strategy,
    pool: &Pool,
) -> Option<(Plan<'b, V::Transaction>, usize)> {
    let Job { block, techniques, advice, .. } = *job;
    let chooses = techniques.has(Technique::Width);
    match strategy {
        Strategy::Sequential => None,
        Strategy::Parallel(width) => Some(plan_parallel(job, width, pool)),
        Strategy::Auto if pool.depth().is_some() => Some(plan_parallel(job, pool.threads(), pool)),
        Strategy::Auto => {
            let width = pool.threads().min(block.transactions.len());
            if width < 2 || (chooses && Batches::are_pointless(block, advice)) {
                return None;
            }
            let plan = Plan::new(block, advice, width, job.notes_balances());
            if chooses && !plan.pays(width) {
                return None;
            }
            Some((plan.limited_to(techniques), width))
        }
    }
}

/// How to execute `block` in parallel on `width` workers.
pub(crate) fn plan_parallel<'b, V: BlockVm, S: StateSource>(
    job: &Job<'b, V, S>,
    width: usize,
    pool: &Pool,
) -> (Plan<'b, V::Transaction>, usize) {
    let Job { block, techniques, advice, .. } = *job;
    let credits_commute = job.notes_balances();
    // What a block computes is little against what it waits for.
    let plan = if pool.depth().is_some() {
        Plan::of_slow_reads(block, advice, credits_commute)
    } else {
        Plan::new(block, advice, width, credits_commute)
    };
    (plan.limited_to(techniques), width)
}

/// Runs `work`, and reports a panic as what it is. Workers catch their own; everything else runs on
/// the calling thread, where a source or an observer may panic just as well.
pub(crate) fn contain<T, E>(
    work: impl FnOnce() -> Result<T, ExecutionError<E>>,
) -> Result<T, ExecutionError<E>> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(EngineBug::Panic(panic_message(&*panic)).into()))
}

/// The observer of one attempt to execute a block.
fn resume<'r>(observer: &'r mut Option<Resumable<'_>>) -> Option<&'r mut dyn CommitObserver> {
    observer.as_mut().map(|observer| observer.restarted() as &mut dyn CommitObserver)
}

impl Engine<Ethereum> {
    /// Executes `block` in a plain loop over revm and alloy-evm that shares no code with the
    /// engine but the cache of analysed code: what everything else is compared with.
    ///
    /// # Errors
    /// As [`execute`](Self::execute); an invalid transaction is reported as a system step's error.
    pub fn execute_reference<S: StateSource>(
        &self,
        block: &RecoveredBlock,
        source: &S,
    ) -> Result<BlockOutput, ExecutionError<S::Error>> {
        reference::execute(self.vm.spec(), block, source, &self.shared.codes)
    }
}
