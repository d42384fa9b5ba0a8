//! Building a block: from candidates of any kind, within a budget, and ended at will.
//!
//! `cargo run -p warpline-engine --example build_block`

use std::{error::Error, time::Duration};

use alloy_consensus::{Header, Signed, TxLegacy, transaction::Recovered};
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use warpline_chain::{ChainSpec, EthereumHardfork};
use warpline_engine::{
    Budget, BuildEnd, BuiltBlock, Cancellation, Engine, EngineConfig, Ethereum, ExecuteOptions,
    Strategy,
};
use warpline_primitives::{
    Account, CommitStep, MemoryState, Receipt, RecoveredBlock, StateDiff, Transaction,
};

const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);
const NOBODY: Address = Address::repeat_byte(0x99);

/// What was built.
#[derive(Debug)]
pub struct Built {
    /// With all the time there is.
    pub all: BuiltBlock<Receipt>,
    /// Within a budget of gas.
    pub bounded: BuiltBlock<Receipt>,
    /// Until somebody called it off.
    pub cancelled: BuiltBlock<Receipt>,
    /// The block that was built first, as it was executed again.
    pub executed_gas: u64,
}

/// Builds a block three times, each with another end.
pub fn run() -> Result<Built, Box<dyn Error>> {
    let chain = ChainSpec::at_fork(EthereumHardfork::Shanghai, 1);
    let engine = Engine::new(Ethereum::new(chain), EngineConfig::default())?;
    let mut state = MemoryState::default();
    for rich in [ALICE, BOB] {
        let account = Account { balance: U256::from(1_000_000), ..Account::default() };
        state.insert_account(rich, account);
    }

    // The candidates in the order in which they are to be tried: by fees, say. They are taken as
    // they come, whether they turn out to be valid or not.
    let candidates = vec![
        payment(ALICE, 0),
        payment(BOB, 0),
        payment(NOBODY, 0), // cannot pay
        payment(ALICE, 5),  // leaves a gap of nonces
        payment(ALICE, 1),
        payment(BOB, 1),
    ];
    // The header as far as it is known. What it commits to follows from the result.
    let draft = RecoveredBlock {
        header: Header { gas_limit: 30_000_000, base_fee_per_gas: Some(0), ..Header::default() },
        hash: B256::ZERO,
        transactions: candidates,
        ommers: Vec::new(),
        withdrawals: Some(Vec::new().into()),
    };

    // A deadline ends the block in good time, whatever the candidates are up to. The block that is
    // there by then is valid.
    let mut budget = Budget::default();
    budget.deadline = std::time::Instant::now().checked_add(Duration::from_secs(60));
    let all = engine.build(&draft, &state, budget, ExecuteOptions::default())?;

    // Two payments' worth of gas.
    let mut budget = Budget::default();
    budget.gas = 42_000;
    let bounded = engine.build(&draft, &state, budget, ExecuteOptions::default())?;

    // Another thread may switch this one at any moment: here it is the observer, after the first
    // transaction. Sequentially, so that it is certain how far the block has come by then.
    let cancellation = Cancellation::default();
    let mut observer = |step: CommitStep, _: &StateDiff| {
        if step == CommitStep::Transaction(0) {
            cancellation.cancel();
        }
    };
    let options = ExecuteOptions::from(Strategy::Sequential)
        .observed_by(&mut observer)
        .cancelled_by(&cancellation);
    let cancelled = engine.build(&draft, &state, Budget::default(), options)?;

    // Whoever receives the block executes the included transactions, and gets the same.
    let included = all.included.iter().map(|index| draft.transactions[*index].clone());
    let block = RecoveredBlock { transactions: included.collect(), ..draft.clone() };
    let executed = engine.execute(&block, &state)?;
    all.output.compare(&executed)?;
    Ok(Built { all, bounded, cancelled, executed_gas: executed.gas_used })
}

fn payment(from: Address, nonce: u64) -> Recovered<Transaction> {
    let to = TxKind::Call(NOBODY);
    let tx = TxLegacy { nonce, to, gas_limit: 21_000, gas_price: 1, ..TxLegacy::default() };
    let signed = Signed::new_unchecked(tx, Signature::test_signature(), B256::ZERO);
    Recovered::new_unchecked(signed.into(), from)
}

#[expect(clippy::print_stdout, reason = "an example says what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let Built { all, bounded, cancelled, .. } = run()?;
    println!("included {:?}, {} gas", all.included, all.output.gas_used);
    for skipped in &all.skipped {
        println!("skipped {}: {}", skipped.index, skipped.reason);
    }
    println!("within 42000 gas: {:?}, end: {:?}", bounded.included, bounded.end);
    let end = if cancelled.end == BuildEnd::Cancelled { "cancelled" } else { "finished" };
    println!("{end} after {:?}", cancelled.included);
    Ok(())
}
