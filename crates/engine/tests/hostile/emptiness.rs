//! Accounts that are empty, or become so (EIP-161).

use alloy_primitives::{Address, U256};
use warpline_testkit::{Asm, Case, Fork, Tx, op};

use super::{ALICE, BOB, CAROL, CONTRACT, NOBODY, OTHER, about, ask, case};

const OLD_AND_NEW: [Fork; 6] = [
    Fork::Frontier,
    Fork::Homestead,
    Fork::Tangerine,
    Fork::SpuriousDragon,
    Fork::Istanbul,
    Fork::Cancun,
];

#[test]
fn a_payment_of_nothing_to_nobody() {
    for fork in OLD_AND_NEW {
        let outcome =
            case(fork).txs([ALICE, BOB].map(|from| Tx::pay(from, NOBODY, 0))).assert_all_equal();
        let exists = outcome.account(NOBODY).is_some();
        assert_eq!(exists, fork < Fork::SpuriousDragon, "{fork:?}");
    }
}

#[test]
fn a_contract_touches_nobody() {
    let touch = Asm::new().call(NOBODY, 0).op(op::POP);
    for fork in OLD_AND_NEW {
        let outcome = case(fork)
            .contract(CONTRACT, touch.clone())
            .txs([ALICE, BOB].map(|from| Tx::call(from, CONTRACT)))
            .tx(Tx::pay(CAROL, NOBODY, 1))
            .tx(Tx::call(ALICE, CONTRACT))
            .assert_all_equal();
        assert_eq!(outcome.balance(NOBODY), U256::ONE);
    }
}

#[test]
fn a_contract_touches_nobody_and_reverts() {
    let touch = Asm::new().call(NOBODY, 0).op(op::POP).op(op::INVALID);
    let outer = Asm::new().call_with(OTHER, 0, 0, 60_000).op(op::POP);
    for fork in OLD_AND_NEW {
        let outcome = case(fork)
            .contract(OTHER, touch.clone())
            .contract(CONTRACT, outer.clone())
            .txs([ALICE, BOB].map(|from| Tx::call(from, CONTRACT)))
            .assert_all_equal();
        assert_eq!(outcome.account(NOBODY), None, "{fork:?}");
    }
}

#[test]
fn an_empty_account_of_old_is_touched() {
    let touch = Asm::new().call(NOBODY, 0).op(op::POP);
    for fork in OLD_AND_NEW {
        let outcome = case(fork)
            .empty_account(NOBODY)
            .contract(CONTRACT, touch.clone())
            .contract(OTHER, ask(op::BALANCE))
            .tx(Tx::call(BOB, OTHER).data(about(NOBODY, &[5])))
            .tx(Tx::call(ALICE, CONTRACT))
            .tx(Tx::call(BOB, CONTRACT))
            .assert_all_equal();
        let exists = outcome.account(NOBODY).is_some();
        assert_eq!(exists, fork < Fork::SpuriousDragon, "{fork:?}");
    }
}

#[test]
fn an_empty_account_of_old_is_only_looked_at() {
    for fork in OLD_AND_NEW {
        let outcome = case(fork)
            .empty_account(NOBODY)
            .contract(OTHER, ask(op::BALANCE))
            .txs([ALICE, BOB].map(|from| Tx::call(from, OTHER).data(about(NOBODY, &[5]))))
            .assert_all_equal();
        assert!(outcome.account(NOBODY).is_some(), "{fork:?}");
    }
}

#[test]
fn an_empty_account_of_old_is_touched_then_revived() {
    let touch = Asm::new().call(NOBODY, 0).op(op::POP);
    for fork in OLD_AND_NEW {
        let outcome = case(fork)
            .empty_account(NOBODY)
            .contract(CONTRACT, touch.clone())
            .txs([Tx::call(ALICE, CONTRACT), Tx::pay(BOB, NOBODY, 9), Tx::call(CAROL, CONTRACT)])
            .assert_all_equal();
        assert_eq!(outcome.balance(NOBODY), U256::from(9));
    }
}

#[test]
fn an_empty_account_of_old_is_funded_in_one_go() {
    for fork in OLD_AND_NEW {
        let outcome = case(fork)
            .empty_account(NOBODY)
            .txs([Tx::pay(ALICE, NOBODY, 9), Tx::pay(BOB, NOBODY, 0)])
            .assert_all_equal();
        assert_eq!(outcome.balance(NOBODY), U256::from(9));
    }
}

#[test]
fn gas_of_calling_what_is_absent_empty_or_deleted() {
    let touch = Asm::new().call(NOBODY, 0).op(op::POP);
    let pay = Asm::new().call(NOBODY, 1).op(op::POP);
    for fork in OLD_AND_NEW {
        let block = |block: Case| {
            block
                .contract(CONTRACT, touch.clone())
                .contract(OTHER, pay.clone())
                .balance(OTHER, U256::from(5))
                .txs([Tx::call(ALICE, CONTRACT), Tx::call(BOB, CONTRACT)])
                .txs([Tx::call(CAROL, OTHER), Tx::call(ALICE, CONTRACT), Tx::call(BOB, OTHER)])
                .assert_all_equal()
        };
        block(case(fork));
        block(case(fork).empty_account(NOBODY));
    }
}

#[test]
fn the_third_precompile_is_touched_in_a_frame_out_of_gas() {
    let ripemd = Address::with_last_byte(3);
    let touch = Asm::new().call_with(ripemd, 0, 0, 10).op(op::POP).op(op::INVALID);
    let outer = Asm::new().call_with(OTHER, 0, 0, 60_000).op(op::POP);
    for fork in OLD_AND_NEW {
        case(fork)
            .empty_account(ripemd)
            .contract(OTHER, touch.clone())
            .contract(CONTRACT, outer.clone())
            .txs([Tx::call(ALICE, CONTRACT), Tx::call(BOB, ripemd), Tx::call(CAROL, CONTRACT)])
            .assert_all_equal();
    }
}

#[test]
fn a_sender_without_anything_at_a_price_of_nothing() {
    for fork in OLD_AND_NEW.into_iter().filter(|fork| *fork < Fork::London) {
        let outcome = case(fork)
            .tx(Tx::pay(NOBODY, BOB, 0).price(0))
            .tx(Tx::pay(NOBODY, BOB, 0).price(0))
            .assert_all_equal();
        assert_eq!(outcome.nonce(NOBODY), 2);
    }
}
