//! `warpline bench`: generated workloads, measured.

use std::time::Duration;

use anyhow::Context as _;
use warpline_engine::{Engine, EngineConfig, Ethereum, Strategy};
use warpline_workloads::{Size, Workload, generate};

use crate::{
    FAILURE, SUCCESS,
    args::{BenchArgs, Mode},
    json::{BenchReport, BenchRow, Target},
    measure::{Subject, ms},
    table::{BAD, Printer, STRONG, Styled, complain, factor, millis},
};

/// The gas of a block unless a number of transactions is asked for.
const GAS: u64 = 1_000_000_000;
/// Fixed, so that every run measures the same blocks.
const SEED: u64 = 1;

/// Runs the command and returns the exit status.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<u8> {
    let target = Target::open(args.json.as_deref())?;
    let printer = Printer::new(!matches!(target, Some(Target::Stdout)));
    let engine =
        Engine::new(Ethereum::mainnet(), EngineConfig::with_threads(args.engine.threads()))?;
    let titles = format!(
        "{:<22} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7}",
        "workload",
        "txs",
        "seq ms",
        "par ms",
        "par-1 ms",
        "revm ms",
        "speed-up",
        "noise",
        "Ggas/s",
        "re-exec",
        "valid."
    );
    printer.line(Styled(STRONG, titles))?;
    let chosen = if args.workloads.is_empty() { &Workload::ALL[..] } else { &args.workloads };
    let mut rows = Vec::with_capacity(chosen.len());
    let mut code = SUCCESS;
    for workload in chosen {
        match measure(&engine, *workload, args) {
            Ok(row) => {
                print(&printer, &row)?;
                rows.push(row);
            }
            Err(error) => {
                complain(&error.context(workload.name()));
                code = FAILURE;
            }
        }
    }
    if let Some(target) = target {
        target.write(&BenchReport { schema: "warpline.bench.v1", rows })?;
    }
    Ok(code)
}

/// Compares all outputs once, then measures.
fn measure(
    engine: &Engine<Ethereum>,
    workload: Workload,
    args: &BenchArgs,
) -> anyhow::Result<BenchRow> {
    let size = match args.txs {
        Some(txs) => Size::Transactions(usize::try_from(txs)?),
        None => Size::Gas(GAS),
    };
    let generated = generate(workload, size, SEED);
    let engine = engine.with_vm(Ethereum::new(generated.chain));
    let subject = Subject { engine: &engine, block: &generated.block, state: &generated.state };

    let reference = engine.execute_reference(&generated.block, &generated.state)?;
    let sequential = subject.once(Strategy::Sequential)?.output;
    reference.compare(&sequential).context("sequential differs from plain revm")?;
    let parallel = subject.once(Strategy::Auto)?.output;
    reference.compare(&parallel).context("parallel differs from plain revm")?;

    let medians = subject.repeatedly(args.repeat, Mode::Compare)?;
    let time = |median: Option<Duration>| median.unwrap_or_default();
    let seconds = time(medians.parallel).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "gas is far below 2^52")]
    let gigagas = parallel.gas_used as f64 / 1e9;
    Ok(BenchRow {
        workload: workload.name(),
        txs: generated.block.transactions.len(),
        gas: parallel.gas_used,
        threads: engine.threads(),
        sequential_ms: ms(time(medians.sequential)),
        parallel_ms: ms(time(medians.parallel)),
        again_ms: ms(time(medians.again)),
        parallel_1_ms: ms(time(medians.parallel_1)),
        revm_ms: ms(time(medians.revm)),
        cpu_ms: ms(time(medians.cpu)),
        width: parallel.work.width,
        speedup: medians.speedup().unwrap_or_default(),
        noise: medians.noise().unwrap_or_default(),
        ggas_per_s: gigagas / seconds,
        executions: parallel.work.executions,
        reexecutions: parallel.work.reexecutions,
        validations: parallel.work.validations,
    })
}

fn print(printer: &Printer, row: &BenchRow) -> std::io::Result<()> {
    let speedup = factor(Some(row.speedup));
    let style = if row.speedup < 1.0 { BAD } else { STRONG };
    printer.line(format_args!(
        "{:<22} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7.2} {:>7} {:>7}",
        row.workload,
        row.txs,
        millis(Some(row.sequential_ms)),
        millis(Some(row.parallel_ms)),
        millis(Some(row.parallel_1_ms)),
        millis(Some(row.revm_ms)),
        Styled(style, speedup),
        factor(Some(row.noise)),
        row.ggas_per_s,
        row.reexecutions,
        row.validations,
    ))
}
