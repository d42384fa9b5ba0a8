//! The tracers that options ask for: one, or several that trace together.
//!
//! They are those of revm-inspectors, corrected where Geth's say something else. That is known from
//! Geth's sources, and from its answers.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Log, U256};
use alloy_rpc_types_trace::geth::{
    AccountState, CallFrame, FlatCallConfig, GethDebugBuiltInTracerType as BuiltIn,
    GethDebugTracerConfig, GethDebugTracerType, GethDebugTracingOptions, GethTrace, PreStateFrame,
    StructLog,
};
use revm::{
    DatabaseRef, Inspector,
    context::{BlockEnv, ContextTr, TxEnv, result::ResultAndState},
    handler::FrameResult,
    inspector::JournalExt,
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome, FrameInput, Interpreter},
};
use revm_inspectors::tracing::{DebugInspector, DebugInspectorError, TransactionContext};
use serde::Serialize;

use super::{
    StateBefore,
    error::BadTracer,
    flat::{FlatPlace, FlatTrace},
    words::Words,
};
use crate::{ReadFailed, vm::MovablePrecompiles};

/// What a tracer says of a transaction. It is written as Geth writes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum TracerOutput {
    /// Of any tracer but these.
    Geth(GethTrace),
    /// Of `flatCallTracer`.
    Flat(FlatTrace),
    /// Of each that `muxTracer` was asked for, by its name.
    Mux(BTreeMap<&'static str, Self>),
}

/// What was traced, and where.
#[derive(Debug)]
pub(super) struct Traced<'t> {
    pub(super) place: FlatPlace,
    pub(super) tx: &'t TxEnv,
    pub(super) block: &'t BlockEnv,
    pub(super) result: &'t ResultAndState,
    /// Those of the block's rules, wherever they were moved.
    pub(super) precompiles: &'t MovablePrecompiles,
}

/// All tracers of a transaction.
#[derive(Debug)]
pub(super) struct Tracers {
    all: Vec<(&'static str, Tracer)>,
    is_mux: bool,
    /// Where any of them tells of frames.
    words: Option<Words>,
}

#[derive(Debug)]
struct Tracer {
    inspector: DebugInspector,
    kind: Kind,
}

/// What has to be corrected.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Calls,
    FlatCalls(FlatCallConfig),
    PreState { includes_empty: bool },
    Other,
}

impl Tracers {
    /// The tracers that `tracing` asks for.
    pub(super) fn new(tracing: &GethDebugTracingOptions) -> Result<Self, BadTracer> {
        let name = tracing.tracer.as_ref().filter(|name| !name.as_str().is_empty());
        let config = tracing.tracer_config.clone();
        let (all, is_mux) = match name {
            Some(GethDebugTracerType::BuiltInTracer(BuiltIn::MuxTracer)) => {
                (several(config)?, true)
            }
            Some(name) => (vec![one(name, config)?], false),
            None => {
                let inspector = made(tracing.clone(), "")?;
                (vec![("", Tracer { inspector, kind: Kind::Other })], false)
            }
        };
        let has_frames =
            |(_, tracer): &(_, Tracer)| matches!(tracer.kind, Kind::Calls | Kind::FlatCalls(_));
        let words = all.iter().any(has_frames).then(Words::default);
        Ok(Self { all, is_mux, words })
    }

    /// Nobody.
    pub(super) const fn none() -> Self {
        Self { all: Vec::new(), is_mux: true, words: None }
    }

    /// How many they are.
    pub(super) const fn count(&self) -> usize {
        self.all.len()
    }

    /// What they say at the end, once.
    pub(super) fn say(
        &mut self,
        traced: &Traced<'_>,
        before: &mut StateBefore<'_, '_>,
    ) -> Result<TracerOutput, ReadFailed> {
        let mut said = BTreeMap::new();
        for (name, tracer) in &mut self.all {
            let output = tracer.say(traced, self.words.as_mut(), before)?;
            if !self.is_mux {
                return Ok(output);
            }
            said.insert(*name, output);
        }
        Ok(TracerOutput::Mux(said))
    }

    fn inspectors(&mut self) -> impl Iterator<Item = &mut DebugInspector> {
        self.all.iter_mut().map(|(_, tracer)| &mut tracer.inspector)
    }
}

/// The tracers of a `muxTracer`.
fn several(config: GethDebugTracerConfig) -> Result<Vec<(&'static str, Tracer)>, BadTracer> {
    let bad = |_| BadTracer::Config { tracer: "muxTracer", takes: "names of tracers with theirs" };
    let config = config.into_mux_config().map_err(bad)?;
    let tracer = |(name, config): (GethDebugTracerType, Option<_>)| {
        // What it writes down is counted where it traces alone.
        if name == GethDebugTracerType::BuiltInTracer(BuiltIn::Erc7562Tracer) {
            return Err(BadTracer::UnknownInMux(name.as_str().to_owned()));
        }
        one(&name, config.unwrap_or_default()).map_err(|bad| match bad {
            BadTracer::Unknown(name) => BadTracer::UnknownInMux(name),
            bad => bad,
        })
    };
    config.0.into_iter().map(tracer).collect()
}

/// A tracer that is not of several.
fn one(
    name: &GethDebugTracerType,
    config: GethDebugTracerConfig,
) -> Result<(&'static str, Tracer), BadTracer> {
    let GethDebugTracerType::BuiltInTracer(built_in) = name else {
        return Err(BadTracer::unknown(name.as_str()));
    };
    let tracing = |built_in: BuiltIn, tracer_config| GethDebugTracingOptions {
        tracer: Some(built_in.into()),
        tracer_config,
        ..GethDebugTracingOptions::default()
    };
    let name = match built_in {
        BuiltIn::FourByteTracer => "4byteTracer",
        BuiltIn::CallTracer => "callTracer",
        BuiltIn::FlatCallTracer => "flatCallTracer",
        BuiltIn::PreStateTracer => "prestateTracer",
        BuiltIn::StateGasTracer => "stateGasTracer",
        BuiltIn::NoopTracer => "noopTracer",
        BuiltIn::Erc7562Tracer => "erc7562Tracer",
        BuiltIn::MuxTracer => return Err(BadTracer::MuxInMux),
    };
    let (tracing, kind) = match built_in {
        BuiltIn::FlatCallTracer => {
            let takes = "convertParityErrors and includePrecompiles";
            let bad = |_| BadTracer::Config { tracer: name, takes };
            let config = config.into_flat_call_config().map_err(bad)?;
            let calls = tracing(BuiltIn::CallTracer, GethDebugTracerConfig::default());
            (calls, Kind::FlatCalls(config))
        }
        BuiltIn::CallTracer => (tracing(*built_in, config), Kind::Calls),
        BuiltIn::PreStateTracer => {
            let is = |option: &str| config.0.get(option).and_then(|it| it.as_bool());
            let includes_empty = is("includeEmpty").unwrap_or_default();
            if includes_empty && is("diffMode").unwrap_or_default() {
                return Err(BadTracer::EmptyDiff);
            }
            (tracing(*built_in, config), Kind::PreState { includes_empty })
        }
        _ => (tracing(*built_in, config), Kind::Other),
    };
    Ok((name, Tracer { inspector: made(tracing, name)?, kind }))
}

fn made(
    tracing: GethDebugTracingOptions,
    tracer: &'static str,
) -> Result<DebugInspector, BadTracer> {
    let takes = match tracer {
        "callTracer" => "onlyTopCall and withLog",
        "prestateTracer" => "diffMode, disableCode, disableStorage and includeEmpty",
        _ => "an object",
    };
    DebugInspector::new(tracing).map_err(|error| match error {
        DebugInspectorError::InvalidTracerConfig => BadTracer::Config { tracer, takes },
        _ => BadTracer::unknown(tracer),
    })
}

impl Tracer {
    fn say(
        &mut self,
        traced: &Traced<'_>,
        words: Option<&mut Words>,
        before: &mut StateBefore<'_, '_>,
    ) -> Result<TracerOutput, ReadFailed> {
        let Traced { place, tx, block, result, precompiles } = *traced;
        let context = TransactionContext {
            block_hash: place.block_hash,
            tx_index: usize::try_from(place.tx_index).ok(),
            tx_hash: Some(place.tx_hash),
        };
        let said = self.inspector.get_result(Some(context), tx, block, result, before);
        let said = said.map_err(|_| ReadFailed)?;
        Ok(match (self.kind, said) {
            (Kind::Calls, GethTrace::CallTracer(root)) => {
                TracerOutput::Geth(corrected(root, words).into())
            }
            (Kind::FlatCalls(config), GethTrace::CallTracer(root)) => {
                let is_precompile = |address: &Address| precompiles.at(address).is_some();
                let root = corrected(root, words);
                TracerOutput::Flat(FlatTrace::new(root, config, place, is_precompile))
            }
            (Kind::PreState { includes_empty }, GethTrace::PreStateTracer(mut frame)) => {
                let storage = self.has_storage();
                treat_empty(&mut frame, includes_empty.then_some(storage), result, before)?;
                TracerOutput::Geth(frame.into())
            }
            (_, GethTrace::Default(mut frame)) => {
                frame.struct_logs.iter_mut().for_each(leave_out_nothing);
                TracerOutput::Geth(frame.into())
            }
            (_, said) => TracerOutput::Geth(said),
        })
    }

    /// Whether it lists slots.
    const fn has_storage(&self) -> bool {
        match &self.inspector {
            DebugInspector::PreStateTracer(_, config) => {
                !matches!(config.disable_storage, Some(true))
            }
            _ => true,
        }
    }
}

fn corrected(mut root: CallFrame, words: Option<&mut Words>) -> CallFrame {
    if let Some(words) = words {
        words.correct(&mut root);
    }
    root
}

/// Lists accounts that were empty where that is wanted, with their slots or without, and else nowhere.
fn treat_empty(
    frame: &mut PreStateFrame,
    includes: Option<bool>,
    result: &ResultAndState,
    before: &StateBefore<'_, '_>,
) -> Result<(), ReadFailed> {
    let mut touched: Vec<_> = result.state.iter().collect();
    touched.sort_unstable_by_key(|(address, _)| **address);
    for (address, after) in touched {
        let account = before.basic_ref(*address)?;
        if !account.is_none_or(|account| account.is_empty()) {
            continue;
        }
        match (&mut *frame, includes) {
            (PreStateFrame::Default(accounts), Some(has_storage)) => {
                let mut empty = AccountState::from_account_info(0, U256::ZERO, None);
                for (slot, value) in after.storage.iter().filter(|_| has_storage) {
                    empty.storage.insert((*slot).into(), value.original_value().into());
                }
                accounts.0.insert(*address, empty);
            }
            (PreStateFrame::Default(accounts), None) => {
                accounts.0.remove(address);
            }
            (PreStateFrame::Diff(diff), _) => {
                diff.pre.remove(address);
            }
        }
    }
    Ok(())
}

/// Leaves out what Geth does not list where there is none of it.
fn leave_out_nothing(step: &mut StructLog) {
    step.memory.take_if(|memory| memory.is_empty());
    step.return_data.take_if(|data| data.is_empty());
    step.refund_counter.take_if(|refund| *refund == 0);
}

impl<CTX: ContextTr<Journal: JournalExt>> Inspector<CTX> for Tracers {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, context: &mut CTX) {
        for inspector in self.inspectors() {
            inspector.initialize_interp(interpreter, context);
        }
    }

    fn step(&mut self, interpreter: &mut Interpreter, context: &mut CTX) {
        if let Some(words) = &mut self.words {
            words.step(interpreter);
        }
        for inspector in self.inspectors() {
            inspector.step(interpreter, context);
        }
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut CTX) {
        if let Some(words) = &mut self.words {
            words.step_end(interpreter);
        }
        for inspector in self.inspectors() {
            inspector.step_end(interpreter, context);
        }
    }

    fn log(&mut self, context: &mut CTX, log: Log) {
        for inspector in self.inspectors() {
            inspector.log(context, log.clone());
        }
    }

    fn log_full(&mut self, interpreter: &mut Interpreter, context: &mut CTX, log: Log) {
        for inspector in self.inspectors() {
            inspector.log_full(interpreter, context, log.clone());
        }
    }

    // None of them answers in place of the virtual machine.
    fn frame_start(&mut self, context: &mut CTX, input: &mut FrameInput) -> Option<FrameResult> {
        for inspector in self.inspectors() {
            let _ = inspector.frame_start(context, input);
        }
        None
    }

    fn frame_end(&mut self, context: &mut CTX, input: &FrameInput, result: &mut FrameResult) {
        for inspector in self.inspectors() {
            inspector.frame_end(context, input, result);
        }
    }

    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        if let Some(words) = &mut self.words {
            words.begin();
        }
        for inspector in self.inspectors() {
            let _ = inspector.call(context, inputs);
        }
        None
    }

    fn call_end(&mut self, context: &mut CTX, inputs: &CallInputs, outcome: &mut CallOutcome) {
        if let Some(words) = &mut self.words {
            words.end(outcome.result.result);
        }
        for inspector in self.inspectors() {
            inspector.call_end(context, inputs, outcome);
        }
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        if let Some(words) = &mut self.words {
            words.begin();
        }
        for inspector in self.inspectors() {
            let _ = inspector.create(context, inputs);
        }
        None
    }

    fn create_end(
        &mut self,
        context: &mut CTX,
        inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        if let Some(words) = &mut self.words {
            words.end(outcome.result.result);
        }
        for inspector in self.inspectors() {
            inspector.create_end(context, inputs, outcome);
        }
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        for inspector in self.inspectors() {
            // It has no context that would say which of the implementations is meant.
            <DebugInspector as Inspector<CTX>>::selfdestruct(inspector, contract, target, value);
        }
    }
}
