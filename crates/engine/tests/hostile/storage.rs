//! Storage, gas that depends on it, and what is reset between transactions.

use alloy_primitives::U256;
use warpline_testkit::{Asm, Case, Fork, Plan, Tx, op};

use super::{ALICE, BOB, CAROL, CONTRACT, DAVE, OTHER, case, increment, sender};

/// Sets slot 0 to the first argument.
fn setter() -> Asm {
    Asm::new().arg(0).store_top(0)
}

#[test]
fn a_hot_counter() {
    let outcome = Case::new(Fork::Osaka)
        .fund_all((0..100).map(sender))
        .contract(CONTRACT, increment())
        .txs((0..100).map(|index| Tx::call(sender(index), CONTRACT)))
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 0), U256::from(100));
}

#[test]
fn a_hot_counter_read_late_by_some_and_early_by_others() {
    // Spins for as long as the argument says before it counts.
    let slow = Asm::new().arg(0).spin_top().then(&increment());
    let outcome =
        Case::new(Fork::Osaka)
            .fund_all((0..40).map(sender))
            .contract(CONTRACT, slow)
            .txs((0..40).map(|index| {
                Tx::call(sender(index), CONTRACT).args(&[(index as u64 * 7919) % 3_000])
            }))
            .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 0), U256::from(40));
}

#[test]
fn a_chain_of_compare_and_set() {
    // if slot 0 == first argument, set it to the second.
    let cas = Asm::new()
        .sload(0)
        .arg(0)
        .op(op::EQ)
        .if_top(|asm| asm.arg(1).store_top(0).push(1).add_to_slot(1));
    let steps = (0..60).map(|index: u64| {
        // Every third comes too early and does nothing.
        let expects = if index % 3 == 2 { index + 1_000 } else { index - index / 3 };
        Tx::call(sender(super::index(index)), CONTRACT).args(&[expects, expects + 1])
    });
    let outcome = Case::new(Fork::London)
        .fund_all((0..60).map(sender))
        .contract(CONTRACT, cas)
        .txs(steps)
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 0), U256::from(40));
    assert_eq!(outcome.slot(CONTRACT, 1), U256::from(40));
}

#[test]
fn stores_of_an_equal_value() {
    let outcome = case(Fork::London)
        .contract(CONTRACT, setter())
        .slot(CONTRACT, 0, 7)
        .txs([ALICE, BOB, CAROL].map(|from| Tx::call(from, CONTRACT).args(&[7])))
        .txs([ALICE, BOB].map(|from| Tx::call(from, CONTRACT).args(&[8])))
        .tx(Tx::call(DAVE, CONTRACT).args(&[7]))
        .assert_all_equal();
    assert!(outcome.output().state.account(&CONTRACT).is_none(), "nothing changed in the end");
}

#[test]
fn the_original_value_is_the_one_at_the_start_of_the_transaction() {
    // Sets slot 0 to both arguments in turn; gas and refund depend on the original.
    let twice = Asm::new().arg(0).store_top(0).arg(1).store_top(0);
    let pairs = [[1, 0], [0, 1], [2, 1], [1, 2], [0, 0], [0, 3], [3, 0], [5, 5], [0, 5], [0, 0]];
    for fork in [Fork::Homestead, Fork::Petersburg, Fork::Istanbul, Fork::Berlin, Fork::London] {
        for start in [0, 1, 5] {
            case(fork)
                .contract(CONTRACT, twice.clone())
                .slot(CONTRACT, 0, start)
                .txs((0..).zip(pairs).map(|(index, pair)| {
                    Tx::call([ALICE, BOB, CAROL, DAVE][index % 4], CONTRACT).args(&pair)
                }))
                .assert_all_equal();
        }
    }
}

#[test]
fn net_gas_metering_of_constantinople_is_only_its_own() {
    let twice = Asm::new().arg(0).store_top(0).arg(1).store_top(0);
    let txs = [[1, 0], [0, 2], [2, 2]].map(|pair| Tx::call(ALICE, CONTRACT).args(&pair));
    let block = |fork| case(fork).contract(CONTRACT, twice.clone()).txs(txs.clone());
    // Plain revm has no such fork.
    let plan = Plan { oracle: false, ..Plan::default() };
    let netted = block(Fork::Constantinople).plan(plan).assert_all_equal();
    let plain = block(Fork::Petersburg).assert_all_equal();
    assert_eq!(plain.gas()[0] - netted.gas()[0], 5_000 - 200 + 19_800 - 15_000);
}

#[test]
fn warmth_does_not_outlive_a_transaction() {
    // Stores the gas that two loads of slot 5 take.
    let measure = Asm::new()
        .op(op::GAS)
        .sload(5)
        .sload(5)
        .ops(&[op::POP, op::POP, op::GAS, op::SWAP1, op::SUB])
        .arg(0)
        .op(op::SSTORE);
    let outcome = case(Fork::Berlin)
        .contract(CONTRACT, measure)
        .txs([1, 2, 3].map(|slot| Tx::call(ALICE, CONTRACT).args(&[slot])))
        .tx(Tx::call(BOB, CONTRACT).args(&[4]).access(CONTRACT, &[5]))
        .assert_all_equal();
    let cost = [1, 2, 3, 4].map(|slot| outcome.slot(CONTRACT, slot));
    assert_eq!(cost[0], cost[2]);
    assert_eq!(cost[0] - cost[3], U256::from(2_000));
}

#[test]
fn transient_storage_does_not_outlive_a_transaction() {
    let leave = Asm::new()
        .push(0)
        .op(op::TLOAD)
        .add_to_slot(0)
        .push(1)
        .push(0)
        .op(op::TSTORE)
        .push(0)
        .op(op::TLOAD)
        .add_to_slot(1);
    let outcome = case(Fork::Cancun)
        .contract(CONTRACT, leave)
        .txs((0..12).map(|index| Tx::call([ALICE, BOB, CAROL][index % 3], CONTRACT)))
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 0), U256::ZERO);
    assert_eq!(outcome.slot(CONTRACT, 1), U256::from(12));
}

#[test]
fn a_stale_loop_bound() {
    let spin = Asm::new().sload(0).spin_top().push(1).add_to_slot(1);
    let outcome = Case::new(Fork::London)
        .fund_all((0..20).map(sender))
        .contract(OTHER, spin.clone())
        .contract(CONTRACT, Asm::new().arg(0).store_top(0).sload(0).spin_top())
        .slot(CONTRACT, 0, 1 << 40)
        .tx(Tx::call(sender(0), CONTRACT).args(&[3]))
        .txs((1..20).map(|index| Tx::call(sender(index), CONTRACT).args(&[index as u64])))
        .assert_all_equal();
    assert!(outcome.successes().into_iter().all(|success| success));
}

#[test]
fn a_stale_loop_bound_set_by_another_transaction() {
    // Without an argument it loops as often as slot 0 says, else it sets slot 0.
    let code = Asm::new()
        .arg(0)
        .if_top(|asm| asm.arg(0).store_top(0).op(op::STOP))
        .sload(0)
        .spin_top()
        .push(1)
        .add_to_slot(1);
    let outcome = Case::new(Fork::London)
        .fund_all((0..20).map(sender))
        .contract(CONTRACT, code)
        .slot(CONTRACT, 0, 1 << 40)
        .tx(Tx::call(sender(0), CONTRACT).args(&[3]))
        .txs((1..20).map(|index| Tx::call(sender(index), CONTRACT)))
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 1), U256::from(19));
}

#[test]
fn a_stale_pointer() {
    // Writes to memory at the place that slot 0 names.
    let code = Asm::new()
        .arg(0)
        .if_top(|asm| asm.arg(0).store_top(0).op(op::STOP))
        .push(1)
        .sload(0)
        .op(op::MSTORE)
        .push(1)
        .add_to_slot(1);
    let outcome = Case::new(Fork::London)
        .fund_all((0..20).map(sender))
        .contract(CONTRACT, code)
        .slot(CONTRACT, 0, 1 << 33)
        .tx(Tx::call(sender(0), CONTRACT).args(&[3]))
        .txs((1..20).map(|index| Tx::call(sender(index), CONTRACT)))
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 1), U256::from(19));
}

#[test]
fn two_reads_of_one_slot_agree() {
    // slot 1 += (slot 0 now) - (slot 0 a little later), through a second frame; then counts.
    let reader = Asm::new().sload(0).push(800).spin_top().sload(0).op(op::SUB).add_to_slot(1);
    let code = reader.then(&increment());
    let outcome = Case::new(Fork::London)
        .fund_all((0..40).map(sender))
        .contract(OTHER, code)
        .txs((0..40).map(|index| Tx::call(sender(index), OTHER)))
        .assert_all_equal();
    assert_eq!(outcome.slot(OTHER, 1), U256::ZERO);
    assert_eq!(outcome.slot(OTHER, 0), U256::from(40));
}

#[test]
fn a_checked_balance_underflows_and_overflows() {
    // Takes the argument from slot 0, or reverts; adds it to slot 1.
    let code = Asm::new()
        .arg(0)
        .sload(0)
        .op(op::LT)
        .if_top(Asm::revert)
        .arg(0)
        .sload(0)
        .op(op::SUB)
        .store_top(0)
        .arg(0)
        .add_to_slot(1);
    let amounts = [50, 60, 50, 1, 0, 100, 7, 93, 1];
    let outcome = case(Fork::London)
        .contract(CONTRACT, code)
        .slot(CONTRACT, 0, 101)
        .txs((0..).zip(amounts).map(|(index, amount)| {
            Tx::call([ALICE, BOB, CAROL, DAVE][index % 4], CONTRACT).args(&[amount])
        }))
        .assert_all_equal();
    let expected = [true, false, true, true, true, false, false, false, false];
    assert_eq!(outcome.successes(), expected);
    assert_eq!(outcome.slot(CONTRACT, 1), U256::from(101));
}

#[test]
fn a_slot_from_zero_to_something_and_back() {
    let txs = (0..30).map(|index| Tx::call(sender(index), CONTRACT).args(&[index as u64 % 2]));
    let outcome = Case::new(Fork::London)
        .fund_all((0..30).map(sender))
        .contract(CONTRACT, setter())
        .txs(txs)
        .tx(Tx::call(sender(0), CONTRACT).args(&[0]))
        .assert_all_equal();
    assert!(outcome.output().state.account(&CONTRACT).is_none());
}

#[test]
fn a_write_that_a_later_execution_does_not_repeat() {
    // Writes to the slot that slot 0 names, then moves slot 0 on: each stale execution writes
    // somewhere it must not.
    let code = Asm::new().push(1).sload(0).push(100).op(op::ADD).op(op::SSTORE).arg(0).spin_top();
    let code = code.then(&increment());
    let outcome = Case::new(Fork::London)
        .fund_all((0..50).map(sender))
        .contract(CONTRACT, code)
        .txs(
            (0..50)
                .map(|index| Tx::call(sender(index), CONTRACT).args(&[(index as u64 * 31) % 400])),
        )
        .assert_all_equal();
    assert!((100..150).all(|slot| outcome.slot(CONTRACT, slot) == U256::ONE));
}

#[test]
fn a_write_set_that_depends_on_what_was_read() {
    // Pays one of two accounts, or reverts, by the parity of the counter.
    let code = increment()
        .push(3)
        .sload(0)
        .op(op::MOD)
        .op(op::DUP1)
        .if_top(|asm| asm.call(super::account(0x31), 1).op(op::POP));
    let code = code.push(2).op(op::EQ).if_top(|asm| asm.call(super::account(0x32), 1).op(op::POP));
    let outcome = Case::new(Fork::London)
        .fund_all((0..45).map(sender))
        .contract(CONTRACT, code)
        .balance(CONTRACT, U256::from(1_000))
        .txs((0..45).map(|index| Tx::call(sender(index), CONTRACT)))
        .assert_all_equal();
    assert_eq!(outcome.balance(super::account(0x31)), U256::from(30));
    assert_eq!(outcome.balance(super::account(0x32)), U256::from(15));
}

#[test]
fn storage_of_a_library_called_in_place() {
    let outcome = case(Fork::London)
        .contract(OTHER, increment())
        .contract(CONTRACT, Asm::new().delegate_call(OTHER).op(op::POP))
        .txs((0..12).map(|index| {
            Tx::call([ALICE, BOB, CAROL][index % 3], if index % 4 == 0 { OTHER } else { CONTRACT })
        }))
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 0), U256::from(9));
    assert_eq!(outcome.slot(OTHER, 0), U256::from(3));
}

#[test]
fn logs_keep_block_order_across_failures() {
    // Logs the counter, then fails every third time.
    let code = increment()
        .sload(0)
        .push(0)
        .op(op::MSTORE)
        .push(32)
        .push(0)
        .op(op::LOG0)
        .arg(0)
        .if_top(Asm::revert);
    let outcome = Case::new(Fork::London)
        .fund_all((0..30).map(sender))
        .contract(CONTRACT, code)
        .txs(
            (0..30)
                .map(|index| Tx::call(sender(index), CONTRACT).args(&[u64::from(index % 3 == 0)])),
        )
        .assert_all_equal();
    let logs: Vec<_> =
        outcome.output().receipts.iter().flat_map(|receipt| receipt.logs().to_vec()).collect();
    let numbers = logs.iter().map(|log| U256::from_be_slice(&log.data.data));
    assert!(numbers.eq((1..=20).map(U256::from)));
}
