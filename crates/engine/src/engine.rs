//! The engine: a virtual machine, a pool of workers and what is kept between blocks.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use parking_lot::Mutex;
use warpline_primitives::{BlockOutput, RecoveredBlock, StateSource};

use crate::{
    BlockVm, EngineBug, EngineConfig, Ethereum, ExecuteOptions, ExecutionError, PoolError,
    Strategy,
    execute::{self, Resources},
    memory::Memory,
    plan::Plan,
    pool::{Pool, panic_message},
    sequential,
    vm::{CodeCache, reference},
};

/// Executes blocks. Cheap to clone; clones share workers and caches.
///
/// See the [crate's documentation](crate) for an example.
#[derive(Clone, Debug)]
pub struct Engine<V: BlockVm = Ethereum> {
    vm: V,
    shared: Arc<Shared>,
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
        let shared = Shared {
            pool: Pool::new(config.threads)?,
            codes: CodeCache::new(config.code_cache_bytes),
            memories: Mutex::default(),
        };
        Ok(Self { vm, shared: Arc::new(shared) })
    }

    /// An engine for another chain on the same workers.
    pub fn with_vm<W: BlockVm>(&self, vm: W) -> Engine<W> {
        Engine { vm, shared: Arc::clone(&self.shared) }
    }

    /// The virtual machine.
    pub const fn vm(&self) -> &V {
        &self.vm
    }

    /// How many threads may run at once.
    pub fn threads(&self) -> usize {
        self.shared.pool.threads()
    }

    /// Executes `block` on the state that `source` reads.
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
    /// As [`execute`](Self::execute).
    pub fn execute_with<'o, S: StateSource>(
        &self,
        block: &RecoveredBlock<V::Transaction>,
        source: &S,
        options: impl Into<ExecuteOptions<'o>>,
    ) -> Result<BlockOutput<V::Receipt>, ExecutionError<S::Error>> {
        let ExecuteOptions { strategy, observer } = options.into();
        let Shared { pool, codes, memories } = &*self.shared;
        let Some((plan, width)) = plan(block, strategy, pool.threads()) else {
            return sequential::execute(&self.vm, block, source, codes, observer);
        };
        let mut memory = memories.lock().pop().unwrap_or_default();
        let resources = Resources { pool, codes, memory: &memory };
        let run = || execute::execute(&self.vm, block, source, (plan, width), resources, observer);
        // Workers catch their own panics. The steps around the transactions run on this thread,
        // and a source or an observer may panic there just as well.
        let result = catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|panic| Err(EngineBug::WorkerPanic(panic_message(&*panic)).into()));
        memory.reset();
        memories.lock().push(memory);
        result
    }
}

/// How to execute `block` in parallel, and on how many workers; `None` for sequentially.
fn plan<T: alloy_consensus::Transaction>(
    block: &RecoveredBlock<T>,
    strategy: Strategy,
    threads: usize,
) -> Option<(Plan, usize)> {
    match strategy {
        Strategy::Sequential => None,
        Strategy::Parallel(width) => Some((Plan::new(block), width)),
        Strategy::Auto => {
            let width = threads.min(block.transactions.len());
            if width < 2 || Plan::is_pointless(block) {
                return None;
            }
            let plan = Plan::new(block);
            plan.pays(width).then_some((plan, width))
        }
    }
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
