//! Code of any kind: analysed in bounded work, described, and its templates filled in.

#![no_main]

use alloy_primitives::{Address, U256};
use libfuzzer_sys::fuzz_target;
use warpline_analysis::bytecode::{BlockInputs, Budget, Contract, Inputs, Names};

/// Small, so that the fuzzer gets on; the paths through the code are the same.
const BUDGET: Budget = Budget { function_steps: 5_000, contract_steps: 40_000 };
/// One instruction is finished beyond the budget, and every function is at least begun.
const SLACK: u64 = 20_000;

fuzz_target!(|code: &[u8]| {
    let contract = Contract::analyze_within(code, BUDGET);
    assert!(contract.steps <= BUDGET.contract_steps + SLACK);
    let inputs = Inputs {
        this: Address::repeat_byte(1),
        caller: Address::repeat_byte(2),
        origin: Address::repeat_byte(3),
        value: U256::MAX,
        calldata: code,
        block: BlockInputs::default(),
    };
    let names = Names::default();
    for function in &contract.functions {
        for access in &function.accesses {
            let filled = access.slot.fill(&inputs, &mut |_, slot| Some(slot));
            assert_eq!(filled.is_some(), access.slot.is_known());
        }
        for touch in contract.touches(function) {
            drop(names.touch(function, &touch));
        }
    }
});
