//! revm and alloy-evm behind one door.
//!
//! The scheduler, the memory and the commit know transactions as indices and state as values;
//! everything that knows what a transaction *is* stands behind [`BlockVm`].

mod account_id;
mod balance;
mod bloom;
#[cfg(feature = "tracers")]
mod call;
mod changes;
mod code;
mod database;
mod eip1283;
mod eip7610;
mod ethereum;
mod evm;
mod mode;
mod pause;
mod publish;
pub(crate) mod reference;
mod source;

use alloy_consensus::transaction::Recovered;
use alloy_evm::{Database, Evm, EvmEnv, EvmError, EvmFactory, block::BlockExecutionError};
use alloy_primitives::{Address, U256};
use revm::{
    DatabaseCommit, context::result::ExecutionResult, inspector::NoOpInspector, state::EvmState,
};
use warpline_primitives::{Account, RecoveredBlock};

use account_id::{Mark, has, mark};
pub(crate) use account_id::{account_id, name_of};
pub use balance::BalanceUses;
#[cfg(feature = "tracers")]
pub(crate) use call::{CallEvm, MovablePrecompiles};
pub(crate) use changes::{Commit, account_of, changed_slots, classify, diff_of, info_of, new_code};
pub(crate) use code::{CodeCache, OwnCodes, analysed};
pub(crate) use database::{WorkerDb, load};
pub(crate) use eip7610::must_ask;
#[cfg(feature = "tracers")]
pub(crate) use ethereum::env_of_header;
pub use ethereum::{Ethereum, ExecutorSpec, SystemContractMissing};
pub(crate) use ethereum::{
    Overwritten, WithoutDao, dao_change, is_dao_block, post_block, pre_block, rules_of,
};
pub use evm::{DeferringEvm, DeferringEvmFactory, PrecompilesOf};
use mode::Interrupted;
pub(crate) use mode::{Interruption, Mode};
pub(crate) use publish::{Written, publish, take_back};
pub use reference::Receipts;
pub use source::RevmSource;

use crate::{EngineBug, InvalidBlock};

/// The EVM type a [`BlockVm`] builds over the database `DB`.
pub type EvmOf<V, DB> = <<V as BlockVm>::Factory as EvmFactory>::Evm<DB, NoOpInspector>;
/// What halts an EVM of a [`BlockVm`].
pub type HaltOf<V> = <<V as BlockVm>::Factory as EvmFactory>::HaltReason;
/// The error of an EVM of a [`BlockVm`] over the database `DB`.
pub type ErrorOf<V, DB> =
    <<V as BlockVm>::Factory as EvmFactory>::Error<<DB as revm::Database>::Error>;
/// The block environment of a [`BlockVm`].
pub type EnvOf<V> = EvmEnv<
    <<V as BlockVm>::Factory as EvmFactory>::Spec,
    <<V as BlockVm>::Factory as EvmFactory>::BlockEnv,
>;

/// An executed transaction before it is committed.
#[derive(Debug)]
pub struct Transacted<H> {
    /// Status, gas, output and logs.
    pub result: ExecutionResult<H>,
    /// Every account and slot the transaction looked at, with what became of it.
    pub state: EvmState,
    /// The beneficiary's fee in wei where it is *not* part of [`state`](Self::state); `None` where
    /// it is (or where the chain pays no fee at all).
    pub deferred_fee: Option<U256>,
}

/// An executed transaction, and what it found out about the balances that it met.
#[derive(Debug)]
pub struct Noted<H> {
    /// What it came to.
    pub transacted: Transacted<H>,
    /// On which balances of the accounts in its journal that rests.
    pub balances: BalanceUses,
}

/// Why a transaction could not be executed: it breaks a rule, or else the virtual machine is broken.
pub(crate) fn refusal<E: EvmError + 'static>(
    index: usize,
    error: E,
) -> Result<InvalidBlock, EngineBug> {
    match error.try_into_invalid_tx_err() {
        Ok(error) => Ok(InvalidBlock::Transaction { index, error: Box::new(error) }),
        Err(error) => Err(EngineBug::Vm { index, error: Box::new(error) }),
    }
}

/// What the commit needs to know of a block's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRules {
    /// Who is paid the deferred fees.
    pub beneficiary: Address,
    /// The block's gas limit.
    pub gas_limit: u64,
    /// The most gas a transaction reserves of the block (EIP-7825); `u64::MAX` for no cap.
    pub transaction_gas_cap: u64,
    /// Whether regular and state gas are bounded apart (EIP-8037).
    pub two_dimensional_gas: bool,
    /// The least gas a transaction can ask for. A block that is built is full when less is left.
    pub least_gas: u64,
    /// The most blob gas a block holds (EIP-4844). Bounds blocks that are built; whether one that is
    /// given keeps it is part of its header's rules.
    pub blob_gas_limit: u64,
    /// Whether blocks have access lists (EIP-7928).
    pub access_lists: bool,
    /// Whether touching an empty account deletes it (EIP-161).
    pub deletes_empty_accounts: bool,
    /// Whether a transaction can delete accounts older than itself, storage and all (until EIP-6780).
    pub deletes_old_accounts: bool,
}

/// The database of the steps around the transactions.
pub trait BlockDb: Database + DatabaseCommit {
    /// Writes an account past every rule, EIP-161's deletion of empty accounts included: what the
    /// DAO fork did.
    ///
    /// # Errors
    /// When the account's present state cannot be read.
    fn overwrite_account(&mut self, address: Address, account: Account) -> Result<(), Self::Error>;
}

/// A chain's virtual machine and block rules: the one thing to implement to run another chain,
/// with its own transactions, receipts, precompiles or system calls, on the engine.
///
/// Everything must be a pure function of its arguments: transactions run several times, on any
/// thread, in any order.
pub trait BlockVm: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// alloy-evm's factory of the chain's EVM.
    type Factory: EvmFactory<Spec: Send + Sync, BlockEnv: Send + Sync>;
    /// The signed transaction in a block.
    type Transaction: alloy_consensus::Transaction + Send + Sync;
    /// The receipt it leaves.
    type Receipt: Clone + PartialEq + std::fmt::Debug + Send;

    /// Whether [`transact_noting`](Self::transact_noting) has more to say than its default. Payments
    /// to one recipient are then not executed one after the other.
    const NOTES_BALANCES: bool = false;

    /// The factory.
    fn factory(&self) -> &Self::Factory;

    /// The environment `block` executes in.
    fn env(&self, block: &RecoveredBlock<Self::Transaction>) -> EnvOf<Self>;

    /// What the commit needs to know of the rules in `env`.
    fn rules(&self, env: &EnvOf<Self>) -> BlockRules;

    /// The transaction as the EVM wants it.
    fn tx_env(&self, tx: &Recovered<Self::Transaction>) -> <Self::Factory as EvmFactory>::Tx;

    /// Executes a transaction without committing it.
    ///
    /// The default credits every fee at once, which is right for any chain but makes each
    /// transaction depend on all before it. A chain gains parallelism by setting aside the fees
    /// that the transaction cannot observe; see [`DeferringEvm::transact_deferring`].
    ///
    /// # Errors
    /// When the transaction is invalid or the database fails.
    fn transact<DB: Database>(
        &self,
        evm: &mut EvmOf<Self, DB>,
        tx: <Self::Factory as EvmFactory>::Tx,
    ) -> Result<Transacted<HaltOf<Self>>, ErrorOf<Self, DB>> {
        let outcome = evm.transact_raw(tx)?;
        Ok(Transacted { result: outcome.result, state: outcome.state, deferred_fee: None })
    }

    /// Executes a transaction as [`transact`](Self::transact) does, and says what it found out about
    /// the balances that it met.
    ///
    /// The default says that it may have looked at all of them, which is right for any chain. See
    /// [`DeferringEvm::transact_noting`] for how to say more, where nothing but the rules of
    /// Ethereum looks at balances.
    ///
    /// # Errors
    /// As [`transact`](Self::transact).
    fn transact_noting<DB: Database>(
        &self,
        evm: &mut EvmOf<Self, DB>,
        tx: <Self::Factory as EvmFactory>::Tx,
    ) -> Result<Noted<HaltOf<Self>>, ErrorOf<Self, DB>> {
        Ok(Noted { transacted: self.transact(evm, tx)?, balances: BalanceUses::default() })
    }

    /// Takes back the journal of an executed transaction, for the next one to use the memory of.
    /// The default frees it.
    fn recycle<DB: Database>(&self, _evm: &mut EvmOf<Self, DB>, _state: EvmState) {}

    /// The receipt of an executed transaction, its cumulative gas still to be set.
    fn receipt(
        &self,
        tx: &Recovered<Self::Transaction>,
        result: ExecutionResult<HaltOf<Self>>,
    ) -> Self::Receipt;

    /// The length of a transaction in an encoded block, in bytes: what a [`Budget`](crate::Budget)
    /// counts. The default says nothing, so that no budget of bytes is ever used up.
    fn encoded_len(&self, tx: &Recovered<Self::Transaction>) -> usize {
        let _ = tx;
        0
    }

    /// Sets the gas used by the block up to and including the receipt's transaction.
    fn set_cumulative_gas(receipt: &mut Self::Receipt, gas: u64);

    /// Runs what comes before the first transaction and commits it to the EVM's database.
    ///
    /// # Errors
    /// When the step makes the block invalid or the database fails.
    fn pre_block<DB: BlockDb>(
        &self,
        evm: &mut EvmOf<Self, DB>,
        block: &RecoveredBlock<Self::Transaction>,
    ) -> Result<(), BlockExecutionError>;

    /// Runs what comes after the last transaction and commits it to the EVM's database.
    ///
    /// # Errors
    /// When the step makes the block invalid or the database fails.
    fn post_block<DB: BlockDb>(
        &self,
        evm: &mut EvmOf<Self, DB>,
        block: &RecoveredBlock<Self::Transaction>,
        receipts: &[Self::Receipt],
    ) -> Result<alloy_eips::eip7685::Requests, BlockExecutionError>;
}
