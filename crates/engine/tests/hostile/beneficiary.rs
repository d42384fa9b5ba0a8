//! The beneficiary, whose balance every transaction changes and few look at.

use alloy_primitives::{Address, U256};
use warpline_testkit::{
    Asm, BASE_FEE, BENEFICIARY, Case, Fork, GAS_PRICE, Key, Tx, create2_address, deployer, ether,
    op,
};

use super::{
    ALICE, BEFORE_CANCUN, BOB, CAROL, CONTRACT, DAVE, NOBODY, OTHER, about, ask, case, increment,
    sender,
};

/// A tip large enough to live on.
const RICH: u128 = 1_000_000;

#[test]
fn it_sends_with_fees_it_has_just_earned() {
    let outcome = case(Fork::London)
        .tx(Tx::pay(ALICE, NOBODY, 1).price(RICH))
        .tx(Tx::pay(BENEFICIARY, NOBODY, 1_000_000_000))
        .tx(Tx::pay(BOB, NOBODY, 1).price(RICH))
        .tx(Tx::pay(BENEFICIARY, NOBODY, 1_000_000_000))
        .assert_all_equal();
    assert_eq!(outcome.nonce(BENEFICIARY), 2);
}

#[test]
fn it_cannot_spend_fees_it_earns_only_later() {
    case(Fork::London)
        .tx(Tx::pay(ALICE, NOBODY, 1))
        .tx(Tx::pay(BENEFICIARY, NOBODY, 1_000_000))
        .tx(Tx::pay(BOB, NOBODY, 1).price(RICH))
        .assert_invalid_at(1);
}

#[test]
fn it_is_paid_by_some_transactions() {
    let txs = (0..30).map(|index| {
        let from = [ALICE, BOB, CAROL][index % 3];
        Tx::pay(from, if index % 5 == 0 { BENEFICIARY } else { DAVE }, 100)
    });
    let outcome = case(Fork::Paris).txs(txs).assert_all_equal();
    assert_eq!(outcome.balance(BENEFICIARY), U256::from(30 * 21_000 * 2 + 6 * 100));
}

#[test]
fn it_is_the_only_sender() {
    let txs = (0..20).map(|_| Tx::pay(BENEFICIARY, NOBODY, 100));
    let outcome = case(Fork::Paris).fund(BENEFICIARY).txs(txs).assert_all_equal();
    let burned = 20 * (21_000 * BASE_FEE + 100);
    assert_eq!(outcome.balance(BENEFICIARY), ether(1_000) - U256::from(burned));
}

#[test]
fn it_is_a_contract_that_is_called() {
    let txs = (0..20).map(|index| match index % 3 {
        0 => Tx::call(ALICE, BENEFICIARY),
        1 => Tx::call(BOB, BENEFICIARY).value(U256::from(5)),
        _ => Tx::pay(CAROL, NOBODY, 1),
    });
    let outcome = case(Fork::London).contract(BENEFICIARY, increment()).txs(txs).assert_all_equal();
    assert_eq!(outcome.slot(BENEFICIARY, 0), U256::from(14));
}

#[test]
fn it_is_a_precompile() {
    let identity = Address::with_last_byte(4);
    let outcome = case(Fork::London)
        .beneficiary(identity)
        .txs([Tx::call(ALICE, identity).data(vec![1, 2, 3]), Tx::pay(BOB, NOBODY, 1)])
        .tx(Tx::call(CAROL, identity).value(U256::from(9)))
        .assert_all_equal();
    assert!(outcome.balance(identity) > U256::from(9));
}

#[test]
fn it_is_delegated() {
    let key = Key::new(9);
    let outcome = case(Fork::Prague)
        .beneficiary(key.address)
        .contract(CONTRACT, increment())
        .tx(Tx::pay(ALICE, NOBODY, 1))
        .tx(Tx::call(BOB, key.address).authorize(key.authorize(CONTRACT, 0)))
        .tx(Tx::pay(ALICE, NOBODY, 1))
        .tx(Tx::call(CAROL, key.address))
        .assert_all_equal();
    assert_eq!(outcome.slot(key.address, 0), U256::from(2));
    assert_eq!(outcome.nonce(key.address), 1);
}

#[test]
fn its_balance_depends_on_every_earlier_transaction() {
    // Stores BALANCE(COINBASE) in the slot of the first argument.
    let look = Asm::new().op(op::COINBASE).op(op::BALANCE).arg(0).op(op::SSTORE);
    let txs = (0..24).map(|index| match index % 4 {
        3 => Tx::call(DAVE, CONTRACT).args(&[index]),
        n => Tx::pay([ALICE, BOB, CAROL][super::index(n)], NOBODY, 1),
    });
    let outcome = case(Fork::London).contract(CONTRACT, look).txs(txs).assert_all_equal();
    let per_transfer = 21_000 * 2;
    assert_eq!(outcome.slot(CONTRACT, 3), U256::from(3 * per_transfer));
    let gas = outcome.gas();
    let before_last: u64 = gas[..23].iter().sum();
    assert_eq!(outcome.slot(CONTRACT, 23), U256::from(before_last * 2));
}

#[test]
fn its_balance_is_read_by_all() {
    let look = Asm::new().op(op::COINBASE).op(op::BALANCE).arg(0).op(op::SSTORE);
    let outcome = Case::new(Fork::London)
        .fund_all((0..60).map(sender))
        .contract(CONTRACT, look)
        .txs((0..60).map(|index| Tx::call(sender(index), CONTRACT).args(&[index as u64])))
        .assert_all_equal();
    assert!(outcome.slot(CONTRACT, 59) > outcome.slot(CONTRACT, 58));
}

#[test]
fn its_balance_is_read_in_a_frame_that_reverts() {
    let look = Asm::new().op(op::COINBASE).op(op::BALANCE).op(op::POP).revert();
    let outer = Asm::new().call(OTHER, 0).add_to_slot(0).push(1).add_to_slot(1);
    let outcome = case(Fork::Paris)
        .contract(OTHER, look)
        .contract(CONTRACT, outer)
        .txs([Tx::pay(ALICE, NOBODY, 1), Tx::call(BOB, CONTRACT), Tx::pay(CAROL, NOBODY, 1)])
        .tx(Tx::call(DAVE, CONTRACT))
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 0), U256::ZERO);
    let all_tips = outcome.output().gas_used * 2;
    assert_eq!(outcome.balance(BENEFICIARY), U256::from(all_tips));
}

#[test]
fn a_zero_tip_creates_nothing_from_spurious_dragon_on() {
    for fork in [Fork::SpuriousDragon, Fork::Byzantium, Fork::Istanbul, Fork::London, Fork::Cancun]
    {
        let base_fee = if fork < Fork::London { 0 } else { u128::from(BASE_FEE) };
        let outcome = case(fork)
            .header(|header| header.difficulty = U256::ZERO)
            .tx(Tx::pay(ALICE, NOBODY, 1).price(base_fee))
            .tx(Tx::pay(BOB, NOBODY, 1).price(base_fee))
            .assert_all_equal();
        // Before the merge the block reward creates it after all.
        assert_eq!(outcome.account(BENEFICIARY).is_none(), fork >= Fork::Paris, "{fork:?}");
    }
}

#[test]
fn a_zero_tip_to_an_absent_beneficiary_is_seen_as_nothing_or_as_an_empty_account() {
    // Paying an absent account costs 25,000 gas more; an empty one is there before EIP-161.
    let pay = Asm::new().call(BENEFICIARY, 0).op(op::POP);
    for (fork, gas) in
        [(Fork::Frontier, 0), (Fork::Homestead, 0), (Fork::SpuriousDragon, 0), (Fork::London, 10)]
    {
        let outcome = case(fork)
            .contract(CONTRACT, pay.clone())
            .tx(Tx::call(ALICE, CONTRACT).price(gas))
            .tx(Tx::pay(BOB, NOBODY, 1).price(gas))
            .tx(Tx::call(ALICE, CONTRACT).price(gas))
            .assert_all_equal();
        let saved = outcome.gas()[0] - outcome.gas()[2];
        assert_eq!(saved, if fork < Fork::SpuriousDragon { 25_000 } else { 0 }, "{fork:?}");
    }
}

#[test]
fn a_zero_tip_then_a_tip_then_a_look() {
    let hash = ask(op::EXTCODESIZE);
    let balance = ask(op::BALANCE);
    let outcome = case(Fork::London)
        .contract(CONTRACT, hash)
        .contract(OTHER, balance)
        .tx(Tx::pay(ALICE, NOBODY, 1).price(10))
        .tx(Tx::call(BOB, OTHER).data(about(BENEFICIARY, &[1])).price(10))
        .tx(Tx::pay(ALICE, NOBODY, 1).price(11))
        .tx(Tx::call(BOB, OTHER).data(about(BENEFICIARY, &[2])).price(10))
        .tx(Tx::call(BOB, CONTRACT).data(about(BENEFICIARY, &[2])))
        .assert_all_equal();
    assert_eq!(outcome.slot(OTHER, 1), U256::ZERO);
    assert_eq!(outcome.slot(OTHER, 2), U256::from(21_000));
}

#[test]
fn an_empty_beneficiary_of_old_is_deleted_by_a_zero_tip() {
    let outcome = case(Fork::Paris)
        .empty_account(BENEFICIARY)
        .tx(Tx::pay(ALICE, NOBODY, 1).price(10))
        .assert_all_equal();
    assert_eq!(outcome.account(BENEFICIARY), None);
}

#[test]
fn an_empty_beneficiary_of_old_is_deleted_by_a_zero_tip_and_revived_by_the_next() {
    case(Fork::Paris)
        .empty_account(BENEFICIARY)
        .tx(Tx::pay(ALICE, NOBODY, 1).price(10))
        .tx(Tx::pay(BOB, NOBODY, 1).price(11))
        .assert_all_equal();
}

#[test]
fn an_empty_beneficiary_of_old_is_deleted_by_a_zero_tip_and_revived_by_a_payment() {
    case(Fork::Paris)
        .empty_account(BENEFICIARY)
        .tx(Tx::pay(ALICE, NOBODY, 1).price(10))
        .tx(Tx::pay(BOB, BENEFICIARY, 7).price(10))
        .assert_all_equal();
}

#[test]
fn an_absent_beneficiary_is_made_by_a_zero_tip_before_spurious_dragon() {
    for fork in [Fork::Frontier, Fork::Homestead, Fork::Tangerine] {
        case(fork)
            .txs([ALICE, BOB].map(|from| Tx::pay(from, NOBODY, 1).price(0)))
            .assert_all_equal();
    }
}

#[test]
fn it_self_destructs_before_cancun() {
    for fork in BEFORE_CANCUN {
        let outcome = case(fork)
            .contract(BENEFICIARY, Asm::new().self_destruct(NOBODY))
            .slot(BENEFICIARY, 3, 4)
            .fund(BENEFICIARY)
            .tx(Tx::pay(ALICE, DAVE, 1))
            .tx(Tx::call(BOB, BENEFICIARY))
            .tx(Tx::pay(CAROL, DAVE, 1))
            .assert_all_equal();
        let price = if fork < Fork::London { GAS_PRICE } else { GAS_PRICE - u128::from(BASE_FEE) };
        let tip = U256::from(21_000 * price);
        assert_eq!(outcome.balance(NOBODY), ether(1_000) + tip, "the first tip went along");
        assert!(outcome.balance(BENEFICIARY) >= tip, "the third tip made it anew");
        assert!(!outcome.account(BENEFICIARY).expect("made anew").has_code());
    }
}

#[test]
fn it_self_destructs_in_the_last_transaction() {
    let outcome = case(Fork::Shanghai)
        .contract(BENEFICIARY, Asm::new().self_destruct(NOBODY))
        .txs([Tx::pay(ALICE, DAVE, 1), Tx::call(BOB, BENEFICIARY)])
        .assert_all_equal();
    assert_eq!(outcome.account(BENEFICIARY), None, "the last tip was burned with it");
}

#[test]
fn it_self_destructs_from_cancun_on() {
    let outcome = case(Fork::Cancun)
        .contract(BENEFICIARY, Asm::new().self_destruct(NOBODY))
        .txs([Tx::pay(ALICE, DAVE, 1), Tx::call(BOB, BENEFICIARY), Tx::pay(CAROL, DAVE, 1)])
        .assert_all_equal();
    assert!(outcome.account(BENEFICIARY).expect("not deleted").has_code());
    assert_eq!(outcome.balance(NOBODY), U256::from(42_000));
}

#[test]
fn it_comes_into_being_as_a_contract() {
    let init = deployer(increment());
    let factory = Asm::new().create2(&init, 3, 0).op(op::POP);
    let child = create2_address(CONTRACT, 0, &init);
    for fork in [Fork::Paris, Fork::Cancun] {
        let outcome = case(fork)
            .beneficiary(child)
            .contract(CONTRACT, factory.clone())
            .fund(CONTRACT)
            .tx(Tx::pay(ALICE, DAVE, 1))
            .tx(Tx::call(BOB, CONTRACT))
            .tx(Tx::call(CAROL, child))
            .tx(Tx::pay(ALICE, DAVE, 1))
            .assert_all_equal();
        assert_eq!(outcome.slot(child, 0), U256::ONE);
        assert_eq!(outcome.balance(child), U256::from(3 + 2 * outcome.output().gas_used));
    }
}

#[test]
fn it_has_nearly_everything_there_is() {
    case(Fork::Paris)
        .balance(BENEFICIARY, U256::MAX - U256::from(50_000))
        .tx(Tx::pay(ALICE, NOBODY, 1))
        .assert_all_equal();
}

#[test]
fn it_is_in_an_access_list_only() {
    let outcome = case(Fork::Paris)
        .txs(
            [ALICE, BOB].map(|from| Tx::pay(from, NOBODY, 1).gas(50_000).access(BENEFICIARY, &[1])),
        )
        .assert_all_equal();
    assert_eq!(outcome.balance(BENEFICIARY), U256::from(2 * outcome.output().gas_used));
}

#[test]
fn it_is_paid_by_withdrawals_and_tips() {
    let outcome = case(Fork::Shanghai)
        .tx(Tx::pay(ALICE, NOBODY, 1))
        .withdrawal(BENEFICIARY, 5)
        .assert_all_equal();
    assert_eq!(outcome.balance(BENEFICIARY), U256::from(42_000 + 5_000_000_000_u64));
}
