//! Balances that many transactions add to: what they add commutes, unless somebody looks.

use alloy_primitives::{Address, U256};
use warpline_engine::Strategy;
use warpline_testkit::{
    Asm, BASE_FEE, BENEFICIARY, Case, Engines, Fork, GAS_PRICE, Key, Tx, ether, op,
};

use super::{BEFORE_CANCUN, BOB, CAROL, CONTRACT, DAVE, NOBODY, OTHER, about, ask, case, sender};

/// Enough for an account that everybody pays to be known as such, and for workers to differ.
const MANY: usize = 60;

/// Ethers for many senders.
fn crowd(fork: Fork) -> Case {
    case(fork).fund_all((0..MANY).map(sender))
}

/// Everybody pays `to`.
fn payments(to: Address) -> impl Iterator<Item = Tx> {
    (0..MANY).map(move |index| Tx::pay(sender(index), to, 1 + index as u64))
}

/// The sum of all payments.
const PAID: u64 = (MANY * (MANY + 1) / 2) as u64;

/// Puts something between the payments, every so often.
fn interleaved(
    payments: impl Iterator<Item = Tx>,
    each: usize,
    other: impl Fn(usize) -> Tx,
) -> Vec<Tx> {
    let of = |(index, payment): (usize, Tx)| {
        let other = (index % each == each - 1).then(|| other(index / each));
        std::iter::once(payment).chain(other)
    };
    payments.enumerate().flat_map(of).collect()
}

/// Passes what it is given on to the beneficiary, as searchers pay for their place in a block.
fn tip() -> Asm {
    let zeros = Asm::new().push(0).push(0).push(0).push(0);
    zeros.op(op::CALLVALUE).op(op::COINBASE).op(op::GAS).op(op::CALL).op(op::POP)
}

#[test]
fn one_account_is_paid_by_many() {
    for fork in [Fork::Frontier, Fork::SpuriousDragon, Fork::London, Fork::Osaka] {
        let outcome = crowd(fork).balance(CONTRACT, U256::ONE).txs(payments(CONTRACT));
        assert_eq!(outcome.assert_all_equal().balance(CONTRACT), U256::from(PAID + 1));
    }
}

#[test]
fn one_account_that_does_not_exist_is_paid_by_many() {
    for fork in [Fork::Homestead, Fork::London] {
        let outcome = crowd(fork).txs(payments(NOBODY)).assert_all_equal();
        assert_eq!(outcome.balance(NOBODY), U256::from(PAID));
    }
}

#[test]
fn one_account_is_paid_by_many_and_spends() {
    let txs = interleaved(payments(DAVE), 7, |_| Tx::pay(DAVE, NOBODY, 3));
    let outcome = crowd(Fork::London).txs(txs).assert_all_equal();
    assert_eq!(outcome.nonce(DAVE), (MANY / 7) as u64);
}

/// It has nothing but what it is given in this block.
#[test]
fn one_account_is_paid_by_many_and_spends_what_it_was_paid() {
    let fee = 21_000 * u64::try_from(GAS_PRICE).unwrap();
    let rich = (0..MANY).map(|index| Tx::pay(sender(index), NOBODY, fee));
    let txs = interleaved(rich, 5, |_| Tx::pay(NOBODY, BOB, 2 * fee));
    let outcome = crowd(Fork::Berlin).txs(txs).assert_all_equal();
    assert_eq!(outcome.nonce(NOBODY), (MANY / 5) as u64);
}

#[test]
fn one_account_is_paid_by_many_and_others_look_at_it() {
    let look = |index: usize| Tx::call(CAROL, CONTRACT).data(about(DAVE, &[index as u64]));
    let txs = interleaved(payments(DAVE), 9, look);
    let outcome = crowd(Fork::London).contract(CONTRACT, ask(op::BALANCE)).txs(txs);
    let outcome = outcome.assert_all_equal();
    let paid = |count: u64| ether(1_000) + U256::from(count * (count + 1) / 2);
    assert_eq!(outcome.slot(CONTRACT, 0), paid(9));
    assert_eq!(outcome.slot(CONTRACT, 5), paid(54));
}

#[test]
fn a_contract_that_is_paid_by_many_pays_out_while_it_can() {
    // Pays a hundred to Bob, and notes whether that worked.
    let pay_out = Asm::new().op(op::CALLVALUE).op(op::ISZERO).if_top(|asm| {
        asm.call(BOB, 100)
            .store_top(0)
            .sload(0)
            .op(op::ISZERO)
            .if_top(|asm| asm.push(1).add_to_slot(1))
    });
    let txs = interleaved(
        (0..MANY).map(|index| Tx::call(sender(index), CONTRACT).value(U256::from(index % 13))),
        2,
        |_| Tx::call(CAROL, CONTRACT),
    );
    let outcome = crowd(Fork::Cancun).contract(CONTRACT, pay_out).txs(txs).assert_all_equal();
    assert!(outcome.slot(CONTRACT, 1) > U256::ZERO, "some were in vain");
    assert!(outcome.balance(BOB) > ether(1_000), "some were not");
}

#[test]
fn the_beneficiary_is_paid_by_many_through_a_contract() {
    let tips = (0..MANY).map(|index| Tx::call(sender(index), CONTRACT).value(U256::from(index)));
    for fork in [Fork::London, Fork::Shanghai, Fork::Osaka] {
        let tips = interleaved(tips.clone(), 6, |index| match index % 3 {
            0 => Tx::pay(BENEFICIARY, NOBODY, 1),
            1 => Tx::call(BOB, OTHER).data(about(BENEFICIARY, &[0])),
            _ => Tx::pay(BOB, NOBODY, 1),
        });
        crowd(fork)
            .fund(BENEFICIARY)
            .contract(CONTRACT, tip().op(op::STOP))
            .contract(OTHER, ask(op::BALANCE))
            .txs(tips)
            .assert_all_equal();
    }
}

#[test]
fn a_beneficiary_that_did_not_exist_is_paid_by_many_through_a_contract() {
    let tips =
        (0..MANY).map(|index| Tx::call(sender(index), CONTRACT).value(U256::from(index % 2)));
    for fork in [Fork::SpuriousDragon, Fork::London] {
        crowd(fork).contract(CONTRACT, tip()).txs(tips.clone()).assert_all_equal();
    }
}

/// Some of the fees are nothing, some of the transactions that look pay one.
#[test]
fn a_beneficiary_that_did_not_exist_is_called_by_some() {
    let txs = (0..MANY).map(|index| {
        let tip = if index % 3 == 2 { 0 } else { 2 };
        let to = if index % 2 == 0 { CONTRACT } else { OTHER };
        Tx::call(sender(index), to).price(u128::from(BASE_FEE) + tip)
    });
    let call = Asm::new().call(BENEFICIARY, 0);
    let txs: Vec<_> = txs.collect();
    for count in [2, 3, 5, 8, MANY] {
        let txs = txs.iter().take(count).cloned();
        crowd(Fork::London).contract(CONTRACT, call.clone()).txs(txs).assert_all_equal();
    }
}

#[test]
fn a_contract_that_is_paid_by_many_destroys_itself_among_them() {
    // Destroys itself in favour of Bob when it is paid nothing.
    let code = Asm::new().op(op::CALLVALUE).op(op::ISZERO).if_top(|asm| asm.self_destruct(BOB));
    for fork in [Fork::Istanbul, Fork::London, Fork::Cancun] {
        let txs = interleaved(
            (0..MANY).map(|index| Tx::call(sender(index), CONTRACT).value(U256::from(7))),
            20,
            |_| Tx::call(CAROL, CONTRACT),
        );
        let outcome = crowd(fork).contract(CONTRACT, code.clone()).txs(txs).assert_all_equal();
        // Until Cancun its code is gone when it is called again.
        let times = if BEFORE_CANCUN.contains(&fork) { 1 } else { 3 };
        assert_eq!(outcome.balance(BOB), ether(1_000) + U256::from(7 * 20 * times), "{fork:?}");
    }
}

#[test]
fn an_account_that_is_paid_by_many_is_given_code_among_them() {
    let key = Key::new(1);
    let account = key.address;
    let delegate = |index: usize| {
        let target = if index.is_multiple_of(2) { CONTRACT } else { Address::ZERO };
        Tx::call(CAROL, NOBODY).authorize(key.authorize(target, index as u64))
    };
    let txs = interleaved(
        (0..MANY).map(|index| Tx::call(sender(index), account).value(U256::ONE)),
        8,
        delegate,
    );
    let outcome = crowd(Fork::Prague)
        .balance(account, U256::from(5))
        .contract(CONTRACT, Asm::new().push(1).add_to_slot(0))
        .txs(txs)
        .assert_all_equal();
    assert_eq!(outcome.balance(account), U256::from(5 + MANY));
    assert!(outcome.slot(account, 0) > U256::ZERO);
}

/// Whatever the workers do, nobody who only pays is executed twice.
#[test]
fn payments_to_one_account_are_executed_once() {
    let executions = |case: Case| {
        let engines = Engines::take(case.chain());
        let (block, state) = (case.block(), case.state().clone());
        let output = engines.eight().execute_with(&block, &state, Strategy::Parallel(8));
        engines.put_back();
        let work = output.expect("the block is valid").work;
        assert_eq!(work.executions, block.transactions.len() as u64, "{work:?}");
    };
    for _ in 0..20 {
        executions(crowd(Fork::Osaka).balance(CONTRACT, U256::ONE).txs(payments(CONTRACT)));
        let tips =
            (0..MANY).map(|index| Tx::call(sender(index), CONTRACT).value(U256::from(index)));
        executions(crowd(Fork::Osaka).fund(BENEFICIARY).contract(CONTRACT, tip()).txs(tips));
    }
}
