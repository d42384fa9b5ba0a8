//! What a header must be, given its parent.
//!
//! Everything that follows from two headers and the fork schedule is checked, in the order in
//! which the checks get dearer. Roots, bloom and gas used are only known after execution.

use std::fmt;

use alloy_consensus::{Header, constants::MAXIMUM_EXTRA_DATA_SIZE};
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_hardforks::{EthereumHardfork, EthereumHardforks};
use alloy_primitives::{B64, B256, Bytes, U256};

use crate::ChainSpec;

/// The extra data of the DAO fork's first blocks.
const DAO_EXTRA_DATA: &[u8] = b"dao-hard-fork";

/// How many blocks from the DAO fork on carry it.
const DAO_EXTRA_DATA_BLOCKS: u64 = 10;

/// The gas limit moves by less than this part of the parent's.
const GAS_LIMIT_BOUND_DIVISOR: u64 = 1024;

/// The least a gas limit may be.
const MIN_GAS_LIMIT: u64 = 5000;

/// The most a gas limit may be: it fits a signed integer (EIP-1985).
const MAX_GAS_LIMIT: u64 = i64::MAX.unsigned_abs();

/// A header field that not every fork has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderField {
    /// The base fee, from London on (EIP-1559).
    BaseFee,
    /// The withdrawals root, from Shanghai on (EIP-4895).
    WithdrawalsRoot,
    /// The blob gas used, from Cancun on (EIP-4844).
    BlobGasUsed,
    /// The excess blob gas, from Cancun on (EIP-4844).
    ExcessBlobGas,
    /// The root of the parent beacon block, from Cancun on (EIP-4788).
    ParentBeaconBlockRoot,
    /// The hash of the execution requests, from Prague on (EIP-7685).
    RequestsHash,
    /// The hash of the block access list (EIP-7928).
    BlockAccessListHash,
    /// The slot number (EIP-7843), which no fork known here has.
    SlotNumber,
}

impl fmt::Display for HeaderField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BaseFee => "base fee",
            Self::WithdrawalsRoot => "withdrawals root",
            Self::BlobGasUsed => "blob gas used",
            Self::ExcessBlobGas => "excess blob gas",
            Self::ParentBeaconBlockRoot => "parent beacon block root",
            Self::RequestsHash => "requests hash",
            Self::BlockAccessListHash => "block access list hash",
            Self::SlotNumber => "slot number",
        })
    }
}

/// Why a header is not a valid child of its parent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It names another parent.
    #[error("parent hash: expected {expected}, found {found}")]
    ParentHash {
        /// The parent's hash.
        expected: B256,
        /// The one the header names.
        found: B256,
    },
    /// Its number is not the parent's plus one.
    #[error("block number: expected the one after {parent}, found {found}")]
    Number {
        /// The parent's number.
        parent: u64,
        /// The header's.
        found: u64,
    },
    /// It is not later than its parent.
    #[error("timestamp {found} is not after the parent's {parent}")]
    Timestamp {
        /// The parent's timestamp in seconds.
        parent: u64,
        /// The header's.
        found: u64,
    },
    /// The extra data is too long.
    #[error("extra data of {found} bytes, at most {max} are allowed")]
    ExtraDataLength {
        /// The most bytes there may be.
        max: usize,
        /// The bytes there are.
        found: usize,
    },
    /// One of the first ten blocks of the DAO fork does not say so.
    #[error("extra data {found} instead of the DAO fork's")]
    DaoExtraData {
        /// The extra data there is.
        found: Bytes,
    },
    /// One of those blocks says that it follows the DAO fork, on a chain that does not.
    #[error("extra data of the DAO fork, which this chain does not follow")]
    DaoExtraDataRefused,
    /// A fork has begun before one that it builds on. No block can be right there: which rules hold is not
    /// defined. The chain's schedule is wrong, or a proof-of-work block comes too late.
    #[error("{fork} has begun before {before}")]
    ForkTooEarly {
        /// The fork that has begun.
        fork: EthereumHardfork,
        /// The fork that has not.
        before: EthereumHardfork,
    },
    /// The gas limit is outside of what any block may have.
    #[error("gas limit {found} is not within {min}..={max}")]
    GasLimitBounds {
        /// The least allowed.
        min: u64,
        /// The most allowed.
        max: u64,
        /// The header's.
        found: u64,
    },
    /// The gas limit is too far from the parent's.
    #[error("gas limit {found} is {step} or more away from the parent's {parent}")]
    GasLimitStep {
        /// The parent's limit, at the London block doubled.
        parent: u64,
        /// The distance at which a limit is too far.
        step: u64,
        /// The header's.
        found: u64,
    },
    /// More gas was used than there was.
    #[error("gas used {used} exceeds the gas limit {limit}")]
    GasUsed {
        /// The gas limit.
        limit: u64,
        /// The gas used.
        used: u64,
    },
    /// The difficulty does not follow from the parent.
    #[error("difficulty: expected {expected}, found {found}")]
    Difficulty {
        /// The right one.
        expected: U256,
        /// The header's.
        found: U256,
    },
    /// The nonce is not zero after the merge (EIP-3675).
    #[error("nonce {found} after the merge")]
    Nonce {
        /// The header's nonce.
        found: B64,
    },
    /// There are ommers after the merge (EIP-3675).
    #[error("ommers hash {found} after the merge")]
    OmmersHash {
        /// The header's ommers hash.
        found: B256,
    },
    /// The fork requires a field that is not there.
    #[error("the {0} is missing")]
    FieldMissing(HeaderField),
    /// A field is there that the fork does not have.
    #[error("the {0} does not belong to this fork")]
    FieldForbidden(HeaderField),
    /// The base fee does not follow from the parent (EIP-1559).
    #[error("base fee: expected {expected}, found {found}")]
    BaseFee {
        /// The right one in wei per gas.
        expected: u64,
        /// The header's.
        found: u64,
    },
    /// The blob gas used is no number of whole blobs, or more than a block may hold.
    #[error("blob gas used {found}: at most {max}, in steps of {step}")]
    BlobGasUsed {
        /// The most a block may use.
        max: u64,
        /// The blob gas of one blob.
        step: u64,
        /// The header's.
        found: u64,
    },
    /// The excess blob gas does not follow from the parent (EIP-4844, EIP-7918).
    #[error("excess blob gas: expected {expected}, found {found}")]
    ExcessBlobGas {
        /// The right one.
        expected: u64,
        /// The header's.
        found: u64,
    },
}

impl ChainSpec {
    /// Checks `header` against its parent: everything but proof of work
    /// ([`Ethash`](crate::Ethash)) and what only execution can tell. `parent` is trusted.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate_header(&self, header: &Header, parent: &Header) -> Result<(), HeaderError> {
        self.validate_header_of_parent(header, parent)?;
        let expected = parent.hash_slow();
        if header.parent_hash != expected {
            return Err(HeaderError::ParentHash { expected, found: header.parent_hash });
        }
        Ok(())
    }

    /// [`validate_header`](Self::validate_header), the parent being known by its hash already.
    pub(crate) fn validate_header_of_parent(
        &self,
        header: &Header,
        parent: &Header,
    ) -> Result<(), HeaderError> {
        if parent.number.checked_add(1) != Some(header.number) {
            return Err(HeaderError::Number { parent: parent.number, found: header.number });
        }
        if header.timestamp <= parent.timestamp {
            let (parent, found) = (parent.timestamp, header.timestamp);
            return Err(HeaderError::Timestamp { parent, found });
        }
        self.validate_forks(header)?;
        self.validate_fields(header)?;
        self.validate_extra_data(header)?;
        self.validate_gas(header, parent)?;
        self.validate_seal(header, parent)?;
        self.validate_blob_gas(header, parent)
    }

    /// Forks begin by number, by total difficulty and by time; only the blocks show whether these keep the
    /// order that the rules need.
    fn validate_forks(&self, header: &Header) -> Result<(), HeaderError> {
        let (paris, london) = (EthereumHardfork::Paris, EthereumHardfork::London);
        let merged = self.is_merged(header.number);
        if merged && !self.is_london_active_at_block(header.number) {
            return Err(HeaderError::ForkTooEarly { fork: paris, before: london });
        }
        if !merged && self.is_shanghai_active_at_timestamp(header.timestamp) {
            let fork = EthereumHardfork::Shanghai;
            return Err(HeaderError::ForkTooEarly { fork, before: paris });
        }
        Ok(())
    }

    /// Each field is there exactly if the fork has it.
    fn validate_fields(&self, header: &Header) -> Result<(), HeaderError> {
        let active = |fork| {
            let condition = self.ethereum_fork_activation(fork);
            condition.active_at_timestamp_or_number(header.timestamp, header.number)
        };
        let london = active(EthereumHardfork::London);
        let shanghai = active(EthereumHardfork::Shanghai);
        let cancun = active(EthereumHardfork::Cancun);
        let prague = active(EthereumHardfork::Prague);
        let lists = self.block_access_lists_at(header.timestamp);
        let fields = [
            (HeaderField::BaseFee, header.base_fee_per_gas.is_some(), london),
            (HeaderField::WithdrawalsRoot, header.withdrawals_root.is_some(), shanghai),
            (HeaderField::BlobGasUsed, header.blob_gas_used.is_some(), cancun),
            (HeaderField::ExcessBlobGas, header.excess_blob_gas.is_some(), cancun),
            (HeaderField::ParentBeaconBlockRoot, header.parent_beacon_block_root.is_some(), cancun),
            (HeaderField::RequestsHash, header.requests_hash.is_some(), prague),
            (HeaderField::BlockAccessListHash, header.block_access_list_hash.is_some(), lists),
            (HeaderField::SlotNumber, header.slot_number.is_some(), false),
        ];
        for (field, present, required) in fields {
            match (present, required) {
                (false, true) => return Err(HeaderError::FieldMissing(field)),
                (true, false) => return Err(HeaderError::FieldForbidden(field)),
                _ => {}
            }
        }
        Ok(())
    }

    fn validate_extra_data(&self, header: &Header) -> Result<(), HeaderError> {
        let found = header.extra_data.len();
        if found > MAXIMUM_EXTRA_DATA_SIZE {
            return Err(HeaderError::ExtraDataLength { max: MAXIMUM_EXTRA_DATA_SIZE, found });
        }
        let follows = self.ethereum_fork_activation(EthereumHardfork::Dao).block_number();
        let marked = |dao: u64| {
            let since = header.number.checked_sub(dao);
            since.is_some_and(|blocks| blocks < DAO_EXTRA_DATA_BLOCKS)
        };
        let mark = header.extra_data.as_ref() == DAO_EXTRA_DATA;
        if follows.is_some_and(marked) && !mark {
            return Err(HeaderError::DaoExtraData { found: header.extra_data.clone() });
        }
        if self.refused_dao().is_some_and(marked) && mark {
            return Err(HeaderError::DaoExtraDataRefused);
        }
        Ok(())
    }

    /// Gas limit, gas used and base fee.
    fn validate_gas(&self, header: &Header, parent: &Header) -> Result<(), HeaderError> {
        let found = header.gas_limit;
        if !(MIN_GAS_LIMIT..=MAX_GAS_LIMIT).contains(&found) {
            let (min, max) = (MIN_GAS_LIMIT, MAX_GAS_LIMIT);
            return Err(HeaderError::GasLimitBounds { min, max, found });
        }
        if header.gas_used > found {
            return Err(HeaderError::GasUsed { limit: found, used: header.gas_used });
        }
        // London halves the gas target, so its first block may have twice the limit (EIP-1559).
        let begins = self.is_london_active_at_block(header.number)
            && !self.is_london_active_at_block(parent.number);
        let parent_limit = parent.gas_limit.saturating_mul(if begins { 2 } else { 1 });
        let step = parent_limit / GAS_LIMIT_BOUND_DIVISOR;
        if found.abs_diff(parent_limit) >= step {
            return Err(HeaderError::GasLimitStep { parent: parent_limit, step, found });
        }
        match (self.next_base_fee(parent), header.base_fee_per_gas) {
            (Some(expected), Some(found)) if expected != found => {
                Err(HeaderError::BaseFee { expected, found })
            }
            _ => Ok(()),
        }
    }

    /// What proof of work leaves in a header, or what the merge made of it (EIP-3675).
    fn validate_seal(&self, header: &Header, parent: &Header) -> Result<(), HeaderError> {
        let expected = self.next_difficulty(parent, header.timestamp);
        if header.difficulty != expected {
            return Err(HeaderError::Difficulty { expected, found: header.difficulty });
        }
        if !self.is_merged(header.number) {
            return Ok(());
        }
        if !header.nonce.is_zero() {
            return Err(HeaderError::Nonce { found: header.nonce });
        }
        if !header.ommers_hash_is_empty() {
            return Err(HeaderError::OmmersHash { found: header.ommers_hash });
        }
        Ok(())
    }

    fn validate_blob_gas(&self, header: &Header, parent: &Header) -> Result<(), HeaderError> {
        let Some(params) = self.blob_params_at(header.timestamp) else { return Ok(()) };
        let found = header.blob_gas_used.unwrap_or_default();
        let max = params.max_blob_count.saturating_mul(DATA_GAS_PER_BLOB);
        if found > max || !found.is_multiple_of(DATA_GAS_PER_BLOB) {
            return Err(HeaderError::BlobGasUsed { max, step: DATA_GAS_PER_BLOB, found });
        }
        match (self.next_excess_blob_gas(parent, header.timestamp), header.excess_blob_gas) {
            (Some(expected), Some(found)) if expected != found => {
                Err(HeaderError::ExcessBlobGas { expected, found })
            }
            _ => Ok(()),
        }
    }
}
