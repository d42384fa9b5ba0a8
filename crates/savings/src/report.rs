//! What is told of all blocks together: the figures, which are also what the JSON document holds.

mod blocks;
mod causes;
mod csv;
mod fees;
mod focus;
mod html;
mod names;
mod plots;
mod totals;

use serde::Serialize;

use crate::{BlockAnalysis, CorePrice, Market};

pub use blocks::BlockRow;
pub use causes::CauseRow;
pub use csv::TableError;
pub use fees::{FeeReport, Scenario};
pub use focus::{Focus, FocusSpan, Step};
pub use names::Names;
pub use plots::PlotError;
pub use totals::{CoresRow, MeasuredRow, Totals, Wasted};

/// The name and version of the JSON document.
pub const SCHEMA: &str = "warpline.report.v1";

/// What a report is made for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The version of the program.
    pub version: String,
    /// Where the figures were measured, in words.
    pub machine: String,
    /// What a core costs.
    pub price: CorePrice,
    /// The part of the time of importing a block that is execution.
    pub execution_share: f64,
    /// Who pays for gas.
    pub market: Market,
    /// What to call contracts and functions.
    pub names: Names,
}

/// What parallel execution saved, and what stands in its way. Times are in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The version of the program.
    pub version: String,
    /// Where it was measured.
    pub machine: String,
    /// All blocks together.
    pub totals: Totals,
    /// What stands in the way, by the time that there is to gain, of each kind.
    pub conflicts: Vec<CauseRow>,
    /// What capacity means for fees.
    pub fees: FeeReport,
    /// The blocks that are shown in detail.
    pub focus: Vec<Focus>,
    /// Each block, in the order in which they were given.
    pub blocks: Vec<BlockRow>,
}

impl Report {
    /// The report on these blocks.
    pub fn new(analyses: &[BlockAnalysis<'_>], settings: &Settings) -> Self {
        let totals = Totals::new(analyses, &settings.price);
        Self {
            schema: SCHEMA,
            version: settings.version.clone(),
            machine: settings.machine.clone(),
            conflicts: causes::rows(analyses, &settings.names),
            fees: FeeReport::new(analyses, &totals, settings),
            focus: focus::of(analyses, &settings.names),
            blocks: analyses.iter().map(BlockRow::new).collect(),
            totals,
        }
    }
}

/// In milliseconds.
const fn ms(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// One by the other; 1 where there is nothing to compare.
fn ratio(one: f64, other: f64) -> f64 {
    if other > 0.0 { one / other } else { 1.0 }
}
