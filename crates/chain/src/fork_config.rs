//! What a chain's forks look like from outside: identifiers to tell chains apart by (EIP-2124, EIP-6122), and the
//! configuration in force, the next one and the last one known (EIP-7910).

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_eips::{
    eip2124::{ForkFilter, ForkFilterKey, ForkId, Head},
    eip7910::SystemContract,
};
use alloy_hardforks::{EthereumHardfork, EthereumHardforks, ForkCondition};
use alloy_primitives::{Address, FixedBytes, address};
use serde::{Serialize, Serializer};

use crate::{BlobParams, ChainSpec};

/// The precompiles by the names that EIP-7910 uses, with the forks that bring them.
const PRECOMPILES: [(EthereumHardfork, &str, Address); 18] = [
    (EthereumHardfork::Frontier, "ECREC", Address::with_last_byte(0x01)),
    (EthereumHardfork::Frontier, "SHA256", Address::with_last_byte(0x02)),
    (EthereumHardfork::Frontier, "RIPEMD160", Address::with_last_byte(0x03)),
    (EthereumHardfork::Frontier, "ID", Address::with_last_byte(0x04)),
    (EthereumHardfork::Byzantium, "MODEXP", Address::with_last_byte(0x05)),
    (EthereumHardfork::Byzantium, "BN254_ADD", Address::with_last_byte(0x06)),
    (EthereumHardfork::Byzantium, "BN254_MUL", Address::with_last_byte(0x07)),
    (EthereumHardfork::Byzantium, "BN254_PAIRING", Address::with_last_byte(0x08)),
    (EthereumHardfork::Istanbul, "BLAKE2F", Address::with_last_byte(0x09)),
    (EthereumHardfork::Cancun, "KZG_POINT_EVALUATION", Address::with_last_byte(0x0a)),
    (EthereumHardfork::Prague, "BLS12_G1ADD", Address::with_last_byte(0x0b)),
    (EthereumHardfork::Prague, "BLS12_G1MSM", Address::with_last_byte(0x0c)),
    (EthereumHardfork::Prague, "BLS12_G2ADD", Address::with_last_byte(0x0d)),
    (EthereumHardfork::Prague, "BLS12_G2MSM", Address::with_last_byte(0x0e)),
    (EthereumHardfork::Prague, "BLS12_PAIRING_CHECK", Address::with_last_byte(0x0f)),
    (EthereumHardfork::Prague, "BLS12_MAP_FP_TO_G1", Address::with_last_byte(0x10)),
    (EthereumHardfork::Prague, "BLS12_MAP_FP2_TO_G2", Address::with_last_byte(0x11)),
    (EthereumHardfork::Osaka, "P256VERIFY", address!("0000000000000000000000000000000000000100")),
];

/// What the method `eth_config` answers (EIP-7910), as which this serializes.
///
/// ```
/// use alloy_consensus::Header;
/// use warpline_chain::{ChainSpec, EthereumHardfork};
///
/// let spec = ChainSpec::at_fork(EthereumHardfork::Cancun, 1337);
/// let configs = spec.fork_configs(&Header::default(), 12);
/// let current = configs.current.ok_or("no fork after the merge is active")?;
/// assert_eq!(current.activation_time, 0);
/// assert_eq!(current.precompiles.len(), 10);
/// assert!(configs.next.is_none());
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ForkConfigs {
    /// The configuration in force; `None` before Shanghai, of which the EIP does not speak.
    pub current: Option<ForkConfig>,
    /// The one that comes next, if any is scheduled.
    pub next: Option<ForkConfig>,
    /// The last one that is scheduled, where there is a next.
    pub last: Option<ForkConfig>,
}

/// The configuration that begins with a fork (EIP-7910).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForkConfig {
    /// When it begins, in seconds; zero where the chain begins with it.
    pub activation_time: u64,
    /// The blob parameters; `None` before Cancun.
    pub blob_schedule: Option<BlobParams>,
    /// The chain id.
    #[serde(serialize_with = "quantity")]
    pub chain_id: u64,
    /// The hash of the fork identifier from then on.
    pub fork_id: FixedBytes<4>,
    /// The precompiles by name.
    pub precompiles: BTreeMap<&'static str, Address>,
    /// The system contracts by name; none before Cancun.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub system_contracts: BTreeMap<SystemContract, Address>,
}

impl ChainSpec {
    /// The identifier of this chain for a node whose head has this `number` and `timestamp`: a hash of the
    /// genesis block and of when forks have begun, and when the next will (EIP-2124, EIP-6122). Where a total
    /// difficulty decides the merge, only its netsplit block counts.
    pub fn fork_id(&self, genesis: &Header, number: u64, timestamp: u64) -> ForkId {
        let forks =
            EthereumHardfork::VARIANTS.iter().filter_map(|fork| match self.scheduled(*fork) {
                ForkCondition::Block(block)
                | ForkCondition::TTD { fork_block: Some(block), .. } => {
                    Some(ForkFilterKey::Block(block))
                }
                ForkCondition::Timestamp(time) => Some(ForkFilterKey::Time(time)),
                ForkCondition::TTD { .. } | ForkCondition::Never => None,
            });
        // Who refuses the DAO fork counts it all the same; what follows the block differs by hash.
        let forks = forks.chain(self.refused_dao().map(ForkFilterKey::Block));
        let head = Head { number, timestamp, ..Head::default() };
        ForkFilter::new(head, genesis.hash_slow(), genesis.timestamp, forks).current()
    }

    /// The configurations that a node reports whose head has this `timestamp`.
    pub fn fork_configs(&self, genesis: &Header, timestamp: u64) -> ForkConfigs {
        let forks = EthereumHardfork::VARIANTS.iter();
        let times = forks.filter_map(|fork| self.scheduled(*fork).as_timestamp());
        let mut times: Vec<_> = times.collect();
        times.sort_unstable();
        let (begun, to_come) = times.split_at(times.partition_point(|time| *time <= timestamp));
        let config = |time: Option<&u64>| time.map(|time| self.fork_config(genesis, *time));
        ForkConfigs {
            current: config(begun.last()),
            next: config(to_come.first()),
            last: config(to_come.last()),
        }
    }

    fn fork_config(&self, genesis: &Header, time: u64) -> ForkConfig {
        // No fork at a block comes after one at a time.
        let number = u64::MAX;
        let active = |fork| {
            let condition = self.ethereum_fork_activation(fork);
            condition.active_at_timestamp_or_number(time, number)
        };
        let precompiles = PRECOMPILES.into_iter().filter(|(fork, ..)| active(*fork));
        let mut system_contracts = BTreeMap::new();
        if active(EthereumHardfork::Cancun) {
            system_contracts.extend(SystemContract::cancun());
        }
        if active(EthereumHardfork::Prague) {
            system_contracts.extend(SystemContract::prague(Some(self.deposit_contract())));
        }
        ForkConfig {
            activation_time: if time <= genesis.timestamp { 0 } else { time },
            blob_schedule: self.blob_params_at(time),
            chain_id: self.chain_id(),
            fork_id: self.fork_id(genesis, number, time).hash.0.into(),
            precompiles: precompiles.map(|(_, name, address)| (name, address)).collect(),
            system_contracts,
        }
    }
}

fn quantity<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:#x}"))
}
