//! The engine in a program of one's own: a state, a block, the result.
//!
//! `cargo run -p warpline-engine --example embed`

use std::error::Error;

use alloy_consensus::{Header, Signed, TxLegacy, transaction::Recovered};
use alloy_primitives::{Address, B256, Signature, TxKind, U256};
use warpline_chain::{ChainSpec, EthereumHardfork};
use warpline_engine::{Engine, EngineConfig, Ethereum};
use warpline_primitives::{Account, BlockOutput, MemoryState, RecoveredBlock};

const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);

/// Alice pays Bob a hundred times.
pub fn run() -> Result<(MemoryState, BlockOutput), Box<dyn Error>> {
    // An engine owns the threads and the cache of analysed code: make one and keep it.
    let chain = ChainSpec::at_fork(EthereumHardfork::Osaka, 1);
    let engine = Engine::new(Ethereum::new(chain), EngineConfig::default())?;

    // The state before the block. Any `StateSource` will do; so does any revm `DatabaseRef`, inside
    // a `RevmSource`. What Osaka calls after every block has to exist, or the block is invalid.
    let mut state = MemoryState::default();
    state.insert_account(ALICE, Account { balance: U256::from(1_000_000), ..Account::default() });
    for contract in system_contracts() {
        let code_hash = state.insert_code([0x00].into());
        state.insert_account(contract, Account { nonce: 1, code_hash, ..Account::default() });
    }

    // Execution does not look at hashes, roots and signatures; whoever receives a block checks them.
    let block = RecoveredBlock {
        header: Header {
            number: 1,
            gas_limit: 30_000_000,
            base_fee_per_gas: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            ..Header::default()
        },
        hash: B256::ZERO,
        transactions: (0..100).map(payment).collect(),
        ommers: Vec::new(),
        withdrawals: None,
    };

    // Receipts, requests, gas, and what changed. The state itself is as it was until that is applied.
    let output = engine.execute(&block, &state)?;
    state.apply(&output.state);
    Ok((state, output))
}

fn payment(nonce: u64) -> Recovered<warpline_primitives::Transaction> {
    let to = TxKind::Call(BOB);
    let tx = TxLegacy { nonce, to, value: U256::from(7), gas_limit: 21_000, ..TxLegacy::default() };
    let signed = Signed::new_unchecked(tx, Signature::test_signature(), B256::ZERO);
    Recovered::new_unchecked(signed.into(), ALICE)
}

/// The contracts of EIP-7002 and EIP-7251, here without any code to speak of.
fn system_contracts() -> [Address; 2] {
    use alloy_eips::{eip7002, eip7251};
    [
        eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
        eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
    ]
}

#[expect(clippy::print_stdout, reason = "an example says what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let (_, output) = run()?;
    println!("{} receipts, {} gas, {:?}", output.receipts.len(), output.gas_used, output.work);
    println!("Bob: {:?}", output.state.account(&BOB));
    Ok(())
}
