//! Executes EVM blocks on all cores, with results identical to sequential execution.
//!
//! An [`Engine`] takes a decoded block whose senders are known and a read-only view of the state
//! before it ([`StateSource`](warpline_primitives::StateSource), or any revm `DatabaseRef` through
//! [`RevmSource`]), and returns what sequential execution returns: receipts, state changes,
//! requests, gas. It knows nothing of files, networks or nodes.
//!
//! ```
//! use alloy_consensus::{Signed, TxLegacy, transaction::Recovered};
//! use alloy_primitives::{Address, B256, Signature, TxKind, U256};
//! use warpline_chain::{ChainSpec, EthereumHardfork};
//! use warpline_engine::{Engine, EngineConfig, Ethereum};
//! use warpline_primitives::{Account, MemoryState, RecoveredBlock};
//!
//! let (alice, bob) = (Address::repeat_byte(0xa1), Address::repeat_byte(0xb0));
//! let mut state = MemoryState::default();
//! state.insert_account(alice, Account { balance: U256::from(1_000_000), ..Account::default() });
//!
//! let payment = TxLegacy {
//!     to: TxKind::Call(bob),
//!     value: U256::from(7),
//!     gas_limit: 21_000,
//!     ..TxLegacy::default()
//! };
//! let signed = Signed::new_unchecked(payment, Signature::test_signature(), B256::ZERO);
//! let block = RecoveredBlock {
//!     header: alloy_consensus::Header { gas_limit: 30_000_000, ..Default::default() },
//!     hash: B256::ZERO,
//!     transactions: vec![Recovered::new_unchecked(signed.into(), alice)],
//!     ommers: Vec::new(),
//!     withdrawals: None,
//! };
//!
//! let chain = ChainSpec::at_fork(EthereumHardfork::Paris, 1);
//! let engine = Engine::new(Ethereum::new(chain), EngineConfig::with_threads(2))?;
//! let output = engine.execute(&block, &state)?;
//!
//! assert_eq!(output.gas_used, 21_000);
//! let bob = output.state.account(&bob).and_then(|diff| diff.account);
//! assert_eq!(bob.map(|account| account.balance), Some(U256::from(7)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `tracers` it answers what nodes are asked, too: calls on a state, gas estimates,
//! access lists, simulated blocks, and what Geth's tracers say of a block's transactions.

mod access_list;
mod activity;
mod balance_use;
mod build;
#[cfg(feature = "tracers")]
mod call;
mod cancel;
mod commit;
mod config;
mod engine;
mod error;
mod execute;
mod hooks;
#[cfg(feature = "tracers")]
mod inspect;
mod integration;
mod memory;
#[cfg(all(test, feature = "model"))]
mod model;
mod parent;
mod plan;
mod pool;
mod read_ahead;
mod scheduler;
mod sequential;
#[cfg(feature = "tracers")]
mod simulate;
mod step;
mod sync;
mod techniques;
#[cfg(feature = "testing")]
pub mod testing;
mod trace;
mod vm;
mod worker;

pub use access_list::{AccessListError, AccessListMode, ListedChange, ListedField};
pub use activity::{Activity, ActivityLog};
pub use balance_use::BalanceUse;
pub use build::{Budget, BuildEnd, BuiltBlock, SkipReason, Skipped};
#[cfg(feature = "tracers")]
pub use call::{
    CallDb, CallEnd, CallError, CallOptions, CallRefusal, CallRule, Called, GasEstimate,
    ListedCall, halt_message, revert_message, revert_reason,
};
pub use cancel::Cancellation;
pub use config::{EngineConfig, ExecuteOptions, Strategy};
pub use engine::Engine;
pub use error::{EngineBug, ExecutionError, InvalidBlock};
#[cfg(feature = "tracers")]
pub use inspect::{
    BadTracer, FlatTrace, HeldTrace, InspectOptions, Inspected, InspectedBlock, StateBefore,
    TraceError, TraceMemory, TracedTransaction, TracerOutput,
};
pub use integration::{
    DynSource, GivenParent, ParallelBlockCtx, ParallelBlockExecutor, ParallelBlockExecutorFactory,
    ParentSource, SourceDb, SourceError, StateParent, erased,
};
pub use pool::PoolError;
pub use sequential::ReadFailed;
#[cfg(feature = "tracers")]
pub use simulate::{
    SimulateError, SimulateOptions, SimulateRefusal, SimulatedBlock, SimulatedCall,
};
pub use techniques::{Technique, Techniques};
pub use trace::{AccountTrace, Function, Progress, SlotTrace, TracedBlock, TransactionTrace};
pub use vm::{
    BalanceUses, BlockDb, BlockRules, BlockVm, DeferringEvm, DeferringEvmFactory, EnvOf, ErrorOf,
    Ethereum, EvmOf, ExecutorSpec, HaltOf, Noted, PrecompilesOf, Receipts, RevmSource,
    SystemContractMissing, Transacted,
};
