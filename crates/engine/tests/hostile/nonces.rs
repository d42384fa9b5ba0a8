//! Nonces, balances, fees and the block's gas.

use alloy_primitives::U256;
use warpline_testkit::{Asm, BASE_FEE, Case, Fork, GAS_PRICE, Key, Tx, ether, op};

use super::{ALICE, BOB, CAROL, CONTRACT, DAVE, NOBODY, OTHER, case, increment, sender};

#[test]
fn nonces_of_interleaved_senders_are_serial() {
    let senders = [ALICE, BOB, CAROL, DAVE];
    let rounds = 0..20;
    let txs = rounds.flat_map(|round| senders.map(|from| Tx::pay(from, NOBODY, 1 + round)));
    let outcome = case(Fork::London).txs(txs).assert_all_equal();
    assert_eq!(senders.map(|sender| outcome.nonce(sender)), [20; 4]);
    assert_eq!(outcome.balance(NOBODY), U256::from(4 * (1..=20).sum::<u64>()));
}

#[test]
fn a_nonce_gap_makes_the_block_invalid() {
    let gap = Tx::pay(ALICE, NOBODY, 1).nonce(2);
    case(Fork::Prague)
        .txs([Tx::pay(ALICE, NOBODY, 1), Tx::pay(BOB, NOBODY, 1), gap, Tx::pay(BOB, NOBODY, 1)])
        .assert_invalid_at(2);
}

#[test]
fn a_nonce_too_low_makes_the_block_invalid() {
    let again = Tx::pay(ALICE, NOBODY, 1).nonce(0);
    case(Fork::Prague)
        .txs([Tx::pay(ALICE, NOBODY, 1), Tx::pay(BOB, NOBODY, 1), again, Tx::pay(BOB, NOBODY, 1)])
        .assert_invalid_at(2);
}

#[test]
fn of_several_invalid_transactions_the_first_counts() {
    let good = (0..40).map(|index| Tx::pay(sender(index), NOBODY, 1));
    let bad = |index| Tx::pay(sender(index), NOBODY, 1).nonce(7);
    Case::new(Fork::Prague)
        .fund_all((0..60).map(sender))
        .txs(good)
        .txs([bad(50), Tx::pay(sender(41), NOBODY, 1), bad(51), bad(52)])
        .assert_invalid_at(40);
}

#[test]
fn nonces_in_the_wrong_order_make_the_block_invalid_at_the_first() {
    let second_first = [Tx::pay(ALICE, NOBODY, 1).nonce(1), Tx::pay(ALICE, NOBODY, 1).nonce(0)];
    case(Fork::London).txs(second_first).assert_invalid_at(0);
}

#[test]
fn a_nonce_gap_that_blocks_later_transactions_of_the_sender_does_not_hang() {
    let gap = Tx::pay(ALICE, BOB, 1).nonce(5);
    let rest = (0..50).flat_map(|_| [Tx::pay(ALICE, BOB, 1), Tx::pay(BOB, ALICE, 1)]);
    case(Fork::London).tx(Tx::pay(BOB, ALICE, 1)).tx(gap).txs(rest).assert_invalid_at(1);
}

#[test]
fn a_sender_funded_by_an_earlier_payment_is_valid() {
    let outcome = case(Fork::London)
        .tx(Tx::pay(ALICE, NOBODY, 10_000_000))
        .tx(Tx::pay(NOBODY, BOB, 7))
        .assert_all_equal();
    assert_eq!(outcome.nonce(NOBODY), 1);
}

#[test]
fn a_sender_funded_by_a_contract_is_valid() {
    let payer = Asm::new().call(NOBODY, 10_000_000);
    let outcome = case(Fork::London)
        .contract(CONTRACT, payer)
        .fund(CONTRACT)
        .txs((0..5).map(|_| Tx::call(ALICE, CONTRACT)))
        .txs((0..5).map(|_| Tx::pay(NOBODY, BOB, 7)))
        .assert_all_equal();
    assert_eq!(outcome.nonce(NOBODY), 5);
}

#[test]
fn a_sender_funded_by_a_self_destruct_is_valid() {
    for fork in [Fork::Shanghai, Fork::Cancun] {
        let outcome = case(fork)
            .contract(CONTRACT, Asm::new().self_destruct(NOBODY))
            .fund(CONTRACT)
            .tx(Tx::call(ALICE, CONTRACT))
            .tx(Tx::pay(NOBODY, BOB, 7))
            .assert_all_equal();
        assert_eq!(outcome.nonce(NOBODY), 1);
    }
}

#[test]
fn a_sender_funded_only_later_makes_the_block_invalid() {
    case(Fork::London)
        .txs([Tx::pay(NOBODY, BOB, 7), Tx::pay(ALICE, NOBODY, 10_000_000)])
        .assert_invalid_at(0);
}

#[test]
fn a_sender_who_spent_it_all_makes_the_block_invalid() {
    let fee = 21_000 * u64::try_from(GAS_PRICE).expect("a small price");
    Case::new(Fork::London)
        .balance(ALICE, U256::from(2 * fee + 10))
        .fund(BOB)
        .tx(Tx::pay(ALICE, NOBODY, fee))
        .tx(Tx::pay(BOB, NOBODY, 1))
        .tx(Tx::pay(ALICE, NOBODY, 1))
        .tx(Tx::pay(BOB, NOBODY, 1))
        .assert_invalid_at(2);
}

#[test]
fn a_sender_drained_by_its_own_delegated_code_makes_the_block_invalid() {
    let victim = Key::new(7).address;
    let drain = Asm::new().call(NOBODY, 900).op(op::POP);
    case(Fork::Prague)
        .delegated(victim, OTHER)
        .contract(OTHER, drain)
        .balance(victim, U256::from(21_000 * 12 + 900))
        .tx(Tx::call(ALICE, victim))
        .tx(Tx::pay(victim, BOB, 1))
        .assert_invalid_at(1);
}

#[test]
fn the_upfront_check_is_by_the_fee_cap_not_the_price_paid() {
    let cap = 100 * u128::from(BASE_FEE);
    let tx = Tx::pay(ALICE, NOBODY, 5).fees(cap, 1);
    let needed = U256::from(21_000 * cap + 5);
    let with = |balance| Case::new(Fork::London).balance(ALICE, balance).tx(tx.clone());
    assert!(with(needed).assert_all_equal().is_valid());
    with(needed - U256::ONE).assert_invalid_at(0);
}

#[test]
fn the_upfront_check_counts_the_most_a_blob_may_cost() {
    let tx = Tx::pay(ALICE, NOBODY, 5).fees(100, 1).blobs(2).max_blob_fee(7);
    let needed = U256::from(21_000 * 100 + 5 + 2 * 131_072 * 7);
    let with = |balance| Case::new(Fork::Cancun).balance(ALICE, balance).tx(tx.clone());
    let outcome = with(needed).assert_all_equal();
    assert_eq!(outcome.output().blob_gas_used, 2 * 131_072);
    let paid = 21_000 * (BASE_FEE + 1) + 5 + 2 * 131_072;
    assert_eq!(outcome.balance(ALICE), needed - U256::from(paid), "the blob fee is burned");
    with(needed - U256::ONE).assert_invalid_at(0);
}

#[test]
fn more_blobs_than_a_block_holds() {
    let txs = [ALICE, BOB, CAROL].map(|from| Tx::pay(from, NOBODY, 5).fees(100, 1).blobs(3));
    case(Fork::Cancun).txs(txs).assert_all_equal();
    case(Fork::Cancun).tx(Tx::pay(ALICE, NOBODY, 1).fees(100, 1).blobs(7)).assert_invalid_at(0);
}

#[test]
fn the_gas_left_in_the_block_depends_on_what_earlier_ones_used() {
    let fits = case(Fork::London)
        .gas_limit(100_000)
        .tx(Tx::pay(ALICE, NOBODY, 1).gas(60_000))
        .tx(Tx::pay(BOB, NOBODY, 1).gas(79_000));
    assert!(fits.assert_all_equal().is_valid());
    fits.tx(Tx::pay(CAROL, NOBODY, 1).gas(58_001)).assert_invalid_at(2);
}

#[test]
fn what_earlier_ones_used_depends_on_still_earlier_ones() {
    // Runs in a loop unless its slot is set, which the first transaction does.
    let spin = Asm::new().sload(0).op(op::ISZERO).push(2_000).op(op::MUL).spin_top().sstore(0, 1);
    let fits = case(Fork::London)
        .contract(CONTRACT, spin)
        .gas_limit(400_000)
        .tx(Tx::call(ALICE, CONTRACT).gas(300_000))
        .tx(Tx::call(BOB, CONTRACT).gas(200_000));
    let outcome = fits.assert_all_equal();
    assert!(outcome.gas()[0] > 2 * outcome.gas()[1]);
    let left = 400_000 - outcome.output().gas_used;
    assert!(fits.clone().tx(Tx::pay(CAROL, DAVE, 1).gas(left)).assert_all_equal().is_valid());
    fits.tx(Tx::pay(CAROL, DAVE, 1).gas(left + 1)).assert_invalid_at(2);
}

#[test]
fn a_gas_limit_beyond_the_block_is_found_before_a_wrong_nonce_in_the_same_transaction() {
    case(Fork::London)
        .gas_limit(50_000)
        .tx(Tx::pay(ALICE, NOBODY, 1))
        .tx(Tx::pay(BOB, NOBODY, 1).gas(30_000).nonce(9))
        .assert_invalid_at(1);
}

#[test]
fn gas_below_the_intrinsic_cost_makes_the_block_invalid() {
    case(Fork::London)
        .txs([Tx::pay(ALICE, NOBODY, 1), Tx::pay(BOB, NOBODY, 1).gas(20_999)])
        .assert_invalid_at(1);
}

#[test]
fn a_price_below_the_base_fee_makes_the_block_invalid() {
    let cheap = Tx::pay(BOB, NOBODY, 1).price(u128::from(BASE_FEE) - 1);
    case(Fork::London).txs([Tx::pay(ALICE, NOBODY, 1), cheap]).assert_invalid_at(1);
}

#[test]
fn a_sender_with_code_makes_the_block_invalid() {
    case(Fork::London)
        .contract(CONTRACT, increment())
        .fund(CONTRACT)
        .txs([Tx::pay(ALICE, NOBODY, 1), Tx::pay(CONTRACT, NOBODY, 1).nonce(1)])
        .assert_invalid_at(1);
}

#[test]
fn call_data_has_a_floor_price_from_prague_on() {
    let filled = Tx::call(ALICE, NOBODY).data(vec![1; 1_000]);
    let before = case(Fork::Cancun).tx(filled.clone()).assert_all_equal().gas()[0];
    let after = case(Fork::Prague).tx(filled).assert_all_equal().gas()[0];
    assert_eq!((before, after), (21_000 + 16_000, 21_000 + 40_000));
}

#[test]
fn a_transaction_above_the_gas_cap_makes_the_block_invalid_from_osaka_on() {
    let large = Tx::call(ALICE, NOBODY).gas((1 << 24) + 1);
    assert!(case(Fork::Prague).tx(large.clone()).assert_all_equal().is_valid());
    case(Fork::Osaka).tx(Tx::pay(BOB, NOBODY, 1)).tx(large).assert_invalid_at(1);
}

#[test]
fn a_type_that_the_fork_does_not_know_makes_the_block_invalid() {
    let listed = Tx::call(BOB, NOBODY).access(CONTRACT, &[1]);
    let first = Tx::pay(ALICE, NOBODY, 1);
    case(Fork::Istanbul).tx(first.clone()).tx(listed).assert_invalid_at(1);
    let capped = Tx::call(BOB, NOBODY).fees(100, 1);
    case(Fork::Berlin).tx(first.clone()).tx(capped).assert_invalid_at(1);
    let blob = Tx::call(BOB, NOBODY).blobs(1);
    case(Fork::Shanghai).tx(first.clone()).tx(blob).assert_invalid_at(1);
    let authorized = Tx::call(BOB, NOBODY).authorize(Key::new(1).authorize(CONTRACT, 0));
    case(Fork::Cancun).tx(first).tx(authorized).assert_invalid_at(1);
}

#[test]
fn a_balance_can_be_everything_there_is() {
    let outcome = Case::new(Fork::London)
        .balance(ALICE, U256::MAX)
        .balance(BOB, ether(1))
        .tx(Tx::pay(ALICE, BOB, 1))
        .tx(Tx::pay(BOB, ALICE, 1))
        .assert_all_equal();
    assert!(outcome.is_valid());
}
