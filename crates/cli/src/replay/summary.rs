//! All blocks together.

use crate::{
    json::{BlockRow, Summary, Tests},
    table::{BAD, GOOD, Printer, STRONG, Styled, factor, millis},
};

/// Adds the rows up.
pub(crate) fn of(rows: &[BlockRow]) -> Summary {
    let mut summary = Summary { blocks: rows.len(), ..Summary::default() };
    let mut logarithms = Vec::new();
    for row in rows {
        summary.identical += usize::from(row.identical == Some(true));
        summary.mismatched += usize::from(row.identical == Some(false));
        summary.verified += usize::from(row.verified);
        summary.failed += usize::from(!row.verified && row.identical != Some(false));
        summary.sequential_ms += row.sequential_ms.unwrap_or_default();
        summary.parallel_ms += row.parallel_ms.unwrap_or_default();
        logarithms.extend(row.speedup.map(f64::ln));
    }
    if !logarithms.is_empty() {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 blocks")]
        let mean = logarithms.iter().sum::<f64>() / logarithms.len() as f64;
        summary.speedup_geomean = Some(mean.exp());
        summary.speedup_total = Some(summary.sequential_ms / summary.parallel_ms);
        summary.speedup_min = logarithms.iter().copied().reduce(f64::min).map(f64::exp);
        summary.speedup_max = logarithms.iter().copied().reduce(f64::max).map(f64::exp);
    }
    summary
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
    let plural = if summary.blocks == 1 { "" } else { "s" };
    let blocks = Styled(STRONG, format_args!("{} block{plural}", summary.blocks));
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
            Styled(STRONG, format_args!("{} test cases", tests.cases)),
            tests.passed,
            count("failed", tests.failed, true),
        ))?;
    }
    let by_speedup = |one: &&BlockRow, other: &&BlockRow| {
        one.speedup.unwrap_or_default().total_cmp(&other.speedup.unwrap_or_default())
    };
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
    Ok(())
}
