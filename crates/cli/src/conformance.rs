//! `warpline conformance`: the cases of blockchain tests, each executed both ways.
//!
//! A case passes when every block ended as the case says, whichever way it was executed, with the
//! same output or rejected for the same reason, and the chain ended with the right head and state.
//! The parallel path is forced, however small a block is. Cases run one after the other on one
//! engine; files are read and decoded ahead on a thread of their own.

mod database;
mod order;
mod report;
mod skips;

use std::{sync::mpsc, thread, time::Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use warpline_engine::{Engine, Ethereum};
use warpline_replay::{ChainTest, Input, InputError, Inputs, Origin, Verdict, run_chain_test};

use self::{order::Shuffled, report::Tally, skips::Skips};
use crate::{
    args::{ConditionArgs, ConformanceArgs, Mode, list},
    compare,
    json::{CaseRow, EngineInfo, Target, Unusable},
    table::{BAD, FAINT, Printer, Styled, failed_case, is_broken_pipe},
};

/// How many inputs are decoded ahead. What limits the memory they take.
const AHEAD: usize = 64;

/// Runs the command and returns the exit status.
pub(crate) fn run(args: &ConformanceArgs) -> anyhow::Result<u8> {
    if args.inputs.is_empty() {
        anyhow::bail!(
            "no fixtures given: name files, directories or archives with blockchain tests, \
             such as a checkout of ethereum/tests"
        );
    }
    let skips = skips(args)?;
    let target = Target::open(args.json.as_deref())?;
    let mut session = Session::new(args, skips, !matches!(target, Some(Target::Stdout)))?;
    thread::scope(|scope| {
        // Dropped when this closure ends, however it ends; that ends the thread. If the thread
        // panics, so does the scope: fixtures are never left out unnoticed.
        let (sender, receiver) = mpsc::sync_channel(AHEAD);
        let mut found = Inputs::open(&args.inputs).map(Found::from);
        scope.spawn(move || found.try_for_each(|found| sender.send(found)));
        let mut found = receiver.into_iter();
        match args.shuffle {
            None => found.try_for_each(|found| session.take(found)),
            Some(seed) => Shuffled::new(found, seed).try_for_each(|found| session.take(found)),
        }
    })?;
    session.finish(target)
}

/// What stands in line. A block that stands alone may be large, and is not needed.
enum Found {
    Case(Box<ChainTest>),
    NoTest(Origin),
    Unknown(Origin),
    Unusable(InputError),
}

impl From<Result<Input, InputError>> for Found {
    fn from(input: Result<Input, InputError>) -> Self {
        match input {
            Ok(Input::ChainTest(test)) => Self::Case(test),
            Ok(Input::Block(block)) => Self::NoTest(block.origin),
            Ok(Input::Skipped(origin)) => Self::Unknown(origin),
            Err(error) => Self::Unusable(error),
        }
    }
}

/// The list that `--skips` names, or the one that the program comes with.
fn skips(args: &ConformanceArgs) -> anyhow::Result<Skips> {
    let Some(path) = &args.skips else {
        return Skips::built_in().context("the skips that the program comes with");
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the skips in {}", path.display()))?;
    Skips::parse(&text).with_context(|| path.display().to_string())
}

/// How a case ended.
enum Ending {
    Passed,
    Failed(String),
    Skipped(String),
}

impl From<Verdict> for Ending {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Passed => Self::Passed,
            Verdict::Failed(failure) => Self::Failed(failure.to_string()),
        }
    }
}

/// A run under way.
struct Session<'a> {
    args: &'a ConformanceArgs,
    engine: Engine<Ethereum>,
    start: Instant,
    printer: Printer,
    progress: ProgressBar,
    skips: Skips,
    tally: Tally,
}

impl<'a> Session<'a> {
    fn new(args: &'a ConformanceArgs, skips: Skips, print: bool) -> anyhow::Result<Self> {
        let config = args.engine.config(ConditionArgs::default());
        let engine = Engine::new(Ethereum::mainnet(), config)?;
        // indicatif draws on standard error, and only if that is a terminal.
        let progress = ProgressBar::new_spinner().with_style(ProgressStyle::with_template(
            "{spinner} {pos} cases in {elapsed}, {per_sec}  {wide_msg}",
        )?);
        Ok(Self {
            args,
            engine,
            start: Instant::now(),
            printer: Printer::new(print),
            progress,
            skips,
            tally: Tally::default(),
        })
    }

    fn print(&self, line: impl std::fmt::Display) -> anyhow::Result<()> {
        until_unread(self.progress.suspend(|| self.printer.line(line)).map_err(Into::into))
    }

    fn take(&mut self, found: Found) -> anyhow::Result<()> {
        match found {
            Found::Case(test) => self.case(&test),
            Found::NoTest(origin) => {
                self.unusable(format!("{origin}: not a blockchain test: `warpline replay` it"))
            }
            Found::Unknown(origin) => {
                self.print(Styled(
                    FAINT,
                    format_args!("{origin}: not in a known format, ignored"),
                ))?;
                self.tally.ignored.push(origin.to_string());
                Ok(())
            }
            Found::Unusable(error) => self.unusable(error.to_string()),
        }
    }

    fn unusable(&mut self, error: String) -> anyhow::Result<()> {
        self.print(format_args!("{} {error}", Styled(BAD, "unusable input")))?;
        self.tally.unusable.push(Unusable { error });
        Ok(())
    }

    fn case(&mut self, test: &ChainTest) -> anyhow::Result<()> {
        self.progress.set_message(test.origin.to_string());
        let mut identical = true;
        let report = run_chain_test(test, |input, observer| {
            // The block's rules: where they change at a total difficulty, not the test's.
            let engine = self.engine.with_vm(Ethereum::new(input.chain.clone()));
            let comparison = compare::test_block(&engine, input, Mode::Compare, observer);
            identical &= comparison.identical == Some(true);
            comparison.result
        });
        let stored = if self.args.database {
            database::compare(test, &report, &self.engine)
        } else {
            Ok(())
        };
        self.progress.inc(1);

        let blocks = report.blocks_run();
        let network = report.network;
        let file = Origin { case: None, ..report.origin.clone() }.to_string();
        let case = report.origin.case.as_deref().unwrap_or_default();
        let mut ending = Ending::from(report.verdict);
        if let Some(skip) = self.skips.find(&file, &network, case) {
            let reason = skip.excuse(matches!(ending, Ending::Passed)).to_owned();
            // No skip excuses that the ways of executing a block disagree.
            if identical {
                ending = Ending::Skipped(reason);
            }
        }
        if let Err(difference) = stored {
            ending = Ending::Failed(difference.to_string());
        }
        if let Ending::Failed(reason) = &ending {
            self.print(failed_case(&report.origin, &network, reason))?;
        }
        let row =
            |reason| CaseRow { file, case: case.to_owned(), network: network.clone(), reason };
        self.tally.count(&network, blocks, ending, row);
        Ok(())
    }

    /// Prints the summary, writes the report and returns the exit status.
    fn finish(mut self, target: Option<Target>) -> anyhow::Result<u8> {
        self.progress.finish_and_clear();
        self.tally.note_stale(&self.skips);
        let elapsed = self.start.elapsed();
        until_unread(self.tally.print(&self.printer, elapsed))?;
        let code = self.tally.code();
        let nothing = self.tally.is_empty();
        if let Some(target) = target {
            let engine =
                EngineInfo { version: env!("CARGO_PKG_VERSION"), threads: self.engine.threads() };
            let report = self.tally.into_report(engine, self.args.shuffle, elapsed);
            until_unread(target.write(&report))?;
        }
        if nothing {
            anyhow::bail!("no blockchain tests in {}", list(&self.args.inputs));
        }
        Ok(code)
    }
}

/// The result of printing, but that nobody reads any more is no error and ends nothing either:
/// the exit status has to say how the cases ended.
fn until_unread(result: anyhow::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        result => result,
    }
}
