//! Whole blocks of one shape: chains, stars, single transactions.

use alloy_primitives::U256;
use warpline_engine::{Engine, Strategy};
use warpline_testkit::{Asm, Case, Engines, Fork, Plan, Tx, op};

use super::{ALICE, BOB, CONTRACT, NOBODY, case, increment, sender};

#[test]
fn a_block_of_one_transaction() {
    let outcome = case(Fork::Prague).tx(Tx::pay(ALICE, BOB, 1)).assert_all_equal();
    assert_eq!(outcome.output().gas_used, 21_000);
    case(Fork::Prague).tx(Tx::pay(NOBODY, BOB, 1)).assert_invalid_at(0);
}

#[test]
fn a_block_of_one_huge_transaction() {
    let code = Asm::new().arg(0).spin_top().sstore(0, 1);
    let outcome = case(Fork::Prague)
        .contract(CONTRACT, code)
        .tx(Tx::call(ALICE, CONTRACT).args(&[300_000]).gas(29_000_000))
        .plan(Plan::quick())
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 0), U256::ONE);
}

#[test]
fn fewer_transactions_than_threads() {
    for count in 2..9 {
        let outcome = Case::new(Fork::London)
            .fund_all((0..count).map(sender))
            .contract(CONTRACT, increment())
            .txs((0..count).map(|index| Tx::call(sender(index), CONTRACT)))
            .assert_all_equal();
        assert_eq!(outcome.slot(CONTRACT, 0), U256::from(count));
    }
}

#[test]
fn a_thousand_blocks_of_one_transaction() {
    let block = case(Fork::Prague).contract(CONTRACT, increment()).tx(Tx::call(ALICE, CONTRACT));
    for _ in 0..100 {
        assert!(
            block
                .clone()
                .plan(Plan { prompt: 4, slow: 0, ..Plan::quick() })
                .assert_all_equal()
                .is_valid()
        );
    }
}

#[test]
fn each_needs_the_one_before() {
    let count = 2_000;
    let outcome = Case::new(Fork::London)
        .gas_limit(1_000_000_000)
        .fund_all((0..count).map(sender))
        .contract(CONTRACT, increment())
        .txs((0..count).map(|index| Tx::call(sender(index), CONTRACT)))
        .plan(Plan::quick())
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 0), U256::from(count));
}

/// Ten thousand transactions are too many for all ways of [`Case::assert_all_equal`]: these must do.
fn assert_equal_in_full_length(case: &Case) {
    let (block, state) = (case.block(), case.state());
    let engines = Engines::take(case.chain());
    let run = |engine: &Engine, strategy| {
        engine.execute_with(&block, state, strategy).expect("the block is valid")
    };
    let expected = run(engines.one(), Strategy::Sequential);
    let two = run(engines.two(), Strategy::Parallel(2));
    let eight = run(engines.eight(), Strategy::Parallel(8));
    engines.put_back();
    expected.compare(&two).expect("two workers give the same");
    expected.compare(&eight).expect("eight workers give the same");
}

#[test]
fn ten_thousand_that_each_need_the_one_before() {
    let count = 10_000;
    assert_equal_in_full_length(
        &Case::new(Fork::London)
            .gas_limit(1_000_000_000)
            .fund_all((0..count).map(sender))
            .contract(CONTRACT, increment())
            .txs((0..count).map(|index| Tx::call(sender(index), CONTRACT))),
    );
}

#[test]
fn one_writes_and_ten_thousand_read() {
    assert_equal_in_full_length(
        &Case::new(Fork::London)
            .gas_limit(2_000_000_000)
            .fund_all((0..=10_000).map(sender))
            .contract(CONTRACT, star())
            .tx(Tx::call(sender(0), CONTRACT).args(&[2_000]))
            .txs((1..=10_000).map(|index| Tx::call(sender(index), CONTRACT))),
    );
}

#[test]
fn one_sender_of_all() {
    let outcome = case(Fork::London)
        .gas_limit(100_000_000)
        .txs((0..2_000).map(|_| Tx::pay(ALICE, NOBODY, 1)))
        .plan(Plan::quick())
        .assert_all_equal();
    assert_eq!(outcome.nonce(ALICE), 2_000);
}

#[test]
fn each_pays_the_sender_of_the_next() {
    // Only the first has anything before the block.
    let count: usize = 200;
    let amount = |index: usize| 1_000_000 * (count - index) as u64;
    let outcome = Case::new(Fork::London)
        .fund(sender(0))
        .txs((0..count).map(|index| Tx::pay(sender(index), sender(index + 1), amount(index))))
        .assert_all_equal();
    assert!(outcome.is_valid());
}

#[test]
fn each_pays_the_sender_of_the_next_and_one_link_is_missing() {
    let amount = |index: usize| 1_000_000 * (200 - index) as u64;
    Case::new(Fork::London)
        .fund(sender(0))
        .txs(
            (0..200)
                .filter(|index| *index != 120)
                .map(|index| Tx::pay(sender(index), sender(index + 1), amount(index))),
        )
        .assert_invalid_at(120);
}

/// With an argument sets slot 0, else copies it to the caller's own slot.
fn star() -> Asm {
    Asm::new()
        .arg(0)
        .if_top(|asm| asm.arg(0).spin_top().arg(0).store_top(0).op(op::STOP))
        .sload(0)
        .ops(&[op::CALLER, op::SSTORE])
}

#[test]
fn one_writes_and_all_others_read() {
    let outcome = Case::new(Fork::London)
        .gas_limit(100_000_000)
        .fund_all((0..500).map(sender))
        .contract(CONTRACT, star())
        .tx(Tx::call(sender(0), CONTRACT).args(&[2_000]))
        .txs((1..500).map(|index| Tx::call(sender(index), CONTRACT)))
        .assert_all_equal();
    let slots = &outcome.output().state.account(&CONTRACT).unwrap().storage;
    assert_eq!(slots.len(), 500);
    assert!(slots.values().all(|value| *value == U256::from(2_000)));
}

#[test]
fn all_write_what_all_read() {
    let everybody = 12;
    // Adds up the slots of everybody and stores the sum, plus one, in its own.
    let mut code = Asm::new().push(1);
    for slot in 0..everybody {
        code = code.sload(slot).op(op::ADD);
    }
    let code = code.arg(0).op(op::SSTORE);
    let txs =
        (0..60).map(|index| Tx::call(sender(index), CONTRACT).args(&[index as u64 % everybody]));
    let outcome = Case::new(Fork::London)
        .fund_all((0..60).map(sender))
        .contract(CONTRACT, code)
        .txs(txs)
        .assert_all_equal();
    assert!(outcome.slot(CONTRACT, 11) > U256::from(1 << 11));
}

#[test]
fn two_hot_slots_in_turn() {
    // Moves one from the slot of the argument to the other.
    let code = Asm::new()
        .push(1)
        .arg(0)
        .op(op::SLOAD)
        .op(op::ADD)
        .arg(0)
        .op(op::SSTORE)
        .push(1)
        .arg(0)
        .push(1)
        .ops(&[op::SUB, op::SLOAD, op::SUB])
        .arg(0)
        .push(1)
        .ops(&[op::SUB, op::SSTORE]);
    Case::new(Fork::London)
        .fund_all((0..200).map(sender))
        .contract(CONTRACT, code)
        .slot(CONTRACT, 0, 1 << 60)
        .slot(CONTRACT, 1, 1 << 60)
        .txs((0..200).map(|index| Tx::call(sender(index), CONTRACT).args(&[index as u64 % 2])))
        .assert_all_equal();
}

#[test]
fn more_transactions_than_may_be_started_at_once() {
    // Payments that have nothing in common, and behind them some that all look at the beneficiary.
    let look = Asm::new().op(op::COINBASE).op(op::BALANCE).store_top(0);
    let outcome = Case::new(Fork::London)
        .gas_limit(1_000_000_000)
        .fund_all((0..4_500).map(sender))
        .contract(CONTRACT, look)
        .txs((0..4_500).map(|index| match index % 500 {
            499 => Tx::call(sender(index), CONTRACT),
            _ => Tx::pay(sender(index), sender(index + 10_000), 1),
        }))
        .plan(Plan::quick())
        .assert_all_equal();
    assert_eq!(outcome.output().receipts.len(), 4_500);
}

#[test]
fn a_long_transaction_before_many_short_ones() {
    let code = Asm::new().arg(0).spin_top().then(&increment());
    let outcome = Case::new(Fork::London)
        .gas_limit(100_000_000)
        .fund_all((0..300).map(sender))
        .contract(CONTRACT, code)
        .tx(Tx::call(sender(0), CONTRACT).args(&[20_000]).gas(2_000_000))
        .txs((1..300).map(|index| Tx::call(sender(index), CONTRACT).args(&[1])))
        .plan(Plan::quick())
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 0), U256::from(300));
}
