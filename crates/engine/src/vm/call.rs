//! The EVM of calls: revm's own rules, precompiles that can be moved, and an end for what would not
//! end.
//!
//! A call may burn its caller's patience long before its gas. No code runs for long without a jump
//! destination, for it has an end, so that is the instruction that looks at the clock.

use alloy_evm::{EvmEnv, eth::EthEvmContext, precompiles::PrecompilesMap};
use revm::{
    Context, ExecuteEvm, InspectEvm, Inspector, MainBuilder, MainContext,
    bytecode::opcode::JUMPDEST,
    context::{
        ContextTr, Evm as RevmEvm, TxEnv,
        result::{EVMError, ResultAndState},
    },
    context_interface::context::ContextError,
    handler::{EthFrame, EthPrecompiles, instructions::EthInstructions},
    interpreter::{
        Instruction, InstructionContext, InstructionExecResult, InstructionResult,
        interpreter::EthInterpreter,
    },
    primitives::hardfork::SpecId,
};

use super::{DeferringEvmFactory, eip1283};
use crate::{ReadFailed, call::CallDb};

type Inner<'d, I> = RevmEvm<
    EthEvmContext<CallDb<'d>>,
    I,
    EthInstructions<EthInterpreter, EthEvmContext<CallDb<'d>>>,
    PrecompilesMap,
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
        precompiles: PrecompilesMap,
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
    pub(crate) fn movable_precompiles(&self, spec: SpecId) -> PrecompilesMap {
        let precompiles = self.precompiles.map(|precompiles| precompiles(spec));
        let precompiles = precompiles.unwrap_or_else(|| EthPrecompiles::new(spec).precompiles);
        PrecompilesMap::from_static(precompiles)
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
