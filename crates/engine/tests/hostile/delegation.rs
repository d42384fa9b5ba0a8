//! Accounts that run another account's code (EIP-7702).

use alloy_primitives::{Address, U256};
use warpline_testkit::{Asm, Case, Fork, Key, Tx, account, deployer, op};

use super::{ALICE, BOB, CAROL, CONTRACT, DAVE, NOBODY, OTHER, about, ask, case, increment};

/// Adds ten in slot 0.
fn by_ten() -> Asm {
    Asm::new().push(10).add_to_slot(0)
}

/// A block with [`increment`] and [`by_ten`] to delegate to.
fn with_targets() -> Case {
    case(Fork::Prague).contract(CONTRACT, increment()).contract(OTHER, by_ten())
}

#[test]
fn set_used_replaced_used_cleared_used() {
    let key = Key::new(1);
    let me = key.address;
    let set = |from, target, nonce| Tx::call(from, me).authorize(key.authorize(target, nonce));
    let outcome = with_targets()
        .tx(Tx::call(ALICE, me))
        .tx(set(BOB, CONTRACT, 0))
        .tx(Tx::call(ALICE, me))
        .tx(set(BOB, OTHER, 1))
        .tx(Tx::call(CAROL, me))
        .tx(set(BOB, Address::ZERO, 2))
        .tx(Tx::call(DAVE, me))
        .assert_all_equal();
    assert_eq!(outcome.slot(me, 0), U256::from(1 + 1 + 10 + 10), "storage persists");
    let cleared = outcome.account(me).expect("its nonce counts");
    assert_eq!((cleared.nonce, cleared.has_code()), (3, false));
}

#[test]
fn many_replacements_in_a_row() {
    let key = Key::new(1);
    let me = key.address;
    let txs = (0..24).map(|nonce| {
        let target = if nonce % 2 == 0 { CONTRACT } else { OTHER };
        let from = [ALICE, BOB, CAROL, DAVE][super::index(nonce % 4)];
        Tx::call(from, me).authorize(key.authorize(target, nonce))
    });
    let outcome = with_targets().txs(txs).assert_all_equal();
    assert_eq!(outcome.slot(me, 0), U256::from(12 * 11));
}

#[test]
fn a_delegation_changes_nothing_but_code_and_nonce() {
    let key = Key::new(1);
    let outcome = with_targets()
        .fund(key.address)
        .contract(account(0x71), ask(op::EXTCODESIZE))
        .tx(Tx::call(ALICE, account(0x71)).data(about(key.address, &[0])))
        .tx(Tx::call(BOB, NOBODY).authorize(key.authorize(CONTRACT, 0)))
        .tx(Tx::call(ALICE, account(0x71)).data(about(key.address, &[1])))
        .assert_all_equal();
    assert_eq!(outcome.slot(account(0x71), 0), U256::ZERO);
    assert_eq!(outcome.slot(account(0x71), 1), U256::from(23));
    let delegated = outcome.account(key.address).unwrap();
    assert!(delegated.has_code() && delegated.nonce == 1);
    assert!(outcome.output().state.codes().contains_key(&delegated.code_hash));
}

#[test]
fn a_delegation_survives_a_revert() {
    let key = Key::new(1);
    let outcome = with_targets()
        .contract(account(0x71), Asm::new().sstore(0, 1).revert())
        .tx(Tx::call(ALICE, account(0x71)).authorize(key.authorize(CONTRACT, 0)))
        .tx(Tx::call(BOB, key.address))
        .assert_all_equal();
    assert_eq!(outcome.successes(), [false, true]);
    assert_eq!(outcome.slot(key.address, 0), U256::ONE);
}

#[test]
fn self_sponsored_it_takes_the_nonce_after_the_transactions() {
    let key = Key::new(1);
    let outcome = with_targets()
        .fund(key.address)
        .tx(Tx::call(key.address, key.address).authorize(key.authorize(CONTRACT, 1)))
        .tx(Tx::call(key.address, key.address).nonce(2))
        .tx(Tx::call(ALICE, key.address))
        .assert_all_equal();
    assert_eq!(outcome.nonce(key.address), 3);
    assert_eq!(outcome.slot(key.address, 0), U256::from(3));
}

#[test]
fn self_sponsored_with_the_transactions_own_nonce_is_ignored() {
    let key = Key::new(1);
    let outcome = with_targets()
        .fund(key.address)
        .tx(Tx::call(key.address, key.address).authorize(key.authorize(CONTRACT, 0)))
        .tx(Tx::call(key.address, key.address))
        .assert_all_equal();
    assert_eq!(outcome.nonce(key.address), 2);
    assert_eq!(outcome.slot(key.address, 0), U256::ZERO);
}

#[test]
fn an_authority_that_sends_later_must_count_the_authorization() {
    let key = Key::new(1);
    let block = with_targets()
        .fund(key.address)
        .tx(Tx::pay(key.address, NOBODY, 1))
        .tx(Tx::call(ALICE, NOBODY).authorize(key.authorize(CONTRACT, 1)))
        .tx(Tx::pay(BOB, NOBODY, 1));
    assert!(
        block.clone().tx(Tx::pay(key.address, NOBODY, 1).nonce(2)).assert_all_equal().is_valid()
    );
    block.tx(Tx::pay(key.address, NOBODY, 1).nonce(1)).assert_invalid_at(3);
}

#[test]
fn a_creation_by_delegated_code_bumps_the_nonce() {
    let key = Key::new(1);
    let maker = Asm::new().create(&deployer(increment()), 0).store_top(1);
    let block = case(Fork::Prague)
        .contract(CONTRACT, maker)
        .delegated(key.address, CONTRACT)
        .account_nonce(key.address, 5)
        .fund(key.address)
        .tx(Tx::pay(key.address, NOBODY, 1))
        .tx(Tx::call(ALICE, key.address))
        .tx(Tx::call(BOB, key.address));
    let fine = block.clone().tx(Tx::pay(key.address, NOBODY, 1).nonce(8)).assert_all_equal();
    assert_eq!(fine.nonce(key.address), 9);
    block.tx(Tx::pay(key.address, NOBODY, 1).nonce(6)).assert_invalid_at(3);
}

#[test]
fn only_one_hop_is_followed() {
    let (first, second) = (Key::new(1), Key::new(2));
    let outcome = with_targets()
        .tx(Tx::call(ALICE, NOBODY)
            .authorize(first.authorize(second.address, 0))
            .authorize(second.authorize(CONTRACT, 0)))
        .txs([Tx::call(BOB, first.address), Tx::call(CAROL, second.address)])
        .assert_all_equal();
    assert_eq!(outcome.slot(first.address, 0), U256::ZERO);
    assert_eq!(outcome.slot(second.address, 0), U256::ONE);
}

#[test]
fn two_accounts_delegate_to_each_other() {
    let (first, second) = (Key::new(1), Key::new(2));
    case(Fork::Prague)
        .tx(Tx::call(ALICE, NOBODY)
            .authorize(first.authorize(second.address, 0))
            .authorize(second.authorize(first.address, 0)))
        .txs([Tx::call(BOB, first.address), Tx::call(CAROL, second.address)])
        .assert_all_equal();
}

#[test]
fn delegated_to_a_precompile_it_runs_nothing() {
    let key = Key::new(1);
    let outcome = case(Fork::Prague)
        .tx(Tx::call(ALICE, key.address).authorize(key.authorize(Address::with_last_byte(4), 0)))
        .tx(Tx::call(BOB, key.address).data(vec![1, 2, 3]))
        .assert_all_equal();
    assert_eq!(outcome.successes(), [true, true]);
}

#[test]
fn delegated_to_what_is_deployed_later() {
    let key = Key::new(1);
    let target = DAVE.create(0);
    let outcome = case(Fork::Prague)
        .tx(Tx::call(ALICE, key.address).authorize(key.authorize(target, 0)))
        .tx(Tx::call(BOB, key.address))
        .tx(Tx::create(DAVE, deployer(increment())))
        .txs([ALICE, BOB, CAROL].map(|from| Tx::call(from, key.address)))
        .assert_all_equal();
    assert_eq!(outcome.slot(key.address, 0), U256::from(3));
}

#[test]
fn delegated_code_self_destructs() {
    let key = Key::new(1);
    let outcome = with_targets()
        .contract(account(0x71), Asm::new().self_destruct(NOBODY))
        .balance(key.address, U256::from(50))
        .tx(Tx::call(ALICE, key.address).authorize(key.authorize(account(0x71), 0)))
        .tx(Tx::pay(BOB, key.address, 3).gas(60_000))
        .tx(Tx::call(CAROL, key.address).authorize(key.authorize(CONTRACT, 1)))
        .assert_all_equal();
    assert_eq!(outcome.balance(NOBODY), U256::from(53));
    assert_eq!(outcome.slot(key.address, 0), U256::ONE);
}

#[test]
fn some_authorizations_are_invalid_and_ignored() {
    let [one, two, three, four] = [1, 2, 3, 4].map(Key::new);
    let outcome = with_targets()
        .contract(account(0x71), increment())
        .tx(Tx::call(ALICE, NOBODY)
            .authorize(one.authorize(CONTRACT, 0))
            .authorize(one.authorize(OTHER, 1))
            .authorize(two.authorize(CONTRACT, 7))
            .authorize(three.authorize_on(99, CONTRACT, 0))
            .authorize(four.authorize_on(0, CONTRACT, 0)))
        .txs([one, two, three, four].map(|key| Tx::call(BOB, key.address)))
        .assert_all_equal();
    let slots = [one, two, three, four].map(|key| outcome.slot(key.address, 0));
    assert_eq!(slots, [10, 0, 0, 1].map(U256::from));
}

#[test]
fn an_authority_becomes_a_contract_first() {
    let key = Key::new(1);
    let outcome = with_targets()
        .contract(key.address, by_ten())
        .tx(Tx::call(ALICE, key.address).authorize(key.authorize(CONTRACT, 1)))
        .assert_all_equal();
    assert_eq!(outcome.slot(key.address, 0), U256::from(10), "true code is never replaced");
}

#[test]
fn several_authorities_by_several_senders() {
    let keys: Vec<_> = (1..13).map(Key::new).collect();
    let txs = (0..36).map(|index: usize| {
        let key = keys[index % 12];
        let target = if index / 12 == 1 { OTHER } else { CONTRACT };
        Tx::call([ALICE, BOB, CAROL][index % 3], key.address)
            .authorize(key.authorize(target, index as u64 / 12))
    });
    let outcome = with_targets().txs(txs).assert_all_equal();
    assert!(keys.iter().all(|key| outcome.slot(key.address, 0) == U256::from(12)));
}

#[test]
fn the_refund_depends_on_whether_the_authority_existed() {
    let key = Key::new(1);
    let set = |from, nonce| Tx::call(from, NOBODY).authorize(key.authorize(CONTRACT, nonce));
    let outcome = with_targets().txs([set(ALICE, 0), set(BOB, 1)]).assert_all_equal();
    assert!(outcome.gas()[0] > outcome.gas()[1]);
}
