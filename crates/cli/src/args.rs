//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use warpline_engine::EngineConfig;
use warpline_fuzz::Rules;
use warpline_testkit::MAX_OUTSTANDING;
use warpline_workloads::Workload;

use crate::{
    analyze::AnalyzeCommand,
    chain::{db::DbCommand, export::ExportArgs, import::ImportArgs, init::InitArgs},
    node::NodeArgs,
    remote::args::{ConvertArgs, FetchArgs, RemoteArgs},
    trace::TraceArgs,
};

/// Executes EVM blocks on all cores, proves the result and shows what that saves.
#[derive(Debug, Parser)]
#[command(name = "warpline", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Execute blocks in parallel and sequentially, and prove both against the headers.
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
    /// Take blocks from a node, with all that it takes to execute them.
    #[command(after_help = FETCH_EXAMPLES)]
    Fetch(FetchArgs),
    /// Write snapshots and witnesses in a format that is small, checked and quick to read.
    #[command(after_help = CONVERT_EXAMPLES)]
    Convert(ConvertArgs),
    /// Run the cases of blockchain tests, every block in parallel and sequentially.
    #[command(after_help = CONFORMANCE_EXAMPLES)]
    Conformance(ConformanceArgs),
    /// Measure parallel against sequential execution on generated blocks.
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchArgs),
    /// Explain what parallel execution saves, and what stands in its way, as a page.
    #[command(after_help = REPORT_EXAMPLES)]
    Report(ReportArgs),
    /// Say what each transaction of blocks did, as Geth's tracers do.
    #[command(after_help = TRACE_EXAMPLES)]
    Trace(TraceArgs),
    /// Serve the chain in the database over JSON-RPC.
    #[command(after_help = NODE_EXAMPLES, args_override_self = true)]
    Node(Box<NodeArgs>),
    /// Make a database that begins with a chain's genesis block.
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArgs),
    /// Execute the blocks of chain files in parallel and add them to the database.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(ImportArgs),
    /// Write the chain in the database to a file that can be imported.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// Look into a database: check it, say how large it is, write out what it holds.
    Db {
        /// What to do.
        #[command(subcommand)]
        command: DbCommand,
    },
    /// Execute random blocks in every way there is, and keep those on which two ways differ.
    #[command(after_help = FUZZ_EXAMPLES)]
    Fuzz(FuzzArgs),
    /// Say what can be known of transactions before they run.
    #[command(after_help = ANALYZE_EXAMPLES)]
    Analyze {
        /// What to analyse.
        #[command(subcommand)]
        command: AnalyzeCommand,
    },
    /// Print a completion script for a shell.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

const EXAMPLES: &str = "Examples:
  warpline replay              replay the embedded blocks
  warpline replay blocks/      replay what is in a directory
  warpline conformance tests/  run the blockchain tests in a directory
  warpline bench swaps-hot     measure one kind of generated block";

const REPLAY_EXAMPLES: &str = "Examples:
  warpline replay                                 the embedded blocks
  warpline replay blocks/ test.json more.tar.zst  snapshots, witnesses and blockchain tests
  warpline replay --repeat 5 --json - blocks/     medians of at least 5 runs, as JSON
  warpline replay --repeat 5 --bounds b.json blocks/
                                                  medians held against what the blocks allow
  warpline replay --rpc http://127.0.0.1:8545 --blocks 21000000..=21000009
                                                  blocks from a node

Exit status: 0 all blocks identical and verified, 1 a mismatch or a failed block, 2 unusable input
or arguments.";

const FETCH_EXAMPLES: &str = "Examples:
  warpline fetch --rpc http://127.0.0.1:8545 --blocks latest       the newest block, to the cache
  warpline fetch --rpc http://127.0.0.1:8545 --blocks 21000000..21001000 -o blocks/
                                                                   a thousand, to a folder
  warpline replay blocks/                                          what was fetched

A run that was interrupted goes on where it was.

Exit status: 0 all blocks fetched, 2 unusable arguments, or a block that the node does not give.";

const CONVERT_EXAMPLES: &str = "Examples:
  warpline convert blocks/ -o captures/           one file for each block
  warpline convert blocks/ -o blocks.capture      one file for all
  warpline replay captures/                       the same results as from blocks/

Exit status: 0 all inputs converted, 2 unusable input or arguments.";

const CONFORMANCE_EXAMPLES: &str = "Examples:
  warpline conformance fixtures/                     all cases under a directory
  warpline conformance --threads 4 tests.tar.zst     an archive, on four threads
  warpline conformance --shuffle 7 --json - tests/   in another order, as JSON

Exit status: 0 no case failed, 1 a case failed or a skip is stale, 2 unusable input or arguments.";

const BENCH_EXAMPLES: &str = "Examples:
  warpline bench                                  the nine shapes, about a gigagas each
  warpline bench swaps-hot nft-mint --threads 2   two of them on two threads
  warpline bench game-naive game-parallel         a field, with either form of its contract
  warpline bench --txs 1000 --json rows.json      smaller blocks, results to a file
  warpline bench swaps-hot --mode sequential      one side alone, with the peak of memory
  warpline bench --ablate --blocks mainnet/       without each technique, on real blocks

Exit status: 0 all results identical, 1 a mismatch or a failed block, 2 unusable arguments.";

const REPORT_EXAMPLES: &str = "Examples:
  warpline report                                 the embedded blocks, to report.html
  warpline report blocks/ -o may.html             blocks from files, to may.html and beside it
  warpline report --threads 2,4,8,16 blocks/      measured on several numbers of threads
  warpline report --workload swaps-hot --workload swaps-independent
                                                  generated blocks

Beside the page go the figures: NAME.json, NAME-blocks.csv and NAME-conflicts.csv.

Exit status: 0 all blocks reported, 1 a mismatch or a failed block, 2 unusable input or arguments.";

const TRACE_EXAMPLES: &str = "Examples:
  warpline trace block.json.gz --tracer callTracer    calls within calls, a line of JSON a block
  warpline trace blocks/ --tracer prestateTracer --tracer-config '{\"diffMode\":true}'
  warpline trace block.json.gz --tx 3                 every opcode of one transaction

Exit status: 0 all blocks traced, 1 a block cannot be executed, 2 unusable input or arguments.";

const NODE_EXAMPLES: &str = "Examples:
  warpline node --http                                  at http://127.0.0.1:8545
  warpline node --http --ws --http.api eth,net,web3,debug --metrics 127.0.0.1:9001
  warpline node --config node.toml --import chain.rlp   flags from a file, blocks while serving

Stops at SIGINT and SIGTERM, with everything on the disk; at a second one at once.";

const INIT_EXAMPLES: &str = "Examples:
  warpline init                                       Ethereum mainnet, in the usual folder
  warpline init --chain genesis.json --datadir data   a chain of one's own";

const IMPORT_EXAMPLES: &str = "Examples:
  warpline import chain.rlp --datadir data            what geth or `warpline export` exported
  warpline import chain.rlp.gz --prune.blocks 1000    keeping the last thousand states

An import that was interrupted goes on where it was when it is started again.

Exit status: 0 all blocks imported, 1 a block was refused or a file cannot be read on, 2 unusable
arguments or database.";

const EXPORT_EXAMPLES: &str = "Examples:
  warpline export chain.rlp.gz                        all blocks but the genesis block
  warpline export - --first 100 --last 199 > part.rlp some of them";

const FUZZ_EXAMPLES: &str = "Examples:
  warpline fuzz                                   a minute of blocks of all forks
  warpline fuzz --seconds 3600 --out findings     an hour, reproducers to a folder
  warpline fuzz --seed 7 --only 1234              one block again, under ever other schedules
  warpline replay findings/                       what was found, as blockchain tests

Exit status: 0 nothing found, 1 two ways of execution differ, 2 unusable arguments.";

const ANALYZE_EXAMPLES: &str = "Examples:
  warpline analyze contract Token.json   which storage its functions touch, and what makes them conflict
  warpline analyze predict blocks/       how well each block is predicted by those before it";

const COMPLETIONS_EXAMPLES: &str = "Example:
  warpline completions bash > /etc/bash_completion.d/warpline";

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// Files, directories and archives with blocks, of any known format. Without any: the embedded
    /// blocks.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) conditions: ConditionArgs,
    /// Repeat each execution at least this often and report medians. Above 1, at most 200 times
    /// and otherwise for 300 ms a side.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    /// What to execute.
    #[arg(long, value_enum, default_value_t = Mode::Compare)]
    pub(crate) mode: Mode,
    #[command(flatten)]
    pub(crate) bounds: BoundsArgs,
    /// Write the results as JSON to a file, or to standard output instead of the table.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
    /// Explain what parallel execution saves as a page, as `report` does, of the blocks that stand
    /// alone and are found in order. Measured without slow reads and access lists.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Stop at the first block, case or input that fails.
    #[arg(long)]
    pub(crate) fail_fast: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ConformanceArgs {
    /// Files, directories and archives with blockchain tests, such as a checkout of ethereum/tests.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Run the cases in a random order that this number fixes, each drawn from the 1024 that come
    /// next.
    #[arg(long, value_name = "SEED")]
    pub(crate) shuffle: Option<u64>,
    /// Import the blocks of each case into a database as well, held in memory, and expect the same of
    /// each.
    #[arg(long)]
    pub(crate) database: bool,
    /// Cases that are known to fail, instead of those that the program knows of. One a line: `file
    /// | network | case | reason`, the first three with `*` for any text.
    #[arg(long, value_name = "FILE")]
    pub(crate) skips: Option<PathBuf>,
    /// Write the results as JSON to a file, or to standard output instead of the table.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// Workloads to measure. Without any: the nine shapes, which are those before `lending-naive`.
    #[arg(value_name = "WORKLOAD", value_parser = workload_parser())]
    pub(crate) workloads: Vec<Workload>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) conditions: ConditionArgs,
    /// Transactions in each block. Default: about a gigagas of them.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) txs: Option<u32>,
    /// Repeat each execution at least this often and report medians.
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    /// What to execute. One way alone is compared with nothing; of one workload, the table then
    /// has the peak of memory.
    #[arg(long, value_enum, default_value_t = Mode::Compare)]
    pub(crate) mode: Mode,
    /// Measure what each technique of the parallel path gives: with all of them, without each, and
    /// with none.
    #[arg(long, conflicts_with_all = ["mode", "with_access_list"])]
    pub(crate) ablate: bool,
    /// Files, directories and archives with blocks, whose times are added up. Without the name of a
    /// workload, no workload is measured besides.
    #[arg(long, value_name = "INPUT", requires = "ablate")]
    pub(crate) blocks: Vec<PathBuf>,
    /// Write the results as JSON to a file, or to standard output instead of the table.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Files, directories and archives with blocks. Without any, and without a workload: the embedded
    /// blocks, and those of all fields in either form.
    #[arg(value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Where the page goes; the figures go beside it.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub(crate) out: PathBuf,
    /// Numbers of threads to measure with. Default: powers of two up to the number of cores.
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS))]
    pub(crate) threads: Vec<u16>,
    /// Repeat each execution at least this often and report medians.
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    /// A generated block; can be given several times.
    #[arg(long = "workload", value_name = "WORKLOAD", value_parser = workload_parser())]
    pub(crate) workloads: Vec<Workload>,
    /// Transactions in each generated block. Default: 1000 of a field, or else about 60 million gas of
    /// them.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) txs: Option<u32>,
    #[command(flatten)]
    pub(crate) price: PriceArgs,
}

/// What things cost.
#[derive(Args, Debug)]
pub(crate) struct PriceArgs {
    /// What a core costs for an hour.
    #[arg(long, value_name = "X", default_value_t = Self::default().price_core_hour)]
    pub(crate) price_core_hour: f64,
    /// The currency of that.
    #[arg(long, value_name = "C", default_value_t = Self::default().currency)]
    pub(crate) currency: String,
    /// The part of the time of importing a block that is execution: what fees are computed with.
    #[arg(long, value_name = "SHARE", default_value_t = Self::default().execution_share)]
    pub(crate) execution_share: f64,
    /// By how many percent demand for gas falls when its price rises by one.
    #[arg(long, value_name = "E", default_value_t = Self::default().elasticity)]
    pub(crate) elasticity: f64,
    /// The base fee that is paid today. Default: that of the newest block.
    #[arg(long, value_name = "GWEI")]
    pub(crate) base_fee_gwei: Option<f64>,
}

/// What a virtual core of a large machine costs in a public cloud, about; and what is commonly said of
/// the rest.
impl Default for PriceArgs {
    fn default() -> Self {
        Self {
            price_core_hour: 0.04,
            currency: "USD".to_owned(),
            execution_share: 0.6,
            elasticity: 1.0,
            base_fee_gwei: None,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct FuzzArgs {
    /// How long to go on, in seconds. Making smaller what is found counts, and may take a minute more.
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub(crate) seconds: u64,
    /// The seed that all blocks follow from. Without: another one each time, which is printed.
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
    /// The rules that all blocks are executed under. Without: any.
    #[arg(long, value_name = "FORK", value_parser = rules_parser(), ignore_case = true)]
    pub(crate) fork: Option<Rules>,
    /// The block with this index and no other, again and again.
    #[arg(long, value_name = "INDEX", requires = "seed")]
    pub(crate) only: Option<u64>,
    /// Where to put blocks on which two ways differ.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    /// Write the results as JSON to a file, or to standard output instead of the text.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
    /// Break the engine's validation, to see that this is found: all of it, or that of every N-th
    /// transaction.
    #[cfg(feature = "testing")]
    #[arg(long, hide = true, value_name = "N", num_args = 0..=1, default_missing_value = "0")]
    pub(crate) sabotage: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct PredictArgs {
    /// Files, directories and archives with blocks. They are taken in the order of their numbers.
    #[arg(value_name = "INPUT", required = true)]
    pub(crate) inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    /// Let the first read of each key of the parent state take N microseconds. At most 32 such reads
    /// are under way at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_LATENCY_US))]
    read_latency_us: Option<u32>,
    /// Repeat each execution this often and report medians.
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    /// Begin with what was learned before, from a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) load: Option<PathBuf>,
    /// Write what was learned to a file.
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Write the results as JSON to a file, or to standard output instead of the table.
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
}

impl PredictArgs {
    /// What blocks are executed under.
    pub(crate) const fn conditions(&self) -> ConditionArgs {
        ConditionArgs { read_latency_us: self.read_latency_us, with_access_list: false }
    }
}

#[derive(Args, Debug)]
pub(crate) struct EngineArgs {
    /// Threads that may run at once; 0 for one a core.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=MAX_THREADS))]
    threads: u16,
    /// Keep each thread but the first on one logical processor, in the system's order. Not done where
    /// the system does not offer it, there are fewer than threads, or reads are slow.
    #[arg(long, value_enum, value_name = "on|off", hide_possible_values = true, default_value_t = Switch::Off)]
    pin: Switch,
}

/// A choice that has a default either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// What `replay` holds speed-ups against.
#[derive(Args, Debug)]
pub(crate) struct BoundsArgs {
    /// Hold the speed-ups against a file of what the dependencies of each block allow. Needs
    /// `--repeat` above 1.
    #[arg(long, value_name = "FILE")]
    pub(crate) bounds: Option<PathBuf>,
    /// Give the share of what is possible once more, without the blocks with these numbers.
    #[arg(long, value_name = "NUMBER,...", value_delimiter = ',', requires = "bounds")]
    pub(crate) without: Vec<u64>,
}

/// What blocks are executed under, where it is not simply what they come with.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct ConditionArgs {
    /// Let the first read of each key of the parent state take N microseconds, and measure how well
    /// that is hidden. At most 32 such reads are under way at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_LATENCY_US))]
    read_latency_us: Option<u32>,
    /// Execute in parallel from each block's access list (EIP-7928), and verify it. Where a block
    /// comes without, its list is made beforehand, unless that is more than its gas limit pays for.
    /// Sequential execution does without.
    #[arg(long)]
    pub(crate) with_access_list: bool,
}

/// A second.
const MAX_LATENCY_US: i64 = 1_000_000;

impl ConditionArgs {
    /// How long the first read of a key takes.
    pub(crate) fn read_latency(self) -> Option<Duration> {
        self.read_latency_us.map(|us| Duration::from_micros(us.into()))
    }
}

/// More threads than any machine has cores for are a slip of the finger.
const MAX_THREADS: i64 = 1024;

impl EngineArgs {
    /// An engine's configuration, for a parent state that answers as slowly as that.
    pub(crate) fn config(&self, conditions: ConditionArgs) -> EngineConfig {
        let reads = if conditions.read_latency().is_some() { MAX_OUTSTANDING } else { 0 };
        let config = EngineConfig::with_threads(self.threads.into()).read_depth(reads);
        config.pin(self.pin == Switch::On)
    }
}

/// What `replay` and `bench` execute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Both ways, and compare the whole outputs.
    Compare,
    /// In parallel only.
    Parallel,
    /// Sequentially only.
    Sequential,
}

/// The paths as a message names them.
pub(crate) fn list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

fn workload_parser() -> impl clap::builder::TypedValueParser<Value = Workload> {
    use clap::builder::TypedValueParser as _;
    let names = Workload::ALL.map(|workload| {
        clap::builder::PossibleValue::new(workload.name()).help(workload.describe())
    });
    clap::builder::PossibleValuesParser::new(names).try_map(|name| name.parse::<Workload>())
}

fn rules_parser() -> impl clap::builder::TypedValueParser<Value = Rules> {
    use clap::builder::TypedValueParser as _;
    let names = Rules::ALL.map(|rules| clap::builder::PossibleValue::new(rules.name()));
    clap::builder::PossibleValuesParser::new(names).try_map(|name| name.parse::<Rules>())
}
