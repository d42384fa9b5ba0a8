//! What is printed, and the JSON document, whose shape is promised as that of the others.

use std::{fmt, io};

use serde::Serialize;
use warpline_analysis::predict::{Kind, Score, Tally};
use warpline_engine::{Engine, Ethereum};
use warpline_replay::BlockInput;

use super::rows::{Calls, Ran};
use crate::{
    json::EngineInfo,
    table::{FAINT, Printer, STRONG, Styled, counted, factor, millis},
};

/// What `analyze predict --json` writes.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    schema: &'static str,
    engine: EngineInfo,
    pub(super) blocks: Vec<BlockRow>,
    pub(super) summary: Summary,
}

/// One block. Times in milliseconds. What is given three times is without hints, with those predicted,
/// and with true ones.
#[derive(Debug, Serialize)]
pub(super) struct BlockRow {
    number: u64,
    txs: usize,
    /// Transactions that touch storage, and those of them whose function was learned before.
    calls: usize,
    known_calls: usize,
    written_slots: Quality,
    read_slots: Quality,
    sequential_ms: f64,
    parallel_ms: [f64; 3],
    speedup: [f64; 3],
    reexecutions: [u64; 3],
}

/// How good predictions of something are. Counts are of pairs of transaction and location.
#[derive(Debug, Default, Serialize)]
pub(super) struct Quality {
    precision: Option<f64>,
    recall: Option<f64>,
    hits: u64,
    vain: u64,
    missed: u64,
}

/// Predictions from one source.
#[derive(Debug, Serialize)]
pub(super) struct SourceRow {
    source: &'static str,
    written_slots: Quality,
    read_slots: Quality,
    written_accounts: Quality,
    read_accounts: Quality,
    written_plain_accounts: Quality,
    read_plain_accounts: Quality,
}

/// All blocks. Errors of times are medians of the difference by what it was.
#[derive(Debug, Default, Serialize)]
pub(super) struct Summary {
    pub(super) blocks: usize,
    pub(super) txs: usize,
    pub(super) calls: usize,
    pub(super) known_calls: usize,
    pub(super) sources: Vec<SourceRow>,
    pub(super) timed_txs: usize,
    pub(super) time_error: Option<f64>,
    pub(super) gas_time_error: Option<f64>,
    pub(super) sequential_ms: f64,
    pub(super) parallel_ms: [f64; 3],
    pub(super) speedup: [f64; 3],
    pub(super) reexecutions: [u64; 3],
    pub(super) predicting_ms: f64,
    pub(super) learning_ms: f64,
    pub(super) contexts: usize,
    pub(super) patterns: usize,
}

impl Report {
    pub(super) fn new(engine: &Engine<Ethereum>) -> Self {
        let engine = EngineInfo { version: env!("CARGO_PKG_VERSION"), threads: engine.threads() };
        let (blocks, summary) = (Vec::new(), Summary::default());
        Self { schema: "warpline.predict.v1", engine, blocks, summary }
    }
}

impl From<Tally> for Quality {
    fn from(tally: Tally) -> Self {
        let Tally { hits, vain, missed } = tally;
        Self { precision: tally.precision(), recall: tally.recall(), hits, vain, missed }
    }
}

impl SourceRow {
    pub(super) fn new(source: &'static str, score: &Score) -> Self {
        Self {
            source,
            written_slots: score.writes(Kind::Slot).into(),
            read_slots: score.reads(Kind::Slot).into(),
            written_accounts: score.writes(Kind::Account).into(),
            read_accounts: score.reads(Kind::Account).into(),
            written_plain_accounts: score.writes(Kind::Plain).into(),
            read_plain_accounts: score.reads(Kind::Plain).into(),
        }
    }
}

impl BlockRow {
    pub(super) fn new(input: &BlockInput, score: &Score, calls: Calls, ran: Ran) -> Self {
        Self {
            number: input.number(),
            txs: calls.txs,
            calls: calls.calls,
            known_calls: calls.known,
            written_slots: score.writes(Kind::Slot).into(),
            read_slots: score.reads(Kind::Slot).into(),
            sequential_ms: ran.sequential_ms,
            parallel_ms: ran.parallel_ms,
            speedup: ran.speedups(),
            reexecutions: ran.reexecutions,
        }
    }

    /// What the columns are.
    pub(super) fn titles() -> String {
        format!(
            "{:>9} {:>5} {:>6} {:>6} {:>11} {:>11} {:>8} {:>17} {:>20}",
            "block",
            "txs",
            "calls",
            "known",
            "writes p/r",
            "reads p/r",
            "seq ms",
            "re-exec no/p/true",
            "speed-up no/p/true"
        )
    }
}

/// A share in percent, or a dash.
fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0}", share * 100.0))
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} / {}", percent(self.precision), percent(self.recall)))
    }
}

impl fmt::Display for BlockRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [none, predicted, truth] = self.reexecutions;
        let reexecutions = format!("{none} / {predicted} / {truth}");
        let [none, predicted, truth] = self.speedup.map(|speedup| factor(Some(speedup)));
        let speedup = format!("{none} {predicted} {truth}");
        let Self { number, txs, calls, known_calls, written_slots, read_slots, .. } = self;
        let sequential = millis(Some(self.sequential_ms));
        write!(
            f,
            "{number:>9} {txs:>5} {calls:>6} {known_calls:>6} {written_slots:>11} {read_slots:>11} \
             {sequential:>8} {reexecutions:>17} {speedup:>20}"
        )
    }
}

/// Prints the summary.
pub(super) fn print(printer: &Printer, summary: &Summary) -> io::Result<()> {
    let Summary { blocks, txs, calls, known_calls, contexts, patterns, .. } = summary;
    printer.line("")?;
    let head = format!(
        "{:<10} {:>13} {:>13} {:>13} {:>13} {:>13} {:>13}",
        "source",
        "slots w p/r",
        "slots r p/r",
        "accts w p/r",
        "accts r p/r",
        "plain w p/r",
        "plain r p/r"
    );
    printer.line(Styled(STRONG, head))?;
    for row in &summary.sources {
        printer.line(format_args!(
            "{:<10} {:>13} {:>13} {:>13} {:>13} {:>13} {:>13}",
            row.source,
            row.written_slots,
            row.read_slots,
            row.written_accounts,
            row.read_accounts,
            row.written_plain_accounts,
            row.read_plain_accounts
        ))?;
    }
    let explained = "precision / recall in percent, of pairs of transaction and location, each block \
                     predicted before it was learned, from the state that it comes with; plain: \
                     accounts of sender, recipient and beneficiary";
    printer.line(Styled(FAINT, explained))?;
    printer.line(format_args!(
        "{}, {}; {calls} touch storage, the function of {known_calls} was seen before",
        counted(*blocks, "block"),
        counted(*txs, "transaction"),
    ))?;
    printer.line(format_args!(
        "time of {}: off by {} % (median), {} % if guessed by the gas asked for",
        counted(summary.timed_txs, "transaction"),
        percent(summary.time_error),
        percent(summary.gas_time_error)
    ))?;
    let [none, predicted, truth] = summary.reexecutions;
    printer.line(format_args!(
        "re-executions: {none} without hints, {predicted} with predictions, {truth} with the truth"
    ))?;
    let [none, predicted, truth] = summary.speedup.map(|speedup| factor(Some(speedup)));
    printer.line(format_args!(
        "speed-up: {none} without hints, {predicted} with predictions, {truth} with the truth, over \
         {} ms sequentially",
        millis(Some(summary.sequential_ms))
    ))?;
    printer.line(format_args!(
        "predicting took {} ms and learning {} ms, into {} in {}",
        millis(Some(summary.predicting_ms)),
        millis(Some(summary.learning_ms)),
        counted(*patterns, "pattern"),
        counted(*contexts, "context"),
    ))
}
