//! The selectors that a dispatcher compares with, and the types of arguments: what evmole is for.
//!
//! A selector that is not found is not lost: calls with it are calls of the fallback, whose paths then
//! include that function's.

use std::panic::{AssertUnwindSafe, catch_unwind};

use evmole::{ContractInfoArgs, contract_info};

/// Arguments are looked for in contracts with at most so many functions: each takes its time.
const MAX_WITH_ARGUMENTS: usize = 256;
/// More functions than that do not fit code of legal size.
const MAX_FUNCTIONS: usize = 2048;

/// A function as its dispatcher has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) selector: [u8; 4],
    pub(crate) offset: Option<u32>,
    pub(crate) arguments: Option<Vec<String>>,
}

/// The functions of a contract in the order of their selectors.
pub(crate) fn find(code: &[u8]) -> Vec<Found> {
    let functions = look(|| ContractInfoArgs::new(code).with_selectors());
    let mut found: Vec<_> = if functions.len() > MAX_WITH_ARGUMENTS {
        functions
    } else {
        let with_arguments = look(|| ContractInfoArgs::new(code).with_arguments());
        if with_arguments.len() == functions.len() { with_arguments } else { functions }
    };
    found.sort_by_key(|function| function.selector);
    found.dedup_by_key(|function| function.selector);
    found.truncate(MAX_FUNCTIONS);
    found
}

/// What evmole finds; nothing where it stumbles, as its arithmetic may over code made for that.
fn look<'a>(args: impl FnOnce() -> ContractInfoArgs<'a>) -> Vec<Found> {
    let info = catch_unwind(AssertUnwindSafe(|| contract_info(args())));
    let functions = info.ok().and_then(|info| info.functions).unwrap_or_default();
    let found = functions.into_iter().map(|function| Found {
        selector: function.selector,
        offset: u32::try_from(function.bytecode_offset).ok(),
        arguments: function
            .arguments
            .map(|types| types.iter().map(|kind| kind.sol_type_name().into_owned()).collect()),
    });
    found.collect()
}
