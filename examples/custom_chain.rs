//! A chain of one's own: Ethereum with another precompile, and a subsidy in every block.
//!
//! `cargo run -p warpline-engine --example custom_chain`

use std::{error::Error, sync::OnceLock};

use alloy_consensus::{Header, Signed, TxLegacy, transaction::Recovered};
use alloy_eips::eip7685::Requests;
use alloy_evm::{Database, Evm, EvmEnv, block::BlockExecutionError};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, address};
use revm::{
    context::{
        TxEnv,
        result::{EVMError, ExecutionResult, HaltReason},
    },
    database_interface::DatabaseCommitExt,
    precompile::{
        Precompile, PrecompileHalt, PrecompileId, PrecompileOutput, PrecompileResult,
        PrecompileSpecId, Precompiles,
    },
    primitives::hardfork::SpecId,
};
use warpline_chain::{ChainSpec, EthereumHardfork};
use warpline_engine::{
    BlockDb, BlockRules, BlockVm, DeferringEvm, DeferringEvmFactory, Engine, EngineConfig,
    Ethereum, Strategy, Transacted,
};
use warpline_primitives::{
    Account, BlockOutput, MemoryState, Receipt, RecoveredBlock, Transaction,
};

/// Adds up the words of its input.
const SUM: Address = address!("0x0000000000000000000000000000000000000b0b");
const TREASURY: Address = Address::repeat_byte(0x77);
/// What the treasury gets with every block, in wei.
const SUBSIDY: u128 = 1_000;
/// Stores what the precompile makes of its input, in a slot for each caller.
pub const LEDGER: Address = Address::repeat_byte(0x1e);

/// The precompile is a plain function of input and gas. It runs several times for one transaction,
/// on any thread; anything else it looked at could differ between the times.
fn sum(input: &[u8], gas_limit: u64, reservoir: u64) -> PrecompileResult {
    let words = input.chunks(32);
    let gas = 15 + 3 * words.len() as u64;
    if gas > gas_limit {
        return Ok(PrecompileOutput::halt(PrecompileHalt::OutOfGas, reservoir));
    }
    let sum = words.fold(U256::ZERO, |sum, word| sum.wrapping_add(U256::from_be_slice(word)));
    Ok(PrecompileOutput::new(gas, sum.to_be_bytes_vec().into(), reservoir))
}

/// Ethereum's precompiles and ours. The set is made once and lives for ever: every EVM of every
/// worker uses the same one. This chain has a single fork; another would get a set of its own.
fn precompiles(spec: SpecId) -> &'static Precompiles {
    static ALL: OnceLock<Precompiles> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = Precompiles::new(PrecompileSpecId::from_spec_id(spec)).clone();
        all.extend([Precompile::new(PrecompileId::custom("sum"), SUM, sum)]);
        all
    })
}

/// The chain. Most of it is Ethereum's; a chain with nothing but other precompiles needs no type of
/// its own: `Ethereum::with_factory` is all.
#[derive(Clone, Debug)]
struct Subsidised {
    ethereum: Ethereum,
    factory: DeferringEvmFactory,
}

impl Subsidised {
    fn new(spec: ChainSpec) -> Self {
        let factory = DeferringEvmFactory::with_precompiles(precompiles);
        Self { ethereum: Ethereum::new(spec), factory }
    }
}

impl BlockVm for Subsidised {
    type Factory = DeferringEvmFactory;
    type Transaction = Transaction;
    type Receipt = Receipt;

    fn factory(&self) -> &DeferringEvmFactory {
        &self.factory
    }

    fn env(&self, block: &RecoveredBlock) -> EvmEnv {
        self.ethereum.env(block)
    }

    fn rules(&self, env: &EvmEnv) -> BlockRules {
        self.ethereum.rules(env)
    }

    fn tx_env(&self, tx: &Recovered<Transaction>) -> TxEnv {
        self.ethereum.tx_env(tx)
    }

    /// The one method with a default that a chain should not keep: without it every transaction
    /// pays the beneficiary at once, and so depends on all before it.
    fn transact<DB: Database>(
        &self,
        evm: &mut DeferringEvm<DB>,
        tx: TxEnv,
    ) -> Result<Transacted<HaltReason>, EVMError<DB::Error>> {
        evm.transact_deferring(tx)
    }

    fn receipt(&self, tx: &Recovered<Transaction>, result: ExecutionResult<HaltReason>) -> Receipt {
        self.ethereum.receipt(tx, result)
    }

    fn set_cumulative_gas(receipt: &mut Receipt, gas: u64) {
        Ethereum::set_cumulative_gas(receipt, gas);
    }

    fn pre_block<DB: BlockDb>(
        &self,
        evm: &mut DeferringEvm<DB>,
        block: &RecoveredBlock,
    ) -> Result<(), BlockExecutionError> {
        self.ethereum.pre_block(evm, block)
    }

    fn post_block<DB: BlockDb>(
        &self,
        evm: &mut DeferringEvm<DB>,
        block: &RecoveredBlock,
        receipts: &[Receipt],
    ) -> Result<Requests, BlockExecutionError> {
        let requests = self.ethereum.post_block(evm, block, receipts)?;
        let subsidy = evm.db_mut().increment_balances([(TREASURY, SUBSIDY)]);
        subsidy.map_err(BlockExecutionError::other)?;
        Ok(requests)
    }
}

/// Executes a block of calls that all use the precompile: in parallel and sequentially.
pub fn run() -> Result<(BlockOutput, BlockOutput), Box<dyn Error>> {
    let vm = Subsidised::new(ChainSpec::at_fork(EthereumHardfork::Shanghai, 4242));
    let engine = Engine::new(vm, EngineConfig::with_threads(4))?;

    let mut state = MemoryState::default();
    let code_hash = state.insert_code(ledger_code());
    state.insert_account(LEDGER, Account { nonce: 1, code_hash, ..Account::default() });
    for sender in 0..50 {
        let rich = Account { balance: U256::from(10_000_000), ..Account::default() };
        state.insert_account(sender_at(sender), rich);
    }
    let block = RecoveredBlock {
        header: Header {
            gas_limit: 30_000_000,
            base_fee_per_gas: Some(0),
            beneficiary: Address::repeat_byte(0xfe),
            ..Header::default()
        },
        hash: B256::ZERO,
        transactions: (0..50).map(call).collect(),
        ommers: Vec::new(),
        withdrawals: None,
    };

    let parallel = engine.execute_with(&block, &state, Strategy::Parallel(4))?;
    let sequential = engine.execute_with(&block, &state, Strategy::Sequential)?;
    Ok((parallel, sequential))
}

/// The sender of the call at `index`.
pub fn sender_at(index: u8) -> Address {
    Address::with_last_byte(index).create(0)
}

/// Asks for the sum of `index` and 1000, and pays one wei for a unit of gas.
fn call(index: u8) -> Recovered<Transaction> {
    let words = [U256::from(index), U256::from(1_000)];
    let tx = TxLegacy {
        to: TxKind::Call(LEDGER),
        input: words.map(|word| word.to_be_bytes::<32>()).concat().into(),
        gas_limit: 100_000,
        gas_price: 1,
        ..TxLegacy::default()
    };
    let signed = Signed::new_unchecked(tx, Signature::test_signature(), B256::ZERO);
    Recovered::new_unchecked(signed.into(), sender_at(index))
}

/// Hands its input to the precompile, and stores the answer in the slot named after the caller.
fn ledger_code() -> Bytes {
    let copy_input = [0x36, 0x60, 0x00, 0x60, 0x00, 0x37];
    let call = [0x60, 0x20, 0x60, 0x00, 0x36, 0x60, 0x00, 0x61, 0x0b, 0x0b, 0x5a, 0xfa, 0x50];
    let store = [0x60, 0x00, 0x51, 0x33, 0x55, 0x00];
    [&copy_input[..], &call, &store].concat().into()
}

#[expect(clippy::print_stdout, reason = "an example says what it did")]
fn main() -> Result<(), Box<dyn Error>> {
    let (parallel, sequential) = run()?;
    sequential.compare(&parallel)?;
    println!("{} gas both ways; {:?}", parallel.gas_used, parallel.work);
    println!("the treasury: {:?}", parallel.state.account(&TREASURY));
    Ok(())
}
