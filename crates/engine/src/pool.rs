//! The workers that outlive blocks.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

/// A persistent pool. The calling thread is one of its workers, so that with `threads` workers
/// never more than `threads` threads run.
#[derive(Debug)]
pub(crate) struct Pool {
    threads: usize,
    /// How many workers there are with those that are blocked in reads.
    workers: usize,
    /// The other workers; `None` where the caller works alone.
    others: Option<rayon::ThreadPool>,
}

/// The worker threads could not be started.
#[derive(Debug, thiserror::Error)]
#[error("starting {threads} worker threads failed: {source}")]
pub struct PoolError {
    threads: usize,
    source: rayon::ThreadPoolBuildError,
}

impl Pool {
    /// A pool of `threads` workers; 0 for one a core. Where `read_depth` is more, it has as many
    /// workers, and leaves it to them that no more than `threads` run. To `pin` them is to keep
    /// each but the caller on one logical processor, if there are as many and nobody waits for reads.
    pub(crate) fn new(threads: usize, read_depth: usize, pin: bool) -> Result<Self, PoolError> {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = if threads == 0 { cores() } else { threads };
        let workers = threads.max(read_depth);
        let others = match workers - 1 {
            0 => None,
            // Each block has threads of its own.
            _ if cfg!(feature = "model") => None,
            others => {
                let cores = (pin && workers == threads).then(core_affinity::get_core_ids).flatten();
                let cores = cores.filter(|cores| cores.len() >= workers).unwrap_or_default();
                let builder = rayon::ThreadPoolBuilder::new()
                    .num_threads(others)
                    .start_handler(move |index| {
                        // The first is left to the caller, who is not ours to move. Where the system
                        // refuses, it goes on placing threads as it does.
                        if let Some(core) = cores.get(index + 1) {
                            core_affinity::set_for_current(*core);
                        }
                    })
                    .thread_name(|index| format!("warpline-{}", index + 1));
                Some(builder.build().map_err(|source| PoolError { threads: workers, source })?)
            }
        };
        Ok(Self { threads, workers, others })
    }

    /// How many workers may run at once.
    pub(crate) const fn threads(&self) -> usize {
        self.threads
    }

    /// How many workers there are.
    pub(crate) const fn workers(&self) -> usize {
        self.workers
    }

    /// Which of the workers the calling thread is: 0 for one that is not of this pool.
    pub(crate) fn index(&self) -> usize {
        let index = self.others.as_ref().and_then(rayon::ThreadPool::current_thread_index);
        index.map_or(0, |index| index + 1)
    }

    /// How many workers there are, where these are more than may run at once.
    pub(crate) fn depth(&self) -> Option<usize> {
        Some(self.workers).filter(|workers| *workers > self.threads)
    }

    /// Runs `work` on `width` workers at once, on the caller first of all, and returns when all
    /// are through.
    pub(crate) fn run(&self, width: usize, work: impl Fn() + Sync) {
        #[cfg(feature = "model")]
        if self.others.is_none() {
            return crate::sync::run(width.min(self.workers), work);
        }
        match &self.others {
            Some(others) if width > 1 => others.in_place_scope(|scope| {
                for _ in 1..width.min(self.workers) {
                    scope.spawn(|_| work());
                }
                work();
            }),
            _ => work(),
        }
    }

    /// Calls `work` for every index below `count`, spread over `width` workers.
    pub(crate) fn for_each(&self, width: usize, count: usize, work: impl Fn(usize) + Sync) {
        self.fold(width, count, || (), |(), index| work(index));
    }

    /// As [`for_each`](Self::for_each), with something of each worker's own to work on, which
    /// `start` makes. Returns those.
    pub(crate) fn fold<T: Send>(
        &self,
        width: usize,
        count: usize,
        start: impl Fn() -> T + Sync,
        work: impl Fn(&mut T, usize) + Sync,
    ) -> Vec<T> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::new());
        self.run(width, || {
            let mut result = start();
            loop {
                // Relaxed: the index itself is all that is shared here.
                let index = next.fetch_add(1, Relaxed);
                if index >= count {
                    break;
                }
                work(&mut result, index);
            }
            results.lock().push(result);
        });
        results.into_inner()
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For each worker of a pool of two the cores that it may run on.
    fn cores(pin: bool) -> [usize; 2] {
        let pool = Pool::new(2, 0, pin).unwrap();
        let found = Mutex::new([0; 2]);
        let (arrived, both) = (AtomicUsize::new(0), 2);
        pool.run(2, || {
            // So that nobody does the work of two.
            arrived.fetch_add(1, Relaxed);
            while arrived.load(Relaxed) < both {
                std::thread::yield_now();
            }
            let cores = core_affinity::get_core_ids().unwrap_or_default();
            found.lock()[pool.index()] = cores.len();
        });
        found.into_inner()
    }

    #[test]
    fn a_pinned_worker_has_one_core_and_the_caller_all() {
        let all = core_affinity::get_core_ids().unwrap_or_default().len();
        assert_eq!(cores(false), [all; 2]);
        if cfg!(target_os = "linux") {
            let own = if all >= 2 { 1 } else { all };
            assert_eq!(cores(true), [all, own], "with too few nobody is pinned");
        }
    }
}
