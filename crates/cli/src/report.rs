//! `warpline report`: blocks measured and explained, as a page that people read, and as documents for
//! programs.

mod names;
mod record;

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use warpline_engine::{Engine, EngineConfig, Ethereum};
use warpline_replay::{BlockInput, Input, Inputs};
use warpline_savings::{
    BlockAnalysis, BlockRecord, CorePrice, Market, Variant,
    report::{Names, Report, Settings},
};
use warpline_workloads::{Size, Workload, generate};

use crate::{
    FAILURE, SUCCESS, UNUSABLE,
    args::{PriceArgs, ReportArgs},
    replay::{embedded, execute},
    table::{BAD, FAINT, GOOD, Printer, STRONG, Styled, factor, megagas, millis},
};
use record::Subject;

/// Runs the command and returns the exit status.
pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<u8> {
    let mut session = Session::new(&args.threads, args.repeat, true)?;
    let prices = Prices::new(&args.price)?;
    let files = Files::create(&args.out, None)?;
    session.heading()?;
    for workload in &args.workloads {
        session.workload(*workload, args.txs)?;
    }
    if args.inputs.is_empty() && args.workloads.is_empty() {
        let engine = session.engines[0].clone();
        for input in embedded::blocks(&engine)? {
            session.block(&input)?;
        }
        for workload in Workload::FIELDS {
            session.workload(workload, args.txs)?;
        }
    }
    if !args.inputs.is_empty() {
        for input in Inputs::open(&args.inputs) {
            session.input(input)?;
        }
    }
    let (failed, unusable) = (session.failed, session.unusable);
    let nothing = !session.finish(files, prices)?;
    Ok(match (failed, unusable) {
        (0, 0) if nothing => bail!("nothing to report on: no blocks were found"),
        (0, 0) => SUCCESS,
        (0, _) => UNUSABLE,
        _ => FAILURE,
    })
}

/// What `replay` does besides for its report.
pub(crate) struct Companion {
    session: Session,
    files: Files,
}

impl Companion {
    /// A report to `path`, measured on so many threads. `tells` says whether anything is printed.
    pub(crate) fn new(
        path: &Path,
        taken: Option<&Path>,
        (threads, repeat): (usize, u32),
        tells: bool,
    ) -> anyhow::Result<Self> {
        let session = Session::new(&[u16::try_from(threads)?], repeat.max(3), tells)?;
        Ok(Self {
            session: Session { is_companion: true, ..session },
            files: Files::create(path, taken)?,
        })
    }

    /// Adds a block that was found in order.
    pub(crate) fn block(&mut self, input: &BlockInput) -> anyhow::Result<()> {
        self.session.block(input)
    }

    /// Writes the report, if there was anything to report on. Returns whether all blocks are part of it.
    pub(crate) fn finish(self) -> anyhow::Result<bool> {
        let complete = self.session.failed == 0;
        let prices = Prices::new(&PriceArgs::default())?;
        if !self.session.finish(self.files, prices)? && complete {
            Printer::new(true).line("no report: no block that stands alone was found in order")?;
        }
        Ok(complete)
    }
}

/// A report under way.
struct Session {
    engines: Vec<Engine<Ethereum>>,
    repeat: u32,
    printer: Printer,
    progress: ProgressBar,
    records: Vec<BlockRecord>,
    names: Names,
    failed: usize,
    unusable: usize,
    /// Whether somebody else prints the blocks.
    is_companion: bool,
}

impl Session {
    /// A report on so many threads each; none for as many as there are cores. `tells` says whether anything
    /// is printed.
    fn new(threads: &[u16], repeat: u32, tells: bool) -> anyhow::Result<Self> {
        let mut threads: Vec<usize> = threads.iter().map(|threads| usize::from(*threads)).collect();
        if threads.is_empty() {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            threads.extend((1..).map(|power| 1 << power).take_while(|threads| *threads < cores));
            threads.push(cores);
        }
        threads.sort_unstable();
        threads.dedup();
        let engine =
            |threads| Ok(Engine::new(Ethereum::mainnet(), EngineConfig::with_threads(threads))?);
        let progress = ProgressBar::new_spinner().with_style(ProgressStyle::with_template(
            "{spinner} {pos} blocks in {elapsed}, {per_sec}  {wide_msg}",
        )?);
        Ok(Self {
            engines: threads.into_iter().map(engine).collect::<anyhow::Result<_>>()?,
            repeat,
            printer: Printer::new(tells),
            progress,
            records: Vec::new(),
            names: Names::default(),
            failed: 0,
            unusable: 0,
            is_companion: false,
        })
    }

    fn print(&self, line: impl std::fmt::Display) -> std::io::Result<()> {
        self.progress.suspend(|| self.printer.line(line))
    }

    fn heading(&self) -> anyhow::Result<()> {
        let mut titles =
            format!("{:>9}  {:<24} {:>5} {:>8} {:>9}", "block", "fork", "txs", "Mgas", "seq ms");
        for engine in &self.engines {
            titles += &format!(" {:>9}", format!("{} thr.", engine.threads()));
        }
        Ok(self.print(Styled(STRONG, titles))?)
    }

    fn input(&mut self, input: Result<Input, warpline_replay::InputError>) -> anyhow::Result<()> {
        match input {
            Ok(Input::Block(input)) => self.block(&input),
            Ok(Input::ChainTest(test)) => {
                let note = format!("{}: a blockchain test, nothing to measure", test.origin);
                Ok(self.print(Styled(FAINT, note))?)
            }
            Ok(Input::Skipped(origin)) => {
                let note = format!("{origin}: not in a known format, skipped");
                Ok(self.print(Styled(FAINT, note))?)
            }
            Err(error) => {
                self.unusable += 1;
                Ok(self.print(format_args!("{} {error}", Styled(BAD, "unusable input")))?)
            }
        }
    }

    /// Verifies and measures a block.
    fn block(&mut self, input: &BlockInput) -> anyhow::Result<()> {
        self.progress.set_message(input.origin.to_string());
        let vm = Ethereum::new(input.chain.clone());
        let engines: Vec<_> =
            self.engines.iter().map(|engine| engine.with_vm(vm.clone())).collect();
        let output = match execute::proven(&engines[0], input) {
            Ok((output, _)) => output,
            Err(error) => return self.fail(&input.origin, &*error),
        };
        let subject = Subject {
            source: input.origin.to_string(),
            variant: None,
            fork: input.fork_name(),
            block: &input.block,
            state: &input.parent,
        };
        self.take(record::record(&engines, &subject, &output, self.repeat), &subject)
    }

    /// Measures a block that is generated.
    fn workload(&mut self, workload: Workload, txs: Option<u32>) -> anyhow::Result<()> {
        self.progress.set_message(workload.to_string());
        let size = match (txs, workload) {
            (Some(txs), _) => Size::Transactions(txs as usize),
            // The same calls in either form.
            (None, Workload::Field(..)) => Size::Transactions(CALLS),
            (None, _) => DEFAULT_SIZE,
        };
        let generated = generate(workload, size, SEED);
        let vm = Ethereum::new(generated.chain.clone());
        let engines: Vec<_> =
            self.engines.iter().map(|engine| engine.with_vm(vm.clone())).collect();
        let output = engines[0].execute_reference(&generated.block, &generated.state)?;
        let variant = match (workload, workload.name().rsplit_once('-')) {
            (Workload::Field(..), Some((job, form))) => {
                Some(Variant { job: job.to_owned(), form: form.to_owned() })
            }
            _ => None,
        };
        let subject = Subject {
            source: workload.to_string(),
            variant,
            fork: workload.name(),
            block: &generated.block,
            state: &generated.state,
        };
        self.take(record::record(&engines, &subject, &output, self.repeat), &subject)
    }

    fn take<S: warpline_primitives::StateSource>(
        &mut self,
        record: Result<BlockRecord, record::RecordError<S::Error>>,
        subject: &Subject<'_, S>,
    ) -> anyhow::Result<()>
    where
        S::Error: std::error::Error + 'static,
    {
        let record = match record {
            Ok(record) => record,
            Err(error) => return self.fail(&subject.source, &error),
        };
        names::add(&mut self.names, &record, subject.state);
        let ms = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
        let sequential = ms(record.sequential.took);
        let mut line = format!(
            "{:>9}  {:<24} {:>5} {:>8} {:>9}",
            record.number,
            record.fork,
            record.traces.len(),
            megagas(record.gas_used),
            millis(Some(sequential)),
        );
        for measured in &record.parallel {
            line += &format!(" {:>9}", factor(Some(sequential / ms(measured.sample.took))));
        }
        if !self.is_companion {
            self.print(line)?;
        }
        self.progress.inc(1);
        self.records.push(record);
        Ok(())
    }

    fn fail(
        &mut self,
        origin: &dyn std::fmt::Display,
        error: &dyn std::fmt::Display,
    ) -> anyhow::Result<()> {
        self.failed += 1;
        Ok(self.print(format_args!("{} {origin}: {error}", Styled(BAD, "failed")))?)
    }

    /// Analyses what was measured and writes the report. Returns whether there was anything to report
    /// on.
    fn finish(self, files: Files, prices: Prices) -> anyhow::Result<bool> {
        self.progress.set_message("analysing");
        if self.records.is_empty() {
            self.progress.finish_and_clear();
            return Ok(false);
        }
        let analyses: Vec<_> = self.records.iter().map(BlockAnalysis::new).collect();
        let newest = self.records.iter().max_by_key(|record| record.number);
        let today = newest.and_then(|record| record.base_fee).map(|fee| fee as f64);
        let settings = Settings {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: machine(),
            price: prices.price,
            execution_share: prices.execution_share,
            market: Market {
                base_fee: prices
                    .base_fee
                    .or(today)
                    .filter(|fee| *fee >= 1.0)
                    .unwrap_or(Market::default().base_fee),
                elasticity: prices.elasticity,
                ..Market::default()
            },
            names: self.names,
        };
        let report = Report::new(&analyses, &settings);
        let written = files.write(&report)?;
        self.progress.finish_and_clear();
        for path in written {
            self.printer.line(format_args!("{} {}", Styled(GOOD, "wrote"), path.display()))?;
        }
        Ok(true)
    }
}

/// How large a generated block is: as much as a block of mainnet can hold.
const DEFAULT_SIZE: Size = Size::Gas(60_000_000);
/// How many calls a block of a field has, which is about as much.
const CALLS: usize = 1_000;
/// What generated blocks follow from.
const SEED: u64 = 42;

/// What money and gas cost.
struct Prices {
    price: CorePrice,
    execution_share: f64,
    elasticity: f64,
    /// In wei.
    base_fee: Option<f64>,
}

impl Prices {
    fn new(args: &PriceArgs) -> anyhow::Result<Self> {
        let price = CorePrice::new(args.price_core_hour, &args.currency)?;
        if !(args.execution_share > 0.0 && args.execution_share <= 1.0) {
            bail!(
                "--execution-share is {}: expected more than 0, and at most 1",
                args.execution_share
            );
        }
        if !(args.elasticity > 0.0 && args.elasticity.is_finite()) {
            bail!("--elasticity is {}: expected more than 0", args.elasticity);
        }
        if let Some(gwei) = args.base_fee_gwei
            && !(gwei >= 1e-9 && gwei.is_finite())
        {
            bail!("--base-fee-gwei is {gwei}: expected a wei, 1e-9, or more");
        }
        Ok(Self {
            price,
            execution_share: args.execution_share,
            elasticity: args.elasticity,
            base_fee: args.base_fee_gwei.map(|gwei| gwei * 1e9),
        })
    }
}

/// Where the report goes, opened before any work is done so that a bad path is found at once.
struct Files {
    page: (PathBuf, File),
    json: (PathBuf, File),
    blocks: (PathBuf, File),
    conflicts: (PathBuf, File),
}

impl Files {
    /// The page at `path`, and the others beside it, none of them where somebody else writes.
    fn create(path: &Path, taken: Option<&Path>) -> anyhow::Result<Self> {
        let stem = path.with_extension("");
        if stem == path {
            bail!("{} has no extension: expected a name such as report.html", path.display());
        }
        if path.extension().is_some_and(|extension| extension == "json" || extension == "csv") {
            bail!("{} is where figures go: expected a name such as report.html", path.display());
        }
        let beside = |end: &str| {
            let mut name = stem.as_os_str().to_owned();
            name.push(end);
            PathBuf::from(name)
        };
        let open = |path: PathBuf| {
            let file = File::create(&path)
                .with_context(|| format!("cannot write the report to {}", path.display()))?;
            Ok::<_, anyhow::Error>((path, file))
        };
        let json = beside(".json");
        if taken == Some(json.as_path()) {
            bail!("{} is asked for twice: give the report another name", json.display());
        }
        Ok(Self {
            page: open(path.to_owned())?,
            json: open(json)?,
            blocks: open(beside("-blocks.csv"))?,
            conflicts: open(beside("-conflicts.csv"))?,
        })
    }

    fn write(self, report: &Report) -> anyhow::Result<Vec<PathBuf>> {
        let mut json = serde_json::to_vec_pretty(report)?;
        json.push(b'\n');
        let contents = [
            (self.page, report.to_html()?.into_bytes()),
            (self.json, json),
            (self.blocks, report.blocks_csv()?),
            (self.conflicts, report.conflicts_csv()?),
        ];
        let mut written = Vec::with_capacity(contents.len());
        for ((path, mut file), content) in contents {
            file.write_all(&content)
                .with_context(|| format!("cannot write the report to {}", path.display()))?;
            written.push(path);
        }
        Ok(written)
    }
}

/// The machine in words.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map(|(_, model)| format!("{}, ", model.trim())).unwrap_or_default();
    let (system, kind) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("{model}{cores} logical processors, {system} on {kind}")
}
