//! How an engine is set up, and how it is asked to execute a block.

use std::fmt;

use warpline_primitives::{AccessHints, CommitObserver};

use crate::{AccessListMode, ActivityLog, Cancellation};

/// What to build an [`Engine`](crate::Engine) with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineConfig {
    /// Threads that may run at once, the caller's included; 0 for one a core. Default: 0.
    pub threads: usize,
    /// Reads of the parent state that may be outstanding at once. Default: 0.
    ///
    /// No more than `threads` is for states that answer at once, as memory does: a worker that reads
    /// waits. More is for slow ones. While a read is under way, another transaction is executed
    /// instead; what a transaction is going to read is guessed and asked for ahead; and small blocks are
    /// executed in parallel, too. It takes as many threads, of which no more than
    /// [`threads`](Self::threads) run and the others are blocked in reads. The source is then asked
    /// for things that the block turns out not to need.
    pub read_depth: usize,
    /// Analysed code kept across blocks, in about so many bytes of code. Default: 256 MiB.
    ///
    /// One half is for code that all share, and all that sequential execution uses. The other half is
    /// for the workers' own copies of what they run, an equal part for each. A worker that executes
    /// ahead, or another block besides, has as much again until the block is done.
    pub code_cache_bytes: usize,
    /// Whether each worker but the caller stays on one logical processor. Default: no.
    ///
    /// For a machine that does nothing else: they are taken in the system's order, by every engine the
    /// same, and threads of one core are not told apart. It is done where the system offers it, where
    /// there are as many as [`threads`](Self::threads), and where [`read_depth`](Self::read_depth) is no
    /// more.
    pub pin: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { threads: 0, read_depth: 0, code_cache_bytes: 256 << 20, pin: false }
    }
}

impl EngineConfig {
    /// The default with this many threads; 0 for one a core.
    pub fn with_threads(threads: usize) -> Self {
        Self { threads, ..Self::default() }
    }

    /// This configuration with workers that stay on their cores, or not; see [`pin`](Self::pin).
    pub const fn pin(mut self, pin: bool) -> Self {
        self.pin = pin;
        self
    }

    /// This configuration with so many reads outstanding; see [`read_depth`](Self::read_depth).
    pub const fn read_depth(mut self, reads: usize) -> Self {
        self.read_depth = reads;
        self
    }
}

/// How to execute a block. Every strategy yields the same output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Let the engine choose by the block.
    #[default]
    Auto,
    /// One transaction after the other, without any of the parallel machinery.
    Sequential,
    /// The parallel machinery with this many workers, at most as many as the engine has threads.
    /// Not reduced for small blocks: for tests and measurements.
    Parallel(usize),
}

/// How to execute a block, and what to do besides. Made from a [`Strategy`], or by chaining.
///
/// Nothing here changes the output, but for the access list being part of it or not.
#[derive(Default)]
#[non_exhaustive]
pub struct ExecuteOptions<'a> {
    /// How.
    pub strategy: Strategy,
    /// Who is shown each step's changes as they become final.
    pub observer: Option<&'a mut dyn CommitObserver>,
    /// What to do about the block's access list.
    pub access_list: AccessListMode<'a>,
    /// What calls the execution off.
    pub cancellation: Option<&'a Cancellation>,
    /// Where to note who executed what, and when.
    pub activity: Option<&'a ActivityLog>,
    /// What somebody expects of the transactions.
    pub hints: Option<&'a AccessHints>,
}

impl<'a> ExecuteOptions<'a> {
    /// These options with `observer`.
    pub fn observed_by(mut self, observer: &'a mut dyn CommitObserver) -> Self {
        self.observer = Some(observer);
        self
    }

    /// These options with the block's access list treated this way.
    pub const fn access_list(mut self, mode: AccessListMode<'a>) -> Self {
        self.access_list = mode;
        self
    }

    /// These options with somebody's `hints` at what the transactions read, write and take.
    ///
    /// The parallel path begins a transaction after the one that it is said to need, cuts the block by
    /// the times that it is told and, with a [`read_depth`](EngineConfig::read_depth), reads ahead what
    /// it is told will be read. Wrong hints cost time. They are not looked at where a block is executed
    /// from an access list, which knows better.
    pub const fn hinted_by(mut self, hints: &'a AccessHints) -> Self {
        self.hints = Some(hints);
        self
    }

    /// These options with an execution that `cancellation` calls off.
    pub const fn cancelled_by(mut self, cancellation: &'a Cancellation) -> Self {
        self.cancellation = Some(cancellation);
        self
    }

    /// These options with `log` told who executed what, and when.
    pub const fn logged_to(mut self, log: &'a ActivityLog) -> Self {
        self.activity = Some(log);
        self
    }
}

impl From<Strategy> for ExecuteOptions<'_> {
    fn from(strategy: Strategy) -> Self {
        Self { strategy, ..Self::default() }
    }
}

impl fmt::Debug for ExecuteOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecuteOptions")
            .field("strategy", &self.strategy)
            .field("observed", &self.observer.is_some())
            .field("access_list", &self.access_list)
            .field("cancellation", &self.cancellation)
            .field("logged", &self.activity.is_some())
            .field("hinted", &self.hints.is_some())
            .finish()
    }
}
