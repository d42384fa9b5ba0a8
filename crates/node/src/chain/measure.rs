//! What a chain counts: how long the parts of an import take, and how much work they were.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use warpline_primitives::WorkCounts;
use warpline_storage::View;

use super::{ImportError, Imported};

const HEAD: &str = "warpline_head_block";
const BLOCKS: &str = "warpline_blocks_total";
const GAS: &str = "warpline_gas_total";
const TRANSACTIONS: &str = "warpline_transactions_total";
const EXECUTIONS: &str = "warpline_engine_executions_total";
const REEXECUTIONS: &str = "warpline_engine_reexecutions_total";
const VALIDATIONS: &str = "warpline_engine_validations_total";
const EXECUTE_SECONDS: &str = "warpline_engine_execute_seconds";
const ROOT_SECONDS: &str = "warpline_root_seconds";
const COMMIT_SECONDS: &str = "warpline_storage_commit_seconds";
const FILE_BYTES: &str = "warpline_storage_file_bytes";
const TABLE_ENTRIES: &str = "warpline_storage_table_entries";

/// Says what the names mean, to whoever collects.
pub(crate) fn describe() {
    describe_gauge!(HEAD, "number of the newest block");
    describe_counter!(BLOCKS, "blocks looked at, by outcome");
    describe_counter!(GAS, "gas used by blocks executed");
    describe_counter!(TRANSACTIONS, "transactions of blocks executed");
    describe_counter!(EXECUTIONS, "executions of transactions, repeated ones included");
    describe_counter!(REEXECUTIONS, "executions of transactions beyond the first of each");
    describe_counter!(VALIDATIONS, "validations of transactions");
    describe_histogram!(EXECUTE_SECONDS, Unit::Seconds, "time to execute a block");
    describe_histogram!(ROOT_SECONDS, Unit::Seconds, "time from the end of execution to the root");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "time to write a block and wait for it");
    describe_gauge!(FILE_BYTES, Unit::Bytes, "length of the database file");
    describe_gauge!(TABLE_ENTRIES, "entries, by table");
}

/// A part of an import that is timed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Execute,
    Root,
    Commit,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Execute => EXECUTE_SECONDS,
            Self::Root => ROOT_SECONDS,
            Self::Commit => COMMIT_SECONDS,
        }
    }
}

/// Does `work`, and notes how long it took.
pub(super) fn timed<T>(part: Part, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    took(part, start.elapsed());
    result
}

fn took(part: Part, time: Duration) {
    histogram!(part.name()).record(time.as_secs_f64());
}

/// A block was executed.
pub(super) fn executed(transactions: usize, gas: u64, work: &WorkCounts) {
    counter!(GAS).increment(gas);
    counter!(TRANSACTIONS).increment(transactions as u64);
    counter!(EXECUTIONS).increment(work.executions);
    counter!(REEXECUTIONS).increment(work.reexecutions);
    counter!(VALIDATIONS).increment(work.validations);
}

/// This became of a block.
pub(super) fn ended(imported: &Result<Imported, ImportError>) {
    let outcome = match imported {
        Ok(Imported::Known) => "known",
        Ok(Imported::Extended) => "extended",
        Ok(Imported::Beside) => "beside",
        Ok(Imported::Reorganised { .. }) => "reorganised",
        Err(ImportError::Rejected(_)) => "rejected",
        Err(ImportError::TooFarBehind { .. } | ImportError::NoRoom { .. }) => "unkept",
        Err(ImportError::Storage(_) | ImportError::Failed(_)) => "failed",
    };
    counter!(BLOCKS, "outcome" => outcome).increment(1);
}

/// The head has this number.
#[expect(clippy::cast_precision_loss, reason = "exact for ages")]
pub(crate) fn head(number: u64) {
    gauge!(HEAD).set(number as f64);
}

/// The tables have as many entries as in `view`, and the file at `path` so many bytes. What cannot be read is
/// left out. How large each table is would take reading all of it.
#[expect(clippy::cast_precision_loss, reason = "for a graph")]
pub(crate) fn tables(view: &View, path: &Path) {
    for (table, entries) in view.table_entries().unwrap_or_default() {
        gauge!(TABLE_ENTRIES, "table" => table).set(entries as f64);
    }
    if let Ok(file) = std::fs::metadata(path) {
        gauge!(FILE_BYTES).set(file.len() as f64);
    }
}
