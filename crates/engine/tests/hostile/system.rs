//! What happens around the transactions, and what comes from outside the state.

use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS,
    eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS, eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_primitives::{Address, B256, U256, address, b256, keccak256};
use warpline_chain::{ChainSpec, EthereumHardfork, EthereumHardforks, ForkCondition};
use warpline_testkit::{Asm, BENEFICIARY, BLOCK_NUMBER, Case, Fork, Tx, account, ether, op};

use super::{ALICE, BOB, CAROL, CONTRACT, DAVE, NOBODY, OTHER, case, increment};

#[test]
fn block_hashes_reach_back_256_blocks() {
    // Stores BLOCKHASH of the first argument in the slot of that number.
    let code = Asm::new().arg(0).op(op::BLOCKHASH).arg(0).op(op::SSTORE);
    let offsets = [0, 1, 2, 255, 256, 257];
    for fork in [Fork::Homestead, Fork::London, Fork::Prague] {
        let outcome = case(fork)
            .contract(CONTRACT, code.clone())
            .txs(offsets.map(|back| Tx::call(ALICE, CONTRACT).args(&[BLOCK_NUMBER - back])))
            .tx(Tx::call(BOB, CONTRACT).args(&[BLOCK_NUMBER + 1]))
            .assert_all_equal();
        let known = offsets.map(|back| !outcome.slot(CONTRACT, BLOCK_NUMBER - back).is_zero());
        assert_eq!(known, [false, true, true, true, true, false]);
        let parent = keccak256((BLOCK_NUMBER - 1).to_be_bytes());
        assert_eq!(outcome.slot(CONTRACT, BLOCK_NUMBER - 1), U256::from_be_bytes(parent.0));
    }
}

#[test]
fn beacon_roots_and_history_are_there_before_the_first_transaction() {
    // Asks the history contract for the parent's hash.
    let code = Asm::new()
        .push(BLOCK_NUMBER - 1)
        .push(0)
        .op(op::MSTORE)
        .push(32)
        .push(32)
        .push(32)
        .push(0)
        .push_address(HISTORY_STORAGE_ADDRESS)
        .ops(&[op::GAS, op::STATICCALL])
        .store_top(0)
        .push(32)
        .op(op::MLOAD)
        .store_top(1);
    let outcome = case(Fork::Prague)
        .contract(CONTRACT, code)
        .tx(Tx::call(ALICE, CONTRACT))
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 0), U256::ONE);
    assert_eq!(outcome.slot(CONTRACT, 1), U256::from_be_bytes(keccak256("parent").0));
    assert!(outcome.output().state.account(&BEACON_ROOTS_ADDRESS).is_some());
}

#[test]
fn an_empty_block() {
    for fork in [
        Fork::Frontier,
        Fork::Homestead,
        Fork::SpuriousDragon,
        Fork::London,
        Fork::Paris,
        Fork::Shanghai,
        Fork::Cancun,
        Fork::Prague,
        Fork::Osaka,
    ] {
        let outcome = case(fork).assert_all_equal();
        assert_eq!(outcome.output().gas_used, 0);
        let rewarded = !ChainSpec::at_fork(fork, 1).is_paris_active_at_block(BLOCK_NUMBER);
        assert_eq!(outcome.account(BENEFICIARY).is_some(), rewarded, "{fork:?}");
    }
}

#[test]
fn a_block_without_system_contracts_is_invalid_from_prague_on() {
    for missing in [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS] {
        let block = |fork| case(fork).contract(missing, Vec::new()).tx(Tx::pay(ALICE, NOBODY, 1));
        assert!(block(Fork::Cancun).assert_all_equal().is_valid());
        let outcome = block(Fork::Prague).assert_all_equal();
        assert_eq!((outcome.is_valid(), outcome.invalid_at()), (false, None));
    }
}

#[test]
fn a_beacon_root_contract_may_be_missing() {
    assert!(
        case(Fork::Cancun).contract(BEACON_ROOTS_ADDRESS, Vec::new()).assert_all_equal().is_valid()
    );
}

#[test]
fn requests_are_taken_from_their_queues_after_the_last_transaction() {
    let withdraw = |from| {
        Tx::call(from, WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS).data(vec![7; 56]).value(U256::from(1))
    };
    let merge = |from| {
        Tx::call(from, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS)
            .data(vec![8; 96])
            .value(U256::from(1))
    };
    let outcome = case(Fork::Prague)
        .txs([withdraw(ALICE), merge(BOB), withdraw(CAROL), Tx::pay(DAVE, NOBODY, 1)])
        .assert_all_equal();
    assert_eq!(outcome.successes(), [true; 4]);
    let lengths: Vec<_> = outcome.output().requests.iter().map(|request| request.len()).collect();
    assert_eq!(lengths, [1 + 2 * 76, 1 + 116]);
}

/// Logs its call data as a deposit.
fn deposit_contract() -> Asm {
    let topic: B256 = b256!("0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");
    Asm::new()
        .ops(&[op::CALLDATASIZE])
        .push(0)
        .push(0)
        .op(op::CALLDATACOPY)
        .push_bytes(topic.as_slice())
        .ops(&[op::CALLDATASIZE])
        .push(0)
        .op(op::LOG1)
}

/// A deposit as the contract logs it: five byte strings of 48, 32, 8, 96 and 8 bytes.
fn deposit(mark: u8) -> Vec<u8> {
    let word = |number: u64| U256::from(number).to_be_bytes::<32>();
    let mut data = Vec::new();
    for offset in [160, 256, 320, 384, 512] {
        data.extend(word(offset));
    }
    for length in [48_u64, 32, 8, 96, 8] {
        data.extend(word(length));
        let padded = usize::try_from(length.div_ceil(32) * 32).expect("small");
        let bytes = usize::try_from(length).expect("small");
        data.extend((0..padded).map(|at| if at < bytes { mark } else { 0 }));
    }
    data
}

#[test]
fn deposits_come_in_the_order_of_transactions() {
    let pay_in = |from, mark| Tx::call(from, MAINNET_DEPOSIT_CONTRACT_ADDRESS).data(deposit(mark));
    let outcome = case(Fork::Prague)
        .contract(MAINNET_DEPOSIT_CONTRACT_ADDRESS, deposit_contract())
        .txs([pay_in(ALICE, 1), pay_in(BOB, 2), Tx::pay(CAROL, NOBODY, 1), pay_in(DAVE, 3)])
        .assert_all_equal();
    let requests = &outcome.output().requests;
    assert_eq!(requests.len(), 1);
    let marks = [1, 1 + 192, 1 + 2 * 192].map(|at| requests[0][at]);
    assert_eq!((requests[0].len(), marks), (1 + 3 * 192, [1, 2, 3]));
}

#[test]
fn a_malformed_deposit_makes_the_block_invalid() {
    let mut short = deposit(1);
    short.truncate(300);
    let outcome = case(Fork::Prague)
        .contract(MAINNET_DEPOSIT_CONTRACT_ADDRESS, deposit_contract())
        .tx(Tx::call(ALICE, MAINNET_DEPOSIT_CONTRACT_ADDRESS).data(deposit(1)))
        .tx(Tx::call(BOB, MAINNET_DEPOSIT_CONTRACT_ADDRESS).data(short))
        .assert_all_equal();
    assert_eq!((outcome.is_valid(), outcome.invalid_at()), (false, None));
}

#[test]
fn withdrawals_come_after_the_transactions() {
    let outcome = case(Fork::Shanghai)
        .tx(Tx::pay(ALICE, NOBODY, 1))
        .withdrawal(NOBODY, 2)
        .withdrawal(account(0x71), 0)
        .withdrawal(NOBODY, 3)
        .withdrawal(account(0x72), 4)
        .assert_all_equal();
    assert_eq!(outcome.balance(NOBODY), U256::from(5_000_000_001_u64));
    assert_eq!(outcome.account(account(0x71)), None, "an amount of zero creates nothing");
    assert_eq!(outcome.balance(account(0x72)), U256::from(4_000_000_000_u64));
}

#[test]
fn a_withdrawal_cannot_be_spent_in_its_block() {
    case(Fork::Shanghai)
        .withdrawal(NOBODY, 1_000_000)
        .txs([Tx::pay(ALICE, BOB, 1), Tx::pay(NOBODY, BOB, 1)])
        .assert_invalid_at(1);
}

#[test]
fn a_withdrawal_to_a_destroyed_contract() {
    let outcome = case(Fork::Shanghai)
        .contract(OTHER, Asm::new().self_destruct(NOBODY))
        .slot(OTHER, 1, 2)
        .tx(Tx::call(ALICE, OTHER))
        .withdrawal(OTHER, 1)
        .assert_all_equal();
    assert_eq!(outcome.balance(OTHER), U256::from(1_000_000_000));
    assert!(!outcome.account(OTHER).unwrap().has_code());
    assert_eq!(outcome.slot(OTHER, 1), U256::ZERO);
}

#[test]
fn a_withdrawal_of_nothing_to_an_empty_account_of_old() {
    case(Fork::Shanghai)
        .empty_account(NOBODY)
        .withdrawal(NOBODY, 0)
        .tx(Tx::pay(ALICE, BOB, 1))
        .assert_all_equal();
}

/// One of the accounts that EIP-779 empties, and where their ether goes.
const DAO: Address = address!("0xbb9bc244d798123fde783fcc1c72d3bb8c189413");
const REFUND: Address = address!("0xbf4ed7b27f1d666546e30d74d50d173d20bca754");

fn dao_chain(at: u64) -> ChainSpec {
    let forks = [
        (Fork::Frontier, ForkCondition::Block(0)),
        (Fork::Homestead, ForkCondition::Block(0)),
        (Fork::Dao, ForkCondition::Block(at)),
    ];
    ChainSpec::new("dao", 1, forks)
}

#[test]
fn the_dao_change_comes_before_the_first_transaction() {
    let block = |at| {
        Case::on(dao_chain(at))
            .fund(ALICE)
            .contract(DAO, Asm::new())
            .balance(DAO, ether(7))
            .contract(REFUND, Asm::new().op(op::ADDRESS).op(op::BALANCE).store_top(0))
            .balance(REFUND, U256::from(1))
            .txs([Tx::call(ALICE, REFUND), Tx::pay(ALICE, DAO, 2)])
            .assert_all_equal()
    };
    let forked = block(BLOCK_NUMBER);
    assert_eq!(forked.slot(REFUND, 0), ether(7) + U256::from(1));
    assert_eq!(forked.balance(DAO), U256::from(2));
    let other = block(BLOCK_NUMBER + 1);
    assert_eq!(other.slot(REFUND, 0), U256::from(1));
    assert_eq!(other.balance(DAO), ether(7) + U256::from(2));
}

#[test]
fn the_dao_change_where_there_is_nothing_to_move() {
    Case::on(dao_chain(BLOCK_NUMBER)).fund(ALICE).tx(Tx::pay(ALICE, BOB, 1)).assert_all_equal();
    Case::on(dao_chain(BLOCK_NUMBER)).fund(REFUND).empty_account(DAO).assert_all_equal();
}

#[test]
fn the_beneficiary_of_the_dao_block_is_the_refund_contract() {
    Case::on(dao_chain(BLOCK_NUMBER))
        .fund_all([ALICE, DAO])
        .beneficiary(REFUND)
        .tx(Tx::pay(ALICE, BOB, 1))
        .assert_all_equal();
}

#[test]
fn proof_of_work_pays_for_blocks() {
    for (fork, reward) in [(Fork::Homestead, 5), (Fork::Byzantium, 3), (Fork::London, 2)] {
        let outcome = case(fork).assert_all_equal();
        assert_eq!(outcome.balance(BENEFICIARY), ether(reward));
    }
}

#[test]
fn all_of_amsterdam_is_the_same_every_way() {
    let chain = ChainSpec::at_fork(EthereumHardfork::Amsterdam, 1).with_all_of_amsterdam();
    assert!(chain.is_amsterdam_active_at_timestamp(0));
    let outcome = Case::on(chain)
        .fund_all([ALICE, BOB, CAROL, DAVE])
        .contract(CONTRACT, increment())
        .tx(Tx::pay(ALICE, NOBODY, 5))
        .txs([ALICE, BOB, CAROL, DAVE].map(|from| Tx::call(from, CONTRACT).gas(1_000_000)))
        .tx(Tx::pay(BOB, BENEFICIARY, 7))
        .assert_all_equal();
    assert_eq!(outcome.slot(CONTRACT, 0), U256::from(4));
}
