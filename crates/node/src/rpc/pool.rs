//! Reading for clients, on threads of its own and not on those that serve connections.
//!
//! What reads the database may wait for the disk, and what looks through many blocks takes long. Both
//! happen on threads that may block, of which there are so many that the machine has enough to do and
//! no more. Long work has fewer of them, so that a short read never waits behind long ones only. Who
//! comes when very many wait already is sent away at once.
//!
//! A call is answered when its time is over, whatever its work does. Work ends by looking at its
//! [`Deadline`]; until then it keeps its place, so that work nobody waits for is counted, too.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::RpcError;

/// The longest time that anything may take. Beyond some centuries a clock has no such moment.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// When the answer to a call is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    time: Duration,
}

impl Deadline {
    /// In `time` from now; in [`LONGEST`] if that is sooner.
    pub(super) fn after(time: Duration) -> Self {
        Self { at: Instant::now() + time.min(LONGEST), time }
    }

    /// In `time` from now, or when this is, if that is sooner.
    pub(super) fn within(self, time: Duration) -> Self {
        let sooner = Self::after(time);
        if sooner.at < self.at { sooner } else { self }
    }

    /// When that is.
    pub(super) const fn at(&self) -> Instant {
        self.at
    }

    /// Goes on where there is time left.
    ///
    /// # Errors
    /// [`RpcError::TimedOut`] where there is none.
    pub(super) fn check(&self) -> Result<(), RpcError> {
        if Instant::now() < self.at { Ok(()) } else { Err(self.passed()) }
    }

    /// The error of a call that took too long.
    pub(super) const fn passed(&self) -> RpcError {
        RpcError::TimedOut(self.time)
    }
}

/// How long a piece of work may be expected to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// Some reads.
    Light,
    /// As many reads as the caller asks for, or execution.
    Heavy,
    /// What subscriptions tell, for which nobody has asked just now.
    News,
}

/// Threads that read.
#[derive(Debug)]
pub(super) struct Pool {
    light: Arc<Semaphore>,
    heavy: Arc<Semaphore>,
    news: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Pool {
    /// A pool of `threads`, before which at most `waiting` calls wait.
    pub(super) fn new(threads: usize, waiting: usize) -> Self {
        Self {
            light: Arc::new(Semaphore::new(threads.max(1))),
            heavy: Arc::new(Semaphore::new(threads.div_ceil(2).max(1))),
            news: Arc::new(Semaphore::new(threads.div_ceil(2).max(1))),
            waiting: Semaphore::new(waiting.clamp(1, Semaphore::MAX_PERMITS)),
        }
    }

    /// Does `work` on one of the threads.
    ///
    /// # Errors
    /// Those of `work`, [`RpcError::Busy`] where too many wait, [`RpcError::TimedOut`] when the time is
    /// over, and [`RpcError::Panicked`].
    pub(super) async fn run<T: Send + 'static>(
        &self,
        weight: Weight,
        deadline: Deadline,
        work: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        deadline.check()?;
        let place = self.waiting.try_acquire().map_err(|_| RpcError::Busy)?;
        let permit = tokio::time::timeout_at(deadline.at().into(), self.thread(weight)).await;
        let permit = permit.map_err(|_| deadline.passed())??;
        drop(place);
        on(permit, deadline, work).await
    }

    /// As [`run`](Self::run), for who waits for a thread as long as it takes. The time of `work` begins
    /// when there is one.
    ///
    /// # Errors
    /// Those of `work`, [`RpcError::TimedOut`] when the time is over, and [`RpcError::Panicked`].
    pub(super) async fn run_when_free<T: Send + 'static>(
        &self,
        weight: Weight,
        time: Duration,
        work: impl FnOnce(Deadline) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let permit = self.thread(weight).await?;
        let deadline = Deadline::after(time);
        on(permit, deadline, move || work(deadline)).await
    }

    /// The right to a thread.
    async fn thread(&self, weight: Weight) -> Result<OwnedSemaphorePermit, RpcError> {
        let threads = match weight {
            Weight::Light => &self.light,
            Weight::Heavy => &self.heavy,
            Weight::News => &self.news,
        };
        Arc::clone(threads).acquire_owned().await.map_err(|_| RpcError::Busy)
    }
}

/// Does `work` on the thread to which `permit` is the right.
async fn on<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    deadline: Deadline,
    work: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
) -> Result<T, RpcError> {
    let work = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    });
    match tokio::time::timeout_at(deadline.at().into(), work).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(RpcError::Panicked),
        Err(_) => Err(deadline.passed()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_panic_ends_one_call() {
        let pool = Pool::new(1, 1);
        let deadline = Deadline::after(LONG);
        let panics = pool.run::<()>(Weight::Light, deadline, || panic!("on purpose"));
        assert!(matches!(panics.await, Err(RpcError::Panicked)));
        assert_eq!(pool.run(Weight::Light, deadline, || Ok(1)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn who_takes_too_long_keeps_the_place_but_is_answered() {
        let pool = Pool::new(1, 1);
        let (end, wait) = mpsc::channel::<()>();
        let work = move || {
            let _ = wait.recv();
            Ok(())
        };
        let first = pool.run(Weight::Heavy, Deadline::after(Duration::from_millis(20)), work);
        assert!(matches!(first.await, Err(RpcError::TimedOut(_))));
        let soon = Deadline::after(Duration::from_millis(20));
        let second = pool.run(Weight::Heavy, soon, || Ok(()));
        assert!(matches!(second.await, Err(RpcError::TimedOut(_))));
        let light = pool.run(Weight::Light, Deadline::after(LONG), || Ok(()));
        light.await.unwrap();
        drop(end);
        pool.run(Weight::Heavy, Deadline::after(LONG), || Ok(())).await.unwrap();
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let pool = Arc::new(Pool::new(1, 1));
        let (end, wait) = mpsc::channel::<()>();
        let run = |work: Box<dyn FnOnce() -> Result<(), RpcError> + Send>| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.run(Weight::Light, Deadline::after(LONG), work).await })
        };
        let works = run(Box::new(move || {
            let _ = wait.recv();
            Ok(())
        }));
        while pool.light.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let waits = run(Box::new(|| Ok(())));
        while pool.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = pool.run(Weight::Light, Deadline::after(LONG), || Ok(()));
        assert!(matches!(refused.await, Err(RpcError::Busy)));
        drop(end);
        works.await.unwrap().unwrap();
        waits.await.unwrap().unwrap();
    }

    #[test]
    fn no_time_is_no_time() {
        assert!(Deadline::after(Duration::ZERO).check().is_err());
        assert!(Deadline::after(LONG).check().is_ok());
        assert!(Deadline::after(LONG).within(Duration::ZERO).check().is_err());
        assert!(Deadline::after(Duration::ZERO).within(LONG).check().is_err());
    }

    #[test]
    fn all_the_time_of_the_world_is_a_time() {
        let deadline = Deadline::after(Duration::MAX);
        assert!(deadline.check().is_ok());
        assert!(deadline.within(Duration::MAX).within(Duration::ZERO).check().is_err());
    }
}
