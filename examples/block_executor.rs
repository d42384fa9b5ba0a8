//! The engine where alloy-evm's block executor stood: the same calls, the same result, the same
//! bundle in revm's `State`.
//!
//! `cargo run -p warpline-engine --example block_executor`

use std::{convert::Infallible, error::Error};

use alloy_consensus::{Header, Signed, TxEnvelope, TxLegacy, transaction::Recovered};
use alloy_evm::{
    EvmEnv, EvmFactory,
    block::{BlockExecutionResult, BlockExecutor, BlockExecutorFactory},
    eth::{
        EthBlockExecutionCtx, EthBlockExecutorFactory, EthEvmFactory,
        receipt_builder::AlloyReceiptBuilder, spec::EthSpec,
    },
};
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use revm::{
    context::{BlockEnv, CfgEnv},
    database::{BundleState, CacheDB, EmptyDBTyped, State, states::bundle_state::BundleRetention},
    primitives::hardfork::SpecId,
    state::AccountInfo,
};
use warpline_engine::{Engine, EngineConfig, Ethereum, ParallelBlockExecutorFactory};

const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);

/// A block's result, and what the database is to be changed by.
pub type Executed = (BlockExecutionResult<alloy_consensus::ReceiptEnvelope>, BundleState);

/// Executes a block with alloy-evm's executor, and with the engine in its place.
pub fn run() -> Result<(Executed, Executed), Box<dyn Error>> {
    // A database that is read through a shared reference, as `DatabaseRef` has it, and from many
    // threads. That is all the engine needs; `State` may hold the changes of earlier blocks.
    let mut db = CacheDB::new(EmptyDBTyped::<Infallible>::new());
    let rich = AccountInfo { balance: U256::from(1_000_000), ..AccountInfo::default() };
    db.insert_account_info(ALICE, rich);

    let mut cfg_env = CfgEnv::new_with_spec(SpecId::SHANGHAI);
    cfg_env.chain_id = 1;
    let block_env = BlockEnv { number: U256::from(17_100_000), ..BlockEnv::default() };
    let env = EvmEnv { cfg_env, block_env };
    let header = Header::default();
    let ctx = EthBlockExecutionCtx {
        parent_hash: header.parent_hash,
        parent_beacon_block_root: None,
        ommers: &[],
        withdrawals: None,
        extra_data: header.extra_data.clone(),
        tx_count_hint: None,
        slot_number: None,
    };
    let transactions: Vec<_> = (0..20).map(payment).collect();

    // Before.
    let theirs = {
        let factory = EthBlockExecutorFactory::new(
            AlloyReceiptBuilder::default(),
            EthSpec::mainnet(),
            EthEvmFactory::default(),
        );
        let mut state = State::builder().with_database_ref(&db).with_bundle_update().build();
        let evm = factory.evm_factory().create_evm(&mut state, env.clone());
        let executor = factory.create_executor(evm, ctx.clone());
        let result = executor.execute_block(&transactions)?;
        state.merge_transitions(BundleRetention::Reverts);
        (result, state.take_bundle())
    };

    // After. The engine's own virtual machine does not matter here: environment, rules and receipts
    // are the executor's.
    let ours = {
        let engine = Engine::new(Ethereum::mainnet(), EngineConfig::default())?;
        let builder = AlloyReceiptBuilder::default();
        let factory = ParallelBlockExecutorFactory::new(&engine, builder, EthSpec::mainnet());
        let mut state = State::builder().with_database(db).with_bundle_update().build();
        let evm = factory.evm_factory().create_evm(&mut state, env);
        let executor = factory.create_state_executor(evm, ctx);
        let result = executor.execute_block(&transactions)?;
        state.merge_transitions(BundleRetention::Reverts);
        (result, state.take_bundle())
    };
    Ok((theirs, ours))
}

fn payment(nonce: u64) -> Recovered<TxEnvelope> {
    let to = TxKind::Call(BOB);
    let tx = TxLegacy { nonce, to, value: U256::from(7), gas_limit: 21_000, ..TxLegacy::default() };
    let signed = Signed::new_unchecked(tx, Signature::test_signature(), B256::ZERO);
    Recovered::new_unchecked(signed.into(), ALICE)
}

#[expect(clippy::print_stdout, reason = "an example says what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let ((theirs, _), (ours, bundle)) = run()?;
    println!("the same result: {}", theirs == ours);
    println!("accounts changed: {}, bundle of size {}", bundle.len(), bundle.size_hint());
    Ok(())
}
