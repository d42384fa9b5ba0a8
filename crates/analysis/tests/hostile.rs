//! Any bytes are analysed, in work that is bounded before.

use alloy_primitives::{Address, U256};
use proptest::prelude::*;
use warpline_analysis::bytecode::{
    BlockInputs, Budget, Call, CallInput, Contract, Expr, Inputs, MAX_SIZE, Template,
};
use warpline_workloads::artifact::{COLLECTIBLE, POOL, TOKEN};

/// One instruction is finished beyond the budget, and every function is at least begun.
const SLACK: u64 = 20_000;

fn size(template: &Template) -> u32 {
    match template.expr() {
        Expr::Unknown | Expr::Constant(_) | Expr::Value(_) => 1,
        Expr::Calldata(inner) | Expr::Load(inner) => 1 + size(inner),
        Expr::Keccak { words, .. } => 1 + words.iter().map(size).sum::<u32>(),
        Expr::Apply(_, left, right) => 1 + size(left) + size(right),
        _ => 1,
    }
}

fn templates(call: &Call) -> Vec<&Template> {
    let words = match &call.input {
        CallInput::Words { words, .. } => words.as_slice(),
        _ => &[],
    };
    words.iter().chain([&call.target, &call.value]).collect()
}

/// Analyses `code`, asks for everything, and fills in everything.
fn check(code: &[u8]) {
    let budget = Budget { function_steps: 20_000, contract_steps: 100_000 };
    let contract = Contract::analyze_within(code, budget);
    assert!(contract.steps <= budget.contract_steps + SLACK, "{} steps", contract.steps);
    let inputs = Inputs {
        this: Address::repeat_byte(1),
        caller: Address::repeat_byte(2),
        origin: Address::repeat_byte(3),
        value: U256::MAX,
        calldata: code,
        block: BlockInputs::default(),
    };
    for function in &contract.functions {
        let slots = function.accesses.iter().map(|access| &access.slot);
        for template in slots.chain(function.calls.iter().flat_map(templates)) {
            assert!(size(template) <= MAX_SIZE, "{template}");
            let filled = template.fill(&inputs, &mut |_, slot| Some(slot.wrapping_neg()));
            assert_eq!(filled.is_some(), template.is_known(), "{template}");
        }
        let touches = contract.touches(function);
        assert!(touches.len() <= function.accesses.len());
        if contract.functions.len() < 40 {
            contract.functions.iter().for_each(|other| {
                let (there, back) =
                    (contract.relation(function, other), contract.relation(other, function));
                assert_eq!(there, back);
            });
        }
    }
}

#[test]
fn bytes_that_are_hard_on_somebody() {
    let table: [&[u8]; 8] = [
        &[],
        &[0xff],
        &[0x7f],
        // A loop that pushes without end.
        &[0x5b, 0x5f, 0x5f, 0x56],
        // JUMPI to itself on ever other conditions.
        &[0x5b, 0x5a, 0x5f, 0x57, 0x5f, 0x56],
        // Memory beyond all gas, hashed.
        &[0x61, 0xff, 0xff, 0x63, 0xff, 0xff, 0xff, 0xff, 0x20, 0x54],
        // A word squared again and again.
        &[0x5b, 0x80, 0x02, 0x80, 0x54, 0x50, 0x5f, 0x56],
        // An addition beyond what 32 bits hold.
        &[0x5f, 0x35, 0x63, 0xff, 0xff, 0xff, 0xff, 0x01, 0x80, 0x01, 0x35, 0x54],
    ];
    for code in table {
        check(code);
        check(&code.repeat(2000));
    }
    check(&vec![0x5b; 200_000]);
    let long = Contract::analyze(&vec![0x5b; 200_000]);
    assert!(long.functions.iter().all(|function| function.incomplete.is_some()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_are_analysed(code in prop::collection::vec(any::<u8>(), 0..600)) {
        check(&code);
    }

    #[test]
    fn arbitrary_instructions_are_analysed(
        code in prop::collection::vec(
            prop::sample::select(vec![
                0x01u8, 0x03, 0x04, 0x10, 0x14, 0x15, 0x16, 0x1b, 0x1c, 0x20, 0x33, 0x35, 0x36, 0x37, 0x51,
                0x52, 0x54, 0x55, 0x56, 0x57, 0x5b, 0x5f, 0x60, 0x61, 0x80, 0x81, 0x90, 0x91, 0xf1, 0xfa,
            ]),
            0..400,
        )
    ) {
        check(&code);
    }

    #[test]
    fn spoilt_contracts_are_analysed(
        contract in 0usize..3,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let artifact = [&TOKEN, &POOL, &COLLECTIBLE][contract];
        let mut code = artifact.deployed_bytecode.to_vec();
        for (at, byte) in changes {
            let at = at.index(code.len());
            code[at] = byte;
        }
        check(&code);
    }
}
