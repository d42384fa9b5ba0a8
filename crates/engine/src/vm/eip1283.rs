//! Net gas metering as Constantinople had it (EIP-1283).
//!
//! No public chain runs it: Petersburg took it back at the same block. Test chains do, and revm has
//! no name for it. It is Petersburg with Istanbul's way of counting stores (EIP-2200) at the older
//! prices and without the stipend guard that made the difference.

use revm::{
    bytecode::opcode::SSTORE,
    context::CfgEnv,
    context_interface::{
        Host,
        cfg::{GasId, GasParams, gas},
    },
    handler::instructions::EthInstructions,
    interpreter::{
        Instruction, InstructionContext, InstructionExecResult, InstructionResult,
        instructions::host::sstore_with_gas_accounting, interpreter::EthInterpreter,
        interpreter_types::InterpreterTypes,
    },
    primitives::hardfork::SpecId,
};

/// What a store costs that changes nothing: what a load costs.
const NO_OP: u64 = 200;

/// Sets the environment of a chain in Constantinople.
pub(super) fn configure(cfg: &mut CfgEnv) {
    let (set, reset) = (gas::SSTORE_SET - NO_OP, gas::SSTORE_RESET - NO_OP);
    let mut params = GasParams::new_spec(SpecId::PETERSBURG);
    params.override_gas([
        (GasId::sstore_static(), NO_OP),
        (GasId::sstore_set_without_load_cost(), set),
        (GasId::sstore_reset_without_cold_load_cost(), reset),
        (GasId::sstore_set_refund(), set),
        (GasId::sstore_reset_refund(), reset),
    ]);
    cfg.spec = SpecId::PETERSBURG;
    cfg.set_gas_params(params);
}

/// Whether `cfg` was made by [`configure`].
pub(super) fn is_configured(cfg: &CfgEnv) -> bool {
    cfg.spec == SpecId::PETERSBURG && cfg.gas_params.sstore_static_gas() == NO_OP
}

/// Replaces the instruction that stores.
pub(super) fn install<H: Host>(instructions: &mut EthInstructions<EthInterpreter, H>) {
    instructions.insert_instruction(SSTORE, Instruction::new(sstore), 0);
}

fn sstore<W: InterpreterTypes, H: Host + ?Sized>(
    context: InstructionContext<'_, H, W>,
) -> InstructionExecResult {
    sstore_with_gas_accounting(context, |context, _, load| {
        let params = context.host.gas_params();
        let cost = params.sstore_dynamic_gas(true, &load.data, false);
        let refund = params.sstore_refund(true, &load.data);
        if !context.interpreter.gas.record_regular_cost(cost) {
            return Err(InstructionResult::OutOfGas);
        }
        context.interpreter.gas.record_refund(refund);
        Ok(())
    })
}
