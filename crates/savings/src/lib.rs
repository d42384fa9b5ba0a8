//! What the dependencies of a block's transactions allow parallel execution to save.
//!
//! [`Engine::trace`](warpline_engine::Engine::trace) says what each transaction of a block read,
//! changed and took. [`Dependencies`] is who needs whom because of that, by one of two
//! [`Notion`]s, and a [`Timeline`] what follows for the time: the critical path, which no number of
//! cores gets below, and what a schedule on some cores takes. [`simulate`] is the engine's own way to
//! schedule, and [`conflicts`] what it would give to be rid of a dependency.

mod analysis;
mod conflicts;
mod cost;
mod dependencies;
mod fees;
mod record;
pub mod report;
mod simulation;
mod timeline;

pub use analysis::{BlockAnalysis, CORES, CORES_OF_CONFLICTS, CoresAnalysis};
pub use conflicts::{Cause, Conflict, conflicts, without};
pub use cost::{BadPrice, CorePrice, core_seconds_per_gigagas};
pub use dependencies::{Dependencies, Need, Notion, Place};
pub use fees::{FeePoint, Market, capacity, speedup_at_worst};
pub use record::{BlockRecord, Measured, Sample, Variant, median_traces};
pub use simulation::{Call, simulate};
pub use timeline::{CriticalPath, Granularity, Schedule, Span, Timeline};
