//! When each rule of a chain begins.

use std::borrow::Cow;

use alloy_consensus::Header;
use alloy_eips::eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS;
use alloy_hardforks::{EthereumChainHardforks, EthereumHardfork, EthereumHardforks, ForkCondition};
use alloy_primitives::{Address, U256};

use crate::{
    BlobParams, BlobSchedule,
    blob::BlobTimeline,
    fee,
    network::{self, UnknownNetwork},
};

/// The activation block of a merge that a total difficulty decides and nobody has resolved yet.
pub(crate) const UNRESOLVED_MERGE: u64 = u64::MAX;

/// A chain: its id, when its forks begin, and what depends on nothing else.
///
/// The hardfork schedule never says that Amsterdam is active. The one part of Amsterdam known
/// here is the block access list (EIP-7928), which runs on Osaka rules; ask
/// [`block_access_lists_at`](Self::block_access_lists_at) for it.
///
/// Constantinople without Petersburg is represented as it was: the first active, the second not.
#[derive(Clone, Debug)]
pub struct ChainSpec {
    name: Cow<'static, str>,
    chain_id: u64,
    hardforks: EthereumChainHardforks,
    blobs: BlobTimeline,
    access_lists: ForkCondition,
    /// Whether the rest of Amsterdam comes with its access lists.
    all_of_amsterdam: bool,
    deposit_contract: Address,
    /// The first block of the DAO fork, on a chain that does not follow it.
    refused_dao: Option<u64>,
}

impl EthereumHardforks for ChainSpec {
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        if fork == EthereumHardfork::Amsterdam && self.all_of_amsterdam {
            return self.access_lists;
        }
        self.hardforks.ethereum_fork_activation(fork)
    }
}

impl ChainSpec {
    /// A chain with the given forks, mainnet's blob parameters at each fork and mainnet's deposit
    /// contract. Forks that are not listed never begin; an activation of Amsterdam means block
    /// access lists only, unless [all of it](Self::with_all_of_amsterdam) is asked for.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        chain_id: u64,
        forks: impl IntoIterator<Item = (EthereumHardfork, ForkCondition)>,
    ) -> Self {
        Self::with_blob_schedule(name, chain_id, forks, &BlobSchedule::new())
    }

    /// Like [`new`](Self::new), with blob counts of the chain's own. A fork `schedule` does not
    /// list has the counts it has on mainnet, or those of the fork before it.
    pub fn with_blob_schedule(
        name: impl Into<Cow<'static, str>>,
        chain_id: u64,
        forks: impl IntoIterator<Item = (EthereumHardfork, ForkCondition)>,
        schedule: &BlobSchedule,
    ) -> Self {
        let mut forks: Vec<_> = forks.into_iter().collect();
        let blobs = BlobTimeline::new(forks.iter().copied(), schedule);
        let access_lists = forks.iter().find(|(fork, _)| *fork == EthereumHardfork::Amsterdam);
        let access_lists = access_lists.map_or(ForkCondition::Never, |(_, condition)| *condition);
        forks.retain(|(fork, _)| *fork < EthereumHardfork::Amsterdam);
        Self {
            name: name.into(),
            chain_id,
            hardforks: EthereumChainHardforks::new(forks),
            blobs,
            access_lists,
            all_of_amsterdam: false,
            deposit_contract: MAINNET_DEPOSIT_CONTRACT_ADDRESS,
            refused_dao: None,
        }
    }

    /// Puts all of Amsterdam in force where otherwise its block access lists alone would be: the
    /// gas schedule and the system calls as revm has them. The fork is not settled, no public chain
    /// runs it, and the published tests know the access lists only.
    #[must_use]
    pub const fn with_all_of_amsterdam(mut self) -> Self {
        self.all_of_amsterdam = true;
        self
    }

    /// Ethereum mainnet, up to the second blob parameter fork (BPO2).
    pub fn mainnet() -> Self {
        Self::new("mainnet", 1, EthereumHardfork::mainnet())
    }

    /// A chain on which `fork` and all before it are active from the first block, the merge
    /// included, and none after it. The DAO fork is left out: it moves the balances of mainnet
    /// accounts and is no rule. A `fork` after Amsterdam counts as Amsterdam.
    pub fn at_fork(fork: EthereumHardfork, chain_id: u64) -> Self {
        Self::new(network::fork_name(fork), chain_id, network::forks_from_genesis(fork))
    }

    /// The chain a test fixture names in its `network` field: a fork (`Cancun`), or a transition
    /// at a block (`BerlinToLondonAt5`), a time (`CancunToPragueAtTime15k`) or a total difficulty
    /// (`ArrowGlacierToParisAtDiffC0000`). Of a total-difficulty transition the caller must ask
    /// for the rules of each block with [`for_child_of`](Self::for_child_of).
    ///
    /// `blob_schedule` is the fixture's `config.blobSchedule`. The chain id is 1. A name of our own,
    /// `AllOfAmsterdam`, is `Amsterdam` [with all of it](Self::with_all_of_amsterdam).
    ///
    /// # Errors
    /// [`UnknownNetwork`] where the name means nothing here.
    pub fn from_fixture_network(
        name: &str,
        blob_schedule: Option<&BlobSchedule>,
    ) -> Result<Self, UnknownNetwork> {
        let amsterdam = name.strip_prefix("AllOf").filter(|rest| *rest == "Amsterdam");
        let forks = network::forks_of(amsterdam.unwrap_or(name));
        let forks = forks.ok_or_else(|| UnknownNetwork(name.into()))?;
        let none = BlobSchedule::new();
        let schedule = blob_schedule.unwrap_or(&none);
        let spec = Self::with_blob_schedule(name.to_owned(), 1, forks, schedule);
        Ok(if amsterdam.is_some() { spec.with_all_of_amsterdam() } else { spec })
    }

    /// Replaces the deposit contract (EIP-6110).
    #[must_use]
    pub fn with_deposit_contract(mut self, address: Address) -> Self {
        self.deposit_contract = address;
        self
    }

    /// Makes this a chain that goes on without the DAO fork, which others begin at `block`: there, blocks must
    /// not say that they follow it.
    #[must_use]
    pub const fn with_dao_refused_at(mut self, block: u64) -> Self {
        self.refused_dao = Some(block);
        self
    }

    /// The first block of the DAO fork, where this chain does not follow it.
    pub(crate) const fn refused_dao(&self) -> Option<u64> {
        self.refused_dao
    }

    /// The chain's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The chain id (EIP-155).
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The contract whose logs are deposit requests (EIP-6110).
    pub const fn deposit_contract(&self) -> Address {
        self.deposit_contract
    }

    /// The last fork that has begun at block `number` and `timestamp`: `Bpo2` and `Amsterdam`
    /// count, the DAO fork does not.
    pub fn fork_at(&self, number: u64, timestamp: u64) -> EthereumHardfork {
        if self.block_access_lists_at(timestamp) {
            return EthereumHardfork::Amsterdam;
        }
        let active = |fork: &&EthereumHardfork| {
            let condition = self.ethereum_fork_activation(**fork);
            **fork != EthereumHardfork::Dao
                && condition.active_at_timestamp_or_number(timestamp, number)
        };
        let last = EthereumHardfork::VARIANTS.iter().rev().find(active);
        last.copied().unwrap_or(EthereumHardfork::Frontier)
    }

    /// The usual name of [`fork_at`](Self::fork_at), such as `Spurious Dragon` or `BPO2`.
    pub fn fork_name_at(&self, number: u64, timestamp: u64) -> &'static str {
        network::fork_name(self.fork_at(number, timestamp))
    }

    /// Whether blocks at `timestamp` carry a block access list (EIP-7928).
    pub fn block_access_lists_at(&self, timestamp: u64) -> bool {
        self.access_lists.active_at_timestamp(timestamp)
    }

    /// The blob parameters at `timestamp`; `None` before Cancun.
    pub fn blob_params_at(&self, timestamp: u64) -> Option<BlobParams> {
        self.blobs.at(timestamp)
    }

    /// The blob base fee of the block with this header in wei per blob gas (EIP-4844); `None`
    /// before Cancun. A fee that no integer of this width holds is the largest there is.
    pub fn blob_base_fee(&self, header: &Header) -> Option<u128> {
        header.blob_fee(self.blob_params_at(header.timestamp)?)
    }

    /// The base fee a child of `parent` at block `number` must have, in wei per gas (EIP-1559);
    /// `None` before London.
    pub fn next_base_fee(&self, parent: &Header) -> Option<u64> {
        let number = parent.number.saturating_add(1);
        self.is_london_active_at_block(number).then(|| {
            let london = self.is_london_active_at_block(parent.number);
            fee::next_base_fee(parent, parent.base_fee_per_gas.filter(|_| london))
        })
    }

    /// The excess blob gas a child of `parent` at `timestamp` must have (EIP-4844, EIP-7918);
    /// `None` before Cancun.
    pub fn next_excess_blob_gas(&self, parent: &Header, timestamp: u64) -> Option<u64> {
        self.blob_params_at(timestamp).map(|params| fee::next_excess_blob_gas(parent, &params))
    }

    /// When `fork` begins, or what of it is known here.
    pub(crate) fn scheduled(&self, fork: EthereumHardfork) -> ForkCondition {
        match fork {
            EthereumHardfork::Amsterdam => self.access_lists,
            _ => self.hardforks.ethereum_fork_activation(fork),
        }
    }

    /// Whether the DAO's balances move at the beginning of block `number`.
    pub fn is_dao_block(&self, number: u64) -> bool {
        self.ethereum_fork_activation(EthereumHardfork::Dao).transitions_at_block(number)
    }

    /// Whether block `number` comes after the merge, as far as a number can tell: see
    /// [`for_child_of`](Self::for_child_of).
    pub fn is_merged(&self, number: u64) -> bool {
        self.is_paris_active_at_block(number)
    }

    /// The total difficulty that ends proof of work, where the block at which it is reached is
    /// not known beforehand. `None` for all chains that need no total difficulty.
    pub fn unresolved_terminal_difficulty(&self) -> Option<U256> {
        match self.ethereum_fork_activation(EthereumHardfork::Paris) {
            ForkCondition::TTD {
                activation_block_number: UNRESOLVED_MERGE,
                total_difficulty,
                ..
            } => Some(total_difficulty),
            _ => None,
        }
    }

    /// The rules for children of the block `parent_number`, up to and including which the chain
    /// has `parent_total_difficulty` (EIP-3675). Only for a chain with an
    /// [unresolved merge](Self::unresolved_terminal_difficulty) does this differ from `self`;
    /// there two branches may merge at different heights, so it must be asked for every parent.
    pub fn for_child_of(&self, parent_number: u64, parent_total_difficulty: U256) -> Cow<'_, Self> {
        let paris = self.ethereum_fork_activation(EthereumHardfork::Paris);
        let ForkCondition::TTD {
            activation_block_number: UNRESOLVED_MERGE,
            fork_block,
            total_difficulty,
        } = paris
        else {
            return Cow::Borrowed(self);
        };
        if parent_total_difficulty < total_difficulty {
            return Cow::Borrowed(self);
        }
        let activation_block_number = parent_number.saturating_add(1);
        let merge = ForkCondition::TTD { activation_block_number, fork_block, total_difficulty };
        let forks = EthereumHardfork::VARIANTS.iter().map(|fork| match fork {
            EthereumHardfork::Paris => (*fork, merge),
            _ => (*fork, self.ethereum_fork_activation(*fork)),
        });
        Cow::Owned(Self { hardforks: EthereumChainHardforks::new(forks), ..self.clone() })
    }
}
