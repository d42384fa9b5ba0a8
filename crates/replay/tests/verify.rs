//! Every commitment of a header is compared, and what cannot be compared is said.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use alloy_consensus::{
    Eip658Value, Header, Receipt, ReceiptEnvelope, ReceiptWithBloom, Signed, TxLegacy,
    proofs::calculate_receipt_root, transaction::Recovered,
};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, Signature, U256};
use warpline_chain::{ChainSpec, EthereumHardfork};
use warpline_primitives::{
    Account, AccountDiff, BlockOutput, CommitObserver, CommitStep, MemoryState, RecoveredBlock,
    StateDiff, StateSource, WorkCounts,
};
use warpline_replay::{
    BlockInput, CompleteState, Ommers, Origin, ParentState, ProofLevel, TransactionRoots,
    VerifyError, WitnessState,
};

const ALICE: Address = Address::repeat_byte(0xa1);

fn account(balance: u64) -> Account {
    Account { balance: U256::from(balance), ..Account::default() }
}

fn memory() -> MemoryState {
    let mut state = MemoryState::default();
    state.insert_account(ALICE, account(7));
    state
}

fn receipt(status: Eip658Value) -> ReceiptEnvelope {
    let log = Log::new_unchecked(ALICE, vec![B256::repeat_byte(1)], Bytes::new());
    let receipt = Receipt { status, cumulative_gas_used: 21_000, logs: vec![log] };
    ReceiptEnvelope::Legacy(ReceiptWithBloom::from(receipt))
}

/// The output of a block with one transaction that leaves Alice with eight wei.
fn output(fork: EthereumHardfork) -> BlockOutput {
    let mut state = StateDiff::default();
    state.insert_account(ALICE, AccountDiff { account: Some(account(8)), ..Default::default() });
    let cancun = fork >= EthereumHardfork::Cancun;
    BlockOutput {
        receipts: vec![receipt(true.into())],
        state,
        requests: Requests::new(vec![Bytes::from_static(&[1, 2])]),
        gas_used: 21_000,
        blob_gas_used: if cancun { 131_072 } else { 0 },
        access_list: None,
        work: WorkCounts::default(),
    }
}

/// The state after [`output`].
fn post() -> CompleteState {
    let mut state = MemoryState::default();
    state.insert_account(ALICE, account(8));
    CompleteState::new(state)
}

/// The block whose header says exactly what [`output`] gives.
fn input(fork: EthereumHardfork) -> BlockInput {
    let output = output(fork);
    let receipts = match fork < EthereumHardfork::Byzantium {
        true => vec![receipt(Eip658Value::PostState(post().root()))],
        false => output.receipts,
    };
    let cancun = fork >= EthereumHardfork::Cancun;
    let header = Header {
        gas_used: 21_000,
        blob_gas_used: cancun.then_some(131_072),
        logs_bloom: receipts
            .iter()
            .fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom()),
        receipts_root: calculate_receipt_root(&receipts),
        requests_hash: (fork >= EthereumHardfork::Prague).then(|| output.requests.requests_hash()),
        state_root: post().root(),
        ..Header::default()
    };
    let transaction = TxLegacy::default();
    let signed = Signed::new_unchecked(transaction, Signature::test_signature(), B256::ZERO);
    BlockInput {
        access_list: None,
        origin: Origin::file("made-up"),
        chain: Arc::new(ChainSpec::at_fork(fork, 1)),
        block: RecoveredBlock {
            hash: header.hash_slow(),
            header,
            transactions: vec![Recovered::new_unchecked(signed.into(), ALICE)],
            ommers: Vec::new(),
            withdrawals: None,
        },
        encoded_len: None,
        ommers: Ommers::Known,
        parent_header: None,
        parent: ParentState::Complete(CompleteState::new(memory())),
    }
}

fn observed(input: &BlockInput, output: &BlockOutput) -> Option<TransactionRoots> {
    let mut roots = input.transaction_roots()?;
    roots.on_commit(CommitStep::PreBlock, &StateDiff::default());
    roots.on_commit(CommitStep::Transaction(0), &output.state);
    roots.on_commit(CommitStep::PostBlock, &StateDiff::default());
    Some(roots)
}

#[test]
fn a_complete_state_proves_everything_at_every_fork() {
    for fork in [
        EthereumHardfork::Frontier,
        EthereumHardfork::SpuriousDragon,
        EthereumHardfork::Byzantium,
        EthereumHardfork::London,
        EthereumHardfork::Cancun,
        EthereumHardfork::Prague,
        EthereumHardfork::Osaka,
    ] {
        let (input, output) = (input(fork), output(fork));
        let roots = observed(&input, &output);
        assert_eq!(roots.is_some(), fork < EthereumHardfork::Byzantium);
        let proof = input.verify(&output, roots.as_ref()).unwrap();
        assert!(proof.is_complete(), "{fork:?}: {proof}");
        assert_eq!(proof.to_string(), "state-root");
    }
}

#[test]
fn every_commitment_is_compared() {
    type Row = (EthereumHardfork, fn(&mut BlockInput), &'static str);
    let rows: [Row; 9] = [
        (
            EthereumHardfork::Prague,
            |i| i.block.header.gas_used += 1,
            "gas used: expected 21001, found 21000",
        ),
        (
            EthereumHardfork::Prague,
            |i| i.block.header.blob_gas_used = None,
            "blob gas used: expected None, found Some(131072)",
        ),
        (
            EthereumHardfork::Prague,
            |i| i.block.header.logs_bloom = Bloom::ZERO,
            "logs bloom: expected 0x0000",
        ),
        (
            EthereumHardfork::Prague,
            |i| i.block.header.requests_hash = None,
            "requests hash: expected None, found Some(0x",
        ),
        (
            EthereumHardfork::Cancun,
            |i| i.block.header.requests_hash = Some(B256::ZERO),
            "requests hash: expected Some(0x0000",
        ),
        (
            EthereumHardfork::Prague,
            |i| i.block.header.receipts_root = B256::ZERO,
            "receipts root: expected 0x0000",
        ),
        (
            EthereumHardfork::Frontier,
            |i| i.block.header.receipts_root = B256::ZERO,
            "receipts root: expected 0x0000",
        ),
        (
            EthereumHardfork::Prague,
            |i| i.block.header.state_root = B256::ZERO,
            "state root: expected 0x0000",
        ),
        (
            EthereumHardfork::Prague,
            |i| i.block.transactions.clear(),
            "number of receipts: expected 0, found 1",
        ),
    ];
    for (fork, spoil, expected) in rows {
        let output = output(fork);
        let mut input = input(fork);
        spoil(&mut input);
        let error = input.verify(&output, observed(&input, &output).as_ref()).unwrap_err();
        assert!(error.to_string().starts_with(expected), "expected {expected}, found {error}");
    }
}

#[test]
fn what_cannot_be_proven_is_said() {
    let snapshot = |fork| BlockInput { parent: ParentState::Snapshot(memory()), ..input(fork) };
    let (frontier, prague) = (EthereumHardfork::Frontier, EthereumHardfork::Prague);
    let rows = [
        (snapshot(frontier), "gas-and-bloom (a snapshot has no state trie)"),
        (snapshot(prague), "receipts-root (a snapshot has no state trie)"),
        (input(frontier), "state-root (the receipts carry state roots, which were not collected)"),
    ];
    for (input, expected) in rows {
        let fork = if expected.starts_with("receipts") { prague } else { frontier };
        assert_eq!(input.verify(&output(fork), None).unwrap().to_string(), expected);
    }

    let witness = WitnessState::new(B256::repeat_byte(9), [], MemoryState::default()).unwrap();
    assert!(witness_error(&witness).contains("is missing"));
    for (fork, level) in [(frontier, ProofLevel::GasAndBloom), (prague, ProofLevel::ReceiptsRoot)] {
        let parent = ParentState::Witness(witness.clone());
        let (input, output) = (BlockInput { parent, ..input(fork) }, output(fork));
        let proof = input.verify(&output, observed(&input, &output).as_ref()).unwrap();
        assert_eq!(proof.level, level);
        assert!(proof.to_string().contains("(node 0x0909"), "{proof}");
    }
}

fn witness_error(witness: &WitnessState) -> String {
    ParentState::Witness(witness.clone()).account(ALICE).unwrap_err().to_string()
}

#[test]
fn observers_must_have_seen_every_transaction() {
    let (input, output) = (input(EthereumHardfork::Frontier), output(EthereumHardfork::Frontier));
    let blind = input.transaction_roots().unwrap();
    let error = input.verify(&output, Some(&blind)).unwrap_err();
    assert_eq!(error, VerifyError::ReceiptCount { expected: 1, found: 0 });
}
