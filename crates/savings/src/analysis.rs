//! What follows from what was measured of a block.

use std::time::Duration;

use crate::{
    BlockRecord, Conflict, CriticalPath, Dependencies, Granularity, Notion, Schedule, Timeline,
    conflicts, simulate,
};

/// The numbers of cores that are looked at besides those that were measured.
pub const CORES: [usize; 7] = [2, 4, 8, 16, 32, 64, 128];
/// The number of cores for which it is said what a conflict costs.
pub const CORES_OF_CONFLICTS: usize = 8;

/// What the dependencies of a block allow.
#[derive(Clone, Debug)]
pub struct BlockAnalysis<'r> {
    /// What was measured.
    pub record: &'r BlockRecord,
    /// What each transaction took.
    pub times: Vec<Duration>,
    /// Who needs whom, payments to one account in any order.
    pub dependencies: Dependencies,
    /// What no number of cores gets below, transactions being executed whole.
    pub critical: CriticalPath,
    /// As [`critical`](Self::critical), if to meet an account is to depend on its balance.
    pub critical_by_accounts: CriticalPath,
    /// As [`critical`](Self::critical), if transactions could be stopped where they look at what others
    /// change.
    pub critical_of_segments: CriticalPath,
    /// For each of [`CORES`].
    pub cores: Vec<CoresAnalysis>,
    /// What stands in the way.
    pub conflicts: Vec<Conflict>,
}

/// A block on some number of cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoresAnalysis {
    /// How many.
    pub cores: usize,
    /// What a schedule in block order takes that knows everything beforehand.
    pub in_order: Duration,
    /// What the engine's way to schedule takes, as far as it is modelled.
    pub simulated: Duration,
    /// What it would take if no execution counted that began before one it needs had ended.
    pub simulated_whole: Duration,
    /// The time that the engine's way spends in vain.
    pub wasted: Duration,
}

impl<'r> BlockAnalysis<'r> {
    /// Analyses what was measured.
    ///
    /// # Panics
    /// If there is not one call for each trace.
    pub fn new(record: &'r BlockRecord) -> Self {
        let of = |notion| Dependencies::new(&record.traces, record.beneficiary, notion);
        let times: Vec<_> = record.traces.iter().map(|trace| trace.took).collect();
        let dependencies = of(Notion::CreditsCommute);
        let timeline = Timeline::new(&times, &dependencies);
        let by_accounts = of(Notion::AccountReads);
        let critical_by_accounts =
            Timeline::new(&times, &by_accounts).critical_path(Granularity::Transactions);
        let critical = timeline.critical_path(Granularity::Transactions);
        let critical_of_segments = timeline.critical_path(Granularity::Segments);
        let cores = CORES.map(|cores| {
            let of = |granularity| simulate(&timeline, &record.calls, cores, granularity);
            let simulated = of(Granularity::Segments);
            CoresAnalysis {
                cores,
                in_order: timeline.in_order(cores).makespan,
                simulated: simulated.makespan,
                simulated_whole: of(Granularity::Transactions).makespan,
                wasted: simulated.wasted(),
            }
        });
        let conflicts = conflicts(&record.traces, &timeline, CORES_OF_CONFLICTS);
        Self {
            record,
            critical,
            critical_by_accounts,
            critical_of_segments,
            cores: cores.into(),
            conflicts,
            times,
            dependencies,
        }
    }

    /// The times and dependencies.
    pub fn timeline(&self) -> Timeline<'_> {
        Timeline::new(&self.times, &self.dependencies)
    }

    /// The time of all transactions.
    pub fn total(&self) -> Duration {
        self.times.iter().sum()
    }

    /// What the engine's way to schedule does on `cores`.
    pub fn simulated(&self, cores: usize) -> Schedule {
        simulate(&self.timeline(), &self.record.calls, cores, Granularity::Segments)
    }

    /// What was measured with that many threads.
    pub fn measured(&self, threads: usize) -> Option<&'r crate::Measured> {
        self.record.parallel.iter().find(|measured| measured.threads == threads)
    }
}
