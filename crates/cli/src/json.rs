//! The JSON documents, whose shape the README promises. A change that a reader could notice is a
//! new `schema`.

use std::{fs::File, io::Write as _, path::Path};

use anyhow::Context as _;
use serde::Serialize;

/// What `replay --json` writes.
#[derive(Debug, Serialize)]
pub(crate) struct ReplayReport {
    pub(crate) schema: &'static str,
    pub(crate) engine: EngineInfo,
    pub(crate) blocks: Vec<BlockRow>,
    pub(crate) summary: Summary,
    /// Only where a file of bounds was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bounds: Option<BoundsReport>,
    /// Only where blockchain tests were among the inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tests: Option<Tests>,
    /// Inputs that could not be used.
    pub(crate) unusable: Vec<Unusable>,
}

/// The engine that produced the results.
#[derive(Debug, Serialize)]
pub(crate) struct EngineInfo {
    pub(crate) version: &'static str,
    pub(crate) threads: usize,
}

/// One block. Times in milliseconds; a side that was not run has none.
#[derive(Debug, Default, Serialize)]
pub(crate) struct BlockRow {
    pub(crate) number: u64,
    pub(crate) hash: String,
    pub(crate) source: String,
    pub(crate) fork: &'static str,
    pub(crate) txs: usize,
    pub(crate) gas_used: u64,
    /// How far the result is proven; absent where it is wrong or there is none.
    pub(crate) proof: Option<String>,
    /// Why it is not proven further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proof_limit: Option<String>,
    /// Whether both ways gave the same output; null where only one was run.
    pub(crate) identical: Option<bool>,
    /// Whether everything that the input can prove was proven.
    pub(crate) verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    pub(crate) sequential_ms: Option<f64>,
    pub(crate) parallel_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) again_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parallel_1_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cold_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revm_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_ms: Option<f64>,
    pub(crate) width: usize,
    /// The most reads outstanding at once; absent where the parent state was not slowed down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_depth: Option<usize>,
    pub(crate) speedup: Option<f64>,
    /// The sequential side against itself; only where it was measured twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) noise: Option<f64>,
    pub(crate) executions: u64,
    pub(crate) reexecutions: u64,
    pub(crate) validations: u64,
}

impl BlockRow {
    /// Whether all ways that were taken came to the same, and that is what the header says.
    pub(crate) fn is_sound(&self) -> bool {
        self.verified && self.identical != Some(false)
    }

    /// The time of the faster way to execute the block one transaction after the other, where it was
    /// executed both ways.
    pub(crate) fn one_after_the_other_ms(&self) -> Option<f64> {
        self.speedup.zip(self.parallel_ms).map(|(speedup, ms)| speedup * ms)
    }
}

/// All blocks together. Speed-ups are over the blocks that were run both ways.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) blocks: usize,
    pub(crate) identical: usize,
    pub(crate) verified: usize,
    pub(crate) mismatched: usize,
    pub(crate) failed: usize,
    pub(crate) sequential_ms: f64,
    pub(crate) parallel_ms: f64,
    pub(crate) speedup_total: Option<f64>,
    pub(crate) speedup_geomean: Option<f64>,
    pub(crate) speedup_min: Option<f64>,
    pub(crate) speedup_max: Option<f64>,
    /// Without the blocks that are too short to be timed well.
    pub(crate) over_1_ms: Option<LongBlocks>,
    /// The most reads outstanding at once; absent where the parent state was not slowed down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_depth: Option<usize>,
}

/// The blocks that take longer than a millisecond sequentially, of those that were run both ways.
#[derive(Debug, Serialize)]
pub(crate) struct LongBlocks {
    pub(crate) blocks: usize,
    /// The number of the block with the lowest speed-up.
    pub(crate) slowest: u64,
    pub(crate) speedup_min: f64,
    /// Null, as the next, where nothing was repeated.
    pub(crate) noise_min: Option<f64>,
    pub(crate) noise_max: Option<f64>,
}

/// The blocks held against what their dependencies allow.
#[derive(Debug, Serialize)]
pub(crate) struct BoundsReport {
    pub(crate) file: String,
    /// How many blocks were measured and have bounds.
    pub(crate) blocks: usize,
    /// The numbers of those that were measured and have none.
    pub(crate) missing: Vec<u64>,
    /// The numbers of blocks to leave out of the second share.
    pub(crate) without: Vec<u64>,
    /// How many of the blocks these were.
    pub(crate) left_out: usize,
    pub(crate) credits_commute: BoundReport,
    pub(crate) account_reads: BoundReport,
}

/// The same for one notion of what depends on what.
#[derive(Debug, Serialize)]
pub(crate) struct BoundReport {
    /// The time of the in-order schedule on as many cores as the engine has threads, by the time
    /// taken; null where the file says nothing of as many.
    pub(crate) share: Option<f64>,
    /// The same of fewer blocks; null where none was left out.
    pub(crate) share_without: Option<f64>,
    pub(crate) exceeded: Vec<Exceeded>,
}

/// A block that was faster than the bound.
#[derive(Debug, Serialize)]
pub(crate) struct Exceeded {
    pub(crate) number: u64,
    pub(crate) speedup: f64,
    pub(crate) critical_path: f64,
    /// Whether it takes longer than a millisecond sequentially.
    pub(crate) over_1_ms: bool,
}

/// What became of the cases of blockchain tests.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Tests {
    pub(crate) cases: usize,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) failures: Vec<TestFailure>,
}

/// A case that failed.
#[derive(Debug, Serialize)]
pub(crate) struct TestFailure {
    pub(crate) case: String,
    pub(crate) network: String,
    pub(crate) reason: String,
}

/// An input that could not be used.
#[derive(Debug, Serialize)]
pub(crate) struct Unusable {
    pub(crate) error: String,
}

/// What `conformance --json` writes.
#[derive(Debug, Serialize)]
pub(crate) struct ConformanceReport {
    pub(crate) schema: &'static str,
    pub(crate) engine: EngineInfo,
    /// The seed of the order in which the cases were run; null for the order of the files.
    pub(crate) shuffle: Option<u64>,
    pub(crate) elapsed_ms: f64,
    #[serde(flatten)]
    pub(crate) totals: CaseTotals,
    pub(crate) forks: Vec<ForkTotals>,
    pub(crate) failures: Vec<CaseRow>,
    pub(crate) skips: Vec<CaseRow>,
    pub(crate) stale_skips: Vec<StaleSkip>,
    /// Files in no known format that were met in a directory or an archive.
    pub(crate) ignored: Vec<String>,
    /// Inputs that could not be used.
    pub(crate) unusable: Vec<Unusable>,
}

/// What became of cases, and how many blocks of theirs were executed.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct CaseTotals {
    pub(crate) cases: usize,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    pub(crate) blocks: usize,
}

/// The cases of one network.
#[derive(Debug, Serialize)]
pub(crate) struct ForkTotals {
    pub(crate) network: String,
    #[serde(flatten)]
    pub(crate) totals: CaseTotals,
}

/// A case that failed or was skipped.
#[derive(Debug, Serialize)]
pub(crate) struct CaseRow {
    pub(crate) file: String,
    pub(crate) case: String,
    pub(crate) network: String,
    pub(crate) reason: String,
}

/// An entry of the list of skips that has to go.
#[derive(Debug, Serialize)]
pub(crate) struct StaleSkip {
    pub(crate) skip: String,
    pub(crate) reason: String,
}

/// What `bench --json` writes.
#[derive(Debug, Serialize)]
pub(crate) struct BenchReport {
    pub(crate) schema: &'static str,
    pub(crate) rows: Vec<BenchRow>,
}

/// One workload. Times are medians in milliseconds, null where a side was not run.
#[derive(Debug, Serialize)]
pub(crate) struct BenchRow {
    pub(crate) workload: &'static str,
    pub(crate) txs: usize,
    pub(crate) gas: u64,
    pub(crate) threads: usize,
    pub(crate) sequential_ms: Option<f64>,
    pub(crate) parallel_ms: Option<f64>,
    pub(crate) again_ms: Option<f64>,
    pub(crate) parallel_1_ms: Option<f64>,
    pub(crate) revm_ms: Option<f64>,
    pub(crate) cpu_ms: Option<f64>,
    /// Memory before the first execution and at most; only of one side and one workload.
    pub(crate) resident_mib: Option<f64>,
    pub(crate) peak_mib: Option<f64>,
    pub(crate) width: usize,
    /// The most reads outstanding at once; absent where the parent state was not slowed down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_depth: Option<usize>,
    pub(crate) speedup: Option<f64>,
    pub(crate) noise: Option<f64>,
    pub(crate) ggas_per_s: f64,
    pub(crate) executions: u64,
    pub(crate) reexecutions: u64,
    pub(crate) validations: u64,
}

/// What `bench --ablate --json` writes.
#[derive(Debug, Serialize)]
pub(crate) struct AblationReport {
    pub(crate) schema: &'static str,
    pub(crate) rows: Vec<AblationRow>,
}

/// One workload, or all blocks that were given. Times are medians in milliseconds, added up over
/// blocks.
#[derive(Debug, Serialize)]
pub(crate) struct AblationRow {
    pub(crate) workload: &'static str,
    pub(crate) txs: usize,
    pub(crate) sequential_ms: f64,
    pub(crate) noise: f64,
    pub(crate) variants: Vec<AblationVariant>,
}

/// The parallel path with `all` techniques, without the one that is named, or with `none`.
#[derive(Debug, Serialize)]
pub(crate) struct AblationVariant {
    pub(crate) variant: &'static str,
    pub(crate) parallel_ms: f64,
    pub(crate) speedup: f64,
    pub(crate) executions: u64,
}

/// What `fuzz --json` writes.
#[derive(Debug, Serialize)]
pub(crate) struct FuzzReport {
    pub(crate) schema: &'static str,
    pub(crate) seed: u64,
    pub(crate) seconds: f64,
    pub(crate) blocks: u64,
    pub(crate) transactions: u64,
    pub(crate) valid: u64,
    pub(crate) executions: u64,
    pub(crate) reexecutions: u64,
    pub(crate) findings: Vec<FuzzFinding>,
}

/// A block on which two ways of execution differ.
#[derive(Debug, Serialize)]
pub(crate) struct FuzzFinding {
    pub(crate) index: u64,
    pub(crate) fork: &'static str,
    pub(crate) kind: String,
    pub(crate) difference: String,
    /// Seconds into the run.
    pub(crate) after_s: f64,
    /// The block as it was generated, and made smaller, as blockchain tests.
    pub(crate) files: Vec<String>,
    /// Transactions of either.
    pub(crate) txs: Vec<usize>,
}

/// Where a report goes, opened before any work is done so that a bad path is found at once.
#[derive(Debug)]
pub(crate) enum Target {
    /// Standard output, in place of the table.
    Stdout,
    /// A file.
    File(File),
}

impl Target {
    /// Opens the target that `--json` names.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Option<Self>> {
        match path {
            None => Ok(None),
            Some(path) if path == Path::new("-") => Ok(Some(Self::Stdout)),
            Some(path) => {
                let file = File::create(path)
                    .with_context(|| format!("cannot write the report to {}", path.display()))?;
                Ok(Some(Self::File(file)))
            }
        }
    }

    /// Writes the report.
    pub(crate) fn write(self, report: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(report)?;
        text.push(b'\n');
        match self {
            Self::Stdout => std::io::stdout().write_all(&text)?,
            Self::File(mut file) => file.write_all(&text)?,
        }
        Ok(())
    }
}
