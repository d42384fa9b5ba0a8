//! Block access lists (EIP-7928): what is in one, and lists that are not the block's.
//!
//! Every block of every test is also executed from its list, and from lists spoilt in one place.

use alloy_eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, BlockAccessList, SlotChanges, StorageChange,
};
use alloy_eips::{eip4788::BEACON_ROOTS_ADDRESS, eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS};
use alloy_primitives::{Address, U256};
use warpline_engine::{
    AccessListError, AccessListMode, ExecuteOptions, ExecutionError, InvalidBlock, Strategy,
};
use warpline_testkit::{
    Asm, BENEFICIARY, Case, Engines, FailingSource, Fork, TIP, Tx, account, create2_address, op,
};

use crate::{ALICE, BOB, CAROL};

const COUNTER: Address = account(0xcc);
const READER: Address = account(0xdd);

fn counting() -> Case {
    let reader = Asm::new().sload(0).op(op::POP).balance(COUNTER).op(op::POP);
    Case::new(Fork::Osaka)
        .fund_all([ALICE, BOB, CAROL])
        .contract(COUNTER, Asm::new().push(1).add_to_slot(0))
        .slot(COUNTER, 0, 7)
        .contract(READER, reader)
        .slot(READER, 0, 3)
}

/// The list of the block, which all ways of executing it agree on.
fn list_of(case: &Case) -> BlockAccessList {
    case.assert_all_equal();
    let engines = Engines::take(case.chain());
    let options = ExecuteOptions::from(Strategy::Parallel(2)).access_list(AccessListMode::Build);
    let output = engines.two().execute_with(&case.block(), case.state(), options);
    engines.put_back();
    output.expect("a valid block").access_list.expect("it was asked for")
}

fn account_of(list: &BlockAccessList, address: Address) -> &AccountChanges {
    list.iter().find(|changes| changes.address == address).expect("it is listed")
}

/// Why the block is rejected with its list changed by `spoil`, in parallel as sequentially. Reads
/// that took are counted.
fn rejected(case: &Case, spoil: impl FnOnce(&mut BlockAccessList)) -> (AccessListError, u64) {
    let mut list = list_of(case);
    spoil(&mut list);
    let engines = Engines::take(case.chain());
    let [sequential, parallel] = [Strategy::Sequential, Strategy::Parallel(8)].map(|strategy| {
        let source = FailingSource::from(case.state(), u64::MAX);
        let options = ExecuteOptions::from(strategy).access_list(AccessListMode::Verify(&list));
        match engines.eight().execute_with(&case.block(), &source, options) {
            Err(ExecutionError::InvalidBlock(InvalidBlock::AccessList(error))) => {
                (error, source.reads())
            }
            other => panic!("{strategy:?}: {other:?}"),
        }
    });
    engines.put_back();
    assert_eq!(sequential.0, parallel.0, "sequential and parallel give other reasons");
    parallel
}

fn step(index: u64) -> BlockAccessIndex {
    BlockAccessIndex::new(index)
}

fn find(list: &mut BlockAccessList, address: Address) -> &mut AccountChanges {
    list.iter_mut().find(|changes| changes.address == address).expect("it is listed")
}

#[test]
fn steps_are_counted_from_what_comes_before_the_transactions_to_what_comes_after() {
    let case = counting()
        .txs([Tx::call(ALICE, COUNTER), Tx::pay(BOB, CAROL, 5), Tx::call(BOB, COUNTER)])
        .withdrawal(account(0x77), 2);
    let list = list_of(&case);
    assert!(list.is_sorted_by_key(|changes| changes.address));

    let roots = account_of(&list, BEACON_ROOTS_ADDRESS);
    assert!(roots.storage_changes.iter().all(|slot| slot.changes[0].block_access_index.get() == 0));
    let slot =
        [StorageChange::new(step(1), U256::from(8)), StorageChange::new(step(3), U256::from(9))];
    let counter = account_of(&list, COUNTER);
    assert_eq!(counter.storage_changes, [SlotChanges::new(U256::ZERO, slot.to_vec())]);
    let nonces = |address| {
        let changes = account_of(&list, address).nonce_changes.iter();
        changes.map(|it| (it.block_access_index.get(), it.new_nonce)).collect::<Vec<_>>()
    };
    assert_eq!(nonces(ALICE), [(1, 1)]);
    assert_eq!(nonces(BOB), [(2, 1), (3, 2)]);
    let gwei = U256::from(2_000_000_000_u64);
    let withdrawn = account_of(&list, account(0x77));
    assert_eq!(withdrawn.balance_changes, [BalanceChange::new(step(4), gwei)]);
}

#[test]
fn fees_that_nobody_looked_at_are_listed_transaction_by_transaction() {
    let list = list_of(&counting().txs([Tx::pay(ALICE, BOB, 1), Tx::pay(BOB, CAROL, 1)]));
    let fee = U256::from(21_000) * U256::from(TIP);
    let expected = [(1, fee), (2, fee + fee)];
    let expected = expected.map(|(index, sum)| BalanceChange::new(step(index), sum));
    assert_eq!(account_of(&list, BENEFICIARY).balance_changes, expected);
}

#[test]
fn a_beneficiary_that_earns_nothing_is_listed_all_the_same() {
    let case = counting().tx(Tx::pay(ALICE, BOB, 1).fees(20, 0));
    assert!(account_of(&list_of(&case), BENEFICIARY).is_empty());
    assert!(!list_of(&counting()).iter().any(|changes| changes.address == BENEFICIARY));
}

#[test]
fn writes_that_change_nothing_are_reads() {
    let same = Asm::new().sstore(0, 7).sstore(1, 1).sstore(1, 0);
    let failing = Asm::new().sstore(2, 5).revert();
    let case = Case::new(Fork::Osaka)
        .fund_all([ALICE, BOB])
        .contract(COUNTER, same)
        .slot(COUNTER, 0, 7)
        .contract(READER, failing)
        .txs([Tx::call(ALICE, COUNTER), Tx::call(BOB, READER)]);
    let list = list_of(&case);
    let counter = account_of(&list, COUNTER);
    assert_eq!(counter.storage_reads, [U256::ZERO, U256::ONE]);
    assert!(counter.storage_changes.is_empty());
    assert_eq!(account_of(&list, READER).storage_reads, [U256::from(2)]);
}

#[test]
fn what_only_a_discarded_execution_touched_is_not_listed() {
    // Reads the slot that the counter names: speculatively another one than in the end.
    let pointer = Asm::new().sload(0).op(op::SLOAD).op(op::POP).push(1).add_to_slot(0);
    let case = Case::new(Fork::Osaka)
        .fund_all([ALICE, BOB, CAROL])
        .contract(COUNTER, pointer)
        .slot(COUNTER, 0, 10)
        .txs([ALICE, BOB, CAROL].map(|from| Tx::call(from, COUNTER)));
    let counter = account_of(&list_of(&case), COUNTER).clone();
    assert_eq!(counter.storage_reads, [10, 11, 12].map(U256::from));
}

#[test]
fn a_list_that_lacks_something_is_rejected() {
    let case = counting().txs([Tx::call(ALICE, READER), Tx::call(BOB, COUNTER)]);
    let (error, _) = rejected(&case, |list| list.retain(|it| it.address != READER));
    assert_eq!(error, AccessListError::Undeclared { step: 1, address: READER, slot: None });
    let (error, _) = rejected(&case, |list| find(list, READER).storage_reads.clear());
    let slot = Some(U256::ZERO);
    assert_eq!(error, AccessListError::Undeclared { step: 1, address: READER, slot });
    let (error, _) = rejected(&case, |list| find(list, COUNTER).storage_changes.clear());
    assert_eq!(error, AccessListError::Undeclared { step: 2, address: COUNTER, slot });
}

#[test]
fn a_list_that_has_too_much_is_rejected() {
    let case = counting().txs([Tx::call(ALICE, READER), Tx::call(BOB, COUNTER)]);
    let nobody = account(0xff);
    let (error, _) = rejected(&case, |list| list.push(AccountChanges::new(nobody)));
    assert_eq!(error, AccessListError::Unused { address: nobody, slot: None });
    let (error, _) = rejected(&case, |list| find(list, READER).storage_reads.push(U256::from(9)));
    assert_eq!(error, AccessListError::Unused { address: READER, slot: Some(U256::from(9)) });
    let extra = BalanceChange::new(step(2), U256::ONE);
    let (error, _) = rejected(&case, |list| find(list, READER).balance_changes.push(extra));
    assert!(matches!(error, AccessListError::Change(it) if it.step == 2 && it.found.is_none()));
}

#[test]
fn a_list_with_a_wrong_value_or_step_is_rejected_at_that_step() {
    let case = counting().txs([Tx::call(ALICE, COUNTER), Tx::call(BOB, COUNTER)]);
    let (error, _) = rejected(&case, |list| {
        find(list, COUNTER).storage_changes[0].changes[1].new_value = U256::from(99);
    });
    let AccessListError::Change(change) = error else { panic!("{error}") };
    let values = (change.listed, change.found);
    assert_eq!((change.step, values), (2, (Some(U256::from(99)), Some(U256::from(9)))));
    let (error, _) = rejected(&case, |list| {
        find(list, COUNTER).storage_changes[0].changes[0].block_access_index = step(0);
    });
    let AccessListError::Change(change) = error else { panic!("{error}") };
    assert_eq!((change.step, change.found), (0, None));
}

#[test]
fn a_list_out_of_form_is_rejected_unread() {
    let case = counting().txs([Tx::call(ALICE, COUNTER), Tx::call(BOB, COUNTER)]);
    type Spoil = fn(&mut BlockAccessList);
    let spoils: [Spoil; 5] = [
        |list| list.reverse(),
        |list| list.insert(0, list[0].clone()),
        |list| find(list, COUNTER).storage_reads.push(U256::ZERO),
        |list| find(list, COUNTER).storage_changes[0].changes.swap(0, 1),
        |list| find(list, COUNTER).balance_changes.push(BalanceChange::new(step(4), U256::ONE)),
    ];
    for (at, spoil) in spoils.into_iter().enumerate() {
        let (error, reads) = rejected(&case, spoil);
        assert!(matches!(error, AccessListError::Malformed(_)), "{at}: {error}");
        assert_eq!(reads, 0, "{at}: the state was read");
    }
}

#[test]
fn a_list_longer_than_the_gas_limit_pays_for_is_rejected_unread() {
    let case = counting().gas_limit(1_000_000).tx(Tx::call(ALICE, COUNTER));
    let (error, reads) = rejected(&case, |list| {
        find(list, COUNTER).storage_reads.extend((100..1000).map(U256::from));
    });
    assert!(matches!(error, AccessListError::TooLarge(_)), "{error}");
    assert_eq!(reads, 0);
}

#[test]
fn code_that_no_account_can_have_is_rejected_at_its_step() {
    let case = counting().tx(Tx::call(ALICE, COUNTER));
    let (error, _) = rejected(&case, |list| {
        let code = alloy_primitives::bytes!("ef0100deadbeef");
        let change = alloy_eip7928::CodeChange::new(step(1), code);
        find(list, COUNTER).code_changes.push(change);
    });
    assert!(matches!(error, AccessListError::Change(it) if it.step == 1));
}

#[test]
fn code_that_looks_like_a_broken_delegation_is_code_before_london() {
    let code = alloy_primitives::bytes!("ef01aa");
    let deploy = Tx::create(ALICE, warpline_testkit::deployer(code));
    let made = ALICE.create(0);
    let case = Case::new(Fork::Berlin).fund_all([ALICE, BOB]).tx(deploy).tx(Tx::call(BOB, made));
    assert!(!account_of(&list_of(&case), made).code_changes.is_empty());
}

#[test]
fn a_lie_about_what_comes_last_does_not_cost_another_execution() {
    let many: Vec<_> = (1..=100).map(account).collect();
    let case = Case::new(Fork::Osaka)
        .fund_all(many.clone())
        .txs(many.into_iter().map(|from| Tx::pay(from, BOB, 1)))
        .withdrawal(account(0xfe), 7);
    let engines = Engines::take(case.chain());
    let list = list_of(&case);
    let source = FailingSource::from(case.state(), u64::MAX);
    let options = ExecuteOptions::from(Strategy::Parallel(2));
    let options = options.access_list(AccessListMode::Verify(&list));
    engines.two().execute_with(&case.block(), &source, options).expect("its own list");
    engines.put_back();
    let (error, reads) = rejected(&case, |list| {
        find(list, account(0xfe)).balance_changes[0].post_balance += U256::ONE;
    });
    assert!(matches!(error, AccessListError::Change(it) if it.step == 101));
    // Two workers may read one key at the same moment, so the counts of two runs differ by a few;
    // another execution would read each of the hundred senders once more.
    let right = source.reads();
    assert!(reads < right + 50, "{reads} reads, {right} with the right list");
}

#[test]
fn a_step_that_destroys_an_account_and_then_credits_it() {
    // The withdrawal queue's contract makes and destroys a child that had wei before; a withdrawal
    // then pays the child. All of that is one step.
    let child_init = Asm::new().self_destruct(CAROL).build();
    let child = create2_address(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, 0, &child_init);
    let queue = Asm::new().create2(&child_init, 0, 0).op(op::POP).op(op::STOP);
    let case = Case::new(Fork::Prague)
        .fund_all([ALICE, BOB])
        .contract(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, queue)
        .balance(child, U256::from(5))
        .txs([Tx::pay(ALICE, BOB, 1), Tx::pay(BOB, ALICE, 1)])
        .withdrawal(child, 7);
    let gwei = U256::from(7_000_000_000_u64);
    let list = list_of(&case);
    assert_eq!(account_of(&list, child).balance_changes, [BalanceChange::new(step(3), gwei)]);
}

#[test]
fn a_list_that_makes_transactions_spin_is_rejected_before_they_all_have() {
    // Spins as often as the counter says. The list claims a great many times.
    let spinner = Asm::new().sload(0).spin_top().push(1).add_to_slot(0);
    let senders: Vec<_> = (1..=40).map(account).collect();
    let case = Case::new(Fork::Osaka)
        .gas_limit(200_000_000)
        .fund_all(senders.clone())
        .contract(COUNTER, spinner)
        .txs(senders.into_iter().map(|from| Tx::call(from, COUNTER).gas(16_000_000)));
    let (error, _) = rejected(&case, |list| {
        find(list, COUNTER).storage_changes[0].changes[0].new_value = U256::from(1_u64 << 40);
    });
    assert!(matches!(error, AccessListError::Change(it) if it.step == 1));
}
