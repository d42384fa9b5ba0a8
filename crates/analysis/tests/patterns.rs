//! Dispatchers and proxies as compilers and standards have them, put together by hand.

use alloy_primitives::{Address, B256, U256, address, hex};
use warpline_analysis::bytecode::{
    BlockInputs, CallInput, CallKind, Contract, Convention, Entry, Expr, Incomplete, Inputs, Proxy,
    Template,
};
use warpline_testkit::{Asm, op};

const TARGET: Address = address!("00000000000000000000000000000000c0dec0de");

fn inputs(calldata: &[u8]) -> Inputs<'_> {
    Inputs {
        this: Address::repeat_byte(1),
        caller: Address::repeat_byte(2),
        origin: Address::repeat_byte(3),
        value: U256::ZERO,
        calldata,
        block: BlockInputs::default(),
    }
}

/// Passes the call data on to what `target` leaves on the stack.
fn pass_on(target: Asm) -> Asm {
    let code = target.op(op::CALLDATASIZE).push(0).push(0).op(op::CALLDATACOPY);
    let code = code.push(0).push(0).op(op::CALLDATASIZE).push(0);
    // The target is below these four.
    code.op(op::DUP1 + 4).op(op::GAS).op(op::DELEGATECALL)
}

#[test]
fn a_minimal_proxy_names_its_target() {
    // The code of EIP-1167, and the shorter one that begins with a constant instead.
    let code = [
        &hex!("363d3d373d3d3d363d73")[..],
        TARGET.as_slice(),
        &hex!("5af43d82803e903d91602b57fd5bf3"),
    ]
    .concat();
    let contract = Contract::analyze(&code);
    assert_eq!(contract.proxy, Some(Proxy::Fixed { target: TARGET }));
    let call = &contract.function_of(&[1, 2, 3, 4]).calls[0];
    assert_eq!((call.kind, &call.input), (CallKind::DelegateCall, &CallInput::Forwarded));
    assert!(
        !contract.function_of(&[1, 2, 3, 4]).is_known(),
        "whose storage is the target's to use"
    );
}

#[test]
fn proxies_name_their_slots() {
    let table = [
        ("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc", Convention::Eip1967),
        ("c5f16f0fcc639fa48a6947836d9850f504798523bf8c9a3a87d5876cf622bcf7", Convention::Eip1822),
        ("7050c9e0f4ca769c69bd3a8ef740bc37934f8e2c036e5a723fd8ee048ed3f8c3", Convention::Zeppelin),
        ("0000000000000000000000000000000000000000000000000000000000000000", Convention::Own),
    ];
    for (slot, convention) in table {
        let slot: B256 = slot.parse().unwrap();
        let load = Asm::new().push_bytes(slot.as_slice()).op(op::SLOAD);
        let contract = Contract::analyze(&pass_on(load).build());
        let proxy = contract.proxy.unwrap();
        assert_eq!(proxy, Proxy::Slot { slot: slot.into(), convention });
        let held = U256::from_be_slice(TARGET.as_slice());
        let target = proxy.target().unwrap().fill(&inputs(&[]), &mut |address, at| {
            assert_eq!((address, at), (Address::repeat_byte(1), slot.into()));
            // What is packed beside an address is none of its business.
            Some(held | U256::from(7) << 200)
        });
        assert_eq!(target, Some(held));
    }
}

#[test]
fn a_beacon_is_asked_for_its_target() {
    let slot = hex!("a3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50");
    let ask = Asm::new().push(32).push(0).push(0).push(0);
    let ask = ask.push_bytes(&slot).op(op::SLOAD).op(op::GAS).op(op::STATICCALL).op(op::POP);
    let code = pass_on(ask.push(0).op(op::MLOAD));
    let contract = Contract::analyze(&code.build());
    assert_eq!(contract.proxy, Some(Proxy::Beacon { slot: U256::from_be_bytes(slot) }));
    assert_eq!(contract.proxy.unwrap().target(), None);
}

#[test]
fn a_diamond_finds_its_facet_by_the_selector() {
    // The facets are a mapping in slot 5, by the first four bytes.
    let key = Asm::new().push(0).op(op::CALLDATALOAD).push(U256::MAX << 224).op(op::AND);
    let hash = key.push(0).op(op::MSTORE).push(5).push(32).op(op::MSTORE);
    let load = hash.push(64).push(0).op(op::KECCAK256).op(op::SLOAD);
    let contract = Contract::analyze(&pass_on(load).build());
    assert!(matches!(contract.proxy, Some(Proxy::Diamond { .. })), "{:?}", contract.proxy);
}

#[test]
fn what_passes_nothing_on_is_no_proxy() {
    let contract = Contract::analyze(&Asm::new().delegate_call(TARGET).build());
    assert_eq!(contract.proxy, None);
    assert!(contract.function_of(&[]).delegates());
}

/// Vyper's dispatcher: the selector by a shift, compared without a jump for each.
fn vyper() -> Vec<u8> {
    let selector = Asm::new().push(0).op(op::CALLDATALOAD).push(224).op(0x1c);
    let compare = |code: Asm, selector: u64, slot: u64| {
        code.op(op::DUP1).push(selector).op(op::XOR).op(op::ISZERO).if_top(|code| {
            // Vyper hashes the slot before the key.
            let hash = code.push(slot).push(0).op(op::MSTORE).op(op::CALLER).push(32);
            let hash = hash.op(op::MSTORE).push(64).push(0).op(op::KECCAK256);
            hash.op(op::SLOAD).return_top()
        })
    };
    let code = compare(compare(selector, 0x1111_1122, 3), 0x3333_4455, 4);
    code.revert().build().to_vec()
}

#[test]
fn a_vyper_dispatcher_is_followed() {
    let contract = Contract::analyze(&vyper());
    for (selector, slot) in [([0x11, 0x11, 0x11, 0x22], 3), ([0x33, 0x33, 0x44, 0x55], 4)] {
        let function = contract.function_of(&selector);
        assert_eq!(function.entry, Entry::Selector(selector));
        let slots: Vec<_> = function.accesses.iter().map(|it| it.slot.to_string()).collect();
        assert_eq!(slots, [format!("keccak({slot} . caller)")]);
    }
    assert!(contract.function_of(&[9; 4]).accesses.is_empty(), "other calls are refused");
}

#[test]
fn a_selector_that_is_not_found_belongs_to_the_fallback() {
    // A dispatcher that nobody would think of: the selector times three.
    let code = Asm::new().push(0).op(op::CALLDATALOAD).push(224).op(0x1c).push(3).op(op::MUL);
    let code = code.push(0x3333_6699u64).op(op::EQ).if_top(|code| code.sstore(9, 1).op(op::STOP));
    let contract = Contract::analyze(&code.build());
    let slots: Vec<_> = contract
        .function_of(&[0x11, 0x11, 0x22, 0x33])
        .accesses
        .iter()
        .map(|access| access.slot.as_constant())
        .collect();
    assert_eq!(slots, [Some(U256::from(9))]);
}

#[test]
fn what_cannot_be_said_is_said_to_be_unknown() {
    // A slot that another contract names.
    let code = Asm::new().push(32).push(0).push(0).push(0).push(7).op(op::GAS).op(op::STATICCALL);
    let code = code.push(0).op(op::MLOAD).op(op::SLOAD);
    let contract = Contract::analyze(&code.build());
    let function = contract.function_of(&[]);
    assert!(function.has_unknown_reads() && !function.has_unknown_writes());
    assert_eq!(function.accesses[0].slot.expr(), &Expr::Unknown);
    assert_eq!(function.accesses[0].slot.fill(&inputs(&[]), &mut |_, _| Some(U256::ZERO)), None);

    // A jump to where the storage says.
    let code = Asm::new().sload(0).op(0x56);
    let contract = Contract::analyze(&code.build());
    assert_eq!(contract.function_of(&[]).incomplete, Some(Incomplete::Jump));
}

#[test]
fn a_value_read_after_a_call_is_not_the_value_before_it() {
    // storage[storage[0]] after a call that may have come back and written slot 0.
    let code = Asm::new().call(TARGET, 0).sload(0).op(op::SLOAD);
    let contract = Contract::analyze(&code.build());
    let slots: Vec<_> =
        contract.function_of(&[]).accesses.iter().map(|access| access.slot.to_string()).collect();
    assert_eq!(slots, ["0", "?"]);
}

#[test]
fn a_loop_ends_without_being_counted() {
    let contract = Contract::analyze(&Asm::new().arg(0).spin_top().sstore(1, 1).build());
    let function = contract.function_of(&[1; 36]);
    assert!(function.is_known());
    assert!(function.accesses.iter().any(|access| access.always && access.is_write()));
}

#[test]
fn templates_are_filled_in_as_the_machine_computes() {
    // keccak(arg1 . storage[arg0 + 1])
    let code = Asm::new().push(36).op(op::CALLDATALOAD).push(0).op(op::MSTORE).push(4);
    let code = code.op(op::CALLDATALOAD).push(1).op(op::ADD).op(op::SLOAD).push(32).op(op::MSTORE);
    let code = code.push(64).push(0).op(op::KECCAK256).op(op::SLOAD);
    let contract = Contract::analyze(&code.build());
    let calldata = [&[1, 2, 3, 4][..], &[7; 32], &[8; 32]].concat();
    let function = contract.function_of(&calldata);
    let read = &function.accesses[1].slot;
    let held = U256::from(99);
    let filled = read.fill(&inputs(&calldata), &mut |_, slot| {
        assert_eq!(slot, U256::from_be_bytes([7; 32]) + U256::from(1));
        Some(held)
    });
    let preimage = [[8; 32], held.to_be_bytes()].concat();
    assert_eq!(filled, Some(alloy_primitives::keccak256(preimage).into()));
    assert_eq!(read.fill(&inputs(&calldata), &mut |_, _| None), None);
    let constant = Template::constant(held);
    assert_eq!(constant.fill(&inputs(&[]), &mut |_, _| None), Some(held));
}
