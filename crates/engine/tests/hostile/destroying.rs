//! Destroying accounts and reviving them.

use alloy_primitives::{Address, Bytes, U256};
use warpline_testkit::{Asm, Case, Fork, Tx, account, create2_address, deployer, ether, op};

use super::{ALICE, BEFORE_CANCUN, BOB, CAROL, CONTRACT, DAVE, NOBODY, OTHER, about, ask, case};

const HEIR: Address = account(0x4e);

/// What the phoenix does, by its first argument.
const RECORD: u64 = 0;
const DIE: u64 = 1;
const RESTORE: u64 = 2;

/// A contract that copies slot 0, plus 100, to slot 1 and slot 2, plus 1, to slot 2; or dies; or
/// sets slot 0 to 5.
fn phoenix() -> Asm {
    Asm::new()
        .arg(0)
        .push(DIE)
        .op(op::EQ)
        .if_top(|asm| asm.self_destruct(HEIR))
        .arg(0)
        .push(RESTORE)
        .op(op::EQ)
        .if_top(|asm| asm.sstore(0, 5).op(op::STOP))
        .sload(0)
        .push(100)
        .op(op::ADD)
        .store_top(1)
        .push(1)
        .add_to_slot(2)
}

fn phoenix_init() -> Bytes {
    deployer(phoenix())
}

/// Where [`nest`] puts it.
fn phoenix_address() -> Address {
    create2_address(CONTRACT, 0, &phoenix_init())
}

/// Creates a phoenix, with 3 wei, and counts the successes in slot 9.
fn nest() -> Asm {
    Asm::new().create2(&phoenix_init(), 3, 0).ops(&[op::ISZERO, op::ISZERO]).add_to_slot(9)
}

/// A block with a nest, and a phoenix whose slot 0 is 5 and slot 2 is 9.
fn with_phoenix(fork: Fork) -> Case {
    case(fork)
        .contract(CONTRACT, nest())
        .fund(CONTRACT)
        .contract(phoenix_address(), phoenix())
        .balance(phoenix_address(), U256::from(1_000))
        .slot(phoenix_address(), 0, 5)
        .slot(phoenix_address(), 2, 9)
        .slot(phoenix_address(), 7, 1)
}

fn tell(from: Address, what: u64) -> Tx {
    Tx::call(from, phoenix_address()).args(&[what])
}

fn revive(from: Address) -> Tx {
    Tx::call(from, CONTRACT)
}

#[test]
fn destroyed_it_is_absent_to_later_transactions() {
    for fork in BEFORE_CANCUN {
        let phoenix = phoenix_address();
        let outcome = with_phoenix(fork)
            .contract(OTHER, ask(op::EXTCODESIZE))
            .contract(account(0xee), ask(op::BALANCE))
            .tx(Tx::call(ALICE, OTHER).data(about(phoenix, &[0])))
            .tx(tell(BOB, DIE))
            .tx(Tx::call(CAROL, OTHER).data(about(phoenix, &[1])))
            .tx(Tx::call(DAVE, account(0xee)).data(about(phoenix, &[1])))
            .tx(tell(ALICE, RECORD))
            .assert_all_equal();
        assert!(outcome.slot(OTHER, 0) > U256::ZERO);
        assert_eq!(outcome.slot(OTHER, 1), U256::ZERO);
        assert_eq!(outcome.account(phoenix), None);
        assert_eq!(outcome.balance(HEIR), U256::from(1_000));
        assert!(outcome.output().state.account(&phoenix).is_some_and(|diff| diff.storage_wiped));
    }
}

#[test]
fn revived_by_a_payment_it_has_no_nonce_no_code_no_storage() {
    for fork in BEFORE_CANCUN {
        let outcome = with_phoenix(fork)
            .txs([tell(ALICE, RECORD), tell(BOB, DIE), Tx::pay(CAROL, phoenix_address(), 7)])
            .tx(tell(DAVE, RECORD))
            .assert_all_equal();
        let revived = outcome.account(phoenix_address()).expect("it holds 7 wei");
        assert_eq!((revived.balance, revived.nonce), (U256::from(7), 0));
        assert!(!revived.has_code());
        assert_eq!([0, 1, 2, 7].map(|slot| outcome.slot(phoenix_address(), slot)), [U256::ZERO; 4]);
    }
}

#[test]
fn revived_by_create2_its_storage_is_empty() {
    for fork in BEFORE_CANCUN {
        let outcome = with_phoenix(fork)
            .txs([tell(ALICE, RECORD), tell(BOB, DIE), revive(CAROL), tell(DAVE, RECORD)])
            .assert_all_equal();
        assert_eq!(outcome.slot(CONTRACT, 9), U256::ONE);
        let slots = [0, 1, 2, 7].map(|slot| outcome.slot(phoenix_address(), slot));
        assert_eq!(slots, [0, 100, 1, 0].map(U256::from));
        assert_eq!(outcome.balance(phoenix_address()), U256::from(3));
    }
}

#[test]
fn revived_and_killed_again_and_again() {
    for fork in BEFORE_CANCUN {
        let rounds = (0..12)
            .flat_map(|_| [tell(ALICE, RECORD), tell(BOB, DIE), revive(CAROL), tell(DAVE, RECORD)]);
        let outcome = with_phoenix(fork).txs(rounds).assert_all_equal();
        assert_eq!(outcome.slot(CONTRACT, 9), U256::from(12));
        assert_eq!(outcome.slot(phoenix_address(), 2), U256::ONE);
    }
}

#[test]
fn revived_while_alive_is_a_failure() {
    let outcome = with_phoenix(Fork::Shanghai)
        .txs([revive(ALICE), tell(BOB, DIE), revive(CAROL), revive(DAVE), tell(ALICE, DIE)])
        .tx(revive(BOB))
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 9), U256::from(2));
}

#[test]
fn the_value_of_before_the_block_written_again_after_the_wipe_is_a_write() {
    for fork in BEFORE_CANCUN {
        let outcome = with_phoenix(fork)
            .txs([tell(BOB, DIE), revive(CAROL), tell(DAVE, RESTORE), tell(ALICE, RECORD)])
            .assert_all_equal();
        assert_eq!(outcome.slot(phoenix_address(), 0), U256::from(5));
        assert_eq!(outcome.slot(phoenix_address(), 1), U256::from(105));
        let diff = outcome.output().state.account(&phoenix_address()).cloned().unwrap();
        assert!(diff.storage_wiped && diff.storage.contains_key(&U256::ZERO));
    }
}

#[test]
fn destroyed_and_made_again_exactly_as_it_was_but_for_its_storage() {
    // The account reads the same before and after, so only the slots tell who came too early.
    let (phoenix, killer) = (phoenix_address(), account(0x77));
    let kill = Asm::new()
        .push(3_000)
        .spin_top()
        .push(DIE)
        .push(0)
        .op(op::MSTORE)
        .call_with(phoenix, 0, 32, 90_000);
    for fork in BEFORE_CANCUN {
        let outcome = with_phoenix(fork)
            .balance(phoenix, U256::from(3))
            .contract(killer, kill.clone())
            .txs([Tx::call(ALICE, killer), revive(BOB), tell(CAROL, RECORD), tell(DAVE, RECORD)])
            .assert_all_equal();
        let slots = [0, 1, 2, 7].map(|slot| outcome.slot(phoenix, slot));
        assert_eq!(slots, [0, 100, 2, 0].map(U256::from));
    }
}

#[test]
fn destroyed_twice_then_touched() {
    for fork in BEFORE_CANCUN {
        let outcome = with_phoenix(fork)
            .txs([tell(ALICE, DIE), tell(BOB, DIE), tell(CAROL, RECORD), tell(DAVE, DIE)])
            .assert_all_equal();
        assert_eq!(outcome.account(phoenix_address()), None);
    }
}

#[test]
fn destroyed_twice_in_one_transaction_then_touched() {
    let (phoenix, twice) = (phoenix_address(), account(0x77));
    let die = Asm::new()
        .push(DIE)
        .push(0)
        .op(op::MSTORE)
        .call_with(phoenix, 0, 32, 90_000)
        .call_with(phoenix, 5, 32, 90_000)
        .call(phoenix, 0);
    for fork in BEFORE_CANCUN {
        let outcome = with_phoenix(fork)
            .contract(twice, die.clone())
            .fund(twice)
            .txs([tell(ALICE, RECORD), Tx::call(BOB, twice), tell(CAROL, RECORD)])
            .assert_all_equal();
        assert_eq!(outcome.account(phoenix), None);
        assert_eq!(outcome.balance(HEIR), U256::from(1_005));
    }
}

#[test]
fn value_that_arrives_after_the_self_destruct_is_burned_or_stays() {
    let (victim, killer) = (OTHER, account(0x77));
    let kill = Asm::new().call(victim, 0).call(NOBODY, 1).ops(&[op::POP, op::POP]);
    // The heir pays the victim back in the same transaction.
    let back = Asm::new().op(op::CALLVALUE).if_top(|asm| asm.call(OTHER, 40).op(op::POP));
    for (fork, left) in [(Fork::London, 0), (Fork::Shanghai, 0), (Fork::Cancun, 0)] {
        let outcome = case(fork)
            .contract(
                victim,
                Asm::new().op(op::CALLVALUE).op(op::ISZERO).if_top(|a| a.self_destruct(HEIR)),
            )
            .balance(victim, U256::from(100))
            .contract(HEIR, back.clone())
            .contract(killer, kill.clone().call(victim, 7).op(op::POP))
            .fund(killer)
            .txs([Tx::call(ALICE, killer), Tx::pay(BOB, NOBODY, 1)])
            .assert_all_equal();
        let stays = if fork < Fork::Cancun { left } else { 7 };
        assert_eq!(outcome.balance(victim), U256::from(stays), "{fork:?}");
    }
}

#[test]
fn destroyed_in_favour_of_itself() {
    let suicidal = Asm::new().op(op::ADDRESS).op(op::SELFDESTRUCT);
    for (fork, kept) in [(Fork::Homestead, 0), (Fork::Shanghai, 0), (Fork::Cancun, 50)] {
        let outcome = case(fork)
            .contract(OTHER, suicidal.clone())
            .balance(OTHER, U256::from(50))
            .txs([Tx::call(ALICE, OTHER), Tx::call(BOB, OTHER)])
            .assert_all_equal();
        assert_eq!(outcome.balance(OTHER), U256::from(kept), "{fork:?}");
    }
}

#[test]
fn from_cancun_on_an_older_contract_lives_on_without_its_balance() {
    for fork in [Fork::Cancun, Fork::Prague] {
        let outcome = with_phoenix(fork)
            .txs([tell(ALICE, RECORD), tell(BOB, DIE), tell(CAROL, RECORD), revive(DAVE)])
            .assert_all_equal();
        let slots = [0, 1, 2, 7].map(|slot| outcome.slot(phoenix_address(), slot));
        assert_eq!(slots, [5, 105, 11, 1].map(U256::from));
        assert_eq!(outcome.balance(phoenix_address()), U256::ZERO);
        assert_eq!(outcome.slot(CONTRACT, 9), U256::ZERO);
    }
}

#[test]
fn from_cancun_on_created_in_an_earlier_transaction_is_not_created_in_the_same() {
    let outcome = case(Fork::Cancun)
        .contract(CONTRACT, nest())
        .fund(CONTRACT)
        .txs([revive(ALICE), tell(BOB, RECORD), tell(CAROL, DIE), tell(DAVE, RECORD)])
        .assert_all_equal();
    assert_eq!(outcome.slot(phoenix_address(), 2), U256::from(2));
}

#[test]
fn from_cancun_on_created_and_destroyed_in_one_transaction_can_be_created_again() {
    let phoenix = phoenix_address();
    let ephemeral = nest()
        .push(RECORD)
        .push(0)
        .op(op::MSTORE)
        .call_with(phoenix, 0, 32, 100_000)
        .push(DIE)
        .push(0)
        .op(op::MSTORE)
        .call_with(phoenix, 0, 32, 90_000);
    for fork in [Fork::Shanghai, Fork::Cancun, Fork::Osaka] {
        let outcome = case(fork)
            .contract(CONTRACT, ephemeral.clone())
            .fund(CONTRACT)
            .contract(OTHER, ask(op::EXTCODEHASH))
            .txs((0..6).flat_map(|round| {
                [revive(ALICE), Tx::call(BOB, OTHER).data(about(phoenix, &[round]))]
            }))
            .assert_all_equal();
        assert_eq!(outcome.slot(CONTRACT, 9), U256::from(6));
        assert_eq!(outcome.account(phoenix), None);
        assert_eq!(outcome.balance(HEIR), U256::from(18));
    }
}

#[test]
fn created_destroyed_and_funded_before_the_block() {
    let dies_at_birth = Asm::new().self_destruct(HEIR).build();
    let maker = Asm::new().create2(&dies_at_birth, 3, 0).store_top(1);
    let child = create2_address(CONTRACT, 0, &dies_at_birth);
    for fork in [Fork::Istanbul, Fork::Shanghai, Fork::Cancun] {
        let outcome = case(fork)
            .contract(CONTRACT, maker.clone())
            .fund(CONTRACT)
            .balance(child, U256::from(20))
            .txs([revive(ALICE), Tx::pay(BOB, child, 4), revive(CAROL), Tx::pay(DAVE, child, 1)])
            .assert_all_equal();
        assert_eq!(outcome.balance(child), U256::ONE, "{fork:?}");
        assert_eq!(outcome.balance(HEIR), U256::from(20 + 3 + 4 + 3));
    }
}

#[test]
fn a_reverted_self_destruct_does_nothing() {
    let (phoenix, outer) = (phoenix_address(), account(0x77));
    let inner = Asm::new()
        .push(DIE)
        .push(0)
        .op(op::MSTORE)
        .call_with(phoenix, 0, 32, 90_000)
        .op(op::POP)
        .revert();
    for fork in BEFORE_CANCUN {
        let outcome = with_phoenix(fork)
            .contract(outer, inner.clone())
            .txs([Tx::call(ALICE, outer), tell(BOB, RECORD), Tx::call(CAROL, outer)])
            .assert_all_equal();
        assert_eq!(outcome.successes(), [false, true, false]);
        assert_eq!(outcome.slot(phoenix, 2), U256::from(10));
        assert_eq!(outcome.balance(phoenix), U256::from(1_000));
    }
}

#[test]
fn an_heir_that_is_absent_or_destroyed_too() {
    let first = Asm::new().self_destruct(OTHER);
    let second = Asm::new().self_destruct(CONTRACT);
    for fork in
        [Fork::Homestead, Fork::Tangerine, Fork::SpuriousDragon, Fork::Shanghai, Fork::Cancun]
    {
        case(fork)
            .contract(CONTRACT, first.clone())
            .balance(CONTRACT, U256::from(10))
            .contract(OTHER, second.clone())
            .balance(OTHER, U256::from(5))
            .contract(HEIR, Asm::new().self_destruct(NOBODY))
            .txs([Tx::call(ALICE, CONTRACT), Tx::call(BOB, OTHER), Tx::call(CAROL, CONTRACT)])
            .txs([Tx::call(DAVE, HEIR), Tx::call(ALICE, OTHER)])
            .assert_all_equal();
    }
}

#[test]
fn large_storage_is_wiped_then_read_and_written_slot_by_slot() {
    // Arguments: first slot, and one past the last. Adds one to each.
    let walk = || {
        let mut asm = Asm::new();
        for step in 0..10 {
            // slot = arg + step
            asm = asm.arg(1).push(step).op(op::ADD).ops(&[op::DUP1, op::SLOAD]).push(1).ops(&[
                op::ADD,
                op::SWAP1,
                op::SSTORE,
            ]);
        }
        Asm::new().arg(0).push(DIE).op(op::EQ).if_top(|asm| asm.self_destruct(HEIR)).then(&asm)
    };
    let init = deployer(walk());
    let child = create2_address(CONTRACT, 0, &init);
    let mut block = case(Fork::London)
        .contract(CONTRACT, Asm::new().create2(&init, 0, 0).store_top(0))
        .contract(child, walk());
    for slot in 0..300 {
        block = block.slot(child, slot, slot + 1);
    }
    let walks = |from: Address| {
        (0..20).map(move |step| Tx::call(from, child).args(&[0, 10 * step]).gas(1_000_000))
    };
    let outcome = block
        .txs(walks(ALICE))
        .tx(Tx::call(BOB, child).args(&[DIE]))
        .txs(walks(CAROL))
        .tx(Tx::call(BOB, CONTRACT))
        .txs(walks(DAVE))
        .txs(walks(ALICE))
        .assert_all_equal();
    for slot in 0..300 {
        let expected = if slot < 200 { 2 } else { 0 };
        assert_eq!(outcome.slot(child, slot), U256::from(expected), "slot {slot}");
    }
}

#[test]
fn the_balance_of_a_destroyed_account_does_not_come_back() {
    let outcome = with_phoenix(Fork::Shanghai)
        .txs((0..5).map(|_| Tx::call(ALICE, phoenix_address()).value(ether(1)).args(&[RECORD])))
        .tx(tell(BOB, DIE))
        .txs((0..5).map(|_| Tx::pay(CAROL, phoenix_address(), 1)))
        .assert_all_equal();
    assert_eq!(outcome.balance(phoenix_address()), U256::from(5));
    assert_eq!(outcome.balance(HEIR), ether(5) + U256::from(1_000));
}

#[test]
fn made_written_destroyed_and_made_again_in_one_block() {
    // The argument 1 destroys it, 2 writes slot 0, anything else copies slot 0 to slot 1.
    let mortal = Asm::new()
        .arg(0)
        .push(1)
        .op(op::EQ)
        .if_top(|asm| asm.self_destruct(NOBODY))
        .arg(0)
        .push(2)
        .op(op::EQ)
        .if_top(|asm| asm.sstore(0, 5).op(op::STOP))
        .sload(0)
        .push(100)
        .op(op::ADD)
        .store_top(1);
    let init = deployer(mortal);
    let made = create2_address(CONTRACT, 0, &init);
    let tell = |from, what| Tx::call(from, made).args(&[what]);
    for fork in BEFORE_CANCUN {
        let outcome = case(fork)
            .contract(CONTRACT, Asm::new().create2(&init, 0, 0).op(op::POP))
            .txs([Tx::call(ALICE, CONTRACT), tell(BOB, 2), tell(CAROL, 1)])
            .txs([Tx::call(DAVE, CONTRACT), tell(ALICE, 0)])
            .assert_all_equal();
        assert_eq!(outcome.slot(made, 0), U256::ZERO, "{fork:?}");
        assert_eq!(outcome.slot(made, 1), U256::from(100), "{fork:?}");
    }
}
