//! The plots, as SVG to stand in a page.
//!
//! Text and grid are drawn in two colours that the page's style replaces, so that a plot reads on light
//! and on dark. What a colour means is told beside the plot, by the page.

mod blocks;
mod curves;

use plotters::{
    chart::ChartContext,
    coord::{
        Shift,
        ranged1d::{Ranged, ValueFormatter},
    },
    drawing::DrawingAreaErrorKind,
    prelude::{
        Cartesian2d, Color, DrawingArea, IntoDrawingArea, IntoFont, RGBColor, SVGBackend, TextStyle,
    },
};

pub(super) use blocks::{MOST_STEPS, active_workers, critical_path, waterfall};
pub(super) use curves::{distribution, fee_paths, heat_map, speedups, wasted};

/// A plot could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("a plot could not be drawn: {0}")]
pub struct PlotError(Box<dyn std::error::Error + Send + Sync>);

type DrawError = DrawingAreaErrorKind<std::io::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Text. Replaced by the page.
const INK: RGBColor = RGBColor(0x1f, 0x24, 0x30);
/// Lines of the grid. Replaced by the page.
const GRID: RGBColor = RGBColor(0xd8, 0xdc, 0xe3);

/// What counts, and what is measured.
pub(super) const BLUE: RGBColor = RGBColor(0x2f, 0x6f, 0xde);
/// What is in vain, or slower.
pub(super) const RED: RGBColor = RGBColor(0xd0, 0x4a, 0x45);
/// What is simulated.
pub(super) const ORANGE: RGBColor = RGBColor(0xe0, 0x8a, 0x00);
/// What a perfect schedule reaches.
pub(super) const GREEN: RGBColor = RGBColor(0x2b, 0x9e, 0x6b);
/// Bounds.
pub(super) const PURPLE: RGBColor = RGBColor(0x8a, 0x63, 0xd2);
/// What is there to compare with.
pub(super) const GREY: RGBColor = RGBColor(0x8a, 0x93, 0xa3);

/// Colours of any number of lines, in turn.
pub(super) const LINES: [RGBColor; 6] = [GREY, GREEN, BLUE, ORANGE, PURPLE, RED];

/// A colour as the page writes it.
pub(super) fn css(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// What stands at an axis, and how its numbers are written.
type Axis<'n> = (&'n str, &'n dyn Fn(&f64) -> String);

/// Draws the axes of a chart, and the lines of a grid.
fn axes<X, Y>(
    chart: &mut ChartContext<'_, SVGBackend<'_>, Cartesian2d<X, Y>>,
    (x_name, x_number): Axis<'_>,
    (y_name, y_number): Axis<'_>,
) -> Result<(), DrawError>
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(GRID.mix(0.0))
        .axis_style(INK)
        .label_style(text(13))
        .x_desc(x_name)
        .x_label_formatter(x_number)
        .y_desc(y_name)
        .y_label_formatter(y_number)
        .y_labels(6)
        .draw()
}

/// Draws on an area of that size, in pixels.
fn draw<E>(
    size: (u32, u32),
    paint: impl FnOnce(&Area<'_>) -> Result<(), E>,
) -> Result<String, PlotError>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    paint(&area).map_err(|error| PlotError(error.into()))?;
    area.present().map_err(|error| PlotError(error.into()))?;
    drop(area);
    Ok(svg)
}
