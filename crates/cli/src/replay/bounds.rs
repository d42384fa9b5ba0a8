//! Speed-ups held against what the dependencies of each block allow, from a file of bounds.
//!
//! Only blocks that were measured repeatedly are held against it; the single executions of
//! blockchain tests are not. A number alone does not say that a block is the one that the file
//! means, so bounds for another number of transactions are not used.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::summary::is_long;
use crate::{
    args::{Mode, ReplayArgs},
    json::{BlockRow, BoundReport, BoundsReport, Exceeded},
    table::{Printer, STRONG, Styled, factor},
};

/// Figures in the file may be rounded by as much: a speed-up of 1.004 does not exceed 1.00.
const ROUNDING: f64 = 0.005;

/// Why speed-ups cannot be held against bounds.
#[derive(Debug, thiserror::Error)]
pub(super) enum BoundsError {
    #[error("--bounds compares medians of both ways: add --repeat K, with K above 1")]
    NotRepeated,
    #[error("--bounds compares medians of both ways: leave out --mode, or say --mode compare")]
    NotCompared,
    #[error("cannot read the bounds in {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{} is not a file of bounds, whose format is in the README: {error}", path.display())]
    Malformed { path: PathBuf, error: serde_json::Error },
    #[error(
        "{}: {bound}.{member} of block {number} is {found}, and no bound of a speed-up is below 1",
        path.display()
    )]
    BelowOne { path: PathBuf, number: u64, bound: &'static str, member: &'static str, found: f64 },
}

/// The bounds of many blocks.
#[derive(Debug)]
pub(super) struct Bounds {
    path: PathBuf,
    /// The numbers of the blocks that a second share leaves out.
    without: Vec<u64>,
    blocks: BTreeMap<u64, BlockBounds>,
}

/// What a block allows, by two notions of what depends on what.
#[derive(Debug, Deserialize)]
struct BlockBounds {
    txs: usize,
    /// To load an account is to depend on whoever changed it.
    account_reads: Limits,
    /// Only to use a balance is, and to add to one is not to use it.
    credits_commute: Limits,
}

/// Speed-ups over sequential execution.
#[derive(Debug, Deserialize)]
struct Limits {
    /// On any number of cores, if transactions are executed whole.
    critical_path: f64,
    /// On two cores, in block order, without overhead; and so on.
    cores_2: f64,
    cores_8: f64,
    cores_16: f64,
}

impl Limits {
    /// That of the in-order schedule on as many cores, if the file has it.
    const fn on(&self, cores: usize) -> Option<f64> {
        match cores {
            2 => Some(self.cores_2),
            8 => Some(self.cores_8),
            16 => Some(self.cores_16),
            _ => None,
        }
    }

    /// The first figure that no speed-up can be bounded by, with its name.
    fn below_one(&self) -> Option<(&'static str, f64)> {
        let members = [
            ("critical_path", self.critical_path),
            ("cores_2", self.cores_2),
            ("cores_8", self.cores_8),
            ("cores_16", self.cores_16),
        ];
        members.into_iter().find(|(_, found)| *found < 1.0)
    }
}

impl Bounds {
    /// Reads the file that the arguments name, if they do.
    pub(super) fn open(args: &ReplayArgs) -> Result<Option<Self>, BoundsError> {
        let Some(path) = &args.bounds.bounds else { return Ok(None) };
        if args.repeat == 1 {
            return Err(BoundsError::NotRepeated);
        }
        if args.mode != Mode::Compare {
            return Err(BoundsError::NotCompared);
        }
        let unreadable = |error| BoundsError::Unreadable { path: path.clone(), error };
        let text = fs::read(path).map_err(unreadable)?;
        Self::parse(path, &text, args.bounds.without.clone()).map(Some)
    }

    fn parse(path: &Path, text: &[u8], without: Vec<u64>) -> Result<Self, BoundsError> {
        let path = path.to_path_buf();
        let blocks: BTreeMap<u64, BlockBounds> = match serde_json::from_slice(text) {
            Ok(blocks) => blocks,
            Err(error) => return Err(BoundsError::Malformed { path, error }),
        };
        for (&number, block) in &blocks {
            let both = [
                ("account_reads", &block.account_reads),
                ("credits_commute", &block.credits_commute),
            ];
            for (bound, limits) in both {
                if let Some((member, found)) = limits.below_one() {
                    return Err(BoundsError::BelowOne { path, number, bound, member, found });
                }
            }
        }
        Ok(Self { path, without, blocks })
    }

    /// Holds the rows, of an engine with so many threads, against the bounds.
    pub(super) fn compare(&self, rows: &[BlockRow], threads: usize) -> BoundsReport {
        let (mut known, mut missing) = (Vec::new(), Vec::new());
        for times in rows.iter().filter_map(Times::of) {
            match self.blocks.get(&times.row.number) {
                Some(bounds) if bounds.txs == times.row.txs => known.push((times, bounds)),
                _ => missing.push(times.row.number),
            }
        }
        let is_left_out = |times: &Times<'_>| self.without.contains(&times.row.number);
        let left_out = known.iter().filter(|(times, _)| is_left_out(times)).count();
        let report = |limits: fn(&BlockBounds) -> &Limits| {
            let all = || known.iter().map(|(times, bounds)| (times, limits(bounds)));
            let rest = || all().filter(|(times, _)| !is_left_out(times));
            BoundReport {
                share: share(all(), threads),
                share_without: share(rest(), threads).filter(|_| left_out > 0),
                exceeded: all().filter_map(|(times, limits)| times.beyond(limits)).collect(),
            }
        };
        BoundsReport {
            file: self.path.display().to_string(),
            blocks: known.len(),
            missing,
            without: self.without.clone(),
            left_out,
            credits_commute: report(|bounds| &bounds.credits_commute),
            account_reads: report(|bounds| &bounds.account_reads),
        }
    }
}

/// A block that was measured repeatedly, both ways.
struct Times<'a> {
    row: &'a BlockRow,
    sequential_ms: f64,
    parallel_ms: f64,
    speedup: f64,
}

impl<'a> Times<'a> {
    fn of(row: &'a BlockRow) -> Option<Self> {
        row.noise?;
        let sequential_ms = row.one_after_the_other_ms()?;
        Some(Self { row, sequential_ms, parallel_ms: row.parallel_ms?, speedup: row.speedup? })
    }

    /// What there is to say if the block was faster than its critical path allows.
    fn beyond(&self, limits: &Limits) -> Option<Exceeded> {
        (self.speedup > limits.critical_path + ROUNDING).then(|| Exceeded {
            number: self.row.number,
            speedup: self.speedup,
            critical_path: limits.critical_path,
            over_1_ms: is_long(self.row),
        })
    }
}

/// The time that the in-order schedule takes for the blocks, by what they took in parallel.
fn share<'a>(
    blocks: impl Iterator<Item = (&'a Times<'a>, &'a Limits)>,
    cores: usize,
) -> Option<f64> {
    let (mut schedule_ms, mut parallel_ms) = (0.0, 0.0);
    for (times, limits) in blocks {
        schedule_ms += times.sequential_ms / limits.on(cores)?;
        parallel_ms += times.parallel_ms;
    }
    (parallel_ms > 0.0).then_some(schedule_ms / parallel_ms)
}

/// Prints what the comparison shows.
pub(super) fn print(
    printer: &Printer,
    report: &BoundsReport,
    threads: usize,
) -> std::io::Result<()> {
    let both =
        [("credits commute", &report.credits_commute), ("account reads", &report.account_reads)];
    if !report.missing.is_empty() {
        let blocks = if report.missing.len() == 1 { "block" } else { "blocks" };
        printer.line(format_args!("no bounds for {blocks} {}", list(&report.missing)))?;
    }
    if report.blocks == 0 {
        return printer.line("nothing was measured that has bounds");
    }
    if !report.without.is_empty() && report.left_out == 0 {
        printer.line(format_args!(
            "nothing that was measured is left out by --without {}",
            list(&report.without)
        ))?;
    }
    match both.map(|(name, bound)| Some((name, bound.share?, bound.share_without))) {
        [Some(one), Some(other)] => {
            let [one, other] = [one, other].map(|(name, share, share_without)| {
                let without = share_without.map(|share| {
                    format!(" ({} without {})", percent(share), list(&report.without))
                });
                let share = Styled(STRONG, percent(share));
                format!("{share}{} by {name}", without.unwrap_or_default())
            });
            printer.line(format_args!(
                "of the in-order schedule on {threads} cores: {one}, {other}"
            ))?;
        }
        _ => printer.line(format_args!("no bounds for {threads} threads, only for 2, 8 and 16"))?,
    }
    for (name, bound) in both {
        let long = bound.exceeded.iter().filter(|block| block.over_1_ms).count();
        let blocks: Vec<_> = bound.exceeded.iter().map(describe).collect();
        printer.line(format_args!(
            "beyond the critical path by {name}: {} of {} blocks, {long} of them over 1 ms{}{}",
            blocks.len(),
            report.blocks,
            if blocks.is_empty() { "" } else { ": " },
            blocks.join(", "),
        ))?;
    }
    Ok(())
}

fn describe(block: &Exceeded) -> String {
    let [speedup, bound] = [block.speedup, block.critical_path].map(|value| factor(Some(value)));
    format!("{} at {speedup} of {bound}", block.number)
}

fn list(numbers: &[u64]) -> String {
    let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    numbers.join(", ")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block of one transaction that was measured as often as needed.
    fn row(number: u64, sequential_ms: f64, parallel_ms: f64) -> BlockRow {
        BlockRow {
            number,
            txs: 1,
            sequential_ms: Some(sequential_ms),
            parallel_ms: Some(parallel_ms),
            speedup: Some(sequential_ms / parallel_ms),
            noise: Some(1.0),
            ..BlockRow::default()
        }
    }

    fn limits(critical_path: f64, cores_2: f64) -> String {
        format!(
            r#"{{"critical_path": {critical_path}, "cores_2": {cores_2}, "cores_8": 4, "cores_16": 5}}"#
        )
    }

    /// Blocks of one transaction that allow so much where credits commute, and nothing otherwise.
    fn bounds(blocks: &[(u64, f64, f64)], without: &[u64]) -> Bounds {
        let blocks = blocks.iter().map(|&(number, critical_path, cores_2)| {
            let (commute, reads) = (limits(critical_path, cores_2), limits(1.0, 1.0));
            format!(
                r#""{number}": {{"txs": 1, "credits_commute": {commute}, "account_reads": {reads}}}"#
            )
        });
        let text = format!("{{{}}}", blocks.collect::<Vec<_>>().join(","));
        let bounds = Bounds::parse(Path::new("b.json"), text.as_bytes(), without.to_vec());
        bounds.expect("bounds of this form are sound")
    }

    #[test]
    fn the_share_is_the_time_of_the_schedule_over_the_time_taken() {
        let bounds = bounds(&[(7, 3.0, 2.0), (8, 1.0, 1.0)], &[8]);
        let rows = [row(7, 12.0, 8.0), row(8, 4.0, 5.0)];
        let report = bounds.compare(&rows, 2);
        // 12 / 2 + 4 / 1 of 8 + 5, and 12 / 2 of 8.
        assert_eq!(report.credits_commute.share, Some(10.0 / 13.0));
        assert_eq!(report.credits_commute.share_without, Some(0.75));
        assert_eq!(report.account_reads.share, Some(16.0 / 13.0));
        assert_eq!(report.blocks, 2);
        assert_eq!(bounds.compare(&rows, 8).credits_commute.share, Some(4.0 / 13.0));
        assert_eq!(bounds.compare(&rows, 16).credits_commute.share, Some(3.2 / 13.0));
        assert_eq!(bounds.compare(&rows, 4).credits_commute.share, None);
        assert_eq!(bounds.compare(&rows[..1], 2).credits_commute.share_without, None);
    }

    #[test]
    fn blocks_that_the_file_does_not_know_are_left_out() {
        let other = BlockRow { txs: 2, ..row(7, 1.0, 1.0) };
        let once = BlockRow { noise: None, ..row(5, 1.0, 1.0) };
        let rows = [row(7, 12.0, 8.0), row(9, 100.0, 1.0), other, once];
        let report = bounds(&[(7, 3.0, 2.0)], &[]).compare(&rows, 2);
        assert_eq!(report.missing, [9, 7]);
        assert_eq!((report.blocks, report.credits_commute.share), (1, Some(0.75)));
    }

    #[test]
    fn a_block_is_beyond_its_critical_path_by_more_than_rounding() {
        let bounds = bounds(&[(1, 2.0, 2.0), (2, 2.0, 2.0), (3, 1.0, 1.0)], &[]);
        let rows = [row(1, 2.008, 1.0), row(2, 0.9, 0.3), row(3, 1.5, 1.0)];
        let report = bounds.compare(&rows, 2);
        let found = |bound: &BoundReport| -> Vec<_> {
            bound.exceeded.iter().map(|block| (block.number, block.over_1_ms)).collect()
        };
        assert_eq!(found(&report.credits_commute), [(1, true), (2, false), (3, true)]);
        assert_eq!(describe(&report.credits_commute.exceeded[2]), "3 at 1.50x of 1.00x");
        let almost = bounds.compare(&[row(1, 2.004, 1.0)], 2);
        assert_eq!(found(&almost.credits_commute), []);
        assert_eq!(found(&almost.account_reads), [(1, true)]);
    }

    #[test]
    fn a_bad_file_is_refused_with_the_place() {
        let block = |reads: &str| {
            let commute = limits(1.0, 1.0);
            format!(
                r#"{{"7": {{"txs": 1, "account_reads": {reads}, "credits_commute": {commute}}}}}"#
            )
        };
        let table = [
            ("[]".to_owned(), "b.json is not a file of bounds"),
            (r#"{"seven": {}}"#.to_owned(), "line 1 column"),
            (r#"{"7": {"txs": 1}}"#.to_owned(), "missing field `account_reads`"),
            (block("{}"), "missing field `critical_path`"),
            (block(&limits(2.0, 0.0)), "b.json: account_reads.cores_2 of block 7 is 0"),
        ];
        for (text, complaint) in table {
            let error = Bounds::parse(Path::new("b.json"), text.as_bytes(), Vec::new());
            let error = error.expect_err(&text).to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
