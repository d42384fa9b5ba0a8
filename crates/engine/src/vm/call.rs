//! The EVM of calls: revm's own rules, precompiles that can be moved, and an end for what would not
//! end.
//!
//! A call may burn its caller's patience long before its gas. No code runs for long without a jump
//! destination, for it has an end, so that is the instruction that looks at the clock.

use alloy_evm::{Database, EvmEnv, eth::EthEvmContext};
use alloy_primitives::{
    Address,
    map::{AddressMap, AddressSet},
};
use revm::{
    Context, ExecuteEvm, InspectEvm, Inspector, MainBuilder, MainContext,
    bytecode::opcode::JUMPDEST,
    context::{
        ContextTr, Evm as RevmEvm, TxEnv,
        result::{EVMError, ResultAndState},
    },
    context_interface::context::ContextError,
    handler::{EthFrame, EthPrecompiles, PrecompileProvider, instructions::EthInstructions},
    interpreter::{
        CallInputs, Instruction, InstructionContext, InstructionExecResult, InstructionResult,
        InterpreterResult, interpreter::EthInterpreter,
    },
    primitives::hardfork::SpecId,
};

use super::{DeferringEvmFactory, eip1283};
use crate::{ReadFailed, call::CallDb};

type Inner<'d, I> = RevmEvm<
    EthEvmContext<CallDb<'d>>,
    I,
    EthInstructions<EthInterpreter, EthEvmContext<CallDb<'d>>>,
    MovablePrecompiles,
    EthFrame,
>;

/// The virtual machine of calls.
pub(crate) struct CallEvm<'d, I> {
    inner: Inner<'d, I>,
}

impl<'d, I: Inspector<EthEvmContext<CallDb<'d>>>> CallEvm<'d, I> {
    /// An EVM over `db` with these precompiles.
    pub(crate) fn new(
        db: CallDb<'d>,
        env: EvmEnv,
        inspector: I,
        precompiles: MovablePrecompiles,
    ) -> Self {
        let nets_stores = eip1283::is_configured(&env.cfg_env);
        let mut inner = Context::mainnet()
            .with_block(env.block_env)
            .with_cfg(env.cfg_env)
            .with_db(db)
            .build_mainnet_with_inspector(inspector)
            .with_precompiles(precompiles);
        if nets_stores {
            eip1283::install(&mut inner.instruction);
        }
        inner.instruction.insert_instruction(JUMPDEST, Instruction::new(jump_destination), 1);
        Self { inner }
    }

    /// Executes `tx` without committing it, and without showing it to the inspector.
    pub(crate) fn transact(&mut self, tx: TxEnv) -> Result<ResultAndState, EVMError<ReadFailed>> {
        self.inner.transact(tx)
    }

    /// As [`transact`](Self::transact), before the inspector's eyes.
    pub(crate) fn inspect(&mut self, tx: TxEnv) -> Result<ResultAndState, EVMError<ReadFailed>> {
        self.inner.inspect_tx(tx)
    }

    /// From now on transactions below the base fee are executed, or are not.
    pub(crate) const fn skip_base_fee_check(&mut self, skip: bool) {
        self.inner.ctx.cfg.disable_base_fee = skip;
    }

    /// What it reads, and who looks on.
    pub(crate) const fn parts(&mut self) -> (&mut CallDb<'d>, &mut I) {
        (&mut self.inner.ctx.journaled_state.database, &mut self.inner.inspector)
    }

    /// As [`parts`](Self::parts), at the end.
    pub(crate) fn into_parts(self) -> (CallDb<'d>, I) {
        (self.inner.ctx.journaled_state.database, self.inner.inspector)
    }
}

impl DeferringEvmFactory {
    /// The precompiles under these rules, to be moved about.
    pub(crate) fn movable_precompiles(&self, spec: SpecId) -> MovablePrecompiles {
        let precompiles = self.precompiles.map(|precompiles| precompiles(spec));
        let precompiles = precompiles.unwrap_or_else(|| EthPrecompiles::new(spec).precompiles);
        let fixed = EthPrecompiles { precompiles, spec };
        MovablePrecompiles { fixed, moved: AddressMap::default() }
    }
}

/// Precompiles that may be elsewhere, or nowhere. What is warm when a call begins is where they ought
/// to be.
#[derive(Debug)]
pub(crate) struct MovablePrecompiles {
    fixed: EthPrecompiles,
    /// By address, where the precompile there ought to be; `None` for no precompile.
    moved: AddressMap<Option<Address>>,
}

impl MovablePrecompiles {
    /// Where the precompile at `address` ought to be, if there is one.
    pub(crate) fn at(&self, address: &Address) -> Option<Address> {
        let fixed = || self.fixed.precompiles.contains(address).then_some(*address);
        self.moved.get(address).copied().unwrap_or_else(fixed)
    }

    /// Takes the precompile at `address` away.
    pub(crate) fn remove(&mut self, address: Address) {
        self.moved.insert(address, None);
    }

    /// Puts the precompile there that ought to be at `from`.
    pub(crate) fn put(&mut self, address: Address, from: Address) {
        self.moved.insert(address, Some(from));
    }
}

impl<DB: Database> PrecompileProvider<EthEvmContext<DB>> for MovablePrecompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        PrecompileProvider::<EthEvmContext<DB>>::set_spec(&mut self.fixed, spec)
    }

    fn run(
        &mut self,
        context: &mut EthEvmContext<DB>,
        inputs: &CallInputs,
    ) -> Result<Option<InterpreterResult>, String> {
        if self.moved.is_empty() {
            return self.fixed.run(context, inputs);
        }
        let Some(bytecode_address) = self.at(&inputs.bytecode_address) else { return Ok(None) };
        self.fixed.run(context, &CallInputs { bytecode_address, ..inputs.clone() })
    }

    fn warm_addresses(&self) -> &AddressSet {
        PrecompileProvider::<EthEvmContext<DB>>::warm_addresses(&self.fixed)
    }

    fn contains(&self, address: &Address) -> bool {
        self.at(address).is_some()
    }
}

/// The instruction that does nothing, and ends the call if its time is up: as a failed read would.
fn jump_destination(
    context: InstructionContext<'_, EthEvmContext<CallDb<'_>>, EthInterpreter>,
) -> InstructionExecResult {
    if context.host.db_mut().may_go_on() {
        return Ok(());
    }
    *context.host.error() = Err(ContextError::Db(ReadFailed));
    Err(InstructionResult::FatalExternalError)
}
