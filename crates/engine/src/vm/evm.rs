//! revm with one rule changed: a fee nobody looked at is set aside instead of credited.
//!
//! Crediting the beneficiary at the end of each transaction would make every transaction of a
//! block depend on all before it. A transaction that never loaded the beneficiary cannot tell
//! whether the credit happened, so its fee is reported as a number and the ordered commit adds
//! it up. A transaction that did load the beneficiary is credited inside, exactly as revm does:
//! it has read the balance, so its result holds the balance.

use std::{cell::Cell, marker::PhantomData};

use alloy_evm::{Database, Evm, EvmEnv, EvmFactory, eth::EthEvmContext};
use alloy_primitives::{Address, Bytes, U256};
use revm::{
    Context, ExecuteEvm, InspectEvm, Inspector, MainBuilder, MainContext, SystemCallEvm,
    context::{
        BlockEnv, ContextSetters, ContextTr, DBErrorMarker, Evm as RevmEvm, JournalTr, TxEnv,
    },
    context_interface::{
        Block, Cfg, Transaction,
        result::{EVMError, HaltReason, ResultAndState},
    },
    handler::{
        EthFrame, EthPrecompiles, EvmTr, FrameResult, Handler, ItemOrResult,
        instructions::EthInstructions, post_execution,
    },
    inspector::NoOpInspector,
    interpreter::{interpreter::EthInterpreter, interpreter_action::FrameInit},
    precompile::Precompiles,
    primitives::hardfork::SpecId,
    state::EvmState,
};

use super::{BalanceUses, Noted, Transacted, balance, balance::Payers, eip1283, eip7610};

pub(super) type Inner<DB, I> = RevmEvm<
    EthEvmContext<DB>,
    I,
    EthInstructions<EthInterpreter, EthEvmContext<DB>>,
    EthPrecompiles,
    EthFrame,
>;

/// Ethereum's virtual machine with [fee deferral](Self::transact_deferring).
pub struct DeferringEvm<DB: Database, I = NoOpInspector> {
    inner: Inner<DB, I>,
    inspect: bool,
    /// Whether the instructions say which balances were seen.
    notes: bool,
}

impl<DB: Database, I> std::fmt::Debug for DeferringEvm<DB, I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeferringEvm").field("inspect", &self.inspect).finish_non_exhaustive()
    }
}

impl<DB: Database, I> DeferringEvm<DB, I> {
    /// Whether the inspector is shown what [`Evm::transact_raw`] executes.
    pub const fn is_inspecting(&self) -> bool {
        self.inspect
    }

    /// Executes `tx`, leaving the beneficiary's fee aside where nothing looked at the beneficiary.
    ///
    /// # Errors
    /// As [`Evm::transact_raw`].
    pub fn transact_deferring(
        &mut self,
        tx: TxEnv,
    ) -> Result<Transacted<HaltReason>, EVMError<DB::Error>> {
        self.run(tx, None)
    }

    /// As [`transact_deferring`](Self::transact_deferring), and says what the transaction found out
    /// about balances.
    ///
    /// Only of accounts to which the database gave ids is there more to say than that the outcome
    /// may rest on them. Ids are below 2²⁹: the bits above are used for notes, and are left set in the
    /// accounts of the journal.
    ///
    /// # Errors
    /// As [`Evm::transact_raw`].
    pub fn transact_noting(&mut self, tx: TxEnv) -> Result<Noted<HaltReason>, EVMError<DB::Error>> {
        if !self.notes {
            balance::install(&mut self.inner.instruction, &self.inner.ctx);
            self.notes = true;
        }
        let mut payers = Payers::default();
        let transacted = self.run(tx, Some(&mut payers))?;
        Ok(Noted { transacted, balances: BalanceUses::new(&self.inner.ctx, payers) })
    }

    fn run(
        &mut self,
        tx: TxEnv,
        payers: Option<&mut Payers>,
    ) -> Result<Transacted<HaltReason>, EVMError<DB::Error>> {
        self.inner.ctx.set_tx(tx);
        let mut handler = DeferFees { evm: PhantomData, fee: Cell::new(None), payers };
        let result = handler.run(&mut self.inner);
        // Taken on failure too, or what was loaded would leak into the next transaction.
        let state = self.inner.ctx.journal_mut().finalize();
        Ok(Transacted { result: result?, state, deferred_fee: handler.fee.get() })
    }

    /// Lets the next transaction use the memory of a journal that is done with.
    pub fn recycle(&mut self, mut state: EvmState) {
        if state.capacity() <= MOST_RECYCLED {
            state.clear();
            self.inner.ctx.journal_mut().inner.state = state;
        }
    }
}

/// Journals beyond this many accounts are not kept: emptying them takes time for each transaction.
const MOST_RECYCLED: usize = 64;

/// revm's mainnet handler, except for who is paid when and for what a contract may not be created
/// over.
struct DeferFees<'p, EVM> {
    evm: PhantomData<EVM>,
    fee: Cell<Option<U256>>,
    /// Who paid within the transaction, where that is asked for.
    payers: Option<&'p mut Payers>,
}

impl<DB: Database, I> DeferFees<'_, Inner<DB, I>> {
    /// Begins a frame; `None` where it is now running.
    fn begin(
        &mut self,
        evm: &mut Inner<DB, I>,
        init: FrameInit,
    ) -> Result<Option<FrameResult>, EVMError<DB::Error>> {
        if let Some(payers) = &mut self.payers {
            payers.note(&mut evm.ctx, &init);
        }
        eip7610::init_frame(evm, init)
    }
}

impl<DB: Database, I> Handler for DeferFees<'_, Inner<DB, I>> {
    type Evm = Inner<DB, I>;
    type Error = EVMError<DB::Error>;
    type HaltReason = HaltReason;

    fn run_exec_loop(
        &mut self,
        evm: &mut Self::Evm,
        first: FrameInit,
    ) -> Result<FrameResult, Self::Error> {
        if let Some(result) = self.begin(evm, first)? {
            return Ok(result);
        }
        loop {
            let result = match evm.frame_run()? {
                ItemOrResult::Item(init) => match self.begin(evm, init)? {
                    Some(result) => result,
                    None => continue,
                },
                ItemOrResult::Result(result) => result,
            };
            if let Some(result) = evm.frame_return_result(result)? {
                return Ok(result);
            }
        }
    }

    fn reward_beneficiary(
        &self,
        evm: &mut Self::Evm,
        exec_result: &mut FrameResult,
    ) -> Result<(), Self::Error> {
        let ctx = &mut evm.ctx;
        let looked_at = ctx.journaled_state.state.contains_key(&ctx.block.beneficiary);
        if looked_at {
            return post_execution::reward_beneficiary(ctx, exec_result.gas()).map_err(From::from);
        }
        if ctx.cfg.is_fee_charge_disabled() {
            return Ok(());
        }
        let basefee = u128::from(ctx.block.basefee());
        let mut price = ctx.tx.effective_gas_price(basefee);
        if ctx.cfg.spec().is_enabled_in(SpecId::LONDON) {
            price = price.saturating_sub(basefee);
        }
        let gas = exec_result.gas();
        let used = gas.used().saturating_sub(gas.reservoir());
        self.fee.set(Some(U256::from(price * u128::from(used))));
        Ok(())
    }
}

impl<DB: Database, I: Inspector<EthEvmContext<DB>>> Evm for DeferringEvm<DB, I> {
    type DB = DB;
    type Tx = TxEnv;
    type Error = EVMError<DB::Error>;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = EthPrecompiles;
    type Inspector = I;

    fn block(&self) -> &BlockEnv {
        &self.inner.ctx.block
    }

    fn cfg_env(&self) -> &revm::context::CfgEnv<SpecId> {
        &self.inner.ctx.cfg
    }

    fn chain_id(&self) -> u64 {
        self.inner.ctx.cfg.chain_id
    }

    fn transact_raw(&mut self, tx: TxEnv) -> Result<ResultAndState<HaltReason>, Self::Error> {
        if self.inspect { self.inner.inspect_tx(tx) } else { self.inner.transact(tx) }
    }

    fn transact_system_call(
        &mut self,
        caller: Address,
        contract: Address,
        data: Bytes,
    ) -> Result<ResultAndState<HaltReason>, Self::Error> {
        self.inner.system_call_with_caller(caller, contract, data)
    }

    fn finish(self) -> (DB, EvmEnv) {
        let Context { block, cfg, journaled_state, .. } = self.inner.ctx;
        (journaled_state.database, EvmEnv { block_env: block, cfg_env: cfg })
    }

    fn set_inspector_enabled(&mut self, enabled: bool) {
        self.inspect = enabled;
    }

    fn components(&self) -> (&DB, &I, &EthPrecompiles) {
        let Inner { ctx, inspector, precompiles, .. } = &self.inner;
        (&ctx.journaled_state.database, inspector, precompiles)
    }

    fn components_mut(&mut self) -> (&mut DB, &mut I, &mut EthPrecompiles) {
        let Inner { ctx, inspector, precompiles, .. } = &mut self.inner;
        (&mut ctx.journaled_state.database, inspector, precompiles)
    }
}

/// Which precompiles there are under a set of rules. A plain function and a set that lives for ever,
/// so that every worker has them at no cost, and nothing in them can differ between executions.
pub type PrecompilesOf = fn(SpecId) -> &'static Precompiles;

/// Builds [`DeferringEvm`]s, with revm's precompiles unless [others](Self::with_precompiles) are
/// given.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeferringEvmFactory {
    pub(super) precompiles: Option<PrecompilesOf>,
}

impl DeferringEvmFactory {
    /// A factory of EVMs with these precompiles.
    ///
    /// A precompile must be a pure function of its input: it runs several times, on any thread, in
    /// any order. It sees no state; what a chain does with state belongs into contracts or into an
    /// EVM of its own.
    pub const fn with_precompiles(precompiles: PrecompilesOf) -> Self {
        Self { precompiles: Some(precompiles) }
    }

    fn build<DB: Database, I>(
        self,
        db: DB,
        env: EvmEnv,
        inspector: I,
        inspect: bool,
    ) -> DeferringEvm<DB, I>
    where
        I: Inspector<EthEvmContext<DB>>,
    {
        let spec = env.cfg_env.spec;
        let nets_stores = eip1283::is_configured(&env.cfg_env);
        let precompiles = match self.precompiles {
            Some(precompiles) => EthPrecompiles { precompiles: precompiles(spec), spec },
            None => EthPrecompiles::new(spec),
        };
        let mut inner = Context::mainnet()
            .with_block(env.block_env)
            .with_cfg(env.cfg_env)
            .with_db(db)
            .build_mainnet_with_inspector(inspector)
            .with_precompiles(precompiles);
        if nets_stores {
            eip1283::install(&mut inner.instruction);
        }
        DeferringEvm { inner, inspect, notes: false }
    }
}

impl EvmFactory for DeferringEvmFactory {
    type Evm<DB: Database, I: Inspector<EthEvmContext<DB>>> = DeferringEvm<DB, I>;
    type Context<DB: Database> = EthEvmContext<DB>;
    type Tx = TxEnv;
    type Error<DBError: DBErrorMarker> = EVMError<DBError>;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = EthPrecompiles;

    fn create_evm<DB: Database>(&self, db: DB, env: EvmEnv) -> DeferringEvm<DB> {
        self.build(db, env, NoOpInspector {}, false)
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<EthEvmContext<DB>>>(
        &self,
        db: DB,
        env: EvmEnv,
        inspector: I,
    ) -> DeferringEvm<DB, I> {
        self.build(db, env, inspector, true)
    }
}
