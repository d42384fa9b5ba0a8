//! Block access lists (EIP-7928): one node builds a block with its list, another executes from it.
//!
//! `cargo run -p warpline-engine --example access_list`

use std::error::Error;

use alloy_consensus::{Header, Signed, TxLegacy, transaction::Recovered};
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use warpline_chain::{ChainSpec, EthereumHardfork};
use warpline_engine::{
    AccessListMode, Engine, EngineConfig, Ethereum, ExecuteOptions, ExecutionError, InvalidBlock,
};
use warpline_primitives::{Account, BlockOutput, MemoryState, RecoveredBlock, Transaction};

/// The output of the execution from the list, and why a list with a lie in it is rejected.
pub fn run() -> Result<(BlockOutput, InvalidBlock), Box<dyn Error>> {
    // A list can be built and used whatever the fork; from Amsterdam on headers commit to it, and
    // it is built without being asked for.
    let chain = ChainSpec::at_fork(EthereumHardfork::Shanghai, 1);
    let engine = Engine::new(Ethereum::new(chain), EngineConfig::with_threads(4))?;
    let mut state = MemoryState::default();
    let rich = Account { balance: U256::from(1_000_000), ..Account::default() };
    state.insert_account(account(1), rich);

    // A chain of payments: each pays the sender of the next. Without a list every one of them has
    // to wait for the one before.
    let block = RecoveredBlock {
        header: Header { gas_limit: 30_000_000, base_fee_per_gas: Some(0), ..Header::default() },
        hash: B256::ZERO,
        transactions: (1..50).map(payment).collect(),
        ommers: Vec::new(),
        withdrawals: None,
    };

    let options = ExecuteOptions::default().access_list(AccessListMode::Build);
    let built = engine.execute_with(&block, &state, options)?;
    let list = built.access_list.clone().ok_or("no list was built")?;

    // With the list they all run at once, each on what the list says is there by then, and what
    // each does is compared with what the list says it does.
    let options = ExecuteOptions::default().access_list(AccessListMode::Verify(&list));
    let output = engine.execute_with(&block, &state, options)?;
    built.compare(&output)?;

    // Whoever lies is found out, by the same step however the block is executed.
    let mut lie = list;
    lie.pop();
    let options = ExecuteOptions::default().access_list(AccessListMode::Verify(&lie));
    match engine.execute_with(&block, &state, options) {
        Err(ExecutionError::InvalidBlock(reason)) => Ok((output, reason)),
        other => Err(format!("a wrong list led to {other:?}").into()),
    }
}

fn account(number: u8) -> Address {
    Address::repeat_byte(number)
}

fn payment(from: u8) -> Recovered<Transaction> {
    let tx = TxLegacy {
        to: TxKind::Call(account(from + 1)),
        value: U256::from(1_000),
        gas_limit: 21_000,
        ..TxLegacy::default()
    };
    let signed = Signed::new_unchecked(tx, Signature::test_signature(), B256::ZERO);
    Recovered::new_unchecked(signed.into(), account(from))
}

#[expect(clippy::print_stdout, reason = "an example says what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let (output, lie) = run()?;
    println!("{} receipts, {:?}", output.receipts.len(), output.work);
    println!("a list without its last account: {lie}");
    Ok(())
}
