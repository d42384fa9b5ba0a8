//! How a worker without work waits: it spins briefly, then sleeps until something changes.

use crate::{
    hooks::{Hooks, Site},
    sync::{
        self, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst, fence},
    },
};

/// Rounds of looking again before sleeping, some tens of microseconds: what most waits for another
/// transaction take, and no more than going to sleep and being woken costs.
const SPINS: u32 = if cfg!(feature = "model") { 1 } else { 2000 };

/// Where workers sleep.
///
/// Who makes work visible then calls [`wake`](Self::wake), which looks whether anybody sleeps;
/// who goes to sleep first announces itself, then looks for work once more. Both sides are
/// sequentially consistent, so at least one of them sees the other: no wake-up is lost. Under the
/// lock the same holds between the last look and the actual sleep.
#[derive(Debug, Default)]
pub(super) struct Parking {
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Parking {
    /// Returns once `has_work` holds, or after having slept and been woken.
    pub(super) fn wait(&self, has_work: impl Fn() -> bool, hooks: &Hooks) {
        for _ in 0..SPINS {
            if has_work() {
                return;
            }
            sync::spin_loop();
        }
        self.sleepers.fetch_add(1, SeqCst);
        hooks.at(Site::Announced, 0);
        {
            let guard = self.lock.lock();
            if !has_work() {
                hooks.at(Site::Sleep, 0);
                drop(sync::wait(&self.changed, guard));
            }
        }
        self.sleepers.fetch_sub(1, SeqCst);
    }

    /// Whether somebody announced that it sleeps.
    pub(super) fn anybody_sleeps(&self) -> bool {
        self.sleepers.load(SeqCst) > 0
    }

    /// Wakes all sleepers to look for work.
    pub(super) fn wake(&self) {
        fence(SeqCst);
        if self.anybody_sleeps() {
            let _guard = self.lock.lock();
            self.changed.notify_all();
        }
    }
}
