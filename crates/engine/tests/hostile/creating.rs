//! Creating contracts, and calling them before and after.

use alloy_primitives::{Address, U256};
use warpline_testkit::{Asm, Case, Fork, Plan, Tx, create2_address, deployer, op};

use super::{
    ALICE, BOB, CAROL, CONTRACT, DAVE, NOBODY, OTHER, about, ask, case, increment, sender, word,
};

#[test]
fn called_before_and_after_its_deployment() {
    let address = ALICE.create(0);
    for fork in [Fork::Homestead, Fork::Byzantium, Fork::London, Fork::Prague] {
        let outcome = case(fork)
            .txs((0..10).map(|_| Tx::call(BOB, address)))
            .tx(Tx::create(ALICE, deployer(increment())))
            .txs((0..10).map(|_| Tx::call(CAROL, address)))
            .assert_all_equal();
        assert_eq!(outcome.created(10, 0), address);
        assert_eq!(outcome.slot(address, 0), U256::from(10));
    }
}

#[test]
fn funded_before_its_deployment() {
    let address = ALICE.create(0);
    let outcome = case(Fork::London)
        .tx(Tx::pay(BOB, address, 5))
        .tx(Tx::create(ALICE, deployer(increment())).value(U256::from(2)))
        .tx(Tx::call(CAROL, address).value(U256::from(1)))
        .assert_all_equal();
    assert_eq!(outcome.balance(address), U256::from(8));
    assert_eq!(outcome.slot(address, 0), U256::ONE);
}

#[test]
fn many_contracts_of_the_same_code() {
    let outcome = Case::new(Fork::Shanghai)
        .fund_all((0..30).map(sender))
        .txs((0..30).map(|index| Tx::create(sender(index), deployer(increment()))))
        .txs((0..30).map(|index| Tx::call(sender(29 - index), sender(index).create(0))))
        .assert_all_equal();
    assert!((0..30).all(|index| outcome.slot(sender(index).create(0), 0) == U256::ONE));
    assert_eq!(outcome.output().state.codes().len(), 1);
}

#[test]
fn a_contract_whose_code_another_one_had_before() {
    let outcome = case(Fork::Shanghai)
        .contract(OTHER, increment())
        .tx(Tx::create(ALICE, deployer(increment())))
        .txs([Tx::call(BOB, ALICE.create(0)), Tx::call(CAROL, OTHER)])
        .assert_all_equal();
    assert_eq!(outcome.slot(ALICE.create(0), 0), U256::ONE);
}

#[test]
fn code_hash_of_what_is_absent_funded_deployed() {
    let address = ALICE.create(0);
    let look = |slot| Tx::call(DAVE, CONTRACT).data(about(address, &[slot]));
    let empty = U256::from_be_bytes(alloy_primitives::KECCAK256_EMPTY.0);
    for fork in [Fork::Petersburg, Fork::Istanbul, Fork::London, Fork::Osaka] {
        let outcome = case(fork)
            .contract(CONTRACT, ask(op::EXTCODEHASH))
            .txs([look(0), Tx::pay(BOB, address, 1), look(1)])
            .txs([Tx::create(ALICE, deployer(increment())), look(2)])
            .assert_all_equal();
        assert_eq!(outcome.slot(CONTRACT, 0), U256::ZERO);
        assert_eq!(outcome.slot(CONTRACT, 1), empty);
        let code = alloy_primitives::keccak256(increment().build());
        assert_eq!(outcome.slot(CONTRACT, 2), U256::from_be_bytes(code.0));
    }
}

#[test]
fn code_and_its_hash_belong_together() {
    // Stores keccak(code of X) minus EXTCODEHASH(X), which is zero, and plus one in slot 1.
    let compare = Asm::new()
        .push_address(ALICE.create(0))
        .op(op::EXTCODEHASH)
        .push(500)
        .spin_top()
        .push_address(ALICE.create(0))
        .op(op::EXTCODESIZE)
        .op(op::DUP1)
        .push(0)
        .push(0)
        .push_address(ALICE.create(0))
        .op(op::EXTCODECOPY)
        .push(0)
        .op(op::KECCAK256)
        .op(op::SUB)
        .arg(0)
        .op(op::SSTORE)
        .push(1)
        .add_to_slot(1);
    let outcome = Case::new(Fork::London)
        .fund(ALICE)
        .fund_all((0..40).map(sender))
        .contract(CONTRACT, compare)
        .txs((0..20).map(|index| Tx::call(sender(index), CONTRACT).args(&[100 + index as u64])))
        .tx(Tx::create(ALICE, deployer(increment())))
        .txs((20..40).map(|index| Tx::call(sender(index), CONTRACT).args(&[100 + index as u64])))
        .assert_all_equal();
    assert!((120..140).all(|slot| outcome.slot(CONTRACT, slot) == U256::ZERO));
    assert_eq!(outcome.slot(CONTRACT, 1), U256::from(40));
}

#[test]
fn creating_where_there_is_code_or_a_nonce_fails() {
    let init = deployer(increment());
    let maker = Asm::new().create2(&init, 0, 0).store_top(1).sstore(2, 1);
    let child = create2_address(CONTRACT, 0, &init);
    let with_maker = || case(Fork::London).contract(CONTRACT, maker.clone());
    for block in [with_maker().contract(child, increment()), with_maker().account_nonce(child, 1)] {
        let outcome = block
            .txs([Tx::call(ALICE, CONTRACT).gas(3_000_000), Tx::call(BOB, child)])
            .assert_all_equal();
        assert_eq!(outcome.slot(CONTRACT, 1), U256::ZERO);
        assert_eq!(outcome.slot(CONTRACT, 2), U256::ONE);
    }
}

#[test]
fn creating_where_an_earlier_transaction_created_fails() {
    let init = deployer(increment());
    let maker = Asm::new().create2(&init, 0, 0).ops(&[op::ISZERO, op::ISZERO]).add_to_slot(1);
    let outcome = case(Fork::London)
        .contract(CONTRACT, maker)
        .txs([ALICE, BOB, CAROL, DAVE].map(|from| Tx::call(from, CONTRACT)))
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 1), U256::ONE);
    assert_eq!(outcome.nonce(CONTRACT), 5, "each attempt counts");
}

#[test]
fn creating_where_there_is_storage_only_fails() {
    let init = deployer(Asm::new().sload(0).store_top(1));
    let maker = Asm::new().create2(&init, 0, 0).store_top(1);
    let child = create2_address(CONTRACT, 0, &init);
    let outcome = case(Fork::Cancun)
        .contract(CONTRACT, maker)
        .balance(child, U256::ONE)
        .slot(child, 0, 5)
        .txs([Tx::call(ALICE, CONTRACT), Tx::call(BOB, child)])
        // Plain revm creates the contract all the same.
        .plan(Plan { oracle: false, ..Plan::default() })
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 1), U256::ZERO, "EIP-7610");
}

#[test]
fn creating_where_storage_was_deleted_with_the_empty_account_that_had_it_succeeds() {
    let init = deployer(Asm::new().sload(0).push(100).op(op::ADD).store_top(1));
    let maker = Asm::new().create2(&init, 0, 0).ops(&[op::ISZERO, op::ISZERO]).add_to_slot(1);
    let child = create2_address(CONTRACT, 0, &init);
    for fork in [Fork::Petersburg, Fork::London, Fork::Cancun, Fork::Prague] {
        let outcome = case(fork)
            .contract(CONTRACT, maker.clone())
            .empty_account(child)
            .slot(child, 0, 5)
            .tx(Tx::pay(ALICE, child, 0))
            .tx(Tx::call(BOB, CONTRACT))
            .tx(Tx::call(CAROL, child))
            .assert_all_equal();
        assert_eq!(outcome.slot(CONTRACT, 1), U256::ONE, "{fork:?}");
        assert_eq!(outcome.slot(child, 1), U256::from(100), "{fork:?}");
    }
}

#[test]
fn a_creation_that_fails_leaves_the_nonce_and_takes_the_gas() {
    let outcome = case(Fork::London)
        .tx(Tx::create(ALICE, Asm::new().op(op::INVALID)).gas(100_000))
        .tx(Tx::create(ALICE, Asm::new().sstore(0, 1).revert()).gas(100_000))
        .tx(Tx::create(ALICE, deployer(increment())))
        .tx(Tx::call(BOB, ALICE.create(2)))
        .assert_all_equal();
    assert_eq!(outcome.successes(), [false, false, true, true]);
    assert_eq!(outcome.gas()[0], 100_000);
    assert_eq!(outcome.account(ALICE.create(0)), None);
}

#[test]
fn a_contract_without_code() {
    for fork in [Fork::Frontier, Fork::Homestead, Fork::SpuriousDragon, Fork::London] {
        case(fork)
            .tx(Tx::create(ALICE, Asm::new().op(op::STOP)))
            .tx(Tx::call(BOB, ALICE.create(0)).value(U256::from(1)))
            .tx(Tx::create(CAROL, Asm::new().sstore(3, 4)))
            .tx(Tx::call(BOB, CAROL.create(0)))
            .assert_all_equal();
    }
}

#[test]
fn contracts_that_create_contracts() {
    // Each call creates one more child, whose address depends on the count so far.
    let maker = Asm::new().create(&deployer(increment()), 0).op(op::DUP1).arg(0).op(op::SSTORE);
    let maker = maker.op(op::EXTCODESIZE).add_to_slot(1_000);
    let outcome = Case::new(Fork::London)
        .fund_all((0..25).map(sender))
        .contract(CONTRACT, maker)
        .txs((0..25).map(|index| Tx::call(sender(index), CONTRACT).args(&[index as u64])))
        .txs((0..25).map(|index| Tx::call(sender(index), CONTRACT.create(index as u64 + 1))))
        .assert_all_equal();
    let child = |index: u64| U256::from_be_bytes(word(CONTRACT.create(index + 1)));
    assert!((0..25).all(|index| outcome.slot(CONTRACT, index) == child(index)));
    assert!((1..26).all(|nonce| outcome.slot(CONTRACT.create(nonce), 0) == U256::ONE));
}

#[test]
fn gas_of_a_new_account_depends_on_earlier_funding() {
    let pay = Asm::new().call(NOBODY, 1).op(op::POP);
    let outcome = case(Fork::London)
        .contract(CONTRACT, pay)
        .fund(CONTRACT)
        .txs([ALICE, BOB].map(|from| Tx::call(from, CONTRACT)))
        .tx(Tx::pay(CAROL, DAVE, 1))
        .assert_all_equal();
    assert_eq!(outcome.gas()[0] - outcome.gas()[1], 25_000);
}

#[test]
fn a_funded_precompile_has_a_code_hash() {
    let sha = Address::with_last_byte(2);
    let look = |slot| Tx::call(DAVE, CONTRACT).data(about(sha, &[slot]));
    let outcome = case(Fork::London)
        .contract(CONTRACT, ask(op::EXTCODEHASH))
        .txs([look(0), Tx::call(ALICE, sha).value(U256::ONE), look(1)])
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 0), U256::ZERO);
    assert_ne!(outcome.slot(CONTRACT, 1), U256::ZERO);
}
