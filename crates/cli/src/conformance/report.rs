//! What became of the cases: counts by network, the cases that did not pass, and the status.

use std::{collections::BTreeMap, time::Duration};

use super::{Ending, skips::Skips};
use crate::{
    FAILURE, SUCCESS, UNUSABLE,
    json::{CaseRow, CaseTotals, ConformanceReport, EngineInfo, ForkTotals, StaleSkip, Unusable},
    measure::ms,
    table::{BAD, GOOD, Printer, STRONG, Styled, counted},
};

/// What became of the cases so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    forks: BTreeMap<String, CaseTotals>,
    failures: Vec<CaseRow>,
    skips: Vec<CaseRow>,
    stale_skips: Vec<StaleSkip>,
    pub(super) unusable: Vec<Unusable>,
    pub(super) ignored: Vec<String>,
}

impl Tally {
    /// Counts a case of `network` that had `blocks` blocks executed. `row` makes its row of a
    /// reason.
    pub(super) fn count(
        &mut self,
        network: &str,
        blocks: usize,
        ending: Ending,
        row: impl FnOnce(String) -> CaseRow,
    ) {
        let totals = self.forks.entry(network.to_owned()).or_default();
        totals.cases += 1;
        totals.blocks += blocks;
        match ending {
            Ending::Passed => totals.passed += 1,
            Ending::Failed(reason) => {
                totals.failed += 1;
                self.failures.push(row(reason));
            }
            Ending::Skipped(reason) => {
                totals.skipped += 1;
                self.skips.push(row(reason));
            }
        }
    }

    /// Notes the entries of the list that have to go.
    pub(super) fn note_stale(&mut self, skips: &Skips) {
        let stale = skips.stale().map(|(entry, staleness)| StaleSkip {
            skip: entry.to_string(),
            reason: staleness.to_string(),
        });
        self.stale_skips = stale.collect();
    }

    fn totals(&self) -> CaseTotals {
        self.forks.values().fold(CaseTotals::default(), |sum, fork| CaseTotals {
            cases: sum.cases + fork.cases,
            passed: sum.passed + fork.passed,
            failed: sum.failed + fork.failed,
            skipped: sum.skipped + fork.skipped,
            blocks: sum.blocks + fork.blocks,
        })
    }

    /// Whether nothing was found, not even something unusable.
    pub(super) fn is_empty(&self) -> bool {
        self.forks.is_empty() && self.unusable.is_empty()
    }

    /// The exit status.
    pub(super) fn code(&self) -> u8 {
        if !self.failures.is_empty() || !self.stale_skips.is_empty() {
            FAILURE
        } else if !self.unusable.is_empty() || self.forks.is_empty() {
            UNUSABLE
        } else {
            SUCCESS
        }
    }

    /// Prints the totals, why cases were skipped, and what is wrong besides failed cases.
    pub(super) fn print(&self, printer: &Printer, elapsed: Duration) -> anyhow::Result<()> {
        let titles = format!(
            "{:<36} {:>7} {:>7} {:>7} {:>7} {:>8}",
            "network", "cases", "passed", "failed", "skipped", "blocks"
        );
        printer.line(Styled(STRONG, titles))?;
        for (network, totals) in &self.forks {
            print_totals(printer, network, totals)?;
        }
        print_totals(printer, "total", &self.totals())?;

        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for skip in &self.skips {
            *reasons.entry(&skip.reason).or_default() += 1;
        }
        for (reason, cases) in reasons {
            printer.line(format_args!("{cases} skipped: {reason}"))?;
        }
        for StaleSkip { skip, reason } in &self.stale_skips {
            printer.line(format_args!("{} {skip}: {reason}", Styled(BAD, "stale skip")))?;
        }
        if !self.unusable.is_empty() {
            let count = self.unusable.len();
            printer.line(Styled(BAD, counted(count, "unusable input")))?;
        }
        printer.line(format_args!("in {:.1} s", elapsed.as_secs_f64()))?;
        Ok(())
    }

    /// The JSON report.
    pub(super) fn into_report(
        self,
        engine: EngineInfo,
        shuffle: Option<u64>,
        elapsed: Duration,
    ) -> ConformanceReport {
        let totals = self.totals();
        let forks = self.forks.into_iter();
        ConformanceReport {
            schema: "warpline.conformance.v1",
            engine,
            shuffle,
            elapsed_ms: ms(elapsed),
            totals,
            forks: forks.map(|(network, totals)| ForkTotals { network, totals }).collect(),
            failures: self.failures,
            skips: self.skips,
            stale_skips: self.stale_skips,
            ignored: self.ignored,
            unusable: self.unusable,
        }
    }
}

fn print_totals(printer: &Printer, network: &str, totals: &CaseTotals) -> std::io::Result<()> {
    let CaseTotals { cases, passed, failed, skipped, blocks } = totals;
    let passed_style = if passed == cases { GOOD } else { STRONG };
    let failed_style = if *failed > 0 { BAD } else { anstyle::Style::new() };
    printer.line(format_args!(
        "{network:<36} {cases:>7} {:>7} {:>7} {skipped:>7} {blocks:>8}",
        Styled(passed_style, passed),
        Styled(failed_style, failed),
    ))
}
