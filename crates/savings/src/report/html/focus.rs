//! A block in detail.

use maud::{Markup, html};

use super::{amount, count, figure, percent, plots, times};
use crate::report::{
    Focus,
    plots::{BLUE, PURPLE, PlotError, RED},
};

/// How many transactions of a critical path are listed.
const LISTED: usize = 30;

/// Who did what when, and the critical path.
pub(super) fn section(focus: &Focus) -> Result<Markup, PlotError> {
    let how =
        if focus.measured { "Measured" } else { "Simulated, since the engine used one thread" };
    let see = format!(
        "{how}: each row is a worker. Gaps are time in which it chose, validated, committed or waited.",
    );
    let in_vain = focus.spans.iter().filter(|span| !span.counts).count();
    let waterfall = figure(
        &plots::waterfall(focus)?,
        &see,
        &[(BLUE, "execution that counts"), (RED, "execution in vain")],
    );
    let busy: f64 = focus.spans.iter().map(|span| span.end_ms - span.start_ms).sum();
    let end = focus.spans.iter().map(|span| span.end_ms).fold(f64::MIN_POSITIVE, f64::max);
    let see = format!(
        "On average {:.2} of {} were executing.",
        busy / end,
        count(focus.workers, "worker", "workers")
    );
    let active = figure(&plots::active_workers(focus)?, &see, &[]);
    let cut = if focus.critical_path.len() > plots::MOST_STEPS {
        format!(" Shown are its first {}.", plots::MOST_STEPS)
    } else {
        String::new()
    };
    let see = format!(
        "The line of transactions in which each needs the one before: no number of cores executes the block \
         quicker than this line, if transactions are executed whole. The pale part of each is what it does \
         before it looks at what the one before changed.{cut}",
    );
    let line = figure(&plots::critical_path(focus)?, &see, &[(PURPLE, "after the first look")]);
    Ok(html! {
        section {
            h2 { "Block " (focus.number) ": " (focus.why) }
            p {
                (count(focus.transactions, "transaction", "transactions")) " that take " (amount(focus.total_ms))
                " ms one after the other. The longest line among them has "
                (count(focus.critical_path.len(), "transaction", "transactions")) " and takes "
                (amount(focus.critical_ms)) " ms, so " (times(focus.bound)) " is the most there is to gain. "
                (count(in_vain, "execution was", "executions were")) " in vain."
            }
            (waterfall)
            (active)
            h3 { "Its critical path" }
            (line)
            (path(focus))
        }
    })
}

fn path(focus: &Focus) -> Markup {
    let more = focus.critical_path.len().saturating_sub(LISTED);
    html! {
        div.wide { table {
            thead { tr { th { "transaction" } th.text { "call" } th { "gas" } th { "ms" } th.text { "needs of the one before" }
                th { "looks after" } } }
            tbody { @for step in focus.critical_path.iter().take(LISTED) {
                tr {
                    th { (step.transaction) }
                    td.text { (step.call) } td { (step.gas) } td { (amount(step.ms)) }
                    td.text { (step.waits_for.as_deref().unwrap_or("–")) }
                    td {
                        @if step.waits_for.is_some() {
                            (step.gas_before) " gas, "
                            (percent(if step.ms > 0.0 { (step.ms_before / step.ms).min(1.0) } else { 0.0 }))
                            " of its time"
                        }
                    }
                }
            } }
        } }
        @if more > 0 { p.note { "And " (more) " more, which the JSON document has." } }
    }
}
