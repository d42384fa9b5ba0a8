//! `warpline trace`: what a tracer says of the transactions of blocks, without a node.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use alloy_primitives::B256;
use alloy_rpc_types_trace::geth::{
    GethDebugTracerConfig, GethDebugTracerType, GethDebugTracingOptions,
};
use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use warpline_engine::{Engine, Ethereum, InspectOptions, TraceError, TracedTransaction};
use warpline_replay::{BlockInput, Input, InputError, Inputs, Origin, ParentStateError};

use crate::{
    FAILURE, SUCCESS, UNUSABLE,
    args::{ConditionArgs, EngineArgs},
    output::{Output, ensure_other},
    replay::embedded,
    table::{BAD, Styled},
};

/// The arguments of `trace`.
#[derive(Args, Debug)]
pub(crate) struct TraceArgs {
    /// Files, directories and archives with blocks. Without any: the embedded blocks.
    #[arg(value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
    /// Geth's tracer: `callTracer`, `prestateTracer`, `4byteTracer`, `flatCallTracer`, `muxTracer` or
    /// `noopTracer`. Without: the opcodes, one by one.
    #[arg(long, value_name = "NAME")]
    tracer: Option<String>,
    /// How the tracer is set, as JSON: `{"onlyTopCall": true}`.
    #[arg(long, value_name = "JSON", requires = "tracer")]
    tracer_config: Option<String>,
    /// Only the transaction with this hash, or this index in each block.
    #[arg(long, value_name = "HASH|INDEX")]
    tx: Option<Wanted>,
    /// Where the traces go, a line of JSON for each block. Default: standard output.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Which transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Hash(B256),
    Index(usize),
}

impl std::str::FromStr for Wanted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hash = || text.parse().map(Self::Hash);
        let index = text.parse().map(Self::Index);
        index.or_else(|_| hash()).map_err(|_| "neither a hash nor an index")
    }
}

/// What is written of a block.
#[derive(Serialize)]
struct Line<'a> {
    block: u64,
    hash: B256,
    traces: &'a [TracedTransaction],
}

/// Runs the command and returns the exit status.
pub(crate) fn run(args: &TraceArgs) -> anyhow::Result<u8> {
    let tracing = options(args)?;
    let config = args.engine.config(ConditionArgs::default());
    let engine = Engine::new(Ethereum::mainnet(), config)?;
    let inputs: Vec<&Path> = args.inputs.iter().map(PathBuf::as_path).collect();
    let output = Output::open(args.out.as_deref(), &inputs)?;
    let mut session = Session { wanted: args.tx, tracing, engine, output, written: 0, failed: 0 };
    let mut unusable = 0;
    if args.inputs.is_empty() {
        for input in embedded::blocks(&session.engine)? {
            session.block(&input)?;
        }
    }
    for input in Inputs::open(&args.inputs) {
        if let (Some(out), Some(origin)) = (&args.out, origin(&input)) {
            ensure_other(out, &origin.path)?;
        }
        match input {
            Ok(Input::Block(input)) => session.block(&input)?,
            Ok(Input::ChainTest(test)) => {
                complain(format_args!("{}: a blockchain test has no block to trace", test.origin));
                unusable += 1;
            }
            Ok(Input::Skipped(origin)) => complain(format_args!("{origin}: holds no blocks")),
            Err(error) => {
                complain(error);
                unusable += 1;
            }
        }
    }
    if let (Some(_), 0, 0) = (args.tx, session.written, session.failed) {
        anyhow::bail!("no block has that transaction");
    }
    // For nothing at all no older file is given up.
    if session.written > 0 || (session.failed, unusable) == (0, 0) {
        session.output.finish()?;
    }
    Ok(match (session.failed, unusable) {
        (0, 0) => SUCCESS,
        (0, _) => UNUSABLE,
        _ => FAILURE,
    })
}

/// What is asked of the tracer, as a node is asked.
fn options(args: &TraceArgs) -> anyhow::Result<GethDebugTracingOptions> {
    let mut options = GethDebugTracingOptions::default();
    if let Some(name) = &args.tracer {
        let tracer: GethDebugTracerType = serde_json::from_value(name.as_str().into())
            .with_context(|| format!("--tracer {name}"))?;
        options = options.with_tracer(tracer);
    }
    if let Some(config) = &args.tracer_config {
        let config = serde_json::from_str(config).context("--tracer-config")?;
        options.tracer_config = GethDebugTracerConfig(config);
    }
    Ok(options)
}

/// What a block was read from, or should have been: one in a folder is not known before.
fn origin(input: &Result<Input, InputError>) -> Option<&Origin> {
    match input {
        Ok(Input::Block(block)) => Some(&block.origin),
        Ok(Input::ChainTest(test)) => Some(&test.origin),
        Ok(Input::Skipped(_)) => None,
        Err(error) => Some(&error.origin),
    }
}

/// Says what could not be traced.
fn complain(what: impl std::fmt::Display) {
    // Whether anybody reads it or not.
    let _ = writeln!(anstream::stderr(), "{}: {what}", Styled(BAD, "error"));
}

/// A run under way.
struct Session {
    wanted: Option<Wanted>,
    tracing: GethDebugTracingOptions,
    engine: Engine<Ethereum>,
    output: Output,
    written: usize,
    failed: usize,
}

impl Session {
    /// Traces a block and writes its line, if it has what is wanted.
    fn block(&mut self, input: &BlockInput) -> anyhow::Result<()> {
        match self.trace(input) {
            Ok(None) => Ok(()),
            Ok(Some(traces)) => {
                let line = Line { block: input.number(), hash: input.hash(), traces: &traces };
                serde_json::to_writer(&mut self.output, &line).map_err(std::io::Error::from)?;
                self.output.write_all(b"\n")?;
                self.written += 1;
                Ok(())
            }
            // No block will do better.
            Err(error @ (TraceError::UnknownTracer | TraceError::JavaScript)) => Err(error.into()),
            Err(error) => {
                complain(format_args!("block {} of {}: {error}", input.number(), input.origin));
                self.failed += 1;
                Ok(())
            }
        }
    }

    fn trace(
        &self,
        input: &BlockInput,
    ) -> Result<Option<Vec<TracedTransaction>>, TraceError<ParentStateError>> {
        let engine = self.engine.with_vm(Ethereum::new(input.chain.clone()));
        let (block, source, options) = (&input.block, &input.parent, InspectOptions::default());
        let hashes = || block.transactions.iter().map(|tx| *tx.inner().tx_hash());
        let index = match self.wanted {
            None => return engine.trace_block(block, source, &self.tracing, options).map(Some),
            Some(Wanted::Index(index)) => Some(index).filter(|at| *at < block.transactions.len()),
            Some(Wanted::Hash(wanted)) => hashes().position(|hash| hash == wanted),
        };
        let Some(index) = index else { return Ok(None) };
        let result = engine.trace_transaction(block, source, index, &self.tracing, options)?;
        let result = result.into_trace();
        let tx_hash = hashes().nth(index);
        Ok(Some(vec![TracedTransaction::Success { result, tx_hash }]))
    }
}
