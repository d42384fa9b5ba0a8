//! `warpline fuzz`: random blocks, every way to execute them compared.
//!
//! The time and the seed of a run enter here; all that follows from a seed is in `warpline-fuzz`.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use warpline_fuzz::{
    Attempts, Block, Difference, Effort, Generated, Kind, block_seed, check, reproducer, shrink,
};

use crate::{
    FAILURE, SUCCESS,
    args::FuzzArgs,
    json::{FuzzFinding, FuzzReport, Target},
    table::{BAD, FAINT, GOOD, Printer, STRONG, Styled, counted},
};

/// How long a block may be made smaller.
const SHRINKING: Duration = Duration::from_secs(60);
/// How often, and how long at most, a block that failed is tried again to see how often it does.
const TRIALS: u32 = 20;
const TRYING: Duration = Duration::from_secs(10);
/// After so many findings there is enough to do.
const ENOUGH: usize = 8;

/// Runs the command and returns the exit status.
pub(crate) fn run(args: &FuzzArgs) -> anyhow::Result<u8> {
    let target = Target::open(args.json.as_deref())?;
    fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot write to {}", args.out.display()))?;
    let mut session = Session::new(args, !matches!(target, Some(Target::Stdout)))?;
    session.heading()?;
    for round in 0.. {
        session.block(args.only.unwrap_or(round), round)?;
        if session.begun.elapsed() >= Duration::from_secs(args.seconds) || session.is_enough() {
            break;
        }
    }
    session.finish(target)
}

/// A run under way.
struct Session<'a> {
    args: &'a FuzzArgs,
    effort: Effort,
    printer: Printer,
    progress: ProgressBar,
    begun: Instant,
    report: FuzzReport,
    /// Something does not end, and would be in the way of everything that follows.
    hangs: bool,
}

impl<'a> Session<'a> {
    fn new(args: &'a FuzzArgs, print: bool) -> anyhow::Result<Self> {
        // indicatif draws on standard error, and only if that is a terminal.
        let progress = ProgressBar::new_spinner().with_style(ProgressStyle::with_template(
            "{spinner} {pos} blocks in {elapsed}, {per_sec}  {wide_msg}",
        )?);
        Ok(Self {
            args,
            effort: effort(args),
            printer: Printer::new(print),
            progress,
            begun: Instant::now(),
            report: FuzzReport {
                schema: "warpline.fuzz.v1",
                seed: args.seed.unwrap_or_else(seed_of_the_moment),
                seconds: 0.0,
                blocks: 0,
                transactions: 0,
                valid: 0,
                executions: 0,
                reexecutions: 0,
                findings: Vec::new(),
            },
            hangs: false,
        })
    }

    fn print(&self, line: impl std::fmt::Display) -> std::io::Result<()> {
        self.progress.suspend(|| self.printer.line(line))
    }

    fn heading(&self) -> anyhow::Result<()> {
        let disturbed = if cfg!(feature = "testing") {
            "schedules disturbed on purpose among others"
        } else {
            "schedules as the machine makes them"
        };
        let seed = self.report.seed;
        Ok(self.print(format_args!(
            "{}  {}",
            Styled(STRONG, format_args!("seed {seed}")),
            Styled(FAINT, disturbed)
        ))?)
    }

    fn is_enough(&self) -> bool {
        self.hangs || self.report.findings.len() >= ENOUGH
    }

    /// Executes the block with an index. Schedules differ from round to round.
    fn block(&mut self, index: u64, round: u64) -> anyhow::Result<()> {
        let block = Block::random(block_seed(self.report.seed, index), self.args.fork);
        let generated = Arc::new(block.generate());
        self.progress.set_message(block.rules().to_string());
        self.report.blocks += 1;
        self.report.transactions += block.transaction_count() as u64;
        match check(&generated, &self.effort, round) {
            Ok(tally) => {
                self.report.valid += u64::from(tally.valid);
                self.report.executions += tally.executions;
                self.report.reexecutions += tally.reexecutions;
            }
            Err(difference) => self.finding(index, &block, &generated, &difference)?,
        }
        self.progress.inc(1);
        Ok(())
    }

    /// Keeps the block, as it is before anything else is tried with it, and then made smaller.
    fn finding(
        &mut self,
        index: u64,
        block: &Block,
        generated: &Generated,
        difference: &Difference,
    ) -> anyhow::Result<()> {
        let after_s = self.begun.elapsed().as_secs_f64();
        let (fork, kind) = (block.rules().name(), difference.kind);
        let label = format!("block {index}, {fork}");
        self.print(format_args!("{} {label}: {difference}", Styled(BAD, kind)))?;
        let mut files = vec![self.keep(index, block, generated, difference, "")?];
        let mut txs = vec![block.transaction_count()];
        self.hangs = kind == Kind::Hang;
        if !self.hangs
            && let Some((small, difference)) = self.smaller(block)
        {
            files.push(self.keep(index, &small, &small.generate(), &difference, "-small")?);
            txs.push(small.transaction_count());
            self.print(format_args!("  made smaller: {difference}\n{small:#?}"))?;
        }
        for file in &files {
            self.print(format_args!("  {file}"))?;
        }
        let (kind, difference) = (kind.to_string(), difference.to_string());
        self.report.findings.push(FuzzFinding {
            index,
            fork,
            kind,
            difference,
            after_s,
            files,
            txs,
        });
        Ok(())
    }

    /// The block without what it does not need to fail, and how that fails. `None` where it does
    /// not fail again.
    fn smaller(&self, block: &Block) -> Option<(Block, Difference)> {
        // Panics would be printed by the hundred.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let begun = Instant::now();
        let mut seed = 0;
        let mut once = |generated: &Arc<Generated>| {
            seed += 1;
            check(generated, &self.effort, seed).err()
        };
        let generated = Arc::new(block.generate());
        let mut trials = 0;
        let mut differences = Vec::new();
        while trials < TRIALS && begun.elapsed() < TRYING {
            trials += 1;
            differences.extend(once(&generated));
        }
        let failures = u32::try_from(differences.len()).unwrap_or(trials);
        let mut last = differences.pop();
        let Attempts(attempts) = Attempts::after(failures, trials);
        let small = shrink(block.clone(), |candidate| {
            self.progress.set_message(counted(candidate.transaction_count(), "transaction"));
            let generated = Arc::new(candidate.generate());
            let found = (0..attempts).find_map(|_| once(&generated));
            let hangs = found.as_ref().is_some_and(|it| it.kind == Kind::Hang);
            let failed = found.is_some();
            last = found.or_else(|| last.take());
            (begun.elapsed() < SHRINKING && !hangs).then_some(failed)
        });
        std::panic::set_hook(hook);
        last.map(|difference| (small, difference))
    }

    /// Writes the block as a blockchain test, or says in a file why that is not possible.
    fn keep(
        &self,
        index: u64,
        block: &Block,
        generated: &Generated,
        difference: &Difference,
        suffix: &str,
    ) -> anyhow::Result<String> {
        let (seed, fork) = (self.report.seed, block.rules().name());
        let name = format!("fuzz-{seed}-{index}-{fork}{suffix}");
        let again = match self.args.fork {
            Some(rules) => format!("warpline fuzz --seed {seed} --only {index} --fork {rules}"),
            None => format!("warpline fuzz --seed {seed} --only {index}"),
        };
        let notes = [
            ("difference", difference.to_string()),
            ("again", again),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("block", format!("{block:#?}")),
        ];
        let (ending, text) = match reproducer(generated, &name, &notes) {
            Ok(test) => ("json", serde_json::to_string_pretty(&test)?),
            Err(error) => ("txt", format!("no blockchain test: {error}\n{notes:#?}")),
        };
        let path: PathBuf = self.args.out.join(format!("{name}.{ending}"));
        fs::write(&path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// Prints the summary, writes the report and returns the exit status.
    fn finish(mut self, target: Option<Target>) -> anyhow::Result<u8> {
        self.progress.finish_and_clear();
        let report = &mut self.report;
        report.seconds = self.begun.elapsed().as_secs_f64();
        let found = report.findings.len();
        let style = if found == 0 { GOOD } else { BAD };
        self.printer.line(format_args!(
            "{}, {}, {} valid and {} not, {} in {:.0} s, {}",
            Styled(STRONG, counted(report.blocks, "block")),
            counted(report.transactions, "transaction"),
            counted(report.valid, "block"),
            report.blocks - report.valid - found as u64,
            counted(report.executions, "execution"),
            report.seconds,
            Styled(style, counted(found, "finding")),
        ))?;
        if let Some(target) = target {
            target.write(&self.report)?;
        }
        Ok(if found == 0 { SUCCESS } else { FAILURE })
    }
}

#[cfg(feature = "testing")]
fn effort(args: &FuzzArgs) -> Effort {
    Effort { sabotage: args.sabotage, ..Effort::default() }
}

#[cfg(not(feature = "testing"))]
fn effort(_args: &FuzzArgs) -> Effort {
    Effort::default()
}

/// Another seed each time, and short enough to be typed.
fn seed_of_the_moment() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    block_seed(now.as_secs(), now.subsec_nanos().into()) >> 32
}
