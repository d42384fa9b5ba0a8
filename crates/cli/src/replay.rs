//! `warpline replay`: blocks from files, or the embedded ones, executed and proven.

mod bounds;
pub(crate) mod embedded;
pub(crate) mod execute;
mod summary;

use indicatif::{ProgressBar, ProgressStyle};
use warpline_engine::{Engine, Ethereum};
use warpline_replay::{BlockInput, ChainTest, Input, Inputs, Verdict, run_chain_test};

use bounds::Bounds;

use crate::{
    FAILURE, SUCCESS, UNUSABLE,
    args::{ReplayArgs, list},
    json::{BlockRow, EngineInfo, ReplayReport, Target, TestFailure, Tests, Unusable},
    remote::{self, Fetching, NotFetched},
    report::Companion,
    table::{
        BAD, FAINT, GOOD, Printer, STRONG, Styled, counted, factor, failed_case, megagas, millis,
    },
};

/// Runs the command and returns the exit status.
pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<u8> {
    let bounds = Bounds::open(args)?;
    let target = Target::open(args.json.as_deref())?;
    let mut session = Session::new(args, bounds, !matches!(target, Some(Target::Stdout)))?;
    let remote = match (&args.remote.rpc, &args.remote.blocks) {
        (Some(url), Some(blocks)) => Some(remote::fetch(url, blocks, &args.remote.node)?),
        _ => None,
    };
    session.heading()?;
    if let Some(blocks) = remote {
        session.fetched(blocks)?;
    } else if args.inputs.is_empty() {
        for input in embedded::blocks(&session.engine)? {
            session.block(&input)?;
            if session.is_enough() {
                break;
            }
        }
    } else {
        for input in Inputs::open(&args.inputs) {
            session.input(input)?;
            if session.is_enough() {
                break;
            }
        }
    }
    let companion = session.report.take();
    let code = session.finish(target)?;
    let complete = companion.map_or(Ok(true), Companion::finish)?;
    Ok(if complete { code } else { FAILURE })
}

/// A replay under way.
struct Session<'a> {
    args: &'a ReplayArgs,
    bounds: Option<Bounds>,
    engine: Engine<Ethereum>,
    printer: Printer,
    progress: ProgressBar,
    rows: Vec<BlockRow>,
    tests: Option<Tests>,
    unusable: Vec<Unusable>,
    /// What becomes the page, and where it goes.
    report: Option<Companion>,
}

impl<'a> Session<'a> {
    fn new(args: &'a ReplayArgs, bounds: Option<Bounds>, print: bool) -> anyhow::Result<Self> {
        let engine = Engine::new(Ethereum::mainnet(), args.engine.config(args.conditions))?;
        // indicatif draws on standard error, and only if that is a terminal.
        let progress = ProgressBar::new_spinner().with_style(ProgressStyle::with_template(
            "{spinner} {pos} blocks in {elapsed}, {per_sec}  {wide_msg}",
        )?);
        let report = args.report.as_deref().map(|path| {
            Companion::new(path, args.json.as_deref(), (engine.threads(), args.repeat), print)
        });
        Ok(Self {
            report: report.transpose()?,
            args,
            bounds,
            engine,
            printer: Printer::new(print),
            progress,
            rows: Vec::new(),
            tests: None,
            unusable: Vec::new(),
        })
    }

    /// Whether `--fail-fast` ends the replay here.
    fn is_enough(&self) -> bool {
        self.args.fail_fast && self.has_failed()
    }

    fn has_failed(&self) -> bool {
        let failed_tests = self.tests.as_ref().is_some_and(|tests| tests.failed > 0);
        let last = self.rows.iter().any(|row| !row.is_sound());
        failed_tests || last || !self.unusable.is_empty()
    }

    fn print(&self, line: impl std::fmt::Display) -> std::io::Result<()> {
        self.progress.suspend(|| self.printer.line(line))
    }

    fn heading(&self) -> anyhow::Result<()> {
        let titles = format!(
            "{:>9}  {:<16} {:>5} {:>8} {:>9} {:>9} {:>8} {:>7} {:>7}  {}",
            "block",
            "fork",
            "txs",
            "Mgas",
            "seq ms",
            "par ms",
            "speed-up",
            "noise",
            "re-exec",
            "proof"
        );
        Ok(self.print(Styled(STRONG, titles))?)
    }

    fn input(&mut self, input: Result<Input, warpline_replay::InputError>) -> anyhow::Result<()> {
        match input {
            Ok(Input::Block(input)) => self.block(&input),
            Ok(Input::ChainTest(test)) => self.chain_test(&test),
            Ok(Input::Skipped(origin)) => {
                let note = format!("{origin}: not in a known format, skipped");
                Ok(self.print(Styled(FAINT, note))?)
            }
            Err(error) => {
                self.print(format_args!("{} {error}", Styled(BAD, "unusable input")))?;
                self.unusable.push(Unusable { error: error.to_string() });
                Ok(())
            }
        }
    }

    /// Replays blocks as they come from a node.
    fn fetched(&mut self, mut blocks: Fetching) -> anyhow::Result<()> {
        let mut uncached = blocks.take_uncached();
        let mut is_said = false;
        for block in blocks {
            match block {
                Ok(mut block) => {
                    // What befalls one block befalls the next, too, and once is enough.
                    if let Some(reason) = uncached.take().or_else(|| block.unkept.take())
                        && !is_said
                    {
                        self.print(Styled(FAINT, format_args!("not kept: {reason:#}")))?;
                        is_said = true;
                    }
                    if let Some(note) = &block.note {
                        self.print(Styled(FAINT, note))?;
                    }
                    self.block(&block.input)?;
                    if self.suspects_capture()
                        && let Some(note) = block.forget()
                    {
                        self.print(Styled(FAINT, note))?;
                    }
                }
                Err(NotFetched { number, error, is_final }) => {
                    let error = format!("block {number}: {error:#}");
                    self.print(format_args!("{} {error}", Styled(BAD, "not fetched")))?;
                    self.unusable.push(Unusable { error });
                    if is_final {
                        break;
                    }
                }
            }
            if self.is_enough() {
                break;
            }
        }
        Ok(())
    }

    /// Whether the last block has failed in a way that may be due to what is known of the state before it. That both
    /// ways differ is our own fault, and that there is no access list is known without executing anything.
    fn suspects_capture(&self) -> bool {
        let failed = |row: &BlockRow| !row.verified && row.identical != Some(false);
        !self.args.conditions.with_access_list && self.rows.last().is_some_and(failed)
    }

    /// Executes and verifies a block that stands alone.
    fn block(&mut self, input: &BlockInput) -> anyhow::Result<()> {
        self.progress.set_message(input.origin.to_string());
        let engine = self.engine.with_vm(Ethereum::new(input.chain.clone()));
        let row = execute::verified_row(&engine, input, self.args);
        self.print_row(&row)?;
        if let Some(report) = &mut self.report
            && row.is_sound()
        {
            report.block(input)?;
        }
        self.progress.inc(1);
        self.rows.push(row);
        Ok(())
    }

    fn print_row(&self, row: &BlockRow) -> anyhow::Result<()> {
        let style = if row.is_sound() { GOOD } else { BAD };
        let proof = row.proof.as_deref().unwrap_or("none");
        let remark = match (&row.error, &row.proof_limit) {
            (Some(error), _) => format!("  {}", Styled(BAD, error)),
            // That a snapshot has no trie is its nature, not news.
            (None, Some(limit)) if row.proof_limit_is_news() => {
                format!("  {}", Styled(FAINT, limit))
            }
            _ => String::new(),
        };
        let line = format!(
            "{:>9}  {:<16} {:>5} {:>8} {:>9} {:>9} {:>8} {:>7} {:>7}  {}{remark}",
            row.number,
            row.fork,
            row.txs,
            megagas(row.gas_used),
            millis(row.sequential_ms),
            millis(row.parallel_ms),
            factor(row.speedup),
            factor(row.noise),
            row.reexecutions,
            Styled(style, proof),
        );
        Ok(self.print(line)?)
    }

    /// Runs a case of a blockchain test. Its blocks are too many and too small for the table.
    fn chain_test(&mut self, test: &ChainTest) -> anyhow::Result<()> {
        self.progress.set_message(test.origin.to_string());
        let mut rows: Vec<BlockRow> = Vec::new();
        let report = run_chain_test(test, |input, observer| {
            // The block's rules: where they change at a total difficulty, not the test's.
            let engine = self.engine.with_vm(Ethereum::new(input.chain.clone()));
            let (row, result) = execute::test_row(&engine, input, self.args, observer);
            rows.push(row);
            result
        });
        execute::add_proofs(&mut rows, &report);
        self.progress.inc(rows.len() as u64);
        self.rows.extend(rows);

        let tests = self.tests.get_or_insert_default();
        tests.cases += 1;
        match report.verdict {
            Verdict::Passed => tests.passed += 1,
            Verdict::Failed(failure) => {
                let (case, network) = (report.origin.to_string(), report.network);
                let reason = failure.to_string();
                tests.failed += 1;
                let line = failed_case(&case, &network, &reason);
                tests.failures.push(TestFailure { case, network, reason });
                self.print(line)?;
            }
        }
        Ok(())
    }

    /// Prints the summary, writes the report and returns the exit status.
    fn finish(self, target: Option<Target>) -> anyhow::Result<u8> {
        self.progress.finish_and_clear();
        let summary = summary::of(&self.rows);
        summary::print(&self.printer, &summary, &self.rows, self.tests.as_ref())?;
        let threads = self.engine.threads();
        let bounds = self.bounds.as_ref().map(|bounds| bounds.compare(&self.rows, threads));
        if let Some(bounds) = &bounds {
            bounds::print(&self.printer, bounds, threads)?;
        }
        if !self.unusable.is_empty() {
            let count = self.unusable.len();
            self.printer.line(Styled(BAD, counted(count, "unusable input")))?;
        }
        let failed_tests = self.tests.as_ref().is_some_and(|tests| tests.failed > 0);
        let code = if summary.mismatched + summary.failed > 0 || failed_tests {
            FAILURE
        } else if !self.unusable.is_empty() || (self.rows.is_empty() && self.tests.is_none()) {
            UNUSABLE
        } else {
            SUCCESS
        };
        let nothing = self.rows.is_empty() && self.tests.is_none() && self.unusable.is_empty();
        if let Some(target) = target {
            let engine = EngineInfo { version: env!("CARGO_PKG_VERSION"), threads };
            target.write(&ReplayReport {
                schema: "warpline.replay.v1",
                engine,
                blocks: self.rows,
                summary,
                bounds,
                tests: self.tests,
                unusable: self.unusable,
            })?;
        }
        if nothing {
            anyhow::bail!("no blocks in {}", list(&self.args.inputs));
        }
        Ok(code)
    }
}
