//! Instructions that depend on a balance, in the table of an EVM that has to say so.
//!
//! Each is revm's own and takes a note when it is done. A note too many, for an instruction that
//! failed before it looked, does no harm.

use alloy_evm::{Database, eth::EthEvmContext};
use alloy_primitives::{Address, U256};
use revm::{
    bytecode::opcode,
    context_interface::Cfg,
    handler::instructions::EthInstructions,
    interpreter::{
        Instruction, InstructionContext, InstructionExecResult, InstructionResult,
        instructions::{contract, host},
        interpreter::EthInterpreter,
    },
    state::EvmState,
};

use super::{is_large, note_seen};

type Context<'a, DB> = InstructionContext<'a, EthEvmContext<DB>, EthInterpreter>;

/// Replaces the instructions, which cost what they did.
pub(in crate::vm) fn install<DB: Database>(
    instructions: &mut EthInstructions<EthInterpreter, EthEvmContext<DB>>,
    ctx: &EthEvmContext<DB>,
) {
    let table = instructions.instruction_table_mut();
    let mut replace = |code: u8, instruction| table[usize::from(code)] = instruction;
    replace(opcode::BALANCE, Instruction::new(balance));
    replace(opcode::SELFBALANCE, Instruction::new(self_balance));
    replace(opcode::SELFDESTRUCT, Instruction::new(self_destruct));
    if ctx.cfg.is_amsterdam_eip8037_enabled() {
        replace(opcode::CREATE, Instruction::new(create::<false, DB>));
        replace(opcode::CREATE2, Instruction::new(create::<true, DB>));
    }
}

fn balance<DB: Database>(mut context: Context<'_, DB>) -> InstructionExecResult {
    let address = address_on_stack(&context, 0);
    let result = host::balance(again(&mut context));
    note_seen(state(&mut context), address);
    result
}

fn self_balance<DB: Database>(mut context: Context<'_, DB>) -> InstructionExecResult {
    let result = host::selfbalance(again(&mut context));
    let address = context.interpreter.input.target_address;
    note_seen(state(&mut context), address);
    result
}

fn self_destruct<DB: Database>(mut context: Context<'_, DB>) -> InstructionExecResult {
    let (from, to) = (context.interpreter.input.target_address, address_on_stack(&context, 0));
    let moved = state(&mut context).get(&from).map_or(U256::ZERO, |from| from.info.balance);
    let result = host::selfdestruct(again(&mut context));
    let state = state(&mut context);
    note_seen(state, from);
    if is_large(moved) {
        note_seen(state, to);
    }
    result
}

fn create<const IS_CREATE2: bool, DB: Database>(
    mut context: Context<'_, DB>,
) -> InstructionExecResult {
    let value = on_stack(&context, 0);
    let result = contract::create::<IS_CREATE2, _, _>(again(&mut context));
    // A frame that begins is looked at when it does. Without one, the creator may lack the value.
    if !value.is_zero() && result != Err(InstructionResult::Suspend) {
        let creator = context.interpreter.input.target_address;
        note_seen(state(&mut context), creator);
    }
    result
}

/// The context once more, for the instruction that is replaced.
const fn again<'c, DB: Database>(context: &'c mut Context<'_, DB>) -> Context<'c, DB> {
    InstructionContext { interpreter: context.interpreter, host: context.host }
}

const fn state<'c, DB: Database>(context: &'c mut Context<'_, DB>) -> &'c mut EvmState {
    &mut context.host.journaled_state.inner.state
}

/// An operand. One that is not there is none: the instruction fails.
fn on_stack<DB: Database>(context: &Context<'_, DB>, depth: usize) -> U256 {
    context.interpreter.stack.peek(depth).unwrap_or_default()
}

fn address_on_stack<DB: Database>(context: &Context<'_, DB>, depth: usize) -> Address {
    Address::from_word(on_stack(context, depth).into())
}
