//! The parts of the page that are about all blocks together.

use maud::{Markup, html};

use super::{amount, count, figure, megagas, percent, plots, times};
use crate::{
    CORES_OF_CONFLICTS,
    report::{
        CauseRow, FeeReport, Report, Totals,
        plots::{BLUE, GREEN, GREY, LINES, ORANGE, PURPLE, PlotError, RED},
    },
};

/// How many causes are told in words, and how many are listed.
const TOLD: usize = 3;
const LISTED: usize = 10;

/// The figures that matter most, and what they mean.
pub(super) fn headline(report: &Report) -> Markup {
    let totals = &report.totals;
    let cores = totals.on(CORES_OF_CONFLICTS);
    html! {
        header {
            h1 { "What parallel execution saves" }
            p.lead { (lead(totals)) }
        }
        section.tiles {
            @if let Some(measured) = totals.most_threads() {
                (tile(&times(measured.speedup),
                    &format!("as fast on {}, measured", count(measured.threads, "thread", "threads"))))
                (tile(&format!("{} → {} ms", amount(totals.sequential_ms), amount(measured.parallel_ms)),
                    &format!("for {}, {} gas",
                        count(totals.transactions, "transaction", "transactions"),
                        megagas(totals.gas))))
                (tile(&times(measured.core_ms / totals.sequential_core_ms.max(f64::MIN_POSITIVE)),
                    "the core time of sequential execution"))
            }
            @if let Some(cores) = cores {
                (tile(&times(cores.simulated), &format!("on {} cores, simulated without overhead", cores.cores)))
            }
            (tile(&times(totals.bound), &format!(
                "at most on any number of cores, transactions executed whole ({} in the geometric mean)",
                times(totals.bound_geomean))))
            (tile(&times(totals.bound_of_segments),
                "at most if transactions could be stopped where they conflict"))
        }
    }
}

fn tile(figure: &str, meaning: &str) -> Markup {
    html! { div.tile { strong { (figure) } span { (meaning) } } }
}

/// The answer in two sentences.
fn lead(totals: &Totals) -> String {
    let blocks = count(totals.blocks, "block", "blocks");
    let Some(measured) = totals.most_threads() else {
        return format!("{blocks} were looked at; nothing was executed in parallel.");
    };
    let threads = count(measured.threads, "thread", "threads");
    let saved = 1.0 - measured.parallel_ms / totals.sequential_ms.max(f64::MIN_POSITIVE);
    let saves = if saved >= 0.0 {
        format!("saves {} of the time that it takes", percent(saved))
    } else {
        format!("takes {} longer than it takes", percent(-saved))
    };
    let slower = match measured.slower {
        0 => "none of them gets more than 2 % slower".to_owned(),
        1 => "one of them gets more than 2 % slower".to_owned(),
        slower => format!("{slower} of them get more than 2 % slower"),
    };
    format!(
        "Executing {blocks} in parallel on {threads} {saves} to execute one transaction after the other, \
         and {slower}. The results are identical. Dependencies between transactions allow no more than \
         {}, however many cores there are, unless transactions are stopped where they conflict: \
         then {}.",
        times(totals.bound),
        times(totals.bound_of_segments),
    )
}

/// Speed-up against cores.
pub(super) fn speedups(totals: &Totals) -> Result<Markup, PlotError> {
    let svg = plots::speedups(totals)?;
    let legend = [
        (GREY, "ideal: as many times as cores"),
        (GREEN, "whole transactions, everything known beforehand"),
        (ORANGE, "the engine's way to schedule, without overhead (pale: whole transactions)"),
        (BLUE, "measured"),
        (PURPLE, "bounds (pale: transactions stopped where they conflict)"),
    ];
    let see = "Where the lines level off, more cores do not help: transactions wait for each other. The \
               dots lie below the simulated line by what parallel execution costs besides, and by what is \
               not simulated: the steps around the transactions, and caches.";
    Ok(html! {
        section {
            h2 { "Speed-up against cores" }
            (figure(&svg, see, &legend))
            div.wide { table {
                thead { tr { th { "cores" } @for row in &totals.cores { th { (row.cores) } } } }
                tbody {
                    tr { th { "whole, all known" } @for row in &totals.cores { td { (times(row.in_order)) } } }
                    tr { th { "simulated whole" } @for row in &totals.cores { td { (times(row.simulated_whole)) } } }
                    tr { th { "simulated" } @for row in &totals.cores { td { (times(row.simulated)) } } }
                    tr {
                        th { "measured" }
                        @for row in &totals.cores {
                            td {
                                @match totals.measured.iter().find(|it| it.threads == row.cores) {
                                    Some(measured) => (times(measured.speedup)),
                                    None => "–",
                                }
                            }
                        }
                    }
                }
            } }
            @let others: Vec<String> = totals.measured.iter()
                .filter(|it| totals.cores.iter().all(|row| row.cores != it.threads))
                .map(|it| format!("{} on {}", times(it.speedup), count(it.threads, "thread", "threads")))
                .collect();
            @if !others.is_empty() { p.note { "Measured besides: " (others.join(", ")) "." } }
        }
    })
}

/// How the gain is spread over blocks.
pub(super) fn distribution(report: &Report) -> Result<Markup, PlotError> {
    let Some(measured) = report.totals.most_threads() else { return Ok(html! {}) };
    let svg = plots::distribution(report, measured.threads)?;
    let see = format!(
        "Each bar is the number of blocks that gain so much on {}; red ones get more than 2 % slower. The \
         geometric mean is {}, the least {}, the most {}; {} were executed sequentially because the engine \
         expected nothing from its threads.",
        count(measured.threads, "thread", "threads"),
        times(measured.speedup_geomean),
        times(measured.speedup_min),
        times(measured.speedup_max),
        measured.left_sequential,
    );
    let legend = [(BLUE, "quicker"), (GREY, "within 2 %"), (RED, "slower")];
    Ok(html! {
        section { h2 { "Block by block" } (figure(&svg, &see, &legend)) }
    })
}

/// The same jobs done in several ways.
pub(super) fn forms(report: &Report) -> Markup {
    let rows: Vec<_> = report.blocks.iter().filter(|block| block.job.is_some()).collect();
    if rows.is_empty() {
        return html! {};
    }
    let on = CORES_OF_CONFLICTS;
    html! {
        section {
            h2 { "The same job, written in two ways" }
            p {
                "Each pair of blocks is the same users doing the same things with two contracts. What the two share \
                 decides what parallel execution can do for them."
            }
            div.wide { table {
                thead { tr {
                    th { "job" } th.text { "contract" } th { "gas a transaction" } th { "µs" } th { "at most" }
                    th { "simulated on " (on) } @for row in &report.totals.measured {
                        th { (count(row.threads, "thread", "threads")) ", measured" }
                    }
                } }
                tbody { @for block in rows {
                    tr {
                        th { (block.job.as_deref().unwrap_or_default()) }
                        td.text { (block.form.as_deref().unwrap_or_default()) }
                        td { (block.gas.checked_div(block.transactions as u64).unwrap_or(0)) }
                        td { (amount(block.sequential_ms * 1e3 / block.transactions.max(1) as f64)) }
                        td { (times(block.bound)) }
                        td { @if let Some(row) = block.cores.iter().find(|it| it.cores == on) {
                            (times(row.simulated))
                        } }
                        @for measured in &block.measured {
                            td.slow[measured.speedup < 0.98] { (times(measured.speedup)) }
                        }
                    }
                } }
            } }
        }
    }
}

/// What stands in the way.
pub(super) fn conflicts(report: &Report) -> Result<Markup, PlotError> {
    let of_kinds = |kinds: &'static [&'static str]| {
        let mut rows: Vec<&CauseRow> =
            report.conflicts.iter().filter(|row| kinds.contains(&row.kind)).collect();
        rows.sort_by(|one, other| other.gained_ms.total_cmp(&one.gained_ms));
        rows.truncate(LISTED);
        rows
    };
    let places = of_kinds(&["slot", "balance", "account"]);
    let functions = of_kinds(&["function"]);
    let map = plots::heat_map(report)?;
    let see = "The darker a place, the longer the transactions that wait for somebody else's change of \
               it. One dark cell is one thing to change.";
    Ok(html! {
        section {
            h2 { "What stands in the way" }
            @if places.is_empty() {
                p { "No transaction needed what another one did." }
            } @else {
                @for row in places.iter().take(TOLD).filter(|row| row.gained_ms > 0.0) {
                    p { (told(row)) }
                }
                @if let Some(map) = map { (figure(&map, see, &[])) }
                h3 { "By place" }
                (causes(&places))
                @if !functions.is_empty() {
                    h3 { "By function" }
                    (causes(&functions))
                }
                p.note {
                    "Time and gas are those of the transactions that saw another one's change there, over the \
                     blocks in which the place is among the worst or decides. “Behind” is the part after they \
                     first looked: what is before it could be executed without waiting, if a transaction could \
                     be stopped and resumed. Speed-ups are those of a schedule with perfect knowledge on "
                    (CORES_OF_CONFLICTS) " cores, over the same blocks."
                }
            }
        }
    })
}

/// What it would give to be rid of a cause.
fn told(row: &CauseRow) -> Markup {
    let advice = match row.kind {
        "slot" => "If it were split, so that transactions did not share it,",
        "balance" => "If nobody looked at it,",
        "account" => "Without it (of a sender: if they came from several),",
        _ => "Without it,",
    };
    html! {
        strong { (row.name) } " makes " (count(row.transactions, "transaction", "transactions")) " in "
        (count(row.blocks, "block", "blocks")) " depend on earlier ones. " (advice) " " (CORES_OF_CONFLICTS)
        " cores would execute " @if row.blocks == 1 { "that block" } @else { "those blocks" } " "
        (times(row.speedup_without)) " as fast as one after the other instead of " (times(row.speedup)) "."
    }
}

fn causes(rows: &[&CauseRow]) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th { "" } th { "blocks" } th { "dependent" } th { "gas" } th { "behind" } th { "ms" }
                th { "behind" } th { "now" } th { "without" }
            } }
            tbody { @for row in rows {
                tr {
                    th title=(full_name(row)) { (row.name) }
                    td { (row.blocks) } td { (row.transactions) }
                    td { (megagas(row.gas)) } td { (megagas(row.gas_behind)) }
                    td { (amount(row.ms)) } td { (amount(row.ms_behind)) }
                    td { (times(row.speedup)) } td { (times(row.speedup_without)) }
                }
            } }
        } }
    }
}

fn full_name(row: &CauseRow) -> String {
    let part = row.slot.as_ref().or(row.selector.as_ref());
    part.map_or_else(|| row.address.clone(), |part| format!("{} {part}", row.address))
}

/// What was done in vain.
pub(super) fn wasted(totals: &Totals) -> Result<Markup, PlotError> {
    let svg = plots::wasted(totals)?;
    let see = "The more cores work on a block at once, the more of what they do is found to rest on values \
               that another transaction changed, and is done again.";
    let legend = [(ORANGE, "simulated"), (BLUE, "measured")];
    Ok(html! {
        section {
            h2 { "Work in vain" }
            (figure(&svg, see, &legend))
            table {
                thead { tr { th { "threads" } th { "executions" } th { "in vain" } th { "their gas" }
                    th { "their ms" } th { "share of time" } } }
                tbody { @for row in &totals.measured {
                    @let wasted = &row.wasted;
                    tr {
                        th { (row.threads) }
                        td { (wasted.executions) } td { (wasted.in_vain) }
                        td { (megagas(wasted.gas)) } td { (amount(wasted.ms)) }
                        td { (percent(if wasted.of_ms > 0.0 { wasted.ms / wasted.of_ms } else { 0.0 })) }
                    }
                } }
            }
        }
    })
}

/// Core time, and what it costs.
pub(super) fn costs(totals: &Totals) -> Markup {
    let currency = &totals.currency;
    html! {
        section {
            h2 { "Cores and money" }
            p {
                "Parallel execution gives results sooner; it does not make them cheaper. It can take more core \
                 time than sequential execution: for what is in vain, for keeping books, and for threads that \
                 wait awake. At " (amount(totals.price_core_hour)) " " (currency) " for a core-hour:"
            }
            table {
                thead { tr { th { "" } th { "ms" } th { "core ms" } th { "core-seconds a gigagas" }
                    th { (currency) " a gigagas" } } }
                tbody {
                    tr {
                        th { "one after the other" }
                        td { (amount(totals.sequential_ms)) } td { (amount(totals.sequential_core_ms)) }
                        td { (amount(totals.sequential_core_s_per_ggas)) }
                        td { (amount(totals.sequential_cost_per_ggas)) }
                    }
                    @for row in &totals.measured {
                        tr {
                            th { (count(row.threads, "thread", "threads")) }
                            td { (amount(row.parallel_ms)) } td { (amount(row.core_ms)) }
                            td { (amount(row.core_s_per_ggas)) } td { (amount(row.cost_per_ggas)) }
                        }
                    }
                }
            }
        }
    }
}

/// What capacity would mean for fees.
pub(super) fn fees(fees: &FeeReport) -> Result<Markup, PlotError> {
    let svg = plots::fee_paths(fees)?;
    let names: Vec<_> = LINES
        .into_iter()
        .zip(&fees.scenarios)
        .map(|(colour, scenario)| (colour, scenario.name.as_str()))
        .collect();
    let see = "More gas in a block brings the base fee down until as much is wanted as there is; how far \
               depends on what users do with cheaper gas.";
    Ok(html! {
        section {
            h2 { "Fees" }
            p {
                "A transaction uses the same gas however it is executed, so parallel execution by itself changes \
                 no fee. It can let a chain raise its gas target, and whoever raises it has to be safe against the \
                 worst block, not against the usual one."
            }
            (figure(&svg, see, &names))
            div.wide { table {
                thead { tr { th { "scenario" } th { "execution" } th { "capacity" } th { "base fee at rest" }
                    th { "paid for today's gas" } th.text { "what it needs" } } }
                tbody { @for row in &fees.scenarios {
                    tr {
                        th { (row.name) }
                        td { (times(row.speedup)) } td { (times(row.capacity)) }
                        td { (amount(row.fee_at_rest_gwei)) " gwei" } td { (percent(row.paid_share)) }
                        td.text { (row.needs) }
                    }
                } }
            } }
            p.note {
                "Assumed, not measured: execution is " (percent(fees.execution_share)) " of the time of importing a \
                 block, and the rest stays as it is; the base fee is " (amount(fees.base_fee_gwei)) " gwei and the \
                 market at rest; demand falls by " (amount(fees.elasticity)) " % when the fee rises by one; the fee \
                 moves as EIP-1559 says. Worst cases are those of a block of " (megagas(fees.gas_limit)) " gas."
            }
        }
    })
}

/// Every block.
pub(super) fn blocks(report: &Report) -> Markup {
    html! {
        section {
            h2 { "All blocks" }
            div.wide { table {
                thead { tr {
                    th { "block" } th.text { "fork" } th { "transactions" } th { "gas" } th { "ms" }
                    @for row in &report.totals.measured { th { (count(row.threads, "thread", "threads")) } }
                    th { "in vain" } th { "at most" } th { "stopped at conflicts" } th { "gas on the critical path" }
                } }
                tbody { @for block in &report.blocks {
                    tr {
                        th title=(block.source) { (block.number) }
                        td.text { (block.fork) } td { (block.transactions) } td { (megagas(block.gas)) }
                        td { (amount(block.sequential_ms)) }
                        @for measured in &block.measured {
                            td.slow[measured.speedup < 0.98] { (times(measured.speedup)) }
                        }
                        td { (block.measured.last().map_or(0, |it| it.in_vain)) }
                        td { (times(block.bound)) } td { (times(block.bound_of_segments)) }
                        td { (percent(block.critical_gas_share)) }
                    }
                } }
            } }
        }
    }
}

/// How it was made.
pub(super) fn method(report: &Report) -> Markup {
    html! {
        section {
            h2 { "How this was measured" }
            p {
                "Warpline " (report.version) ", " (report.machine) ". Times are medians, from recovered \
                 transactions and a state in memory to the complete result, which was compared with that of \
                 sequential execution; blocks that are not generated were verified against their headers. Core \
                 time is the time of all threads of the process. What a transaction takes was measured one after the other, twice by itself: once for \
                 time and once for gas. A transaction needs another if it saw a change that the other made; \
                 payments to one account can be made in any order unless somebody looks at the balance. If every \
                 look at an account counts as a look at its balance, the bound is "
                (times(report.totals.bound_by_accounts)) " instead of " (times(report.totals.bound)) "."
            }
            p {
                "The simulation executes transactions in block order on what is there, lets those of one sender wait \
                 for each other, executes again what saw old values, and lets calls of a function wait for their \
                 like once they conflicted, where they look at what they conflict over. What looked late enough \
                 counts, even if it began too early. There is no overhead and there are no caches, so this is what \
                 the engine could reach and not what it does. “Whole” leaves out the part about looking late: then \
                 nothing is quicker than the critical path."
            }
        }
    }
}
