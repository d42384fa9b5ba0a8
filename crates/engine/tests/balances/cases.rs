//! Transactions written down by hand, with what must be found of each balance.

use alloy_primitives::{Address, U256};
use warpline_engine::{BalanceUse, BalanceUse::Exact, BalanceUses};
use warpline_fuzz::Rules;
use warpline_testkit::{
    Asm, Case, Fork, GAS_PRICE, Key, Tx, account, create2_address, deployer, op,
};

use crate::oracle::{Oracle, Outcome};

const ALICE: Address = account(0xa1);
/// Has five wei, and neither nonce nor code.
const BARE: Address = account(0xb0);
/// Not there.
const NOBODY: Address = account(0x99);
/// What is called. It has fifty wei.
const CONTRACT: Address = account(0xcc);
/// Another contract, with five wei.
const OTHER: Address = account(0xdd);

const fn at_least(amount: u64) -> BalanceUse {
    BalanceUse::AtLeast(U256::from_limbs([amount, 0, 0, 0]))
}

/// What a sender needs for a call, and so much more.
fn spending(more: u128) -> BalanceUse {
    BalanceUse::AtLeast(U256::from(500_000 * GAS_PRICE + more))
}

fn with(case: Case, code: Asm, other: Asm) -> Case {
    case.fund(ALICE)
        .balance(BARE, U256::from(5))
        .contract(CONTRACT, code)
        .balance(CONTRACT, U256::from(50))
        .contract(OTHER, other)
        .balance(OTHER, U256::from(5))
}

fn on(fork: Fork, code: Asm) -> Case {
    with(Case::new(fork), code, Asm::new())
}

/// Amsterdam with all that revm has of it.
fn all_of_amsterdam() -> Case {
    let rules: Rules = "AllOfAmsterdam".parse().expect("a known name");
    Case::on(rules.chain())
}

fn on_all_of_amsterdam(code: Asm) -> Case {
    with(all_of_amsterdam(), code, Asm::new())
}

/// Executes the case, every transaction on other balances as well, and returns what came of the last.
fn last(case: &Case) -> Outcome {
    let mut oracle = Oracle::new(case.chain().clone(), case.block(), case.state().clone());
    let between = |least: U256, highest: U256| least + (highest - least) / U256::from(3);
    let outcomes = (0..oracle.transactions()).map(|tx| oracle.check(tx, between));
    outcomes.last().flatten().expect("a transaction that is valid")
}

/// What came of a call of the contract that brings it twenty wei.
fn called(case: Case) -> Outcome {
    last(&case.tx(Tx::call(ALICE, CONTRACT).value(U256::from(20))))
}

#[test]
fn a_payment_asks_only_what_the_sender_has() {
    let outcome = last(&on(Fork::Cancun, Asm::new()).tx(Tx::pay(ALICE, BARE, 7)));
    assert_eq!(outcome.of(BARE), at_least(1));
    assert_eq!(outcome.of(ALICE), BalanceUse::AtLeast(U256::from(21_000 * GAS_PRICE + 7)));
}

#[test]
fn a_contract_that_counts_payments_does_not_see_its_balance() {
    let outcome = called(on(Fork::Cancun, Asm::new().sload(0).push(1).op(op::ADD).store_top(0)));
    assert_eq!(outcome.of(CONTRACT), at_least(0));
}

#[test]
fn instructions_see_balances() {
    let outcome = called(on(Fork::Cancun, Asm::new().op(op::SELFBALANCE).store_top(0)));
    assert_eq!(outcome.of(CONTRACT), Exact);
    let outcome = called(on(Fork::Frontier, Asm::new().balance(BARE).balance(NOBODY)));
    assert_eq!(outcome.of(BARE), Exact);
    assert_eq!(outcome.of(NOBODY), Exact);
    assert_eq!(outcome.of(CONTRACT), at_least(0));
}

#[test]
fn who_pays_needs_what_never_leaves_it_short() {
    let code = Asm::new().call(OTHER, 30);
    assert_eq!(called(on(Fork::Cancun, code.clone())).of(CONTRACT), at_least(10));
    let outcome = called(on(Fork::Cancun, code.call(OTHER, 25)));
    assert_eq!(outcome.of(CONTRACT), at_least(35));
    assert_eq!(outcome.of(OTHER), at_least(0));
    // What comes back in between counts.
    let back = Asm::new().call(CONTRACT, 4);
    let code = Asm::new().op(op::CALLDATASIZE).call(OTHER, 0).call(OTHER, 23);
    let reentered = Asm::new().op(op::CALLER).push_address(OTHER).op(op::EQ);
    let code = reentered.if_top(|asm| asm.op(op::STOP)).then(&code);
    let outcome = called(with(Case::new(Fork::Cancun), code, back));
    assert_eq!(outcome.of(OTHER), at_least(4));
    assert_eq!(outcome.of(CONTRACT), at_least(0));
}

#[test]
fn who_cannot_pay_was_looked_at() {
    let outcome = called(on(Fork::Cancun, Asm::new().call(OTHER, 71)));
    assert_eq!(outcome.of(CONTRACT), Exact);
    assert_eq!(outcome.of(OTHER), at_least(0));
    let outcome = called(on(Fork::Cancun, Asm::new().create(&[], 71)));
    assert_eq!(outcome.of(CONTRACT), Exact);
    let outcome = called(on_all_of_amsterdam(Asm::new().create(&[], 71)));
    assert_eq!(outcome.of(CONTRACT), Exact);
    // To itself, by `CALLCODE`.
    let arguments = [op::CALLDATASIZE; 4];
    let borrow = |value: u64| {
        let asm = Asm::new().ops(&arguments).push(value).push_address(OTHER);
        asm.push(50_000).op(op::CALLCODE)
    };
    assert_eq!(called(on(Fork::Cancun, borrow(70))).of(CONTRACT), at_least(50));
    assert_eq!(called(on(Fork::Cancun, borrow(71))).of(CONTRACT), Exact);
}

#[test]
fn a_call_with_value_asks_whether_there_is_anybody() {
    let code = Asm::new().call(BARE, 1).call(NOBODY, 1);
    let outcome = called(on(Fork::Cancun, code.clone()));
    assert_eq!(outcome.of(BARE), at_least(1));
    assert_eq!(outcome.of(NOBODY), Exact);
    // Before EIP-161 it was whether there is an account.
    assert_eq!(called(on(Fork::Tangerine, code)).of(BARE), at_least(0));
    let empty = account(0xee);
    let outcome = called(on(Fork::Cancun, Asm::new().call(empty, 1)).empty_account(empty));
    assert_eq!(outcome.of(empty), Exact);
    // A precompile, which nobody pays.
    let identity = Address::with_last_byte(4);
    let case = on(Fork::Cancun, Asm::new().call(identity, 1));
    assert_eq!(called(case.clone()).of(identity), Exact);
    assert_eq!(called(case.balance(identity, U256::from(1))).of(identity), at_least(1));
}

#[test]
fn a_call_whose_gas_runs_out_has_asked_nevertheless() {
    let asks = |address| {
        // Enough for the value, not for a new account.
        let code = Asm::new().call_with(OTHER, 0, 0, 30_000).store_top(0);
        let case = with(Case::new(Fork::Cancun), code, Asm::new().call(address, 1));
        called(case.empty_account(account(0xee))).of(address)
    };
    assert_eq!(asks(BARE), at_least(1));
    assert_eq!(asks(account(0xee)), Exact);
}

#[test]
fn a_code_hash_tells_whether_there_is_anybody() {
    let asked = |address| Asm::new().push_address(address).op(op::EXTCODEHASH).store_top(0);
    let case = on(Fork::Petersburg, asked(BARE).then(&asked(OTHER)).then(&asked(NOBODY)));
    let outcome = called(case);
    assert_eq!(outcome.of(BARE), at_least(1));
    assert_eq!(outcome.of(OTHER), at_least(0));
    assert_eq!(outcome.of(NOBODY), Exact);
    let case = on(Fork::Cancun, asked(BARE)).tx(Tx::call(ALICE, CONTRACT)).empty_account(NOBODY);
    assert_eq!(last(&case).of(BARE), at_least(1));
    let asks = |case: Case| called(case.empty_account(account(0xee))).of(account(0xee));
    assert_eq!(asks(on(Fork::Cancun, asked(account(0xee)))), Exact);
}

#[test]
fn who_dies_is_looked_at_and_the_heir_is_not() {
    for fork in [Fork::Frontier, Fork::Byzantium, Fork::Cancun, Fork::Amsterdam] {
        let dies = |heir| called(on(fork, Asm::new().self_destruct(heir)));
        let asked = u64::from(fork != Fork::Frontier);
        let outcome = dies(BARE);
        assert_eq!(outcome.of(CONTRACT), Exact, "{fork:?}");
        assert_eq!(outcome.of(BARE), at_least(asked), "{fork:?}");
        assert_eq!(dies(OTHER).of(OTHER), at_least(0), "{fork:?}");
        assert_eq!(dies(CONTRACT).of(CONTRACT), Exact, "{fork:?}");
        assert_eq!(dies(NOBODY).of(NOBODY), Exact, "{fork:?}");
    }
    // Nothing moves, so nobody need be there for it; but who is touched must not be empty.
    let broke = on(Fork::Cancun, Asm::new().self_destruct(BARE)).balance(CONTRACT, U256::ZERO);
    let outcome = last(&broke.tx(Tx::call(ALICE, CONTRACT)));
    assert_eq!(outcome.of(BARE), at_least(1));
    let outcome = called(on_all_of_amsterdam(Asm::new().self_destruct(BARE)));
    assert_eq!((outcome.of(CONTRACT), outcome.of(BARE)), (Exact, at_least(1)));
}

#[test]
fn a_contract_may_be_created_over_any_balance() {
    let init = deployer(Asm::new().op(op::SELFBALANCE));
    let place = create2_address(CONTRACT, 1, &init);
    let code = || Asm::new().create2(&init, 3, 1).store_top(0);
    let outcome = called(on(Fork::Cancun, code()).balance(place, U256::from(5)));
    assert_eq!(outcome.of(place), at_least(1));
    assert_eq!(outcome.of(CONTRACT), at_least(0));
    // Whether the address must be paid for.
    let case = on_all_of_amsterdam(code());
    assert_eq!(called(case.clone().balance(place, U256::from(5))).of(place), at_least(1));
    assert_eq!(called(case.empty_account(place)).of(place), Exact);
    // By a transaction.
    let place = ALICE.create(0);
    let tx = Tx::create(ALICE, init.clone()).value(U256::from(3));
    let case = on(Fork::Cancun, Asm::new()).balance(place, U256::from(5));
    assert_eq!(last(&case.tx(tx.clone())).of(place), at_least(1));
    let case = on_all_of_amsterdam(Asm::new()).balance(place, U256::from(5));
    assert_eq!(last(&case.tx(tx)).of(place), at_least(1));
}

#[test]
fn a_creation_whose_gas_runs_out_has_asked_nevertheless() {
    let init = [op::STOP];
    for (created, place) in [
        (Asm::new().create2(&init, 0, 1), create2_address(OTHER, 1, &init)),
        (Asm::new().create(&init, 0), OTHER.create(1)),
    ] {
        let creates = |gas: u64| {
            let code = Asm::new().call_with(OTHER, 0, 0, gas).store_top(0);
            let case = with(all_of_amsterdam(), code, created.clone());
            last(&case.empty_account(place).tx(Tx::call(ALICE, CONTRACT).gas(2_000_000)))
        };
        // From too little to look at the address to more than enough.
        let mut asked = 0;
        for gas in (0..40).map(|step| step * 5_000) {
            let outcome = creates(gas);
            if outcome.state.contains_key(&place) {
                assert_eq!(outcome.of(place), Exact, "{gas} gas");
                asked += 1;
            }
        }
        assert!(asked > 5, "the address was looked at {asked} times");
    }
}

#[test]
fn recipients_are_asked_for_by_the_transaction_in_amsterdam() {
    let outcome = last(&on_all_of_amsterdam(Asm::new()).tx(Tx::pay(ALICE, BARE, 7)));
    assert_eq!(outcome.of(BARE), at_least(1));
    let case = on_all_of_amsterdam(Asm::new()).empty_account(NOBODY);
    assert_eq!(last(&case.tx(Tx::call(ALICE, NOBODY).value(U256::from(7)))).of(NOBODY), Exact);
    assert_eq!(called(on_all_of_amsterdam(Asm::new())).of(CONTRACT), at_least(0));
}

#[test]
fn people_who_delegated_are_paid_like_anybody() {
    let case = on(Fork::Prague, Asm::new()).delegated(BARE, CONTRACT);
    assert_eq!(last(&case.tx(Tx::pay(ALICE, BARE, 7).gas(50_000))).of(BARE), at_least(0));
    let (new, old) = (Key::new(1), Key::new(2));
    let tx = Tx::call(ALICE, CONTRACT)
        .fees(GAS_PRICE, 1)
        .authorize(new.authorize(OTHER, 0))
        .authorize(old.authorize(OTHER, 0));
    for case in [on(Fork::Prague, Asm::new()), on_all_of_amsterdam(Asm::new())] {
        let outcome = last(&case.balance(old.address, U256::from(5)).tx(tx.clone()));
        assert_eq!(outcome.of(old.address), at_least(1));
        assert_eq!(outcome.of(new.address), Exact);
    }
}

#[test]
fn a_sender_that_runs_code_may_need_more() {
    // It pays from its own account, called back by the contract.
    let pays = Asm::new().call(OTHER, 100);
    let spends = Asm::new().op(op::SELFBALANCE);
    let outcome = |code| {
        let case = on(Fork::Prague, Asm::new().call(ALICE, 0)).contract(NOBODY, code);
        let case = case.delegated(ALICE, NOBODY).account_nonce(ALICE, 0);
        last(&case.tx(Tx::call(ALICE, CONTRACT)))
    };
    assert_eq!(outcome(pays).of(ALICE), spending(100));
    assert_eq!(outcome(Asm::new()).of(ALICE), spending(0));
    assert_eq!(outcome(spends).of(ALICE), Exact);
}

#[test]
fn what_a_reverted_frame_found_out_stays() {
    let inner = Asm::new().balance(BARE).call(NOBODY, 33).revert();
    let outcome = called(with(Case::new(Fork::Cancun), Asm::new().call(OTHER, 30), inner));
    assert_eq!(outcome.of(BARE), Exact);
    assert_eq!(outcome.of(CONTRACT), at_least(10));
    assert_eq!(outcome.of(OTHER), at_least(3));
    let heir = Asm::new().self_destruct(BARE);
    let dies = Asm::new().call(OTHER, 0).revert();
    let outcome = called(with(Case::new(Fork::Cancun), dies, heir));
    assert_eq!(outcome.of(OTHER), Exact);
    assert_eq!(outcome.of(BARE), at_least(1));
}

#[test]
fn who_is_touched_without_payment_must_not_be_empty() {
    let touch = || Asm::new().call(BARE, 0);
    assert_eq!(called(on(Fork::SpuriousDragon, touch())).of(BARE), at_least(1));
    assert_eq!(called(on(Fork::Tangerine, touch())).of(BARE), at_least(0));
    let empty = account(0xee);
    let touch = |fork| called(on(fork, Asm::new().call(empty, 0)).empty_account(empty));
    assert_eq!(touch(Fork::SpuriousDragon).of(empty), Exact);
    assert_eq!(touch(Fork::Tangerine).of(empty), at_least(0));
}

#[test]
fn a_beneficiary_that_is_called_is_paid_like_anybody() {
    let outcome = called(on(Fork::Cancun, Asm::new()).beneficiary(CONTRACT));
    assert_eq!(outcome.of(CONTRACT), at_least(0));
}

#[test]
fn amounts_that_may_not_fit_are_exact() {
    let large = U256::from(1) << 128;
    let rich = (large << 10) + U256::from(1_000_000 * GAS_PRICE);
    let pays = |value, has| {
        let case = on(Fork::Cancun, Asm::new()).balance(ALICE, has);
        last(&case.tx(Tx::call(ALICE, BARE).value(value)))
    };
    assert_eq!(pays(large - U256::from(1), rich).of(BARE), at_least(1));
    assert_eq!(pays(large, rich).of(BARE), Exact);
    assert_eq!(pays(U256::from(1), U256::MAX).of(ALICE), Exact);
    assert_eq!(pays(U256::from(1), U256::MAX >> 1).of(ALICE), spending(1));
    let creates = Asm::new().ops(&[op::CALLDATASIZE; 2]).push(large).op(op::CREATE);
    let place = CONTRACT.create(1);
    let case = on(Fork::Cancun, creates).balance(place, U256::from(5)).balance(CONTRACT, rich);
    assert_eq!(called(case).of(place), Exact);
    let moves = on(Fork::Cancun, Asm::new().self_destruct(OTHER)).balance(CONTRACT, large);
    assert_eq!(called(moves).of(OTHER), Exact);
}

#[test]
fn a_condition_holds_from_an_amount_on() {
    let [one, two, three] = [1, 2, 3].map(U256::from);
    assert!(Exact.holds(two, two) && !Exact.holds(two, three));
    assert!(at_least(2).holds(three, two) && !at_least(2).holds(three, one));
    assert!(at_least(0).holds(one, U256::MAX >> 1) && !at_least(0).holds(one, U256::MAX));
    assert!(at_least(0).holds(U256::MAX, U256::MAX));
}

#[test]
fn nothing_is_known_unless_it_is_said() {
    let outcome = last(&on(Fork::Cancun, Asm::new()).tx(Tx::pay(ALICE, BARE, 7)));
    assert_eq!(BalanceUses::default().of(&BARE, &outcome.state[&BARE]), Exact);
}
