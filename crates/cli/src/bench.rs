//! `warpline bench`: generated workloads, measured.

mod ablate;

use anyhow::Context as _;
use warpline_engine::{Engine, Ethereum, Strategy};
use warpline_primitives::{BlockOutput, StateSource, WorkCounts};
use warpline_workloads::{GeneratedBlock, Size, Workload, generate};

use crate::{
    FAILURE, SUCCESS,
    args::{BenchArgs, Mode},
    json::{BenchReport, BenchRow, Target},
    measure::{Subject, ms},
    memory::Watch,
    table::{BAD, Printer, STRONG, Styled, complain, factor, millis, print_read_depth},
};

/// The gas of a block unless a number of transactions is asked for.
const GAS: u64 = 1_000_000_000;
/// Fixed, so that every run measures the same blocks.
const SEED: u64 = 1;

/// Runs the command and returns the exit status.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<u8> {
    let target = Target::open(args.json.as_deref())?;
    let printer = Printer::new(!matches!(target, Some(Target::Stdout)));
    let engine = Engine::new(Ethereum::mainnet(), args.engine.config(args.conditions))?;
    let shapes = args.workloads.is_empty() && args.blocks.is_empty();
    let chosen = if shapes { &Workload::SHAPES[..] } else { &args.workloads };
    if args.ablate {
        let (code, report) = ablate::run(args, &engine, &printer, chosen)?;
        if let Some(target) = target {
            target.write(&report)?;
        }
        return Ok(code);
    }
    let titles = format!(
        "{:<22} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7} {:>8}",
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
        "valid.",
        "peak MiB"
    );
    printer.line(Styled(STRONG, titles))?;
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
    let depth = rows.iter().filter_map(|row| row.read_depth).max();
    print_read_depth(&printer, depth)?;
    if let Some(target) = target {
        target.write(&BenchReport { schema: "warpline.bench.v1", rows })?;
    }
    Ok(code)
}

/// The workload's block.
fn generated(args: &BenchArgs, workload: Workload) -> anyhow::Result<GeneratedBlock> {
    let size = match args.txs {
        Some(txs) => Size::Transactions(usize::try_from(txs)?),
        None => Size::Gas(GAS),
    };
    Ok(generate(workload, size, SEED))
}

/// Executes once each way, comparing all outputs where that is the mode, then measures.
fn measure(
    engine: &Engine<Ethereum>,
    workload: Workload,
    args: &BenchArgs,
) -> anyhow::Result<BenchRow> {
    let generated = generated(args, workload)?;
    let engine = engine.with_vm(Ethereum::new(generated.chain));
    let (block, state) = (&generated.block, &generated.state);
    let mut subject = Subject::new(&engine, block, state, args.conditions);
    if args.conditions.with_access_list {
        subject.use_list(None)?;
    }

    // What another side or another workload left to the allocator would be counted.
    let alone = args.mode != Mode::Compare && args.workloads.len() == 1;
    let watch = if alone { Watch::start() } else { None };
    let (gas, work) = match args.mode {
        Mode::Compare => compared(&subject)?,
        Mode::Parallel => counts(&subject.once(Strategy::Auto)?.output),
        Mode::Sequential => counts(&subject.once(Strategy::Sequential)?.output),
    };
    let medians = subject.repeatedly(args.repeat, args.mode)?;
    let memory = watch.and_then(Watch::stop);

    #[expect(clippy::cast_precision_loss, reason = "gas is far below 2^52")]
    let gigagas = gas as f64 / 1e9;
    let fastest = medians.parallel.or(medians.sequential).unwrap_or_default();
    Ok(BenchRow {
        workload: workload.name(),
        txs: generated.block.transactions.len(),
        gas,
        threads: engine.threads(),
        sequential_ms: medians.sequential.map(ms),
        parallel_ms: medians.parallel.map(ms),
        again_ms: medians.again.map(ms),
        parallel_1_ms: medians.parallel_1.map(ms),
        revm_ms: medians.revm.map(ms),
        cpu_ms: medians.cpu.map(ms),
        resident_mib: memory.map(|memory| memory.resident_mib),
        peak_mib: memory.map(|memory| memory.peak_mib),
        width: work.width,
        read_depth: medians.read_depth,
        speedup: medians.speedup(),
        noise: medians.noise(),
        ggas_per_s: gigagas / fastest.as_secs_f64(),
        executions: work.executions,
        reexecutions: work.reexecutions,
        validations: work.validations,
    })
}

/// Executes all ways there are and compares the outputs. Returns the counts of the parallel one.
fn compared<S: StateSource>(subject: &Subject<'_, S>) -> anyhow::Result<(u64, WorkCounts)>
where
    S::Error: 'static,
{
    let reference = subject.engine.execute_reference(subject.block, subject.state)?;
    let sequential = subject.once(Strategy::Sequential)?.output;
    reference.compare(&sequential).context("sequential differs from plain revm")?;
    let parallel = subject.once(Strategy::Auto)?.output;
    reference.compare(&parallel).context("parallel differs from plain revm")?;
    Ok(counts(&parallel))
}

/// The gas used, and the work it took.
const fn counts(output: &BlockOutput) -> (u64, WorkCounts) {
    (output.gas_used, output.work)
}

fn print(printer: &Printer, row: &BenchRow) -> std::io::Result<()> {
    let style = if row.speedup.is_some_and(|speedup| speedup < 1.0) { BAD } else { STRONG };
    let peak = row.peak_mib.map_or_else(|| "-".to_owned(), |peak| format!("{peak:.0}"));
    printer.line(format_args!(
        "{:<22} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7.2} {:>7} {:>7} {:>8}",
        row.workload,
        row.txs,
        millis(row.sequential_ms),
        millis(row.parallel_ms),
        millis(row.parallel_1_ms),
        millis(row.revm_ms),
        Styled(style, factor(row.speedup)),
        factor(row.noise),
        row.ggas_per_s,
        row.reexecutions,
        row.validations,
        peak,
    ))
}
