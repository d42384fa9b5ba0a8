//! Plots of all blocks together.

use plotters::prelude::{
    ChartBuilder, Circle, Color, DashedLineSeries, IntoLogRange, LineSeries, PathElement,
    Rectangle, Text,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{
    BLUE, DrawError, GREEN, GREY, INK, LINES, ORANGE, PURPLE, PlotError, RED, axes, draw, text,
};
use crate::report::{CauseRow, FeeReport, Report, Totals};

const WIDTH: u32 = 760;

/// Speed-up against cores: what is ideal, what dependencies allow, what schedules reach, and what was
/// measured.
pub(in crate::report) fn speedups(totals: &Totals) -> Result<String, PlotError> {
    let most = totals.cores.last().map_or(2.0, |row| row.cores as f64);
    let reached = totals.cores.iter().flat_map(|row| [row.in_order, row.simulated]);
    let measured = totals.measured.iter().map(|row| row.speedup);
    let top = reached.chain(measured).chain([totals.bound_of_segments, totals.bound]);
    let top = top.fold(2.0_f64, f64::max).min(most) * 1.1;
    draw((WIDTH, 380), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d((1.0..most).log_scale().base(2.0), 0.0..top)?;
        axes(
            &mut chart,
            ("cores", &|cores| format!("{cores:.0}")),
            ("times as fast as one after the other", &|speedup| format!("{speedup:.1}")),
        )?;
        let ideal = [(1.0, 1.0), (top.min(most), top.min(most))];
        chart.draw_series(LineSeries::new(ideal, GREY.stroke_width(1)))?;
        for (bound, colour) in
            [(totals.bound_of_segments, PURPLE.mix(0.6)), (totals.bound, PURPLE.mix(1.0))]
        {
            let line = [(1.0, bound), (most, bound)];
            chart.draw_series(DashedLineSeries::new(line, 6, 4, colour.stroke_width(2)))?;
        }
        let start = || std::iter::once((1.0, 1.0));
        let row = |of: fn(&crate::report::CoresRow) -> f64| {
            totals.cores.iter().map(move |row| (row.cores as f64, of(row)))
        };
        chart.draw_series(LineSeries::new(
            start().chain(row(|row| row.in_order)),
            GREEN.stroke_width(2),
        ))?;
        let whole = start().chain(row(|row| row.simulated_whole));
        chart.draw_series(LineSeries::new(whole, ORANGE.mix(0.4).stroke_width(2)))?;
        let simulated = start().chain(row(|row| row.simulated));
        chart.draw_series(LineSeries::new(simulated, ORANGE.stroke_width(2)))?;
        let points = totals.measured.iter().map(|row| (row.threads as f64, row.speedup));
        chart.draw_series(points.map(|point| Circle::new(point, 5, BLUE.filled())))?;
        Ok::<_, DrawError>(())
    })
}

/// How many blocks gain how much, those that get slower included.
pub(in crate::report) fn distribution(
    report: &Report,
    threads: usize,
) -> Result<String, PlotError> {
    const STEP: f64 = 0.04;
    /// The left edge of the bin of what is as quick.
    const EVEN: f64 = 0.98;
    let speedups = report.blocks.iter().filter_map(|block| {
        block.measured.iter().find(|measured| measured.threads == threads).map(|it| it.speedup)
    });
    let mut bins = std::collections::BTreeMap::<i32, u32>::new();
    for speedup in speedups {
        #[expect(clippy::cast_possible_truncation, reason = "nothing is 2³¹ tenths as fast")]
        let bin = ((speedup - EVEN) / STEP + 1e-9).floor() as i32;
        *bins.entry(bin).or_default() += 1;
    }
    let (first, last) = (bins.keys().next().copied(), bins.keys().last().copied());
    let from = EVEN + f64::from(first.unwrap_or(0).min(-2)) * STEP;
    let to = EVEN + f64::from(last.unwrap_or(0).max(3) + 1) * STEP;
    let most = f64::from(bins.values().copied().max().unwrap_or(1)) * 1.1;
    draw((WIDTH, 280), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d(from..to, 0.0..most)?;
        axes(
            &mut chart,
            ("times as fast as one after the other", &|speedup| format!("{speedup:.2}")),
            ("blocks", &whole),
        )?;
        chart.draw_series(bins.iter().map(|(bin, count)| {
            let left = EVEN + f64::from(*bin) * STEP;
            let colour = match bin.signum() {
                -1 => RED,
                0 => GREY,
                _ => BLUE,
            };
            let corners = [(left + 0.002, 0.0), (left + STEP - 0.002, f64::from(*count))];
            Rectangle::new(corners, colour.filled())
        }))?;
        let even = [(1.0, 0.0), (1.0, most)];
        chart.draw_series([PathElement::new(even, INK.stroke_width(1))])?;
        Ok::<_, DrawError>(())
    })
}

/// A number of things. There is none of between.
fn whole(number: &f64) -> String {
    let is_whole = (number - number.round()).abs() < 1e-6;
    if is_whole { format!("{number:.0}") } else { String::new() }
}

/// The slots over which transactions wait, by contract; the darker the longer. `None` where there are
/// none.
pub(in crate::report) fn heat_map(report: &Report) -> Result<Option<String>, PlotError> {
    const ROWS: usize = 8;
    const COLUMNS: usize = 6;
    const ROW: i32 = 34;
    const LABELS: i32 = 170;
    let slots = report.conflicts.iter().filter(|row| row.kind == "slot" && row.ms > 0.0);
    let mut contracts: Vec<(&str, Vec<&CauseRow>)> = Vec::new();
    for slot in slots {
        match contracts.iter_mut().find(|(contract, _)| *contract == slot.contract) {
            Some((_, slots)) => slots.push(slot),
            None => contracts.push((&slot.contract, vec![slot])),
        }
    }
    let time = |slots: &[&CauseRow]| slots.iter().map(|slot| slot.ms).sum::<f64>();
    contracts.sort_by(|one, other| time(&other.1).total_cmp(&time(&one.1)));
    contracts.truncate(ROWS);
    for (_, slots) in &mut contracts {
        slots.sort_by(|one, other| other.ms.total_cmp(&one.ms));
        slots.truncate(COLUMNS);
    }
    let all = contracts.iter().flat_map(|(_, slots)| slots);
    let Some(most) = all.map(|slot| slot.ms).reduce(f64::max) else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a few rows")]
    let rows = contracts.len() as i32;
    #[expect(clippy::cast_sign_loss, reason = "a number of pixels")]
    let size = (WIDTH, (rows * ROW + 8) as u32);
    let svg = draw(size, |area| {
        let cell = (WIDTH.cast_signed() - LABELS) / 6;
        for ((contract, slots), at) in contracts.iter().zip(0..) {
            let y = at * ROW + 4;
            let label = text(13).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new((*contract).to_owned(), (4, y + ROW / 2), label))?;
            for (slot, column) in slots.iter().zip(0..) {
                let x = LABELS + column * cell;
                let colour = RED.mix(0.15 + 0.85 * slot.ms / most).filled();
                area.draw(&Rectangle::new([(x, y), (x + cell - 3, y + ROW - 3)], colour))?;
                let name = slot.name.strip_prefix(contract).unwrap_or(&slot.name).trim().to_owned();
                let label = text(11).pos(Pos::new(HPos::Center, VPos::Center));
                area.draw(&Text::new(name, (x + cell / 2, y + 11), label.clone()))?;
                let time = format!("{:.2} ms", slot.ms);
                area.draw(&Text::new(time, (x + cell / 2, y + 23), label))?;
            }
        }
        Ok::<_, DrawError>(())
    })?;
    Ok(Some(svg))
}

/// The share of execution time that is in vain, against cores.
pub(in crate::report) fn wasted(totals: &Totals) -> Result<String, PlotError> {
    let simulated =
        || totals.cores.iter().map(|row| (row.cores as f64, row.simulated_wasted * 100.0));
    let measured = || {
        totals
            .measured
            .iter()
            .filter(|row| row.wasted.of_ms > 0.0)
            .map(|row| (row.threads as f64, row.wasted.ms / row.wasted.of_ms * 100.0))
    };
    let most = totals.cores.last().map_or(2.0, |row| row.cores as f64);
    let top = simulated().chain(measured()).fold(1.0_f64, |top, (_, share)| top.max(share)) * 1.15;
    draw((WIDTH, 260), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d((1.0..most).log_scale().base(2.0), 0.0..top)?;
        axes(
            &mut chart,
            ("cores", &|cores| format!("{cores:.0}")),
            ("% of execution time in vain", &|share| format!("{share:.0}")),
        )?;
        let line = std::iter::once((1.0, 0.0)).chain(simulated());
        chart.draw_series(LineSeries::new(line, ORANGE.stroke_width(2)))?;
        chart.draw_series(measured().map(|point| Circle::new(point, 5, BLUE.filled())))?;
        Ok::<_, DrawError>(())
    })
}

/// The base fee from block to block, for each scenario.
pub(in crate::report) fn fee_paths(fees: &FeeReport) -> Result<String, PlotError> {
    let all = || fees.scenarios.iter().flat_map(|scenario| &scenario.path_gwei).copied();
    let top = all().fold(f64::MIN_POSITIVE, f64::max) * 1.1;
    let blocks = fees.scenarios.iter().map(|it| it.path_gwei.len()).max().unwrap_or(1).max(2);
    draw((WIDTH, 300), |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..(blocks - 1) as f64, 0.0..top)?;
        axes(
            &mut chart,
            ("blocks after the change", &|block| format!("{block:.0}")),
            ("base fee in gwei", &|fee| super::super::html::amount(*fee)),
        )?;
        for (scenario, colour) in fees.scenarios.iter().zip(LINES) {
            let points = scenario.path_gwei.iter().enumerate().map(|(at, fee)| (at as f64, *fee));
            chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
        }
        Ok::<_, DrawError>(())
    })
}
