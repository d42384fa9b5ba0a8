//! The report as tables for other programs.

use super::{CauseRow, Report};

/// A table could not be written.
#[derive(Debug, thiserror::Error)]
#[error("a table could not be written: {0}")]
pub struct TableError(#[from] csv::Error);

impl Report {
    /// A line for each block and number of threads, with a heading.
    ///
    /// # Errors
    /// Where the lines cannot be encoded.
    pub fn blocks_csv(&self) -> Result<Vec<u8>, TableError> {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record([
            "block",
            "source",
            "fork",
            "transactions",
            "gas",
            "sequential_ms",
            "threads",
            "width",
            "parallel_ms",
            "core_ms",
            "speedup",
            "in_vain",
            "bound",
            "bound_by_accounts",
            "bound_of_segments",
            "critical_gas_share",
        ])?;
        for block in &self.blocks {
            for measured in &block.measured {
                table.serialize((
                    (block.number, &block.source, &block.fork, block.transactions, block.gas),
                    (block.sequential_ms, measured.threads, measured.width, measured.parallel_ms),
                    (measured.core_ms, measured.speedup, measured.in_vain),
                    (block.bound, block.bound_by_accounts, block.bound_of_segments),
                    block.critical_gas_share,
                ))?;
            }
        }
        finish(table)
    }

    /// A line for each cause that makes transactions wait, with a heading.
    ///
    /// # Errors
    /// Where the lines cannot be encoded.
    pub fn conflicts_csv(&self) -> Result<Vec<u8>, TableError> {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record([
            "kind",
            "address",
            "slot",
            "selector",
            "name",
            "blocks",
            "transactions",
            "gas",
            "gas_behind",
            "ms",
            "ms_behind",
            "gained_ms",
            "speedup",
            "speedup_without",
            "bound",
            "bound_without",
        ])?;
        for row in &self.conflicts {
            let CauseRow { kind, address, slot, selector, name, blocks, transactions, .. } = row;
            table.serialize((
                (kind, address, slot, selector, name, blocks, transactions),
                (row.gas, row.gas_behind, row.ms, row.ms_behind, row.gained_ms),
                (row.speedup, row.speedup_without, row.bound, row.bound_without),
            ))?;
        }
        finish(table)
    }
}

fn finish(table: csv::Writer<Vec<u8>>) -> Result<Vec<u8>, TableError> {
    table.into_inner().map_err(|error| csv::Error::from(error.into_error()).into())
}
