//! The logs of a call as they come, and one for each payment.

use alloy_primitives::{Address, B256, Log, LogData, U256, address, b256};
use revm::{
    Inspector,
    context::{ContextTr, CreateScheme, JournalTr},
    interpreter::{
        CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, InstructionResult,
    },
};

/// The token that payments are transfers of.
const ETHER: Address = address!("0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
/// `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// Collects logs in the order in which they are written. What a frame that fails has logged is
/// dropped, and its numbers are not given again.
#[derive(Debug)]
pub(super) struct Transfers {
    /// Whether payments are logged.
    payments: bool,
    /// How many logs there were in the block.
    count: u64,
    /// Those of the frames that are running, and of what is over at the end.
    frames: Vec<Vec<(u64, Log)>>,
}

impl Transfers {
    pub(super) fn new(payments: bool) -> Self {
        Self { payments, count: 0, frames: vec![Vec::new()] }
    }

    /// The logs of the transaction that is over.
    pub(super) fn take(&mut self) -> Vec<(u64, Log)> {
        let mut frames = std::mem::replace(&mut self.frames, vec![Vec::new()]);
        frames.swap_remove(0)
    }

    fn push(&mut self, log: Log) {
        let index = self.count;
        self.count += 1;
        if let Some(frame) = self.frames.last_mut() {
            frame.push((index, log));
        }
    }

    fn pay(&mut self, from: Address, to: Address, value: U256) {
        if self.payments && !value.is_zero() {
            let topics = vec![TRANSFER, from.into_word(), to.into_word()];
            let data = LogData::new_unchecked(topics, value.to_be_bytes_vec().into());
            self.push(Log { address: ETHER, data });
        }
    }

    fn begin(&mut self) {
        self.frames.push(Vec::new());
    }

    fn end(&mut self, result: InstructionResult) {
        let Some(logs) = self.frames.pop() else { return };
        if result.is_ok()
            && let Some(outer) = self.frames.last_mut()
        {
            outer.extend(logs);
        }
    }
}

impl<CTX: ContextTr> Inspector<CTX> for Transfers {
    fn log(&mut self, _context: &mut CTX, log: Log) {
        self.push(log);
    }

    fn call(&mut self, _context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.begin();
        if let Some(value) = inputs.transfer_value() {
            // A call of somebody's code pays oneself, but is told as if it were not so.
            let is_code = inputs.scheme == CallScheme::CallCode;
            let to = if is_code { inputs.bytecode_address } else { inputs.target_address };
            self.pay(inputs.caller, to, value);
        }
        None
    }

    fn call_end(&mut self, _context: &mut CTX, _inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.end(outcome.result.result);
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.begin();
        let is_custom = matches!(inputs.scheme(), CreateScheme::Custom { .. });
        if !is_custom && let Ok(caller) = context.journal_mut().load_account(inputs.caller()) {
            let to = inputs.created_address(caller.data.info.nonce);
            self.pay(inputs.caller(), to, inputs.value());
        }
        None
    }

    fn create_end(
        &mut self,
        _context: &mut CTX,
        _inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        self.end(outcome.result.result);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.pay(contract, target, value);
    }
}
