//! Holds what calls really do against what the code was said to do.

use std::{collections::HashMap, sync::Arc};

use alloy_primitives::{Address, B256, U256};
use revm::{
    Database, Inspector,
    bytecode::opcode,
    context::{Block, Cfg, ContextTr, JournalTr, Transaction},
    inspector::JournalExt,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter,
        interpreter_types::{InputsTr, Jumps},
    },
};
use warpline_analysis::bytecode::{
    Access, AccessKind, BlockInputs, Call, CallInput, Contract, Function, Inputs, Template,
    WriteValue,
};

/// Watches every frame of the transactions that are executed under it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    contracts: HashMap<B256, Arc<Contract>>,
    frames: Vec<Option<Frame>>,
    /// What was said and is not so.
    pub(crate) faults: Vec<String>,
    pub(crate) counts: Counts,
}

/// How much was watched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Frames that ran code.
    pub(crate) frames: u64,
    /// Those whose function is fully known.
    pub(crate) known: u64,
    /// Reads and writes of storage.
    pub(crate) accesses: u64,
    /// Those that some filled-in template gave.
    pub(crate) predicted: u64,
    /// Writes whose value was said, and right.
    pub(crate) values: u64,
    /// Calls whose target was said, and right.
    pub(crate) targets: u64,
    /// Calls made.
    pub(crate) calls: u64,
}

/// A call that runs code.
#[derive(Debug)]
struct Frame {
    contract: Arc<Contract>,
    /// Which of its functions.
    function: usize,
    /// The call, to fill in with.
    given: Given,
    /// The slots of the accesses and what they held at the beginning, as far as they are known.
    slots: Vec<Option<(U256, U256)>>,
    /// What the values written and the targets called are said to be.
    values: Vec<Option<U256>>,
    targets: Vec<Option<U256>>,
    inputs: Vec<Vec<Option<U256>>>,
    /// What was touched, by offset of the instruction.
    touched: Vec<(usize, U256)>,
}

#[derive(Debug)]
struct Given {
    this: Address,
    caller: Address,
    origin: Address,
    value: U256,
    calldata: Vec<u8>,
    block: BlockInputs,
}

impl Frame {
    fn function(&self) -> &Function {
        &self.contract.functions[self.function]
    }

    fn name(&self) -> String {
        let function = self.function();
        format!("{:x?} of {} ({} bytes)", function.entry, self.given.this, self.contract.code_size)
    }
}

impl Given {
    fn inputs(&self) -> Inputs<'_> {
        Inputs {
            this: self.this,
            caller: self.caller,
            origin: self.origin,
            value: self.value,
            calldata: &self.calldata,
            block: self.block,
        }
    }
}

impl Watch {
    /// A frame begins, of which it is not known yet whether it runs code.
    fn enter(&mut self) {
        self.frames.push(None);
    }

    fn contract(&mut self, hash: B256, code: &[u8]) -> Arc<Contract> {
        let contract = self.contracts.entry(hash);
        Arc::clone(contract.or_insert_with(|| Arc::new(Contract::analyze(code))))
    }

    fn fault(&mut self, text: impl FnOnce() -> String) {
        if self.faults.len() < 100 {
            self.faults.push(text());
        }
    }

    /// An access of `key` by the instruction at `pc`, which writes a value over `held`.
    fn access(&mut self, pc: usize, key: U256, write: Option<(U256, U256)>) {
        self.counts.accesses += 1;
        let Some(Some(frame)) = self.frames.last_mut() else { return };
        frame.touched.push((pc, key));
        let at = |(index, access): (usize, &Access)| {
            (access.pc as usize == pc && access.is_write() == write.is_some()).then_some(index)
        };
        let here: Vec<_> = frame.function().accesses.iter().enumerate().filter_map(at).collect();
        let right = |index: &&usize| frame.slots[**index].is_some_and(|(slot, _)| slot == key);
        let found: Vec<_> = here.iter().filter(right).copied().collect();
        let unknown = here.iter().any(|index| !frame.function().accesses[*index].slot.is_known());
        self.counts.predicted += u64::from(!found.is_empty());
        if found.is_empty() && !unknown && frame.function().incomplete.is_none() {
            let name = frame.name();
            let said: Vec<_> = here
                .iter()
                .map(|index| frame.function().accesses[*index].slot.to_string())
                .collect();
            return self.fault(|| format!("{name} at {pc:#x}: {key:#x} touched, said {said:?}"));
        }
        let Some((value, held)) = write.filter(|_| !found.is_empty() && !unknown) else { return };
        let frame_is_complete = frame.function().incomplete.is_none();
        let is_said = |index: &usize| {
            let AccessKind::Write(written) = &frame.function().accesses[*index].kind else {
                return None;
            };
            let (_, at_start) = frame.slots[*index].unwrap_or_default();
            let said = frame.values[*index];
            match written {
                WriteValue::Constant(said) => Some(*said == value),
                WriteValue::Value(_) => said.map(|said| said == value),
                WriteValue::Increment(_) => said
                    .map(|by| value.wrapping_sub(by) == held || value.wrapping_sub(by) == at_start),
                WriteValue::Field { bits } => Some(
                    (value ^ held) & !bits == U256::ZERO
                        || (value ^ at_start) & !bits == U256::ZERO,
                ),
                WriteValue::FieldIncrement { bits, .. } => Some(
                    (value ^ held) & !bits == U256::ZERO
                        || (value ^ at_start) & !bits == U256::ZERO,
                ),
                _ => None,
            }
        };
        let said: Vec<_> = found.iter().map(is_said).collect();
        if said.contains(&Some(true)) {
            self.counts.values += 1;
        } else if frame_is_complete && !said.contains(&None) {
            let name = frame.name();
            let kinds: Vec<_> = found
                .iter()
                .map(|index| format!("{:?}", frame.function().accesses[*index].kind))
                .collect();
            self.fault(|| {
                format!("{name} at {pc:#x}: wrote {value:#x} over {held:#x}, said {kinds:?}")
            });
        }
    }

    /// A call of `target` by the instruction at `pc`.
    fn call_made(&mut self, pc: usize, target: U256) {
        self.counts.calls += 1;
        let Some(Some(frame)) = self.frames.last() else { return };
        let target = target & (U256::MAX >> 96);
        let here = || {
            let calls = frame.function().calls.iter().enumerate();
            calls.filter(|(_, call)| call.pc as usize == pc).map(|(index, _)| index)
        };
        let is_right = here().any(|index| frame.targets[index] == Some(target));
        let is_unknown = here().any(|index| !frame.function().calls[index].target.is_known());
        if is_right {
            self.counts.targets += 1;
        } else if !is_unknown && frame.function().incomplete.is_none() {
            let name = frame.name();
            self.fault(|| format!("{name} at {pc:#x}: called {target:#x}"));
        }
    }

    /// What a frame passes on from the instruction at `pc` must be what some template says.
    fn passed_on(&mut self, calldata: &[u8]) {
        let Some(Some(frame)) = self.frames.last() else { return };
        let Some((pc, _)) = frame.touched.last().filter(|(_, key)| *key == CALL_MARK) else {
            return;
        };
        let word = |at: usize| {
            let mut word = [0; 32];
            let rest = calldata.get(at..).unwrap_or_default();
            let length = rest.len().min(32);
            word[..length].copy_from_slice(&rest[..length]);
            U256::from_be_bytes(word)
        };
        let agrees = |index: usize, call: &Call| match &call.input {
            CallInput::Words { selector, words, length } => {
                *length as usize == calldata.len()
                    && selector.is_none_or(|selector| calldata.get(..4) == Some(&selector[..]))
                    && (0..words.len()).all(|at| {
                        frame.inputs[index][at].is_none_or(|said| said == word(4 + 32 * at))
                    })
            }
            CallInput::Forwarded => frame.given.calldata == calldata,
            CallInput::Unknown { selector } => selector.is_none_or(|selector| {
                calldata.is_empty() || calldata.get(..4) == Some(&selector[..])
            }),
        };
        let calls = frame.function().calls.iter().enumerate();
        let agrees = calls
            .filter(|(_, call)| call.pc as usize == *pc)
            .any(|(index, call)| agrees(index, call));
        if !agrees && frame.function().incomplete.is_none() {
            let (name, pc) = (frame.name(), *pc);
            let said: Vec<_> = frame
                .function()
                .calls
                .iter()
                .filter(|call| call.pc as usize == pc)
                .map(|call| format!("{:?}", call.input))
                .collect();
            self.fault(|| format!("{name} at {pc:#x}: passed on {calldata:02x?}, said {said:?}"));
        }
    }

    /// A frame ends.
    fn leave(&mut self, is_ok: bool) {
        let Some(Some(frame)) = self.frames.pop() else { return };
        if !is_ok {
            return;
        }
        let function = frame.function();
        for (access, slot) in function.accesses.iter().zip(&frame.slots) {
            let is_done = |(pc, key): &(usize, U256)| {
                *pc == access.pc as usize && slot.is_none_or(|(slot, _)| slot == *key)
            };
            if access.always && !frame.touched.iter().any(is_done) {
                let name = frame.name();
                self.fault(|| format!("{name}: never touched {} at {:#x}", access.slot, access.pc));
            }
        }
    }
}

/// Stands for a slot where a call was made.
const CALL_MARK: U256 = U256::MAX;

impl<CTX> Inspector<CTX> for Watch
where
    CTX: ContextTr<Journal: JournalExt, Cfg: Cfg>,
{
    fn initialize_interp(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        let Some(None) = self.frames.last() else { return };
        if interp.input.bytecode_address().is_none() {
            return;
        }
        let code = interp.bytecode.original_bytes();
        let hash = alloy_primitives::keccak256(&code);
        let contract = self.contract(hash, &code);
        let calldata = interp.input.input().as_bytes(context).to_vec();
        let block = context.block();
        let given = Given {
            this: interp.input.target_address(),
            caller: interp.input.caller_address(),
            origin: context.tx().caller(),
            value: interp.input.call_value(),
            calldata,
            block: BlockInputs {
                timestamp: block.timestamp(),
                number: block.number(),
                coinbase: block.beneficiary(),
                prevrandao: block.prevrandao().map_or_else(|| block.difficulty(), Into::into),
                gas_limit: U256::from(block.gas_limit()),
                chain_id: U256::from(context.cfg().chain_id()),
                base_fee: U256::from(block.basefee()),
            },
        };
        let frame = prepare(contract, given, context);
        self.counts.frames += 1;
        self.counts.known += u64::from(frame.function().is_known());
        self.passed_on(&frame.given.calldata);
        if let Some(last) = self.frames.last_mut() {
            *last = Some(frame);
        }
    }

    fn step(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        let pc = interp.bytecode.pc();
        let peek = |depth| interp.stack.peek(depth).unwrap_or_default();
        match interp.bytecode.opcode() {
            opcode::SLOAD if !interp.stack.data().is_empty() => self.access(pc, peek(0), None),
            opcode::SSTORE if interp.stack.len() > 1 => {
                let held = read(context, interp.input.target_address(), peek(0));
                self.access(pc, peek(0), Some((peek(1), held)));
            }
            opcode::CALL | opcode::CALLCODE | opcode::DELEGATECALL | opcode::STATICCALL
                if interp.stack.len() > 5 =>
            {
                self.call_made(pc, peek(1));
                if let Some(Some(frame)) = self.frames.last_mut() {
                    frame.touched.push((pc, CALL_MARK));
                }
            }
            _ => {}
        }
    }

    fn call(&mut self, _: &mut CTX, _: &mut CallInputs) -> Option<CallOutcome> {
        self.enter();
        None
    }

    fn call_end(&mut self, _: &mut CTX, _: &CallInputs, outcome: &mut CallOutcome) {
        self.leave(outcome.result.result.is_ok());
    }

    fn create(&mut self, _: &mut CTX, _: &mut CreateInputs) -> Option<CreateOutcome> {
        self.enter();
        None
    }

    fn create_end(&mut self, _: &mut CTX, _: &CreateInputs, _: &mut CreateOutcome) {
        self.leave(false);
    }
}

/// Fills in what is said of the function that `given` calls.
fn prepare<CTX>(contract: Arc<Contract>, given: Given, context: &mut CTX) -> Frame
where
    CTX: ContextTr<Journal: JournalExt>,
{
    let called = contract.function_of(&given.calldata);
    let function = contract.functions.iter().position(|it| std::ptr::eq(it, called)).unwrap();
    let mut fill = |template: &Template| {
        let inputs = given.inputs();
        template.fill(&inputs, &mut |address, slot| Some(read(context, address, slot)))
    };
    let slots: Vec<_> = called.accesses.iter().map(|access| fill(&access.slot)).collect();
    let values = called.accesses.iter().map(|access| match &access.kind {
        AccessKind::Write(WriteValue::Value(value)) => fill(value),
        AccessKind::Write(WriteValue::Increment(increment)) => fill(&increment.by),
        _ => None,
    });
    let values = values.collect();
    let targets = called.calls.iter().map(|call| fill(&call.target)).collect();
    let inputs = called.calls.iter().map(|call| match &call.input {
        CallInput::Words { words, .. } => words.iter().map(&mut fill).collect(),
        _ => Vec::new(),
    });
    let inputs = inputs.collect();
    let slots = slots
        .into_iter()
        .map(|slot| slot.map(|slot| (slot, read(context, given.this, slot))))
        .collect();
    Frame { contract, function, given, slots, values, targets, inputs, touched: Vec::new() }
}

/// What a slot holds, without the machine taking notice.
fn read<CTX>(context: &mut CTX, address: Address, slot: U256) -> U256
where
    CTX: ContextTr<Journal: JournalExt>,
{
    let account = context.journal().evm_state().get(&address);
    if let Some(held) = account.and_then(|account| account.storage.get(&slot)) {
        return held.present_value();
    }
    if account.is_some_and(|account| account.is_created()) {
        return U256::ZERO;
    }
    context.db_mut().storage(address, slot).unwrap_or_default()
}
