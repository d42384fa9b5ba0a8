//! All blocks together.

use std::cmp::Ordering;

use crate::{
    json::{BlockRow, LongBlocks, Summary, Tests},
    table::{BAD, GOOD, Printer, STRONG, Styled, counted, factor, millis, print_read_depth},
};

/// Adds the rows up.
pub(crate) fn of(rows: &[BlockRow]) -> Summary {
    let mut summary = Summary { blocks: rows.len(), ..Summary::default() };
    let mut logarithms = Vec::new();
    let mut one_after_the_other_ms = 0.0;
    for row in rows {
        summary.identical += usize::from(row.identical == Some(true));
        summary.mismatched += usize::from(row.identical == Some(false));
        summary.verified += usize::from(row.verified);
        summary.failed += usize::from(!row.verified && row.identical != Some(false));
        summary.sequential_ms += row.sequential_ms.unwrap_or_default();
        summary.parallel_ms += row.parallel_ms.unwrap_or_default();
        summary.read_depth = summary.read_depth.max(row.read_depth);
        logarithms.extend(row.speedup.map(f64::ln));
        one_after_the_other_ms += row.one_after_the_other_ms().unwrap_or_default();
    }
    if !logarithms.is_empty() {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 blocks")]
        let mean = logarithms.iter().sum::<f64>() / logarithms.len() as f64;
        summary.speedup_geomean = Some(mean.exp());
        summary.speedup_total = Some(one_after_the_other_ms / summary.parallel_ms);
        summary.speedup_min = logarithms.iter().copied().reduce(f64::min).map(f64::exp);
        summary.speedup_max = logarithms.iter().copied().reduce(f64::max).map(f64::exp);
    }
    summary.over_1_ms = long_blocks(rows);
    summary
}

/// Whether the block takes longer than a millisecond sequentially. The times of shorter ones say
/// more of the clock and the caches than of the engine.
pub(super) fn is_long(row: &BlockRow) -> bool {
    row.sequential_ms.is_some_and(|ms| ms > 1.0)
}

fn long_blocks(rows: &[BlockRow]) -> Option<LongBlocks> {
    let long = || rows.iter().filter(|row| is_long(row) && row.speedup.is_some());
    let slowest = long().min_by(by_speedup)?;
    let noise = || long().filter_map(|row| row.noise);
    Some(LongBlocks {
        blocks: long().count(),
        slowest: slowest.number,
        speedup_min: slowest.speedup?,
        noise_min: noise().reduce(f64::min),
        noise_max: noise().reduce(f64::max),
    })
}

fn by_speedup(one: &&BlockRow, other: &&BlockRow) -> Ordering {
    one.speedup.unwrap_or_default().total_cmp(&other.speedup.unwrap_or_default())
}

/// Prints the summary.
pub(crate) fn print(
    printer: &Printer,
    summary: &Summary,
    rows: &[BlockRow],
    tests: Option<&Tests>,
) -> std::io::Result<()> {
    let count = |label: &str, count: usize, bad: bool| match (count, bad) {
        (0, true) => String::new(),
        (_, true) => format!(", {}", Styled(BAD, format_args!("{count} {label}"))),
        (_, false) => format!(", {}", Styled(GOOD, format_args!("{count} {label}"))),
    };
    let blocks = Styled(STRONG, counted(summary.blocks, "block"));
    printer.line(format_args!(
        "\n{blocks}{}{}{}{}",
        count("identical", summary.identical, false),
        count("verified", summary.verified, false),
        count("mismatched", summary.mismatched, true),
        count("failed", summary.failed, true),
    ))?;
    if let Some(tests) = tests {
        printer.line(format_args!(
            "{}, {} passed{}",
            Styled(STRONG, counted(tests.cases, "test case")),
            tests.passed,
            count("failed", tests.failed, true),
        ))?;
    }
    let compared = || rows.iter().filter(|row| row.speedup.is_some());
    if let (Some(slowest), Some(fastest)) =
        (compared().min_by(by_speedup), compared().max_by(by_speedup))
    {
        printer.line(format_args!(
            "sequential {} ms, parallel {} ms: {} in total, {} geometric mean",
            millis(Some(summary.sequential_ms)),
            millis(Some(summary.parallel_ms)),
            Styled(STRONG, factor(summary.speedup_total)),
            factor(summary.speedup_geomean),
        ))?;
        let name = |row: &BlockRow| format!("block {} at {}", row.number, factor(row.speedup));
        printer.line(format_args!("slowest {}, fastest {}", name(slowest), name(fastest)))?;
    }
    if let Some(long) = &summary.over_1_ms {
        let noise = long.noise_min.map(|_| {
            format!(", noise from {} to {}", factor(long.noise_min), factor(long.noise_max))
        });
        printer.line(format_args!(
            "{} over 1 ms: slowest block {} at {}{}",
            counted(long.blocks, "block"),
            long.slowest,
            factor(Some(long.speedup_min)),
            noise.unwrap_or_default(),
        ))?;
    }
    print_read_depth(printer, summary.read_depth)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u64, sequential_ms: f64, speedup: f64, noise: Option<f64>) -> BlockRow {
        BlockRow {
            number,
            sequential_ms: Some(sequential_ms),
            parallel_ms: Some(sequential_ms / speedup),
            speedup: Some(speedup),
            noise,
            ..BlockRow::default()
        }
    }

    #[test]
    fn short_blocks_are_left_out_of_the_worst() {
        let rows = [
            row(1, 0.9, 0.2, Some(0.1)),
            row(2, 1.1, 0.9, Some(1.01)),
            row(3, 5.0, 1.5, Some(0.97)),
            row(4, 1.0, 0.3, Some(0.2)),
        ];
        let long = of(&rows).over_1_ms.expect("two are long");
        assert_eq!((long.blocks, long.slowest, long.speedup_min), (2, 2, 0.9));
        assert_eq!((long.noise_min, long.noise_max), (Some(0.97), Some(1.01)));
        assert!(of(&rows[..1]).over_1_ms.is_none());
        assert_eq!(of(&[row(1, 2.0, 0.2, None)]).over_1_ms.and_then(|long| long.noise_min), None);
    }
}
