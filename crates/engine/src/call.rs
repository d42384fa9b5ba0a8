//! Single calls on a state: what somebody who asks a node gets to know without sending a transaction.
//!
//! A call is a transaction that is executed and thrown away. It runs in the environment of the block
//! whose state it sees, as Geth has it, and less is asked of it: any nonce will do, anybody may send
//! it, and who offers nothing for gas finds a base fee of nothing. What it sends and what it offers
//! its sender must have.
//!
//! State and block may be other than they are ([`CallOptions`]); what is overridden is laid over the
//! state that a [`StateSource`] has. Calls that would not end end at a deadline.
//!
//! Nothing here is part of executing blocks, and nothing there knows of it.

mod access_list;
mod answer;
mod db;
mod error;
mod estimate;
pub(crate) mod overrides;
pub(crate) mod request;

use std::time::Instant;

use alloy_consensus::Header;
use alloy_evm::eth::EthEvmContext;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use revm::{
    Inspector,
    context::{
        BlockEnv, Cfg, TxEnv,
        result::{EVMError, ResultAndState},
    },
    inspector::NoOpInspector,
    primitives::hardfork::SpecId,
};
use warpline_primitives::StateSource;

pub use access_list::ListedCall;
pub use answer::{CallEnd, Called, halt_message, revert_message, revert_reason};
pub use db::CallDb;
pub(crate) use db::{CallOverlay, Unfinished};
pub(crate) use error::typed;
pub use error::{CallError, CallRefusal, CallRule};
pub use estimate::GasEstimate;

use crate::{
    BlockVm, Cancellation, DynSource, Engine, EngineBug, Ethereum, ExecutionError, ReadFailed,
    SourceError, TraceMemory,
    cancel::EarlyEnd,
    engine::contain,
    erased,
    vm::{CallEvm, env_of_header},
};

/// What is other than it is in a call, and how far the call may go.
#[derive(Clone, Copy, Debug)]
pub struct CallOptions<'c> {
    /// What accounts are instead.
    pub state: Option<&'c StateOverride>,
    /// What the block is instead.
    pub block: Option<&'c BlockOverrides>,
    /// The most gas that a call has, and what it has if it does not say.
    pub gas_cap: u64,
    /// When to give up.
    pub deadline: Option<Instant>,
    /// Gives up as soon as it is switched.
    pub cancellation: Option<&'c Cancellation>,
    /// What a tracer may take; as much as it needs where nothing is said.
    pub memory: Option<&'c TraceMemory>,
}

impl Default for CallOptions<'_> {
    /// State and block as they are, 50 million gas, and all the time it takes.
    fn default() -> Self {
        let (state, block, deadline, cancellation, memory) = (None, None, None, None, None);
        Self { state, block, gas_cap: 50_000_000, deadline, cancellation, memory }
    }
}

impl<'c> CallOptions<'c> {
    pub(crate) const fn early_end(&self) -> EarlyEnd<'c> {
        EarlyEnd { cancellation: self.cancellation, deadline: self.deadline }
    }
}

impl Engine<Ethereum> {
    /// Executes one call on the state that `source` reads, in the block of `header`: for `eth_call`,
    /// the block after which that is the state.
    ///
    /// # Errors
    /// [`CallError::Refused`] where the call cannot be executed as a transaction, or overrides do
    /// not make sense; [`CallError::TimedOut`] at the deadline; and all that
    /// [`Engine::execute`] ends in but invalid blocks. A call that is reverted or halts is a
    /// result.
    pub fn call<S: StateSource>(
        &self,
        header: &Header,
        source: &S,
        request: &TransactionRequest,
        options: CallOptions<'_>,
    ) -> Result<Called, CallError<S::Error>> {
        on_source(source, |source| {
            let (mut caller, tx) =
                Caller::begin(self, header, source, options, request, NoOpInspector {})?;
            Ok(caller.execute(tx)?.result.into())
        })
    }

    /// The state that `source` reads, for calls in the block of `header`.
    pub(crate) fn call_db<'d>(
        &'d self,
        header: &Header,
        source: &'d &'d DynSource<'d>,
        options: CallOptions<'d>,
    ) -> CallDb<'d> {
        let rules = self.vm().rules(&env_of_header(self.vm().spec(), header));
        CallDb::new(source, self.codes(), &rules, options.early_end())
    }
}

/// Runs `work` on `source`, its type forgotten, and reports a panic as what it is.
pub(crate) fn on_source<S: StateSource, T>(
    source: &S,
    work: impl FnOnce(&&DynSource<'_>) -> Result<T, CallError<SourceError>>,
) -> Result<T, CallError<S::Error>> {
    let source = erased(source);
    let source: &DynSource<'_> = &source;
    let done = contain(|| Ok(work(&source))).unwrap_or_else(|error| Err(error.into()));
    done.map_err(CallError::typed)
}

/// Executes one call, perhaps several times, always on the same state.
pub(crate) struct Caller<'d, I> {
    evm: CallEvm<'d, I>,
    block: BlockEnv,
    spec: SpecId,
    max_initcode: usize,
}

impl<'d, I: Inspector<EthEvmContext<CallDb<'d>>>> Caller<'d, I> {
    /// Who executes the call that `request` describes, as the transaction that is returned.
    fn begin(
        engine: &'d Engine<Ethereum>,
        header: &Header,
        source: &'d &'d DynSource<'d>,
        options: CallOptions<'d>,
        request: &TransactionRequest,
        inspector: I,
    ) -> Result<(Self, TxEnv), CallError<SourceError>> {
        let db = engine.call_db(header, source, options);
        Self::over(engine, header, db, options, request, inspector)
    }

    /// As [`begin`](Self::begin), on what `db` has come to.
    pub(crate) fn over(
        engine: &'d Engine<Ethereum>,
        header: &Header,
        mut db: CallDb<'d>,
        options: CallOptions<'d>,
        request: &TransactionRequest,
        inspector: I,
    ) -> Result<(Self, TxEnv), CallError<SourceError>> {
        let vm = engine.vm();
        let overridden = options.block.cloned().unwrap_or_default();
        if overridden.beacon_root.is_some() {
            return Err(CallRefusal::BlockOverride("beaconRoot").into());
        }
        overrides::check(&overridden)?;
        let mut env = overrides::env_of(vm.spec(), header, &overridden);
        db.override_hashes(overridden.block_hash.into_iter().flatten());
        let mut precompiles = vm.factory().movable_precompiles(env.cfg_env.spec);
        if let Some(state) = options.state {
            overrides::apply(state, db.overlay(), &mut precompiles)?;
        }
        let tx = request::transaction(request, &env, options.gas_cap)?;
        request::lower_prices(&tx, &mut env);
        let (block, spec) = (env.block_env.clone(), env.cfg_env.spec);
        let max_initcode = env.cfg_env.max_initcode_size();
        let evm = CallEvm::new(db, env, inspector, precompiles);
        Ok((Self { evm, block, spec, max_initcode }, tx))
    }

    /// Executes `tx` out of the inspector's sight.
    pub(crate) fn execute(&mut self, tx: TxEnv) -> Result<ResultAndState, CallError<SourceError>> {
        let done = self.evm.transact(tx.clone());
        self.judge(tx, done)
    }

    /// Executes `tx` before the inspector's eyes.
    pub(crate) fn inspect(&mut self, tx: TxEnv) -> Result<ResultAndState, CallError<SourceError>> {
        let done = self.evm.inspect(tx.clone());
        self.judge(tx, done)
    }

    fn judge(
        &mut self,
        tx: TxEnv,
        done: Result<ResultAndState, EVMError<ReadFailed>>,
    ) -> Result<ResultAndState, CallError<SourceError>> {
        let error = match done {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if let Some(unfinished) = self.evm.parts().0.take_unfinished() {
            return Err(unfinished.into());
        }
        let gas_limit = tx.gas_limit;
        let rule = match error {
            EVMError::Transaction(error) => {
                CallRule::of(error, &tx, &self.block, self.max_initcode)
            }
            EVMError::Header(error) => CallRule::Header(error),
            other => return Err(vm_bug(other).into()),
        };
        Err(CallRefusal::Rule { rule, gas_limit }.into())
    }

    /// What was read, and who looked on.
    pub(crate) const fn parts(&mut self) -> (&mut CallDb<'d>, &mut I) {
        self.evm.parts()
    }

    /// The block that the calls are in.
    pub(crate) const fn block(&self) -> &BlockEnv {
        &self.block
    }

    /// The rules that the calls follow.
    pub(crate) const fn spec(&self) -> SpecId {
        self.spec
    }
}

/// The virtual machine failed for no reason that is not its own.
fn vm_bug(error: EVMError<ReadFailed>) -> ExecutionError<SourceError> {
    EngineBug::Vm { index: 0, error: Box::new(error) }.into()
}
