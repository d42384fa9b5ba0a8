//! For tests: schedules that no machine would produce on its own, and engines that are broken on
//! purpose. Only with the feature `testing`, which no program should have.
//!
//! [`Engine::perturbed`](crate::Engine::perturbed) gives an engine whose workers pass *decision
//! points* wherever the protocol leaves something open: which work to take, when to claim, publish,
//! finish, suspect, wait, sleep and commit, and around every read. What happens at one is drawn from
//! the seed, the point, the transaction and how often that transaction passed there, so that one
//! seed makes similar trouble whatever the number of threads. Threads still run as they like: a
//! seed is a kind of trouble, not a recording.
//!
//! - *Delays*: a spin, a `yield_now`, a short sleep, also under the locks of the memory.
//! - *Spurious choices*: a worker declines the commit role or gives it back, hands out what it could
//!   keep, takes transactions out of order; entries of the queue are lost or doubled; suspicion
//!   falls on the innocent; a finished execution is taken for a suspect; a class is told of
//!   conflicts that it did not have; a worker without work does not sleep.
//! - *Small bounds*: a window of few transactions, one round of repetition, few speculations.
//!
//! All of it is what the protocol must tolerate: statuses, queues and suspicion are hints, and the
//! output does not depend on them. Each seed switches some kinds and points on and others off, because
//! all trouble at once hides what a little of it finds.
//!
//! A perturbation can also [panic](Perturbation::panicking_at) at its k-th decision point, and
//! [break the validation](Sabotage), for whoever wants to see that a test would notice.
//!
//! What it cannot find: orderings of memory that are too weak. Decision points count with atomic
//! operations, which order more than what they test.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use crate::{hooks::Site, scheduler::MAX_SPECULATIONS};

/// The most executions a transaction can take, the one on final values included.
pub const MAX_EXECUTIONS: u64 = MAX_SPECULATIONS as u64 + 1;

/// The most transactions beyond the committed ones that can have left anything in memory.
pub const WINDOW: usize = crate::scheduler::WINDOW as usize;

/// What to do to the schedule of every block; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Perturbation {
    seed: Option<u64>,
    panic_at: Option<u64>,
    sabotage: Option<Sabotage>,
}

/// A bug, put in on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Whatever was executed is committed, whether or not its reads hold. Suspicion still repairs
    /// most of what goes wrong.
    SkipValidation,
    /// Of every so many transactions the last is committed without validation, and no suspicion of
    /// it is looked into. 0 counts as 1: all of them.
    TrustEvery(u32),
}

impl Perturbation {
    /// Delays, spurious choices and small bounds, drawn from `seed`.
    pub const fn seeded(seed: u64) -> Self {
        Self { seed: Some(seed), panic_at: None, sabotage: None }
    }

    /// Besides, a panic at the decision point `point` of each block, counted from 0. A block that
    /// takes fewer is executed as usual.
    pub const fn panicking_at(self, point: u64) -> Self {
        Self { panic_at: Some(point), ..self }
    }

    /// Besides, a bug.
    pub const fn sabotaged(self, sabotage: Sabotage) -> Self {
        Self { sabotage: Some(sabotage), ..self }
    }
}

/// What happens at decision points: what a [`Perturbation`] says.
#[derive(Clone, Debug)]
pub(crate) struct Hooks {
    perturbation: Perturbation,
    /// There while a block is executed that is to be disturbed at all.
    run: Option<Arc<Run>>,
}

/// One block's state of affairs.
#[derive(Debug)]
struct Run {
    character: Option<Character>,
    panic_at: Option<u64>,
    /// Decision points passed.
    passed: AtomicU64,
    /// How often each site was passed, by transaction; some share a counter.
    visits: Box<[AtomicU32]>,
    /// Sleeps left: they take long, and a block may have a million decision points.
    sleeps: AtomicU32,
}

/// What a seed is fond of.
#[derive(Clone, Copy, Debug)]
struct Character {
    seed: u64,
    /// Sites where something happens at all, one bit each.
    sites: u64,
    /// In 1024 visits.
    delays: u64,
    spurious: u64,
    small_window: bool,
    look_ahead: u32,
    rounds: usize,
    speculations: u32,
}

/// Counters for each site.
const LANES: usize = 64;
const SITES: usize = Site::Alone as usize + 1;
const _: () = assert!(SITES <= 64, "a bit for each site");
/// What a block may spend asleep: some milliseconds on each worker.
const SLEEPS: u32 = 48;

impl Hooks {
    pub(crate) const fn new(perturbation: Perturbation) -> Self {
        Self { perturbation, run: None }
    }

    pub(crate) const fn none() -> Self {
        Self::new(Perturbation { seed: None, panic_at: None, sabotage: None })
    }

    pub(crate) fn of_run(&self) -> Self {
        let Perturbation { seed, panic_at, .. } = self.perturbation;
        let run = (seed.is_some() || panic_at.is_some()).then(|| {
            Arc::new(Run {
                character: seed.map(Character::of),
                panic_at,
                passed: AtomicU64::new(0),
                visits: (0..SITES * LANES).map(|_| AtomicU32::new(0)).collect(),
                sleeps: AtomicU32::new(SLEEPS),
            })
        });
        Self { perturbation: self.perturbation, run }
    }

    fn character(&self) -> Option<&Character> {
        self.run.as_ref()?.character.as_ref()
    }

    pub(crate) fn at(&self, site: Site, tx: u32) {
        self.spuriously(site, tx);
    }

    pub(crate) fn spuriously(&self, site: Site, tx: u32) -> bool {
        self.run.as_ref().is_some_and(|run| run.pass(site, tx))
    }

    pub(crate) fn look_ahead(&self, tx: u32) -> u32 {
        let Some(character) = self.character() else { return 1 };
        1 + self.pick(tx, character.look_ahead)
    }

    pub(crate) fn pick(&self, tx: u32, count: u32) -> u32 {
        let Some(run) = &self.run else { return 0 };
        let seed = run.character.map_or(0, |character| character.seed);
        let drawn = mix(seed ^ mix(u64::from(tx)) ^ run.passed.load(Relaxed));
        u32::try_from(drawn % u64::from(count.max(1))).unwrap_or(0)
    }

    /// A function of how much is committed and of nothing else, as the usual one is: nobody has to
    /// be woken because it changed on its own.
    pub(crate) fn window(&self, committed: u32, usual: u32) -> u32 {
        match self.character() {
            Some(character) if character.small_window => {
                let drawn = mix(character.seed ^ u64::from(committed / 8));
                if drawn & 0x700 == 0 { usual } else { 1 + u32::from(drawn.to_be_bytes()[0] % 8) }
            }
            _ => usual,
        }
    }

    pub(crate) fn rounds(&self, usual: usize) -> usize {
        self.character().map_or(usual, |character| character.rounds.min(usual))
    }

    pub(crate) fn speculations(&self, usual: u32) -> u32 {
        self.character().map_or(usual, |character| character.speculations.min(usual))
    }

    pub(crate) fn skips_validation(&self, tx: u32) -> bool {
        match self.perturbation.sabotage {
            Some(Sabotage::SkipValidation) => true,
            Some(Sabotage::TrustEvery(n)) => tx % n.max(1) == n.max(1) - 1,
            None => false,
        }
    }

    pub(crate) fn drops_suspicion(&self, tx: u32) -> bool {
        matches!(self.perturbation.sabotage, Some(Sabotage::TrustEvery(_)))
            && self.skips_validation(tx)
    }
}

impl Run {
    /// Passes a decision point, and says whether to do the unlikely thing there.
    fn pass(&self, site: Site, tx: u32) -> bool {
        let point = self.passed.fetch_add(1, Relaxed);
        assert!(Some(point) != self.panic_at, "made to panic at decision point {point}, {site:?}");
        let Some(character) = &self.character else { return false };
        if character.sites >> (site as u8) & 1 == 0 {
            return false;
        }
        let lane = site as usize * LANES + tx as usize % LANES;
        let visit = self.visits[lane].fetch_add(1, Relaxed);
        let key = u64::from(site as u8) << 56 ^ u64::from(tx) << 24 ^ u64::from(visit);
        let drawn = mix(character.seed ^ mix(key));
        if drawn % 1024 < character.delays {
            self.delay(drawn >> 10);
        }
        (drawn >> 32) % 1024 < character.spurious
    }

    fn delay(&self, drawn: u64) {
        let how_long = drawn >> 3 & 0xf;
        let may_sleep = || {
            let left = |left: u32| left.checked_sub(1);
            self.sleeps.fetch_update(Relaxed, Relaxed, left).is_ok()
        };
        match drawn & 7 {
            0 if may_sleep() => thread::sleep(Duration::from_micros(10 << (how_long / 3))),
            0..4 => thread::yield_now(),
            _ => (0..20 << (how_long / 2)).for_each(|_| std::hint::spin_loop()),
        }
    }
}

impl Character {
    fn of(seed: u64) -> Self {
        let mut drawn = (1..).map(|round| mix(seed ^ mix(round)));
        let mut draw = move || drawn.next().unwrap_or_default();
        let one_of = |drawn: u64, choices: [u64; 4]| choices[(drawn >> 20) as usize % 4];
        Self {
            seed: draw(),
            sites: draw() | draw(),
            delays: one_of(draw(), [0, 20, 100, 400]),
            spurious: one_of(draw(), [8, 50, 200, 600]),
            small_window: draw() % 2 == 0,
            look_ahead: u32::try_from(draw() % 8).unwrap_or(0),
            rounds: usize::try_from(1 + draw() % 4).unwrap_or(1),
            speculations: u32::try_from(1 << (draw() % 6)).unwrap_or(1),
        }
    }
}

/// Scatters the bits of `x`.
const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_what_happens_where() {
        let draw = |seed| {
            let hooks = Hooks::new(Perturbation::seeded(seed)).of_run();
            let visit = |tx: u32| hooks.spuriously(Site::Finish, tx % 5);
            (0..400).map(visit).collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        let troublesome = (0..64).filter(|seed| draw(*seed).contains(&true)).count();
        assert!((16..64).contains(&troublesome), "{troublesome} of 64");
    }

    #[test]
    fn every_bound_is_small_for_some_seed_and_usual_for_another() {
        let hooks = |seed| Hooks::new(Perturbation::seeded(seed)).of_run();
        let all: Vec<_> = (0..64).map(hooks).collect();
        let both = |of: &dyn Fn(&Hooks) -> u64, least: u64, usual: u64| {
            let drawn: Vec<_> = all.iter().map(of).collect();
            assert!(drawn.iter().all(|drawn| (least..=usual).contains(drawn)), "{drawn:?}");
            assert!(drawn.contains(&least) && drawn.contains(&usual), "{drawn:?}");
        };
        both(&|hooks| hooks.rounds(3) as u64, 1, 3);
        both(&|hooks| u64::from(hooks.speculations(16)), 1, 16);
        both(&|hooks| u64::from(hooks.window(0, 4096)), 1, 4096);
    }

    #[test]
    fn without_a_perturbation_nothing_happens() {
        let hooks = Hooks::none().of_run();
        assert!(!hooks.spuriously(Site::Finish, 0));
        assert_eq!((hooks.window(0, 9), hooks.rounds(3), hooks.look_ahead(0)), (9, 3, 1));
        assert!(!hooks.skips_validation(0) && !hooks.drops_suspicion(0));
    }
}
