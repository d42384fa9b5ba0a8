//! Who may run, where more workers than threads take part.
//!
//! With a read depth, most workers of a block are blocked in reads of the parent state at any time. So
//! that no more run than there are threads, a worker runs only with a *permit*, of which there are as
//! many as threads. It gives its permit up around each read, and while it has nothing to do:
//!
//! ```text
//!              leave                  enter
//!   running ----------> reading ----------------> waiting
//!    ^  ^                         if none is free    |
//!    |  +--------------------------------------------+ somebody gives one up: lowest transaction first
//!    |        rest
//!    |    ----------> resting
//!    +---------------------+ there is work, and a permit that no waiting worker wants
//! ```
//!
//! Who is ready to run takes a permit where one is free. Else, whenever one becomes free, somebody is
//! *called*: of those who wait the one with the lowest transaction, because the others depend on it; if
//! none waits, one who rests, provided that there is work. A permit is not reserved for who was called,
//! who may take longer to wake up than others take between two reads; who comes too late waits again.
//!
//! *No deadlock:* nobody who runs waits for one who waits or reads. The one lock that a worker may hold
//! meanwhile is that of what is committed; whoever else wants it gives the permit up before.
//!
//! *No lost wake-up:* at any time there are as many called workers on their way as free permits, or
//! nobody who could be called ([`State::call`] is where this is made true). As in [`super::wait`], who
//! makes work visible then looks for workers who rest, and who is about to rest announces it before the
//! last look.

use super::Scheduler;
use crate::{
    hooks::{Hooks, Site},
    memory::Version,
    sync::{
        self, Condvar, Mutex,
        atomic::{
            AtomicUsize,
            Ordering::{Relaxed, SeqCst},
            fence,
        },
    },
};

/// The permits of the workers of one block.
#[derive(Debug)]
pub(crate) struct Permits {
    /// How many there are.
    count: usize,
    state: Mutex<State>,
    /// Where each worker sleeps.
    beds: Box<[Condvar]>,
    /// How many workers rest, or are about to.
    resting: AtomicUsize,
    /// How many workers have a seat.
    seats: AtomicUsize,
    hooks: Hooks,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Workers who were called and have not looked yet.
    called: usize,
    workers: Box<[Worker]>,
    /// Who has nothing to do.
    resting: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
struct Worker {
    holds: bool,
    /// The transaction to go on with.
    waits: Option<Version>,
    called: bool,
}

impl State {
    /// Takes a permit for `worker`, if there is one. `last` leaves those to the called that they need.
    fn take(&mut self, worker: usize, last: bool) -> bool {
        let takes = self.free > if last { self.called } else { 0 };
        if takes {
            self.free -= 1;
            self.workers[worker].holds = true;
        }
        takes
    }

    /// Calls workers as long as there are permits that nobody is on the way to.
    fn call(&mut self, beds: &[Condvar], has_work: impl Fn() -> bool) {
        while self.free > self.called {
            let uncalled = self.workers.iter().enumerate().filter(|(_, worker)| !worker.called);
            let waiting = uncalled.filter_map(|(at, worker)| Some((worker.waits?, at)));
            let Some(next) = waiting
                .min()
                .map(|(_, at)| at)
                .or_else(|| if has_work() { self.resting.pop() } else { None })
            else {
                return;
            };
            self.called += 1;
            self.workers[next].called = true;
            beds[next].notify_one();
        }
    }

    /// `worker` looks.
    fn answer(&mut self, worker: usize) {
        self.called -= usize::from(std::mem::take(&mut self.workers[worker].called));
    }

    fn check_invariants(&self, count: usize) {
        let held = self.workers.iter().filter(|worker| worker.holds).count();
        debug_assert_eq!(self.free + held, count, "permits are neither lost nor made: {self:?}");
        let called = self.workers.iter().filter(|worker| worker.called).count();
        debug_assert_eq!(self.called, called, "{self:?}");
    }
}

impl Permits {
    /// `count` permits for up to `workers` workers.
    pub(crate) fn new(count: usize, workers: usize, hooks: Hooks) -> Self {
        let state = State {
            free: count,
            called: 0,
            workers: vec![Worker::default(); workers].into(),
            resting: Vec::with_capacity(workers),
        };
        Self {
            count,
            state: Mutex::new(state),
            beds: (0..workers).map(|_| Condvar::default()).collect(),
            resting: AtomicUsize::new(0),
            seats: AtomicUsize::new(0),
            hooks,
        }
    }

    /// A place for another worker, who has no permit yet. `work` is what there may be to do.
    pub(crate) fn seat<'p>(&'p self, work: Option<&'p Scheduler>) -> Seat<'p> {
        // Relaxed: to each another one, in whatever order.
        Seat { permits: self, worker: self.seats.fetch_add(1, Relaxed), work }
    }

    /// Whether somebody rests, or is about to.
    pub(super) fn anybody_rests(&self) -> bool {
        self.resting.load(SeqCst) > 0
    }

    /// Lets workers who rest look for work, which was made visible before.
    pub(super) fn wake(&self, work: &Scheduler) {
        fence(SeqCst);
        if !self.anybody_rests() {
            return;
        }
        let mut state = self.state.lock();
        if work.is_over() {
            for worker in &state.resting {
                self.beds[*worker].notify_one();
            }
        }
        state.call(&self.beds, || work.has_work());
    }
}

/// A worker's place among those who share permits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat<'p> {
    permits: &'p Permits,
    worker: usize,
    work: Option<&'p Scheduler>,
}

impl Seat<'_> {
    /// Gives the permit up, if there is one: to read, or for good.
    pub(crate) fn leave(&self) {
        let mut state = self.permits.state.lock();
        self.give_up(&mut state, || self.work.is_some_and(Scheduler::has_work));
    }

    fn give_up(&self, state: &mut State, has_work: impl Fn() -> bool) {
        if std::mem::take(&mut state.workers[self.worker].holds) {
            state.free += 1;
            state.call(&self.permits.beds, has_work);
        }
        state.check_invariants(self.permits.count);
    }

    /// Takes a permit in order to go on with the transaction of `version`, and waits for one where
    /// none is free.
    pub(crate) fn enter(&self, version: Version) {
        let Self { permits, worker, .. } = *self;
        let mut state = permits.state.lock();
        while !state.take(worker, false) {
            state.workers[worker].waits = Some(version);
            state = sync::wait(&permits.beds[worker], state);
            state.answer(worker);
        }
        state.workers[worker].waits = None;
        state.check_invariants(permits.count);
    }

    /// Runs `read` without the permit.
    pub(crate) fn without<T>(&self, version: Version, read: impl FnOnce() -> T) -> T {
        self.permits.hooks.at(Site::Leave, version);
        self.leave();
        // A panic goes on without a permit, and the worker with it: all it does is to halt the rest.
        let result = read();
        self.permits.hooks.at(Site::Return, version);
        self.enter(version);
        result
    }

    /// Returns with a permit once there may be work, or without one where all is over.
    pub(crate) fn rest(&self, work: &Scheduler) {
        let Self { permits, worker, .. } = *self;
        permits.resting.fetch_add(1, SeqCst);
        permits.hooks.at(Site::Announced, 0);
        let mut state = permits.state.lock();
        self.give_up(&mut state, || false);
        permits.hooks.at(Site::Sleep, 0);
        while !(work.is_over() || work.has_work() && state.take(worker, true)) {
            state.resting.push(worker);
            // If it was called, it does not come, and another may.
            state.call(&permits.beds, || false);
            state = sync::wait(&permits.beds[worker], state);
            state.answer(worker);
            state.resting.retain(|other| *other != worker);
        }
        // As above, where all is over.
        state.call(&permits.beds, || false);
        state.check_invariants(permits.count);
        drop(state);
        permits.resting.fetch_sub(1, SeqCst);
    }
}

/// Gives a worker's permit up when dropped.
#[derive(Debug)]
pub(crate) struct Leaving<'p>(pub(crate) Seat<'p>);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}
