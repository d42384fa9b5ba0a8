//! How an engine is set up.

/// What to build an [`Engine`](crate::Engine) with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineConfig {
    /// Threads that may run at once, the caller's included; 0 for one a core. Default: 0.
    pub threads: usize,
    /// Analysed code kept across blocks, in bytes. Default: 256 MiB.
    pub code_cache_bytes: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { threads: 0, code_cache_bytes: 256 << 20 }
    }
}

impl EngineConfig {
    /// The default with this many threads; 0 for one a core.
    pub fn with_threads(threads: usize) -> Self {
        Self { threads, ..Self::default() }
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
