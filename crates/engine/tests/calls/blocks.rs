//! Simulated blocks: what they hold, what they may hold, and what is carried from one to the next.

use std::time::{Duration, Instant};

use alloy_consensus::{Header, proofs::calculate_withdrawals_root};
use alloy_eips::eip4895::{Withdrawal, Withdrawals};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::{
    BlockOverrides, TransactionRequest,
    simulate::{SimBlock, SimulatePayload},
    state::{AccountOverride, StateOverride},
};
use revm::bytecode::opcode as op;
use warpline_engine::{
    CallError, Engine, EngineConfig, Ethereum, ExecutionError, SimulateError, SimulateOptions,
    SimulateRefusal, SimulatedBlock,
};
use warpline_primitives::{MissingState, StateDiff};
use warpline_testkit::{Asm, Case, FailingSource, Fork, account};

const ALICE: Address = account(0xa1);
const BOB: Address = account(0xb0);
const CODE: Address = account(0xcc);
const INNER: Address = account(0xdd);
const ETHER: Address = Address::repeat_byte(0xee);

fn case() -> Case {
    Case::new(Fork::Osaka).fund(ALICE)
}

fn request(to: Address) -> TransactionRequest {
    TransactionRequest::default().from(ALICE).to(to)
}

fn calls(calls: impl IntoIterator<Item = TransactionRequest>) -> SimBlock {
    SimBlock::default().extend_calls(calls)
}

fn payload(blocks: impl IntoIterator<Item = SimBlock>) -> SimulatePayload {
    SimulatePayload::default().extend_blocks(blocks)
}

type Simulated = Result<Vec<SimulatedBlock>, SimulateError<MissingState>>;

fn header(case: &Case) -> Header {
    case.block().header
}

fn simulate_with(
    case: &Case,
    payload: &SimulatePayload,
    options: SimulateOptions<'_>,
    mut changed: impl FnMut(&StateDiff),
) -> Simulated {
    let engine =
        Engine::new(Ethereum::new(case.chain().clone()), EngineConfig::with_threads(1)).unwrap();
    // A root that says how much has changed.
    let root = |diff: &StateDiff| {
        changed(diff);
        Ok(B256::from(U256::from(diff.len())))
    };
    engine.simulate(&header(case), case.state(), payload, options, root)
}

/// The blocks, and all that had changed after each.
fn simulate_changes(case: &Case, payload: &SimulatePayload) -> Vec<(SimulatedBlock, StateDiff)> {
    let mut changes = Vec::new();
    let note = |diff: &StateDiff| changes.push(diff.clone());
    let blocks = simulate_with(case, payload, SimulateOptions::default(), note).unwrap();
    assert_eq!(blocks.len(), changes.len());
    blocks.into_iter().zip(changes).collect()
}

fn simulate(case: &Case, payload: &SimulatePayload) -> Simulated {
    simulate_with(case, payload, SimulateOptions::default(), |_| ())
}

fn refused(case: &Case, payload: &SimulatePayload) -> SimulateRefusal {
    match simulate(case, payload) {
        Err(SimulateError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn payments_are_among_the_logs_in_their_order() {
    let note = |code: Asm| code.ops(&[op::PUSH0, op::PUSH0, op::LOG0]);
    // Logs, pays Bob, pays somebody who logs and reverts, logs again, and dies for Bob.
    let code = note(note(Asm::new()).call(BOB, 3).call(INNER, 4)).self_destruct(BOB);
    let case = case()
        .contract(CODE, code)
        .balance(CODE, U256::from(100))
        .contract(INNER, note(Asm::new()).revert());
    let paid = TransactionRequest { value: Some(U256::from(7)), ..request(CODE) };
    let mut payload = payload([calls([paid])]);
    let logs = |payload: &_| {
        let blocks = simulate(&case, payload).unwrap();
        let call = &blocks[0].calls[0];
        // Its receipt knows nothing of payments.
        assert_eq!(call.called.logs.len(), 2);
        assert_eq!(blocks[0].receipts[0].logs().len(), 2);
        call.logs.clone()
    };
    let plain = logs(&payload);
    assert_eq!(plain.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 2]);
    payload.trace_transfers = true;
    let all = logs(&payload);
    let payment = |from: Address, to: Address, value: u64| {
        let found = all.iter().find(|(_, log)| {
            log.address == ETHER
                && log.data.topics()[1..] == [from.into_word(), to.into_word()]
                && U256::from_be_slice(&log.data.data) == U256::from(value)
        });
        found.map(|(index, _)| *index)
    };
    assert_eq!(all.len(), 5);
    assert_eq!(payment(ALICE, CODE, 7), Some(0));
    assert_eq!(payment(CODE, BOB, 3), Some(2));
    assert_eq!(payment(CODE, INNER, 4), None, "it was taken back");
    assert_eq!(payment(CODE, BOB, 104), Some(6));
    let own: Vec<_> = all.iter().filter(|(_, log)| log.address == CODE).map(|it| it.0).collect();
    assert_eq!(own, [1, 5]);
}

#[test]
fn a_block_finds_what_the_one_before_left() {
    let count = Asm::new().push(1).add_to_slot(0);
    let hash = Asm::new().push(1).ops(&[op::NUMBER, op::SUB, op::BLOCKHASH]).return_top();
    let case = case().contract(CODE, count).contract(INNER, hash);
    let first = case.block().header.number;
    let number = Some(U256::from(first + 3));
    let later = BlockOverrides { number, ..BlockOverrides::default() };
    let blocks = [
        calls([request(CODE), request(CODE)]),
        calls([request(CODE), request(INNER)]).with_block_overrides(later),
    ];
    let blocks = simulate_changes(&case, &payload(blocks));
    let numbers: Vec<_> = blocks.iter().map(|(block, _)| block.block.number()).collect();
    assert_eq!(numbers, [first + 1, first + 2, first + 3]);
    assert!(blocks[1].0.calls.is_empty());
    let mut parent = header(&case);
    for ((block, changes), counted) in blocks.iter().zip([2u64, 2, 3]) {
        let header = &block.block.header;
        assert_eq!(header.parent_hash, parent.hash_slow());
        assert_eq!(block.block.hash, header.hash_slow());
        assert_eq!(header.timestamp, parent.timestamp + 12);
        assert_eq!(header.state_root, B256::from(U256::from(changes.len())));
        let slot = changes.account(&CODE).and_then(|diff| diff.storage.get(&U256::ZERO));
        assert_eq!(slot, Some(&U256::from(counted)));
        parent = header.clone();
    }
    let (last, changes) = &blocks[2];
    assert_eq!(last.calls[1].called.output(), blocks[1].0.block.hash);
    let sent = changes.account(&ALICE).and_then(|diff| diff.account);
    assert_eq!(sent.map(|account| account.nonce), Some(4));
    let gas_used: u64 = last.calls.iter().map(|call| call.called.gas_used).sum();
    assert_eq!(last.block.header.gas_used, gas_used);
}

#[test]
fn overrides_are_part_of_the_state_and_moves_are_not() {
    let sha = Address::with_last_byte(2);
    let to = account(0x77);
    let moved = AccountOverride { move_precompile_to: Some(to), ..AccountOverride::default() };
    let rich = AccountOverride { balance: Some(U256::from(9)), ..AccountOverride::default() };
    let state = StateOverride::from_iter([(sha, moved), (BOB, rich)]);
    let both = || calls([request(sha), request(to)]);
    let blocks = payload([both().with_state_overrides(state), both()]);
    let blocks = simulate_changes(&case(), &blocks);
    let lengths = |block: &SimulatedBlock| {
        block.calls.iter().map(|call| call.called.output().len()).collect::<Vec<_>>()
    };
    assert_eq!(lengths(&blocks[0].0), [0, 32]);
    assert_eq!(lengths(&blocks[1].0), [32, 0]);
    let bob = blocks[1].1.account(&BOB).and_then(|diff| diff.account);
    assert_eq!(bob.map(|account| account.balance), Some(U256::from(9)));
}

#[test]
fn what_makes_no_blocks_is_refused() {
    let case = case();
    let (number, timestamp) = (header(&case).number, header(&case).timestamp);
    let at = |number: u64| {
        let number = Some(U256::from(number));
        SimBlock::default()
            .with_block_overrides(BlockOverrides { number, ..BlockOverrides::default() })
    };
    assert_eq!(refused(&case, &payload([])), SimulateRefusal::Empty);
    let refusal = refused(&case, &payload([at(number)]));
    assert_eq!(refusal, SimulateRefusal::Number { number, previous: number });
    let time = BlockOverrides { time: Some(timestamp), ..BlockOverrides::default() };
    let refusal = refused(&case, &payload([SimBlock::default().with_block_overrides(time)]));
    assert_eq!(refusal, SimulateRefusal::Timestamp { timestamp, previous: timestamp });
    let many = std::iter::repeat_with(SimBlock::default).take(257);
    assert_eq!(refused(&case, &payload(many)), SimulateRefusal::TooManyBlocks);
    assert_eq!(refused(&case, &payload([at(number + 257)])), SimulateRefusal::TooManyBlocks);
    assert_eq!(simulate(&case, &payload([at(number + 256)])).unwrap().len(), 256);
}

#[test]
fn gas_is_bounded_by_block_and_over_all() {
    let case = case();
    let limit = header(&case).gas_limit;
    let greedy = TransactionRequest { gas: Some(limit - 20_999), ..request(BOB) };
    let refusal = refused(&case, &payload([calls([request(BOB), greedy.clone()])]));
    assert_eq!(refusal, SimulateRefusal::BlockGas { used: limit + 1, limit });
    assert_eq!(
        simulate(&case, &payload([calls([request(BOB)]), calls([greedy])])).unwrap().len(),
        2
    );

    let options = SimulateOptions { gas_cap: 63_000, ..SimulateOptions::default() };
    let payload = |count| payload((0..count).map(|_| calls([request(BOB)])));
    let blocks = simulate_with(&case, &payload(3), options, |_| ()).unwrap();
    // What is left is what a call gets.
    let gas = |at: usize| {
        alloy_consensus::Transaction::gas_limit(blocks[at].block.transactions[0].inner())
    };
    assert_eq!([gas(0), gas(1), gas(2)], [63_000, 42_000, 21_000]);
    let error = simulate_with(&case, &payload(4), options, |_| ()).unwrap_err();
    assert!(matches!(error, SimulateError::Refused(SimulateRefusal::GasCap)), "{error}");
}

#[test]
fn who_validates_asks_for_more() {
    let case = case();
    let with_nonce = |nonce| TransactionRequest { nonce: Some(nonce), ..request(BOB) };
    let priced = |request| TransactionRequest { max_fee_per_gas: Some(1 << 40), ..request };
    let code = |request: TransactionRequest, validation: bool| {
        let payload = SimulatePayload { validation, ..payload([calls([request])]) };
        simulate(&case, &payload).map_err(|error| error.code()).map(|_| ())
    };
    assert_eq!(code(with_nonce(5), false), Ok(()));
    assert_eq!(code(priced(with_nonce(0)), true), Ok(()));
    assert_eq!(code(priced(with_nonce(5)), true), Err(-38011));
    assert_eq!(code(with_nonce(0), true), Err(-38012));
    // Who offers something must offer enough, and have it.
    let cheap = TransactionRequest { gas_price: Some(0), ..request(BOB) };
    assert_eq!(code(cheap, false), Ok(()));
    let value = Some(U256::MAX);
    assert_eq!(code(TransactionRequest { value, ..request(BOB) }, false), Err(-38014));
    let short = TransactionRequest { gas: Some(20_000), ..request(BOB) };
    assert_eq!(code(short, false), Err(-38013));
    let base_fee = |validation| {
        let payload = SimulatePayload { validation, ..payload([SimBlock::default()]) };
        simulate(&case, &payload).unwrap()[0].block.header.base_fee_per_gas
    };
    assert_eq!(base_fee(false), Some(0));
    assert_eq!(base_fee(true), case.chain().next_base_fee(&header(&case)));
}

#[test]
fn withdrawals_are_credited_at_the_end_of_their_block() {
    let balance = Asm::new().balance(BOB).return_top();
    let case = case().contract(CODE, balance);
    let withdrawal = |index, amount| Withdrawal { index, validator_index: 7, address: BOB, amount };
    let first = Withdrawals::new(vec![withdrawal(3, 2), withdrawal(4, 5)]);
    let number = Some(U256::from(header(&case).number + 3));
    let later = BlockOverrides { number, ..BlockOverrides::default() };
    let blocks =
        payload([calls([request(CODE)]), calls([request(CODE)]).with_block_overrides(later)]);
    let withdrawals = [first.clone(), Withdrawals::new(vec![withdrawal(5, 1)])];
    let options = SimulateOptions { withdrawals: &withdrawals, ..SimulateOptions::default() };
    let mut changes = Vec::new();
    let blocks = simulate_with(&case, &blocks, options, |diff| changes.push(diff.clone())).unwrap();
    let gwei = |amount: u64| U256::from(amount) * U256::from(1_000_000_000u64);
    let seen = |at: usize| U256::from_be_slice(blocks[at].calls[0].called.output());
    assert_eq!((seen(0), seen(2)), (U256::ZERO, gwei(7)));
    for (at, amount) in [(0, 7), (1, 7), (2, 8)] {
        let bob = changes[at].account(&BOB).and_then(|diff| diff.account).unwrap();
        assert_eq!(bob.balance, gwei(amount), "after block {at}");
    }
    let listed: Vec<_> = blocks.iter().map(|it| it.block.withdrawals.clone().unwrap()).collect();
    assert_eq!(listed, [first, Withdrawals::default(), withdrawals[1].clone()]);
    for (block, listed) in blocks.iter().zip(&listed) {
        let root = block.block.header.withdrawals_root;
        assert_eq!(root, Some(calculate_withdrawals_root(listed)));
    }

    let before = Case::new(Fork::Paris).fund(ALICE);
    let one = payload([SimBlock::default()]);
    let error = simulate_with(&before, &one, options, |_| ()).unwrap_err();
    assert!(matches!(error, SimulateError::Refused(SimulateRefusal::Withdrawals)), "{error}");
    assert_eq!(simulate(&before, &one).unwrap()[0].block.withdrawals, None);
}

#[test]
fn blobs_need_no_offer_where_nothing_is_validated() {
    let case = case().contract(CODE, Asm::new().op(op::BLOBBASEFEE).return_top());
    let blob_hash = B256::with_last_byte(1);
    let blob_hash = B256::from_slice(&[&[1], &blob_hash[1..]].concat());
    let blobs = |from: Address, offer: Option<u128>| TransactionRequest {
        blob_versioned_hashes: Some(vec![blob_hash]),
        max_fee_per_blob_gas: offer,
        ..request(CODE).from(from)
    };
    let price = U256::from(9);
    let dear = BlockOverrides { blob_base_fee: Some(price), ..BlockOverrides::default() };
    let payload = |request, validation| SimulatePayload {
        validation,
        ..payload([calls([request]).with_block_overrides(dear.clone())])
    };
    let fee = price * U256::from(131_072);
    let had = case.state().accounts().find(|it| *it.0 == ALICE).unwrap().1.balance;
    // Who has nothing pays nothing, and who has something pays as if there had been an offer.
    for (from, left) in [(ALICE, had - fee), (BOB, U256::ZERO)] {
        let (block, changes) =
            simulate_changes(&case, &payload(blobs(from, None), false)).remove(0);
        assert!(block.calls[0].called.is_success());
        assert_eq!(U256::from_be_slice(block.calls[0].called.output()), price);
        let sender = changes.account(&from).and_then(|diff| diff.account).unwrap();
        assert_eq!(sender.balance, left, "{from}");
        let sent = block.block.transactions[0].inner();
        assert_eq!(alloy_consensus::Transaction::max_fee_per_blob_gas(sent), Some(0));
        assert_eq!(block.block.header.blob_gas_used, Some(131_072));
    }
    for (offer, validation) in [(Some(8), false), (None, true)] {
        let request = TransactionRequest { max_fee_per_gas: Some(1 << 40), ..blobs(ALICE, offer) };
        let error = simulate(&case, &payload(request, validation)).unwrap_err();
        assert!(error.to_string().contains("max fee per blob gas less than"), "{error}");
    }
}

#[test]
fn overrides_that_no_block_can_have_are_refused() {
    let overrides = [
        BlockOverrides { number: Some(U256::MAX), ..BlockOverrides::default() },
        BlockOverrides { base_fee: Some(U256::from(1u128 << 64)), ..BlockOverrides::default() },
        BlockOverrides { blob_base_fee: Some(U256::MAX), ..BlockOverrides::default() },
    ];
    for overrides in overrides {
        let block = SimBlock::default().with_block_overrides(overrides);
        let error = simulate(&case(), &payload([block])).unwrap_err();
        assert!(error.to_string().contains("is too large: 0x"), "{error}");
    }
}

#[test]
fn failures_are_told_apart() {
    let case = case().contract(CODE, Asm::new().push(U256::MAX).spin_top());
    let engine =
        Engine::new(Ethereum::new(case.chain().clone()), EngineConfig::with_threads(1)).unwrap();
    let payload = payload([calls([request(CODE)])]);
    let zero = |_: &StateDiff| Ok(B256::ZERO);
    let header = header(&case);
    let deadline = Some(Instant::now() + Duration::from_millis(50));
    let gas_cap = u64::MAX / 2;
    let options = SimulateOptions { deadline, gas_cap, ..SimulateOptions::default() };
    let endless = TransactionRequest { gas: None, ..request(CODE) };
    let gas_limit = Some(u64::MAX / 2);
    let huge = BlockOverrides { gas_limit, ..BlockOverrides::default() };
    let blocks = SimulatePayload::default().extend(calls([endless]).with_block_overrides(huge));
    let error = engine.simulate(&header, case.state(), &blocks, options, zero).unwrap_err();
    assert!(matches!(error, SimulateError::Call(CallError::TimedOut)), "{error}");

    let options = SimulateOptions { gas_cap: 100_000, ..SimulateOptions::default() };
    for at in 0..4 {
        let failing = FailingSource::once(case.state(), at);
        let error = engine.simulate(&header, &failing, &payload, options, zero).unwrap_err();
        let is_read = matches!(
            error,
            SimulateError::Call(CallError::Execution(ExecutionError::StateRead(_)))
        );
        assert!(is_read, "read {at}: {error}");
    }
    let no_root = |_: &StateDiff| Err("there is no trie".into());
    let error = engine.simulate(&header, case.state(), &payload, options, no_root).unwrap_err();
    assert_eq!(error.to_string(), "computing the state root failed: there is no trie");
}
