//! The report as a page: one file that needs no network and no scripts, reads on light and dark, and
//! prints.

mod focus;
mod sections;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    Report,
    plots::{self, PlotError, css},
};

const STYLE: &str = include_str!("html/style.css");

impl Report {
    /// The page.
    ///
    /// # Errors
    /// Where a plot cannot be drawn.
    pub fn to_html(&self) -> Result<String, PlotError> {
        let totals = &self.totals;
        let body = html! {
            (sections::headline(self))
            (sections::speedups(totals)?)
            (sections::distribution(self)?)
            (sections::forms(self))
            (sections::conflicts(self)?)
            @for focus in &self.focus { (focus::section(focus)?) }
            (sections::wasted(totals)?)
            (sections::costs(totals))
            (sections::fees(&self.fees)?)
            (sections::blocks(self))
            (sections::method(self))
        };
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { "What parallel execution saves" }
                    style { (PreEscaped(STYLE)) }
                }
                body { main { (body) } }
            }
        };
        Ok(page.into_string())
    }
}

/// A plot with a sentence on what to see in it, which is also what it is called where it is not seen.
fn figure(svg: &str, see: &str, legend: &[(plotters::style::RGBColor, &str)]) -> Markup {
    html! {
        figure {
            div.plot role="img" aria-label=(see) { (PreEscaped(svg)) }
            @if !legend.is_empty() {
                ul.legend {
                    @for (colour, name) in legend {
                        li { span.swatch style=(format!("background:{}", css(*colour))) {} (name) }
                    }
                }
            }
            figcaption { (see) }
        }
    }
}

/// A number with three significant digits, or whole.
pub(super) fn amount(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 || size == 0.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        // Two digits that are not zeros.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 20")]
        let digits = (1.0 - size.log10().floor()).clamp(2.0, 20.0) as usize;
        format!("{value:.digits$}")
    }
}

/// A speed-up.
fn times(factor: f64) -> String {
    format!("{factor:.2}×")
}

/// A share of a whole.
fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Gas in millions.
#[expect(clippy::cast_precision_loss, reason = "for display")]
fn megagas(gas: u64) -> String {
    format!("{} M", amount(gas as f64 / 1e6))
}

/// One thing or several.
fn count(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_count() {
        for (value, text) in [
            (0.0, "0"),
            (0.000_012_3, "0.000012"),
            (0.123, "0.12"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (1234.5, "1234"),
            (-3.0, "-3.00"),
        ] {
            assert_eq!(amount(value), text);
        }
        assert_eq!(count(1, "block", "blocks"), "1 block");
    }
}
