//! What the parallel path synchronises with: mutexes, a condition variable, atomics, and the threads
//! of a block.
//!
//! With the feature `model` all of it is [shuttle]'s, which runs the workers as coroutines of one
//! thread, decides at every operation who goes on, and notices when nobody can: the tests in
//! `model.rs` then run the code that is shipped in schedules chosen at random. Nothing else works
//! under that feature, because shuttle's types work inside shuttle only. It takes every operation
//! for sequentially consistent, so it does not find orderings that are too weak.
//!
//! What never decides between workers stays as it is everywhere: the cache of code, which is a pure
//! function of the hash, the result's assembly, and the engine's stock of memories.
//!
//! [shuttle]: https://docs.rs/shuttle

#[cfg(not(feature = "model"))]
pub(crate) use production::*;

#[cfg(feature = "model")]
pub(crate) use model::*;

#[cfg(not(feature = "model"))]
mod production {
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};
    pub(crate) use std::{hint::spin_loop, sync::atomic};

    /// Sleeps until `condvar` is notified, without `guard` meanwhile.
    pub(crate) fn wait<'g, T>(
        condvar: &Condvar,
        mut guard: MutexGuard<'g, T>,
    ) -> MutexGuard<'g, T> {
        condvar.wait(&mut guard);
        guard
    }
}

#[cfg(feature = "model")]
mod model {
    use std::sync::PoisonError;

    pub(crate) use shuttle::{
        hint::spin_loop,
        sync::{Condvar, MutexGuard, atomic},
    };

    /// A mutex that knows no poison.
    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
        }

        pub(crate) fn into_inner(self) -> T {
            self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
        }
    }

    pub(crate) fn wait<'g, T>(condvar: &Condvar, guard: MutexGuard<'g, T>) -> MutexGuard<'g, T> {
        condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on `width` threads at once.
    pub(crate) fn run(width: usize, work: impl Fn() + Sync) {
        shuttle::thread::scope(|scope| {
            for _ in 1..width {
                scope.spawn(&work);
            }
            work();
        });
    }
}
