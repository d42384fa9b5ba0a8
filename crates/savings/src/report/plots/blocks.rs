//! Plots of one block.

use plotters::prelude::{AreaSeries, ChartBuilder, Color, Rectangle};

use super::{BLUE, DrawError, GRID, INK, PURPLE, PlotError, RED, axes, draw, text};
use crate::report::{Focus, FocusSpan};

const WIDTH: u32 = 760;
/// Transactions of a critical path beyond these are not drawn: there would be less than two pixels for
/// each.
pub(in crate::report) const MOST_STEPS: usize = 300;

/// What each worker executed when, what was in vain marked.
pub(in crate::report) fn waterfall(focus: &Focus) -> Result<String, PlotError> {
    let end = end_of(focus);
    #[expect(clippy::cast_possible_truncation, reason = "there are not so many threads")]
    let rows = focus.workers.max(1) as u32;
    draw((WIDTH, 70 + 28 * rows), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, f64::from(rows)..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .bold_line_style(GRID)
            .light_line_style(GRID.mix(0.0))
            .axis_style(INK)
            .label_style(text(13))
            .x_desc("milliseconds")
            .x_label_formatter(&|ms| super::super::html::amount(*ms))
            .y_labels(0)
            .y_desc("workers")
            .draw()?;
        let least = end / 1_500.0;
        chart.draw_series(coalesced(focus, least).iter().map(|span| {
            let colour = if span.counts { BLUE } else { RED };
            let row = span.worker as f64;
            // What is shorter than a pixel is seen all the same.
            let until = span.end_ms.max(span.start_ms + least);
            Rectangle::new(
                [(span.start_ms, row + 0.1), (until, row + 0.9)],
                colour.mix(0.85).filled(),
            )
        }))?;
        Ok::<_, DrawError>(())
    })
}

/// How many workers executed at a time, on average over short stretches.
pub(in crate::report) fn active_workers(focus: &Focus) -> Result<String, PlotError> {
    const STRETCHES: usize = 120;
    let end = end_of(focus);
    let stretch = end / STRETCHES as f64;
    let mut busy = [0.0; STRETCHES];
    for span in &focus.spans {
        for (at, busy) in busy.iter_mut().enumerate() {
            let (from, until) = (at as f64 * stretch, (at + 1) as f64 * stretch);
            *busy += (span.end_ms.min(until) - span.start_ms.max(from)).max(0.0) / stretch;
        }
    }
    let top = focus.workers.max(1) as f64 * 1.1;
    draw((WIDTH, 180), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(40)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..end, 0.0..top)?;
        axes(
            &mut chart,
            ("milliseconds", &|ms| super::super::html::amount(*ms)),
            ("busy workers", &|workers| format!("{workers:.1}")),
        )?;
        let points = busy.iter().enumerate().map(|(at, busy)| ((at as f64 + 0.5) * stretch, *busy));
        chart.draw_series(
            AreaSeries::new(points, 0.0, BLUE.mix(0.25)).border_style(BLUE.stroke_width(2)),
        )?;
        Ok::<_, DrawError>(())
    })
}

/// The transactions of the critical path, one after the other, each in two parts: before and after it
/// first looks at what the one before it changed.
pub(in crate::report) fn critical_path(focus: &Focus) -> Result<String, PlotError> {
    let shown = focus.critical_path.iter().take(MOST_STEPS);
    let end = shown.map(|step| step.ms).sum::<f64>().max(1e-6);
    draw((WIDTH, 96), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(40)
            .y_label_area_size(8)
            .build_cartesian_2d(0.0..end, 0.0..1.0)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .axis_style(INK)
            .label_style(text(13))
            .x_desc("milliseconds")
            .x_label_formatter(&|ms| super::super::html::amount(*ms))
            .y_labels(0)
            .draw()?;
        let mut start = 0.0;
        let gap = end / 760.0;
        for step in focus.critical_path.iter().take(MOST_STEPS) {
            let (looks, until) = (start + step.ms_before.min(step.ms), start + step.ms);
            let before = Rectangle::new([(start, 0.15), (looks, 0.85)], PURPLE.mix(0.35).filled());
            let until_seen = (until - gap).max(looks);
            let after = Rectangle::new([(looks, 0.15), (until_seen, 0.85)], PURPLE.filled());
            chart.draw_series([before, after])?;
            start = until;
        }
        Ok::<_, DrawError>(())
    })
}

/// The spans, those of a worker that come to the same and are less than so much apart in one: thousands
/// that nobody can tell apart only make the page large.
fn coalesced(focus: &Focus, least_ms: f64) -> Vec<FocusSpan> {
    let mut spans: Vec<FocusSpan> = focus.spans.clone();
    spans.sort_by(|one, other| {
        one.worker.cmp(&other.worker).then(one.start_ms.total_cmp(&other.start_ms))
    });
    let mut merged: Vec<FocusSpan> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last)
                if last.worker == span.worker
                    && last.counts == span.counts
                    && span.start_ms - last.end_ms < least_ms =>
            {
                last.end_ms = last.end_ms.max(span.end_ms);
            }
            _ => merged.push(span),
        }
    }
    merged
}

/// When the last execution ends.
fn end_of(focus: &Focus) -> f64 {
    focus.spans.iter().map(|span| span.end_ms).fold(1e-6, f64::max)
}
