//! Why a call was not executed, in the words of Geth, which wallets and libraries look for.

use alloy_primitives::{Address, U256};
use revm::context::{
    BlockEnv, TxEnv,
    result::{InvalidHeader, InvalidTransaction},
};

use crate::{BuildEnd, EngineBug, ExecutionError, SourceError, call::Unfinished};

/// Why there is no result of a call.
#[derive(Debug, thiserror::Error)]
pub enum CallError<E> {
    /// What was asked for cannot be executed.
    #[error(transparent)]
    Refused(#[from] CallRefusal),
    /// It took longer than it may.
    #[error("execution aborted (timeout)")]
    TimedOut,
    /// Execution failed, or was called off.
    #[error(transparent)]
    Execution(#[from] ExecutionError<E>),
}

/// What is wrong with a call.
#[derive(Debug, thiserror::Error)]
pub enum CallRefusal {
    /// A rule keeps the call from being executed as a transaction.
    #[error("err: {rule} (supplied gas {gas_limit})")]
    Rule {
        /// Which.
        rule: CallRule,
        /// The gas that the call has.
        gas_limit: u64,
    },
    /// Two ways to say what the gas costs.
    #[error("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified")]
    ConflictingFees,
    /// Two data that differ.
    #[error(r#"both "data" and "input" are set and not equal. Please use "input" to pass transaction call data"#)]
    ConflictingInput,
    /// The call is meant for another chain.
    #[error("chainId does not match node's (have={have}, want={want})")]
    ChainId {
        /// The call's.
        have: u64,
        /// The chain's.
        want: u64,
    },
    /// The storage of an account is overridden both as a whole and in part.
    #[error("account {0} has both 'state' and 'stateDiff'")]
    StateAndDiff(Address),
    /// There is no precompile to be moved.
    #[error("account {0} is not a precompile")]
    NotAPrecompile(Address),
    /// A precompile is to be moved to where something else is overridden.
    #[error("account {0} is already overridden")]
    AlreadyOverridden(Address),
    /// What a precompile was moved to is overridden.
    #[error("account {0} has already been overridden by a precompile")]
    OverriddenByPrecompile(Address),
    /// A part of a block cannot be overridden in calls.
    #[error(r#"block override "{0}" is not supported for this RPC method"#)]
    BlockOverride(&'static str),
    /// A part of a block is overridden by more than it can be.
    #[error("block override {name:?} is too large: {value:#x}, at most {most:#x} is possible")]
    OverrideTooLarge {
        /// Which.
        name: &'static str,
        /// What it was to be.
        value: U256,
        /// The most that it can be.
        most: U256,
    },
    /// No amount of gas within the allowance is enough.
    #[error("gas required exceeds allowance ({0})")]
    Allowance(u64),
    /// The sender cannot pay what is transferred.
    #[error("insufficient funds for transfer")]
    FundsForTransfer,
}

/// A rule of transactions that a call breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallRule {
    /// The sender cannot pay gas and value.
    #[error(
        "insufficient funds for gas * price + value: address {address} have {have} want {want}"
    )]
    Funds {
        /// The sender.
        address: Address,
        /// Its balance.
        have: U256,
        /// What it may have to pay.
        want: U256,
    },
    /// An earlier nonce than the sender's.
    #[error("nonce too low: address {address}, tx: {tx} state: {state}")]
    NonceTooLow {
        /// The sender.
        address: Address,
        /// The call's nonce.
        tx: u64,
        /// The sender's.
        state: u64,
    },
    /// A later nonce than the sender's.
    #[error("nonce too high: address {address}, tx: {tx} state: {state}")]
    NonceTooHigh {
        /// The sender.
        address: Address,
        /// The call's nonce.
        tx: u64,
        /// The sender's.
        state: u64,
    },
    /// There is no next nonce.
    #[error("nonce has max value: address {address}, nonce: {nonce}")]
    NonceMax {
        /// The sender.
        address: Address,
        /// The nonce.
        nonce: u64,
    },
    /// Less gas than it takes before anything is executed.
    #[error("intrinsic gas too low: have {have}, want {want}")]
    IntrinsicGas {
        /// What the call has.
        have: u64,
        /// What it takes.
        want: u64,
    },
    /// Less gas than its data costs at least (EIP-7623).
    #[error("insufficient gas for floor data gas cost: have {have}, want {want}")]
    FloorDataGas {
        /// What the call has.
        have: u64,
        /// What it takes.
        want: u64,
    },
    /// A lower price than the base fee.
    #[error(
        "max fee per gas less than block base fee: address {address}, maxFeePerGas: {cap}, baseFee: {base_fee}"
    )]
    FeeCapTooLow {
        /// The sender.
        address: Address,
        /// The call's price, in wei.
        cap: u128,
        /// The block's, in wei.
        base_fee: u64,
    },
    /// A tip beyond the whole price.
    #[error(
        "max priority fee per gas higher than max fee per gas: address {address}, maxPriorityFeePerGas: {tip}, maxFeePerGas: {cap}"
    )]
    TipAboveFeeCap {
        /// The sender.
        address: Address,
        /// The tip, in wei.
        tip: u128,
        /// The price, in wei.
        cap: u128,
    },
    /// A lower price than that of blob gas.
    #[error(
        "max fee per blob gas less than block blob gas fee: address {address} blobGasFeeCap: {cap}, blobBaseFee: {base_fee}"
    )]
    BlobFeeCapTooLow {
        /// The sender.
        address: Address,
        /// The call's price, in wei.
        cap: u128,
        /// The block's, in wei.
        base_fee: u128,
    },
    /// More code to create a contract with than is allowed (EIP-3860).
    #[error("max initcode size exceeded: code size {size} limit {limit}")]
    InitCodeSize {
        /// How much, in bytes.
        size: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// Blobs come with calls only.
    #[error("input string is empty or blob transaction of type create")]
    BlobCreate,
    /// Delegations come with calls only.
    #[error("EIP-7702 transaction cannot be used to create contract")]
    DelegationCreate,
    /// Any other.
    #[error("{0}")]
    Other(InvalidTransaction),
    /// The block's environment is incomplete.
    #[error("{0}")]
    Header(InvalidHeader),
}

impl CallRule {
    /// The rule as `tx` broke it in `block`.
    pub(crate) fn of(
        error: InvalidTransaction,
        tx: &TxEnv,
        block: &BlockEnv,
        max_initcode: usize,
    ) -> Self {
        use InvalidTransaction as Invalid;
        let address = tx.caller;
        match error {
            Invalid::LackOfFundForMaxFee { fee, balance } => {
                Self::Funds { address, have: *balance, want: *fee }
            }
            Invalid::NonceTooLow { tx, state } => Self::NonceTooLow { address, tx, state },
            Invalid::NonceTooHigh { tx, state } => Self::NonceTooHigh { address, tx, state },
            Invalid::NonceOverflowInTransaction => Self::NonceMax { address, nonce: tx.nonce },
            Invalid::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
                Self::IntrinsicGas { have: gas_limit, want: initial_gas }
            }
            Invalid::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
                Self::FloorDataGas { have: gas_limit, want: gas_floor }
            }
            Invalid::GasPriceLessThanBasefee => {
                Self::FeeCapTooLow { address, cap: tx.gas_price, base_fee: block.basefee }
            }
            Invalid::PriorityFeeGreaterThanMaxFee => {
                let tip = tx.gas_priority_fee.unwrap_or_default();
                Self::TipAboveFeeCap { address, tip, cap: tx.gas_price }
            }
            Invalid::BlobGasPriceGreaterThanMax {
                block_blob_gas_price: base_fee,
                tx_max_fee_per_blob_gas: cap,
            } => Self::BlobFeeCapTooLow { address, cap, base_fee },
            Invalid::CreateInitCodeSizeLimit => {
                Self::InitCodeSize { size: tx.data.len(), limit: max_initcode }
            }
            other => Self::Other(other),
        }
    }

    /// The code of the error that answers `eth_simulateV1`; calls of other methods that break a rule
    /// are answered with [`SERVER_ERROR`](CallRefusal::SERVER_ERROR).
    pub const fn simulate_code(&self) -> i32 {
        match self {
            Self::NonceTooLow { .. } => -38010,
            Self::NonceTooHigh { .. } => -38011,
            Self::FeeCapTooLow { .. } => -38012,
            Self::IntrinsicGas { .. } | Self::FloorDataGas { .. } => -38013,
            Self::Funds { .. } => -38014,
            Self::InitCodeSize { .. } => -38025,
            Self::TipAboveFeeCap { .. } => -32602,
            _ => -32603,
        }
    }
}

impl CallRefusal {
    /// The code of errors without one of their own.
    pub const SERVER_ERROR: i32 = -32000;
    /// The code of failures inside.
    pub const INTERNAL_ERROR: i32 = -32603;
    /// The code of the error that answers a call that is reverted; its data is the output.
    pub const REVERTED: i32 = 3;
}

impl<E> CallError<E> {
    /// The code of the error that answers this. Failures that are not the call's fault have the code
    /// of internal errors.
    pub const fn code(&self) -> i32 {
        match self {
            Self::Refused(_) | Self::TimedOut => CallRefusal::SERVER_ERROR,
            Self::Execution(_) => CallRefusal::INTERNAL_ERROR,
        }
    }
}

impl<E: std::error::Error + Send + Sync + 'static> CallError<E> {
    /// The error of a source whose type was forgotten, that type remembered.
    pub(crate) fn typed(error: CallError<SourceError>) -> Self {
        match error {
            CallError::Refused(refusal) => Self::Refused(refusal),
            CallError::TimedOut => Self::TimedOut,
            CallError::Execution(error) => Self::Execution(typed(error)),
        }
    }
}

/// The error of a source whose type was forgotten, that type remembered.
pub(crate) fn typed<E: std::error::Error + Send + Sync + 'static>(
    error: ExecutionError<SourceError>,
) -> ExecutionError<E> {
    match error {
        ExecutionError::InvalidBlock(error) => ExecutionError::InvalidBlock(error),
        ExecutionError::StateRead(error) => match error.downcast() {
            Ok(error) => ExecutionError::StateRead(error),
            Err(other) => EngineBug::Vm { index: 0, error: Box::new(other) }.into(),
        },
        ExecutionError::EngineBug(bug) => ExecutionError::EngineBug(bug),
        ExecutionError::Cancelled => ExecutionError::Cancelled,
    }
}

impl From<Unfinished> for CallError<SourceError> {
    fn from(unfinished: Unfinished) -> Self {
        match unfinished {
            Unfinished::Source(error) => ExecutionError::StateRead(error).into(),
            Unfinished::Ended(BuildEnd::Deadline) => Self::TimedOut,
            Unfinished::Ended(_) => ExecutionError::Cancelled.into(),
        }
    }
}
