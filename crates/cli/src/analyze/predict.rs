//! `warpline analyze predict`: how well blocks are predicted by those before them, and what it gives.
//!
//! Each block is predicted, then executed and scored, and only then learned. Predicting is not part of
//! the times of execution: a node does it while the block before is executed.

mod report;
mod rows;

use std::{
    fs::File,
    io::BufWriter,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use warpline_analysis::predict::{Config, Predictor, Score, Sources};
use warpline_engine::{Engine, Ethereum, Strategy};
use warpline_primitives::{AccessHints, Chance};
use warpline_replay::{BlockInput, Input, Inputs};
use warpline_testkit::true_hints;

use crate::{
    FAILURE, SUCCESS,
    args::{PredictArgs, list},
    json::Target,
    measure::{Subject, median, ms},
    table::{FAINT, Printer, STRONG, Styled, complain},
};
use report::{BlockRow, Report};
use rows::{Calls, Ran, Totals};

/// From which chance on a location counts as predicted.
const PREDICTED: Chance = Chance::EVEN;

/// Where predictions come from, in the order of the table.
const SOURCES: [(Sources, &str); 3] =
    [(Sources::Templates, "templates"), (Sources::Learned, "learned"), (Sources::Both, "both")];

/// Runs the command and returns the exit status.
pub(super) fn run(args: &PredictArgs) -> anyhow::Result<u8> {
    let target = Target::open(args.json.as_deref())?;
    let printer = Printer::new(!matches!(target, Some(Target::Stdout)));
    let blocks = in_order(args)?;
    let engine = Engine::new(Ethereum::mainnet(), args.engine.config(args.conditions()))?;
    let mut predictor = load(args)?;
    printer.line(Styled(STRONG, BlockRow::titles()))?;
    let mut totals = Totals::default();
    let mut report = Report::new(&engine);
    let mut code = SUCCESS;
    for input in &blocks {
        let engine = engine.with_vm(Ethereum::new(input.chain.clone()));
        match block(args, &engine, input, &mut predictor, &mut totals) {
            Ok(row) => {
                printer.line(&row)?;
                report.blocks.push(row);
            }
            Err(error) => {
                complain(&error.context(input.origin.to_string()));
                code = FAILURE;
            }
        }
    }
    report.summary = totals.summary(&predictor);
    report::print(&printer, &report.summary)?;
    if args.conditions().read_latency().is_some() {
        printer
            .line(Styled(FAINT, "what predicting itself reads of the state is not slowed down"))?;
    }
    save(args, &predictor)?;
    if let Some(target) = target {
        target.write(&report)?;
    }
    Ok(code)
}

/// The blocks that were given and stand alone, by number.
fn in_order(args: &PredictArgs) -> anyhow::Result<Vec<BlockInput>> {
    let mut blocks = Vec::new();
    for input in Inputs::open(&args.inputs) {
        if let Input::Block(input) = input? {
            blocks.push(*input);
        }
    }
    anyhow::ensure!(!blocks.is_empty(), "no block in {} stands alone", list(&args.inputs));
    blocks.sort_by_key(|input| (input.number(), input.hash()));
    // One that is given twice would be known the second time.
    blocks.dedup_by_key(|input| input.hash());
    Ok(blocks)
}

fn load(args: &PredictArgs) -> anyhow::Result<Predictor> {
    let Some(path) = &args.load else { return Ok(Predictor::default()) };
    let cannot = || format!("cannot load {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    Predictor::load(file, Config::default()).with_context(cannot)
}

fn save(args: &PredictArgs, predictor: &Predictor) -> anyhow::Result<()> {
    let Some(path) = &args.save else { return Ok(()) };
    let cannot = || format!("cannot save to {}", path.display());
    let file = File::create(path).with_context(cannot)?;
    predictor.save(BufWriter::new(file)).with_context(cannot)
}

/// Predicts, executes, scores and learns one block.
fn block(
    args: &PredictArgs,
    engine: &Engine<Ethereum>,
    input: &BlockInput,
    predictor: &mut Predictor,
    totals: &mut Totals,
) -> anyhow::Result<BlockRow> {
    let (block, state) = (&input.block, &input.parent);
    let start = Instant::now();
    let hints = predictor.predict(block, state);
    let predicting = start.elapsed();
    // The first execution meets the code for the first time, which no time to learn from is to contain.
    engine.execute_with(block, state, Strategy::Sequential)?;
    let (output, traces) = engine.trace(block, state)?;
    let happened = true_hints(&traces);
    let mut scores = [Score::default(); 3];
    for ((sources, _), score) in SOURCES.into_iter().zip(&mut scores) {
        let predicted = predictor.predict_from(block, state, sources);
        score.add(block, &predicted, &happened, PREDICTED);
        totals.scores[sources as usize].add(block, &predicted, &happened, PREDICTED);
    }
    let calls = Calls::of(block, predictor, &traces);
    totals.calls.add(calls);
    totals.times.add(block, &hints, &traces);
    let ran = measure(args, engine, input, [None, Some(&hints), Some(&happened)], &output)?;
    totals.ran.add(&ran);
    let start = Instant::now();
    predictor.learn(block, &happened, state);
    totals.predicting += predicting;
    totals.learning += start.elapsed();
    totals.blocks += 1;
    Ok(BlockRow::new(input, &scores[Sources::Both as usize], calls, ran))
}

/// Executes a block without hints, with those predicted and with true ones, in turn, and compares each
/// with `expected`.
fn measure(
    args: &PredictArgs,
    engine: &Engine<Ethereum>,
    input: &BlockInput,
    hints: [Option<&AccessHints>; 3],
    expected: &warpline_primitives::BlockOutput,
) -> anyhow::Result<Ran> {
    let plain = || Subject::new(engine, &input.block, &input.parent, args.conditions());
    let subjects = hints.map(|hints| hints.into_iter().fold(plain(), Subject::hinted_by));
    // Where reads are slow, what else is in caches makes no difference.
    let is_prompt = args.conditions().read_latency().is_none();
    let mut reexecutions = [0; 3];
    let mut sequential = Vec::new();
    let mut took: [Vec<Duration>; 3] = Default::default();
    for round in 0..args.repeat as usize {
        sequential.push(subjects[0].once(Strategy::Sequential)?.took);
        for step in 0..subjects.len() {
            // From another one on each time, so that none always comes first.
            let at = (round + step) % subjects.len();
            if is_prompt {
                subjects[at].once(Strategy::Auto)?;
            }
            let timed = subjects[at].once(Strategy::Auto)?;
            expected.compare(&timed.output).context("with hints differs from sequential")?;
            took[at].push(timed.took);
            reexecutions[at] += timed.output.work.reexecutions;
        }
    }
    let sequential_ms = ms(median(sequential).unwrap_or_default());
    let parallel_ms = took.map(|took| ms(median(took).unwrap_or_default()));
    let reexecutions = reexecutions.map(|sum| sum / u64::from(args.repeat));
    Ok(Ran { sequential_ms, parallel_ms, reexecutions })
}
