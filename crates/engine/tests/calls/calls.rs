//! Calls on states and in blocks that are other than they are, and calls that are refused.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, Bytes, U256, address};
use alloy_rpc_types_eth::{
    BlockOverrides, TransactionInput, TransactionRequest,
    state::{AccountOverride, StateOverride},
};
use revm::bytecode::opcode as op;
use warpline_engine::{
    CallEnd, CallError, CallOptions, CallRefusal, CallRule, Called, Cancellation, Engine,
    EngineBug, EngineConfig, Ethereum, ExecutionError, GasEstimate, halt_message, revert_message,
};
use warpline_testkit::{Asm, Case, FailingSource, Fork, PanickingSource, account, ether, within};

const LIMIT: Duration = Duration::from_secs(60);
const ALICE: Address = account(0xa1);
const BOB: Address = account(0xb0);
const CODE: Address = account(0xcc);
const SHA256: Address = address!("0x0000000000000000000000000000000000000002");

fn case(code: Asm) -> Case {
    Case::new(Fork::Osaka).fund(ALICE).contract(CODE, code).slot(CODE, 1, 11).slot(CODE, 2, 22)
}

fn engine(case: &Case) -> Engine {
    Engine::new(Ethereum::new(case.chain().clone()), EngineConfig::with_threads(1)).unwrap()
}

fn request() -> TransactionRequest {
    TransactionRequest::default().from(ALICE).to(CODE)
}

fn call(
    case: &Case,
    request: &TransactionRequest,
    options: CallOptions<'_>,
) -> Result<Called, CallError<warpline_primitives::MissingState>> {
    engine(case).call(&case.block().header, case.state(), request, options)
}

/// The number that the call returns.
fn number(case: &Case, request: &TransactionRequest, options: CallOptions<'_>) -> U256 {
    let called = call(case, request, options).unwrap();
    assert!(called.is_success(), "{called:?}");
    U256::from_be_slice(called.output())
}

fn with_state(state: &StateOverride) -> CallOptions<'_> {
    CallOptions { state: Some(state), ..CallOptions::default() }
}

fn refused(case: &Case, request: &TransactionRequest, options: CallOptions<'_>) -> CallRefusal {
    match call(case, request, options) {
        Err(CallError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_that_would_not_end_ends() {
    within(LIMIT, || {
        // Loops in one frame, and calls itself for ever.
        let spin = Asm::new().push(U256::MAX).spin_top();
        let nest = Asm::new().op(op::JUMPDEST).call(CODE, 0).push(0).op(op::JUMP);
        for code in [spin, nest] {
            let case = case(code);
            let deadline = Some(Instant::now() + Duration::from_millis(50));
            let options = CallOptions { gas_cap: u64::MAX / 2, deadline, ..CallOptions::default() };
            let error = call(&case, &request(), options).unwrap_err();
            assert!(matches!(error, CallError::TimedOut), "{error}");
            let cancellation = Cancellation::default();
            cancellation.cancel();
            let cancellation = Some(&cancellation);
            let options = CallOptions { cancellation, ..CallOptions::default() };
            let error = call(&case, &request(), options).unwrap_err();
            assert!(matches!(error, CallError::Execution(ExecutionError::Cancelled)), "{error}");
        }
    });
}

#[test]
fn accounts_are_what_they_are_overridden_with() {
    let returns = |code: Asm| code.return_top();
    let slot = |n| returns(Asm::new().sload(n));
    let overridden = |account| StateOverride::from_iter([(CODE, account)]);
    let word = |n: u64| B256::from(U256::from(n));
    let rest = AccountOverride::default;

    let balance = overridden(AccountOverride { balance: Some(U256::from(5)), ..rest() });
    let case_of_balance = case(returns(Asm::new().balance(CODE)));
    assert_eq!(number(&case_of_balance, &request(), with_state(&balance)), U256::from(5));

    let code = Some(returns(Asm::new().push(77)).build());
    let code = overridden(AccountOverride { code, ..rest() });
    assert_eq!(number(&case(slot(1)), &request(), with_state(&code)), U256::from(77));

    let one = Some([(word(2), word(9))].into_iter().collect());
    let diff = overridden(AccountOverride { state_diff: one.clone(), ..rest() });
    let whole = overridden(AccountOverride { state: one.clone(), ..rest() });
    for (state, at_1, at_2) in [(&diff, 11, 9), (&whole, 0, 9)] {
        assert_eq!(number(&case(slot(1)), &request(), with_state(state)), U256::from(at_1));
        assert_eq!(number(&case(slot(2)), &request(), with_state(state)), U256::from(at_2));
    }
    let both = overridden(AccountOverride { state: one.clone(), state_diff: one, ..rest() });
    let refusal = refused(&case(slot(1)), &request(), with_state(&both));
    assert!(matches!(refusal, CallRefusal::StateAndDiff(CODE)));

    // A contract that is created has the address that the nonce says.
    let nonce = Some(7);
    let sender = StateOverride::from_iter([(ALICE, AccountOverride { nonce, ..rest() })]);
    let create = TransactionRequest { from: Some(ALICE), ..TransactionRequest::default() };
    let created = call(&case(slot(1)), &create, with_state(&sender)).unwrap();
    let expected = Some(ALICE.create(7));
    assert!(matches!(created.end, CallEnd::Success { created, .. } if created == expected));
}

#[test]
fn precompiles_move() {
    let to = account(0x77);
    let moved = AccountOverride { move_precompile_to: Some(to), ..AccountOverride::default() };
    let state = StateOverride::from_iter([(SHA256, moved.clone())]);
    let case = case(Asm::new());
    let hash =
        |address, options| call(&case, &request().to(address), options).unwrap().output().to_vec();
    let expected = hash(SHA256, CallOptions::default());
    assert_eq!(expected.len(), 32);
    assert_eq!(hash(to, with_state(&state)), expected);
    assert!(hash(SHA256, with_state(&state)).is_empty());

    let none = StateOverride::from_iter([(BOB, moved.clone())]);
    let refusal = refused(&case, &request(), with_state(&none));
    assert!(matches!(refusal, CallRefusal::NotAPrecompile(BOB)));
    let twice = [(SHA256, moved), (to, AccountOverride::default())];
    let refusal = refused(&case, &request(), with_state(&StateOverride::from_iter(twice)));
    assert!(matches!(refusal, CallRefusal::AlreadyOverridden(address) if address == to));
    // An account that is overridden is no precompile any more.
    let plain = StateOverride::from_iter([(SHA256, AccountOverride::default())]);
    assert!(hash(SHA256, with_state(&plain)).is_empty());
}

#[test]
fn the_block_is_what_it_is_overridden_with() {
    let hash = B256::repeat_byte(7);
    let block = BlockOverrides {
        number: Some(U256::from(1_000)),
        time: Some(1 << 40),
        gas_limit: Some(12_345),
        coinbase: Some(BOB),
        random: Some(B256::with_last_byte(9)),
        base_fee: Some(U256::from(77)),
        blob_base_fee: Some(U256::from(88)),
        block_hash: Some(BTreeMap::from([(999, hash)])),
        ..BlockOverrides::default()
    };
    let options = CallOptions { block: Some(&block), ..CallOptions::default() };
    let priced = TransactionRequest { gas: Some(60_000), ..request().gas_limit(60_000) };
    let priced = TransactionRequest { gas_price: Some(80), ..priced };
    for (code, expected) in [
        (op::NUMBER, U256::from(1_000)),
        (op::TIMESTAMP, U256::from(1u64 << 40)),
        (op::GASLIMIT, U256::from(12_345)),
        (op::COINBASE, U256::from_be_slice(BOB.as_slice())),
        (op::DIFFICULTY, U256::from(9)),
        (op::BASEFEE, U256::from(77)),
        (op::BLOBBASEFEE, U256::from(88)),
    ] {
        let case = case(Asm::new().op(code).return_top());
        assert_eq!(number(&case, &priced, options), expected, "{code:#x}");
    }
    let case_of_hash = case(Asm::new().push(999).op(op::BLOCKHASH).return_top());
    assert_eq!(number(&case_of_hash, &priced, options), U256::from_be_bytes(hash.0));
    // Who offers nothing finds a base fee of nothing.
    let case_of_fee = case(Asm::new().op(op::BASEFEE).return_top());
    assert_eq!(number(&case_of_fee, &request(), options), U256::ZERO);
    let beacon_root = Some(hash);
    let block = BlockOverrides { beacon_root, ..BlockOverrides::default() };
    let options = CallOptions { block: Some(&block), ..CallOptions::default() };
    let refusal = refused(&case_of_fee, &request(), options);
    assert!(matches!(refusal, CallRefusal::BlockOverride("beaconRoot")));
}

#[test]
fn what_a_transaction_could_not_do_a_call_cannot() {
    let rule = |request: TransactionRequest| match refused(
        &case(Asm::new()),
        &request,
        CallOptions::default(),
    ) {
        CallRefusal::Rule { rule, .. } => rule,
        other => panic!("{other}"),
    };
    let broke = request().from(BOB);
    let funds = rule(TransactionRequest { value: Some(U256::from(3)), ..broke.clone() });
    let (zero, three) = (U256::ZERO, U256::from(3));
    assert_eq!(funds, CallRule::Funds { address: BOB, have: zero, want: three });
    let gas = rule(TransactionRequest { gas: Some(20_000), ..request() });
    assert_eq!(gas, CallRule::IntrinsicGas { have: 20_000, want: 21_000 });
    let data = TransactionInput::new(Bytes::from(vec![1; 1_000]));
    let floor = rule(TransactionRequest { gas: Some(40_000), input: data, ..request() });
    assert_eq!(floor, CallRule::FloorDataGas { have: 40_000, want: 61_000 });
    let price = rule(TransactionRequest { gas_price: Some(1), gas: Some(50_000), ..request() });
    assert!(matches!(price, CallRule::FeeCapTooLow { address: ALICE, cap: 1, .. }));
    let tip = TransactionRequest { max_priority_fee_per_gas: Some(2_000_000_000), ..request() };
    let tip = rule(TransactionRequest { max_fee_per_gas: Some(1_000_000_000), ..tip });
    assert!(matches!(tip, CallRule::TipAboveFeeCap { tip: 2_000_000_000, .. }));

    let refused = |request| refused(&case(Asm::new()), &request, CallOptions::default());
    let fees = TransactionRequest { gas_price: Some(1), max_fee_per_gas: Some(1), ..request() };
    assert!(matches!(refused(fees), CallRefusal::ConflictingFees));
    let elsewhere = TransactionRequest { chain_id: Some(99), ..request() };
    assert!(matches!(refused(elsewhere), CallRefusal::ChainId { have: 99, want: 1 }));
}

#[test]
fn what_a_transaction_could_not_do_a_call_can() {
    let case = case(Asm::new().op(op::GAS).return_top());
    // Contracts, any nonce, more gas than the block and than a transaction may have.
    let from_contract = TransactionRequest { nonce: Some(99), ..request().from(CODE) };
    let options = CallOptions { gas_cap: 1 << 40, ..CallOptions::default() };
    assert!(number(&case, &from_contract, options) > U256::from(1u64 << 39));
    // The cap is what it has at most.
    let greedy = TransactionRequest { gas: Some(1 << 50), ..request() };
    let left = number(&case, &greedy, CallOptions { gas_cap: 30_000, ..CallOptions::default() });
    assert_eq!(left, U256::from(30_000 - 21_000 - 2));
}

#[test]
fn how_a_call_ends_is_told() {
    let end = |code| call(&case(code), &request(), CallOptions::default()).unwrap();
    let reverted = end(Asm::new().revert());
    assert!(matches!(&reverted.end, CallEnd::Revert { output } if output.is_empty()));
    assert_eq!(revert_message(reverted.output()), "execution reverted");
    let CallEnd::Halt { reason } = end(Asm::new().op(op::INVALID)).end else { panic!("no halt") };
    assert_eq!(halt_message(&reason), "invalid opcode: INVALID");
    let refunded = end(Asm::new().sstore(1, 0));
    assert!(refunded.gas_refunded > 0);
    assert_eq!(refunded.max_gas_used, refunded.gas_used + refunded.gas_refunded);
}

#[test]
fn a_state_that_cannot_be_read_is_not_the_calls_fault() {
    let case = case(Asm::new().sload(1).return_top());
    let (engine, header) = (engine(&case), case.block().header);
    let failing = FailingSource::once(case.state(), 2);
    let error = engine.call(&header, &failing, &request(), CallOptions::default()).unwrap_err();
    assert!(matches!(error, CallError::Execution(ExecutionError::StateRead(_))), "{error}");
    let panicking = PanickingSource::new(case.state(), 2);
    let error = engine.call(&header, &panicking, &request(), CallOptions::default()).unwrap_err();
    let bug = matches!(error, CallError::Execution(ExecutionError::EngineBug(EngineBug::Panic(_))));
    assert!(bug, "{error}");
    let called = engine.call(&header, case.state(), &request(), CallOptions::default());
    assert_eq!(called.unwrap().output(), B256::with_last_byte(11));
}

#[test]
fn an_estimate_is_enough_and_little_more() {
    let inner = account(0xdd);
    // The inner call keeps a 64th back, and its slot is refunded: neither is seen in gas used.
    let or_revert = |code: Asm| code.op(op::ISZERO).if_top(Asm::revert);
    let case = case(or_revert(Asm::new().call(inner, 0)).sstore(1, 0))
        .contract(inner, Asm::new().sstore(5, 1).sstore(6, 1));
    let (engine, header) = (engine(&case), case.block().header);
    let estimate = |request: &TransactionRequest| {
        engine.estimate_gas(&header, case.state(), request, CallOptions::default())
    };
    let GasEstimate::Enough(gas) = estimate(&request()).unwrap() else { panic!("it fails") };
    let succeeds = |gas: u64| {
        let request = TransactionRequest { gas: Some(gas), ..request() };
        call(&case, &request, CallOptions::default()).unwrap().is_success()
    };
    assert!(succeeds(gas));
    assert!(!succeeds(gas - gas / 50));

    let pays = request().to(BOB);
    assert_eq!(estimate(&pays).unwrap(), GasEstimate::Enough(21_000));
}

#[test]
fn an_estimate_is_bounded() {
    let case = case(Asm::new().sstore(5, 1));
    let (engine, header) = (engine(&case), case.block().header);
    let refusal = |request: TransactionRequest| match engine.estimate_gas(
        &header,
        case.state(),
        &request,
        CallOptions::default(),
    ) {
        Err(CallError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let limited = refusal(TransactionRequest { gas: Some(30_000), ..request() });
    assert!(matches!(limited, CallRefusal::Allowance(30_000)), "{limited}");
    // What the sender can pay bounds the search, too.
    let all = case.state().accounts().find(|(it, ..)| **it == ALICE).unwrap().1.balance;
    let price = (all / U256::from(30_000)).to();
    let dear = TransactionRequest { gas_price: Some(price), ..request() };
    let limited = refusal(dear.clone());
    assert!(matches!(limited, CallRefusal::Allowance(30_000)), "{limited}");
    let generous = refusal(TransactionRequest { value: Some(all + ether(1)), ..dear });
    assert!(matches!(generous, CallRefusal::FundsForTransfer), "{generous}");
}

#[test]
fn an_estimate_of_what_fails_says_how() {
    let case = case(Asm::new().revert());
    let header = case.block().header;
    let options = CallOptions::default();
    let estimate = engine(&case).estimate_gas(&header, case.state(), &request(), options).unwrap();
    assert_eq!(estimate, GasEstimate::Fails(CallEnd::Revert { output: Bytes::new() }));
}

#[test]
fn an_access_list_has_all_that_is_used_with_it() {
    let (inner, looked_at) = (account(0xdd), account(0xee));
    // What is stored where depends on what is cheap.
    let code = Asm::new().balance(looked_at).op(op::POP).call(inner, 0).op(op::POP).sload(1);
    let case = case(code.op(op::POP)).contract(inner, Asm::new().sload(4).sload(3));
    let (engine, header) = (engine(&case), case.block().header);
    let options = CallOptions::default();
    let listed = engine.create_access_list(&header, case.state(), &request(), options).unwrap();
    let items: Vec<_> = listed.access_list.iter().collect();
    let keys = |at: usize| {
        items[at].storage_keys.iter().map(|key| U256::from_be_bytes(key.0)).collect::<Vec<_>>()
    };
    let mut expected = vec![(CODE, vec![1]), (inner, vec![3, 4]), (looked_at, vec![])];
    expected.sort();
    for (at, (address, slots)) in expected.into_iter().enumerate() {
        let slots: Vec<_> = slots.into_iter().map(U256::from).collect();
        assert_eq!((items[at].address, keys(at)), (address, slots));
    }
    assert_eq!(items.len(), 3);
    let access_list = Some(listed.access_list.clone());
    let request = TransactionRequest { access_list, ..request() };
    assert_eq!(call(&case, &request, options).unwrap(), listed.called);
}
