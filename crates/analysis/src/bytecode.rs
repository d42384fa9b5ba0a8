//! What a contract's code says about the storage that calls of it touch.
//!
//! [`Contract::analyze`] executes each function symbolically: on terms over the call data, the caller and
//! the storage instead of numbers, along all paths. What comes out are *templates* of the slots that are
//! read and written, of the contracts that are called and of what is passed to them. Filled in with a
//! transaction's arguments they are a prediction of what it touches:
//!
//! ```
//! use alloy_primitives::{U256, hex};
//! use warpline_analysis::bytecode::{AccessKind, Contract, WriteValue};
//!
//! // PUSH1 7; SLOAD; PUSH1 1; ADD; PUSH1 7; SSTORE
//! let contract = Contract::analyze(&hex!("600754600101600755"));
//! let function = contract.function_of(&[]);
//! let write = function.accesses.iter().find(|access| access.is_write()).unwrap();
//! assert_eq!(write.slot.as_constant(), Some(U256::from(7)));
//! assert!(write.always && function.is_known());
//! let AccessKind::Write(WriteValue::Increment(increment)) = &write.kind else { panic!() };
//! assert_eq!(increment.by.as_constant(), Some(U256::from(1)));
//! ```
//!
//! What cannot be said is said to be unknown, and a function whose paths could not all be followed is
//! *incomplete*. Work and memory are bounded for any bytes, see [`Budget`]. Nothing that executes
//! blocks relies on any of this being right.

mod code;
mod conflict;
mod effect;
mod explore;
mod function;
mod machine;
mod memory;
mod opcode;
mod operator;
mod proxy;
mod segment;
mod selector;
mod simplify;
mod state;
mod summary;
mod template;
mod term;
mod words;

pub use code::Block;
pub use conflict::{Action, Relation, Scope, Touch};
pub use explore::Budget;
pub use function::{
    Access, AccessKind, Call, CallInput, CallKind, Entry, Function, Incomplete, Increment,
    WriteValue,
};
pub use operator::Operator;
pub use proxy::{Convention, Proxy};
pub use segment::{Opener, Segment};
pub use template::{BlockInputs, Expr, Inputs, MAX_PREIMAGE, MAX_SIZE, Template, Value};
pub use words::{Names, Signature, Variable};

use code::Code;
use explore::explore;
use selector::Found;
use summary::summarize;
use term::{Facts, Terms};

/// No more bytes of code are looked at, and longer code is incomplete. None that may be deployed is.
pub const MAX_CODE: usize = 0x2_0000;
/// Numbers beyond this are no offsets: memory that far costs more gas than there is.
pub(crate) const MAX_OFFSET: u32 = 1 << 28;

/// A contract's code and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// How many bytes of code there are.
    pub code_size: usize,
    /// The code divided into basic blocks, in order.
    pub blocks: Vec<Block>,
    /// The functions by selector, then what answers calls without call data, then what answers all
    /// others.
    pub functions: Vec<Function>,
    /// Whose code runs for calls that the contract does not answer itself, where it is a proxy.
    pub proxy: Option<Proxy>,
    /// How many steps the analysis took, see [`Budget`].
    pub steps: u64,
}

impl Contract {
    /// Analyses code as it is at an address, within the usual [`Budget`].
    pub fn analyze(code: &[u8]) -> Self {
        Self::analyze_within(code, Budget::default())
    }

    /// Analyses code as it is at an address.
    pub fn analyze_within(code: &[u8], budget: Budget) -> Self {
        let divided = Code::new(code);
        let reserved = explore::reserved_memory(&divided);
        let found = selector::find(divided.bytes);
        let (mut functions, mut steps) = (Vec::with_capacity(found.len() + 2), 0);
        for (entry, facts, found) in entries(&found) {
            let left = budget.contract_steps.saturating_sub(steps);
            let steps_left = left.min(budget.function_steps);
            let explored = explore(&divided, Terms::new(facts), reserved, steps_left);
            steps += explored.steps;
            let mut function = summarize(entry, &explored);
            if code.len() > MAX_CODE {
                function.incomplete = Some(Incomplete::Budget);
            }
            function.offset = found.and_then(|found| found.offset);
            function.arguments = found.and_then(|found| found.arguments.clone());
            functions.push(function);
        }
        let proxy = proxy::detect(&functions);
        segment::divide(&mut functions, &divided);
        let blocks = divided.blocks().to_vec();
        Self { code_size: code.len(), blocks, functions, proxy, steps }
    }

    /// The function that answers a call with this call data.
    ///
    /// # Panics
    /// Where there are no functions, as there are in whatever was analysed.
    pub fn function_of(&self, calldata: &[u8]) -> &Function {
        let entry = match calldata.first_chunk() {
            _ if calldata.is_empty() => Entry::Receive,
            Some(selector) => Entry::Selector(*selector),
            None => Entry::Fallback,
        };
        // In order, and the last is the fallback.
        let found = self.functions.binary_search_by_key(&entry, |function| function.entry);
        &self.functions[found.unwrap_or(self.functions.len() - 1)]
    }
}

/// The functions to explore, in order, with what is known of their call data.
fn entries(found: &[Found]) -> Vec<(Entry, Facts, Option<&Found>)> {
    let number = |found: &Found| u32::from_be_bytes(found.selector);
    let mut entries: Vec<_> = found
        .iter()
        .map(|it| (Entry::Selector(it.selector), Facts::Selector(number(it)), Some(it)))
        .collect();
    entries.push((Entry::Receive, Facts::Empty, None));
    entries.push((Entry::Fallback, Facts::Other(found.iter().map(number).collect()), None));
    entries
}
