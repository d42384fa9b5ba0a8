//! `warpline bench --ablate`: what each technique of the parallel path gives.

use std::time::Duration;

use anyhow::Context as _;
use warpline_engine::{Engine, Ethereum, Strategy, Technique, Techniques};
use warpline_primitives::{RecoveredBlock, StateSource};
use warpline_replay::{BlockInput, Input, Inputs};
use warpline_workloads::Workload;

use crate::{
    FAILURE, SUCCESS,
    args::{BenchArgs, list},
    json::{AblationReport, AblationRow, AblationVariant},
    measure::{Subject, median, ms},
    table::{FAINT, Printer, STRONG, Styled, complain, factor},
};

/// How long all techniques together get at least for a block, if it is short.
const SIDE: Duration = Duration::from_millis(100);
const MAX_RUNS: u32 = 100;

/// Measures the workloads and blocks that were asked for, and returns the exit status and the report.
pub(super) fn run(
    args: &BenchArgs,
    engine: &Engine<Ethereum>,
    printer: &Printer,
    workloads: &[Workload],
) -> anyhow::Result<(u8, AblationReport)> {
    let blocks = standing_alone(args)?;
    let variants = variants();
    let mut titles = format!("{:<22} {:>6} {:>7}", "workload", "txs", "noise");
    for (name, _) in &variants {
        titles.push_str(&format!(" {name:>8}"));
    }
    printer.line(Styled(STRONG, titles))?;
    let mut report = AblationReport { schema: "warpline.ablation.v1", rows: Vec::new() };
    let mut code = SUCCESS;
    let rows =
        workloads.iter().map(|workload| (workload.name(), of_workload(args, engine, *workload)));
    let blocks = (!blocks.is_empty()).then(|| ("blocks", of_blocks(args, engine, &blocks)));
    for (name, row) in rows.chain(blocks) {
        match row {
            Ok(row) => {
                print(printer, &row)?;
                report.rows.push(row);
            }
            Err(error) => {
                complain(&error.context(name));
                code = FAILURE;
            }
        }
    }
    let explained = "speed-up over our sequential path, with all, without what heads the column, and \
                     with none:";
    printer.line(Styled(FAINT, explained))?;
    for technique in Technique::ALL {
        let line = format!("{:>10}  {}", technique.name(), technique.describe());
        printer.line(Styled(FAINT, line))?;
    }
    Ok((code, report))
}

/// With everything, without each technique, with none.
fn variants() -> Vec<(&'static str, Techniques)> {
    let all = Techniques::default();
    let without =
        Technique::ALL.iter().map(|technique| (technique.name(), all.without(*technique)));
    [("all", all)].into_iter().chain(without).chain([("none", Techniques::NONE)]).collect()
}

/// The blocks that were given and stand alone; those of blockchain tests do not.
fn standing_alone(args: &BenchArgs) -> anyhow::Result<Vec<BlockInput>> {
    let mut blocks = Vec::new();
    for input in Inputs::open(&args.blocks) {
        if let Input::Block(input) = input? {
            blocks.push(*input);
        }
    }
    let found = args.blocks.is_empty() || !blocks.is_empty();
    anyhow::ensure!(found, "no block in {} stands alone", list(&args.blocks));
    Ok(blocks)
}

fn of_workload(
    args: &BenchArgs,
    engine: &Engine<Ethereum>,
    workload: Workload,
) -> anyhow::Result<AblationRow> {
    let generated = super::generated(args, workload)?;
    let engine = engine.with_vm(Ethereum::new(generated.chain));
    let mut sums = Sums::default();
    sums.add(args, &engine, &generated.block, &generated.state)?;
    Ok(sums.row(workload.name()))
}

/// The sums over `blocks`.
fn of_blocks(
    args: &BenchArgs,
    engine: &Engine<Ethereum>,
    blocks: &[BlockInput],
) -> anyhow::Result<AblationRow> {
    let mut sums = Sums::default();
    for input in blocks {
        let engine = engine.with_vm(Ethereum::new(input.chain.clone()));
        let origin = || input.origin.to_string();
        sums.add(args, &engine, &input.block, &input.parent).with_context(origin)?;
    }
    Ok(sums.row("blocks"))
}

/// Medians, added up over blocks.
#[derive(Default)]
struct Sums {
    txs: usize,
    sequential: Duration,
    /// Of each variant the time and the executions.
    parallel: Vec<(Duration, u64)>,
    /// The first variant once more.
    again: Duration,
}

impl Sums {
    /// Adds a block, which is executed with each variant and compared.
    fn add<S: StateSource>(
        &mut self,
        args: &BenchArgs,
        engine: &Engine<Ethereum>,
        block: &RecoveredBlock,
        state: &S,
    ) -> anyhow::Result<()>
    where
        S::Error: 'static,
    {
        let reference = engine.execute_reference(block, state)?;
        let variants = variants();
        let engines: Vec<_> = variants
            .iter()
            .chain(&variants[..1])
            .map(|(_, techniques)| engine.with_techniques(*techniques))
            .collect();
        let subjects: Vec<_> = engines
            .iter()
            .map(|engine| Subject::new(engine, block, state, args.conditions))
            .collect();
        self.parallel.resize(variants.len(), Default::default());
        for (at, ((name, _), subject)) in variants.iter().zip(&subjects).enumerate() {
            let output = subject.once(Strategy::Auto)?.output;
            reference
                .compare(&output)
                .with_context(|| format!("{name} differs from plain revm"))?;
            self.parallel[at].1 += output.work.executions;
        }
        let (mut sequential, mut parallel) = (Vec::new(), vec![Vec::new(); subjects.len()]);
        let (mut spent, mut runs) = (Duration::ZERO, 0);
        while runs < args.repeat || (spent < SIDE && runs < MAX_RUNS) {
            // Each directly after executions of the same kind, as in every comparison. What so many
            // of the other kind leave behind takes more than one to get over.
            for _ in 0..2 {
                subjects[0].once(Strategy::Sequential)?;
            }
            sequential.push(subjects[0].once(Strategy::Sequential)?.took);
            subjects[0].once(Strategy::Auto)?;
            // From another one on each time, so that none always comes first.
            for step in 0..subjects.len() {
                let at = (step + runs as usize) % subjects.len();
                subjects[at].once(Strategy::Auto)?;
                parallel[at].push(subjects[at].once(Strategy::Auto)?.took);
            }
            spent += parallel[0].last().copied().unwrap_or_default();
            runs += 1;
        }
        self.txs += block.transactions.len();
        self.sequential += median(sequential).unwrap_or_default();
        self.again += parallel.pop().and_then(median).unwrap_or_default();
        for (sum, samples) in self.parallel.iter_mut().zip(parallel) {
            sum.0 += median(samples).unwrap_or_default();
        }
        Ok(())
    }

    fn row(self, workload: &'static str) -> AblationRow {
        let variant = |((variant, _), (took, executions)): ((_, _), (Duration, _))| {
            let speedup = self.sequential.as_secs_f64() / took.as_secs_f64();
            AblationVariant { variant, parallel_ms: ms(took), speedup, executions }
        };
        let first = self.parallel.first().map_or(self.again, |(took, _)| *took);
        AblationRow {
            workload,
            txs: self.txs,
            sequential_ms: ms(self.sequential),
            noise: first.as_secs_f64() / self.again.as_secs_f64(),
            variants: variants().into_iter().zip(self.parallel).map(variant).collect(),
        }
    }
}

fn print(printer: &Printer, row: &AblationRow) -> std::io::Result<()> {
    let noise = factor(Some(row.noise));
    let mut line = format!("{:<22} {:>6} {noise:>7}", row.workload, row.txs);
    for variant in &row.variants {
        line.push_str(&format!(" {:>8}", factor(Some(variant.speedup))));
    }
    printer.line(line)
}
