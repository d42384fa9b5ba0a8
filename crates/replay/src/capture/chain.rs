//! The rules of a chain, written down with a block that is not of mainnet.
//!
//! A [`ChainSpec`] is asked for all that it can answer, and made again from that. It answers when its forks begin,
//! and which blob parameters hold at a time, so that is what is written.

use std::num::NonZeroU64;

use alloy_primitives::{Address, U256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use warpline_chain::{
    BlobCounts, BlobSchedule, ChainSpec, EthereumHardfork, EthereumHardforks, ForkCondition,
};

/// Why the rules in a file are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainProblem {
    /// A fork of this name is not known.
    #[error("unknown fork {0:?}")]
    UnknownFork(Box<str>),
    /// A fork begins in a way that this program does not know.
    #[error("fork {fork} begins in an unknown way ({kind})")]
    UnknownCondition {
        /// The fork.
        fork: EthereumHardfork,
        /// The number that stands for the way.
        kind: u8,
    },
    /// A blob fee that would follow the excess infinitely fast.
    #[error("the blob parameters of {0} have an update fraction of zero")]
    BlobFraction(EthereumHardfork),
    /// The file is marked as one of another chain.
    #[error("the rules are those of chain {found}, the file is marked as one of chain {expected}")]
    ChainId {
        /// What the file begins with.
        expected: u64,
        /// What the rules have.
        found: u64,
    },
    /// The file has no rules, so that they would be mainnet's, and is marked as one of another chain.
    #[error("a file of chain {0} has no rules")]
    NoRules(u64),
}

/// The rules of a chain.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub(super) struct Rules {
    name: String,
    chain_id: u64,
    deposit_contract: Address,
    /// Whether Amsterdam is more than its access lists.
    all_of_amsterdam: bool,
    forks: Vec<Fork>,
    blobs: Vec<Blobs>,
}

#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
struct Fork {
    name: String,
    kind: u8,
    /// A block number or a time.
    at: u64,
    /// Of a merge: the block at which the network splits, if any, and the total difficulty.
    fork_block: Vec<u64>,
    difficulty: U256,
}

#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
struct Blobs {
    fork: String,
    target: u64,
    max: u64,
    fraction: u64,
}

const AT_BLOCK: u8 = 0;
const AT_TIME: u8 = 1;
const AT_DIFFICULTY: u8 = 2;

impl Rules {
    pub(super) fn of(chain: &ChainSpec) -> Self {
        let conditions: Vec<_> = EthereumHardfork::VARIANTS
            .iter()
            .map(|fork| (*fork, condition(chain, *fork)))
            .filter(|(_, condition)| *condition != ForkCondition::Never)
            .collect();
        let blobs = conditions.iter().filter_map(|(fork, condition)| {
            let params = chain.blob_params_at(condition.as_timestamp()?)?;
            Some(Blobs {
                fork: fork.name().to_owned(),
                target: params.target_blob_count,
                max: params.max_blob_count,
                // Counts are made with a fraction of this width.
                fraction: u64::try_from(params.update_fraction).unwrap_or(u64::MAX),
            })
        });
        let amsterdam = chain.ethereum_fork_activation(EthereumHardfork::Amsterdam);
        Self {
            name: chain.name().to_owned(),
            chain_id: chain.chain_id(),
            deposit_contract: chain.deposit_contract(),
            all_of_amsterdam: amsterdam != ForkCondition::Never,
            blobs: blobs.collect(),
            forks: conditions
                .iter()
                .map(|(fork, condition)| Fork::new(*fork, *condition))
                .collect(),
        }
    }

    /// Whether they are the same but for the name.
    pub(super) fn are(&self, other: &Self) -> bool {
        let unnamed = |rules: &Self| Self { name: String::new(), ..rules.clone() };
        unnamed(self) == unnamed(other)
    }

    pub(super) fn chain(&self, expected: u64) -> Result<ChainSpec, ChainProblem> {
        if self.chain_id != expected {
            return Err(ChainProblem::ChainId { expected, found: self.chain_id });
        }
        let mut schedule = BlobSchedule::new();
        for Blobs { fork, target, max, fraction } in &self.blobs {
            let fork = fork_named(fork)?;
            let base_fee_update_fraction =
                NonZeroU64::new(*fraction).ok_or(ChainProblem::BlobFraction(fork))?;
            let counts = BlobCounts { target: *target, max: *max, base_fee_update_fraction };
            schedule.insert(fork, counts);
        }
        let forks = self.forks.iter().map(Fork::condition).collect::<Result<Vec<_>, _>>()?;
        let chain =
            ChainSpec::with_blob_schedule(self.name.clone(), self.chain_id, forks, &schedule)
                .with_deposit_contract(self.deposit_contract);
        Ok(if self.all_of_amsterdam { chain.with_all_of_amsterdam() } else { chain })
    }
}

/// When `fork` begins; of Amsterdam, when its access lists do.
fn condition(chain: &ChainSpec, fork: EthereumHardfork) -> ForkCondition {
    if fork != EthereumHardfork::Amsterdam {
        return chain.ethereum_fork_activation(fork);
    }
    if !chain.block_access_lists_at(u64::MAX) {
        return ForkCondition::Never;
    }
    // The chain only says whether a block carries a list, and from some time on all of them do.
    let (mut without, mut with) = (0, u64::MAX);
    while without < with {
        let middle = without + (with - without) / 2;
        if chain.block_access_lists_at(middle) {
            with = middle;
        } else {
            without = middle + 1;
        }
    }
    ForkCondition::Timestamp(with)
}

impl Fork {
    fn new(fork: EthereumHardfork, condition: ForkCondition) -> Self {
        let (kind, at, fork_block, difficulty) = match condition {
            ForkCondition::Block(number) => (AT_BLOCK, number, None, U256::ZERO),
            ForkCondition::Timestamp(time) => (AT_TIME, time, None, U256::ZERO),
            ForkCondition::TTD { activation_block_number, fork_block, total_difficulty } => {
                (AT_DIFFICULTY, activation_block_number, fork_block, total_difficulty)
            }
            // Never happens to what has been filtered, and is never active if read.
            ForkCondition::Never => (AT_TIME, u64::MAX, None, U256::ZERO),
        };
        let fork_block = fork_block.into_iter().collect();
        Self { name: fork.name().to_owned(), kind, at, fork_block, difficulty }
    }

    fn condition(&self) -> Result<(EthereumHardfork, ForkCondition), ChainProblem> {
        let fork = fork_named(&self.name)?;
        let condition = match self.kind {
            AT_BLOCK => ForkCondition::Block(self.at),
            AT_TIME => ForkCondition::Timestamp(self.at),
            AT_DIFFICULTY => ForkCondition::TTD {
                activation_block_number: self.at,
                fork_block: self.fork_block.first().copied(),
                total_difficulty: self.difficulty,
            },
            kind => return Err(ChainProblem::UnknownCondition { fork, kind }),
        };
        Ok((fork, condition))
    }
}

fn fork_named(name: &str) -> Result<EthereumHardfork, ChainProblem> {
    let fork = name.parse::<EthereumHardfork>().ok();
    let fork = fork.filter(|fork| fork.name() == name);
    fork.ok_or_else(|| ChainProblem::UnknownFork(name.into()))
}

#[cfg(test)]
mod tests {
    use warpline_chain::Genesis;

    use super::*;

    #[test]
    fn rules_are_the_same_after_being_written_and_read() {
        let custom = Genesis::from_json(
            br#"{"config": {"chainId": 77, "terminalTotalDifficulty": 0, "homesteadBlock": 0,
                 "eip150Block": 0, "eip155Block": 0, "eip158Block": 0, "byzantiumBlock": 0,
                 "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0,
                 "berlinBlock": 0, "londonBlock": 0,
                 "shanghaiTime": 10, "cancunTime": 20, "pragueTime": 30, "osakaTime": 40,
                 "depositContractAddress": "0x00000000000000000000000000000000000000dd",
                 "blobSchedule": {
                   "cancun": {"target": 1, "max": 2, "baseFeeUpdateFraction": 3},
                   "prague": {"target": 4, "max": 5, "baseFeeUpdateFraction": 6},
                   "osaka": {"target": 7, "max": 8, "baseFeeUpdateFraction": 9}}}, "alloc": {}}"#,
        );
        let custom = custom.expect("the genesis file is in order");
        let mut chains = vec![ChainSpec::mainnet(), (**custom.chain()).clone()];
        let networks = [
            "Frontier",
            "Berlin",
            "Osaka",
            "Amsterdam",
            "AllOfAmsterdam",
            "CancunToPragueAtTime15k",
            "ArrowGlacierToParisAtDiffC0000",
            "HomesteadToDaoAt5",
        ];
        chains.extend(networks.iter().flat_map(|name| ChainSpec::from_fixture_network(name, None)));
        for chain in chains {
            let rules = Rules::of(&chain);
            let again = alloy_rlp::decode_exact::<Rules>(alloy_rlp::encode(&rules)).expect("RLP");
            assert_eq!(again, rules);
            let again = again.chain(chain.chain_id()).expect("rules");
            for fork in EthereumHardfork::VARIANTS {
                let (found, expected) =
                    (again.ethereum_fork_activation(*fork), chain.ethereum_fork_activation(*fork));
                assert_eq!(found, expected, "{} {fork}", chain.name());
            }
            for time in [0, 10, 15, 20, 30, 40, 15_000, 1_764_798_551, 1_767_747_671, u64::MAX] {
                assert_eq!(again.blob_params_at(time), chain.blob_params_at(time), "{time}");
                assert_eq!(again.block_access_lists_at(time), chain.block_access_lists_at(time));
            }
            assert_eq!(again.deposit_contract(), chain.deposit_contract());
            assert_eq!(Rules::of(&again), rules);
        }
    }

    #[test]
    fn rules_are_the_same_whatever_the_chain_is_called() {
        type Change = fn(&mut Rules);
        let table: [(Change, bool); 4] = [
            (|rules| rules.name = "main".into(), true),
            (|rules| rules.deposit_contract = Address::ZERO, false),
            (|rules| rules.forks[0].at += 1, false),
            (|rules| rules.blobs[0].max += 1, false),
        ];
        for (change, expected) in table {
            let mainnet = Rules::of(&ChainSpec::mainnet());
            let mut rules = mainnet.clone();
            change(&mut rules);
            assert_eq!(rules.are(&mainnet), expected, "{rules:?}");
        }
    }

    #[test]
    fn rules_that_are_none_are_refused() {
        type Change = fn(&mut Rules);
        let table: [(Change, &str); 4] = [
            (|rules| rules.forks[0].name = "Atlantis".into(), "unknown fork \"Atlantis\""),
            (|rules| rules.forks[0].kind = 9, "begins in an unknown way (9)"),
            (|rules| rules.blobs[0].fraction = 0, "update fraction of zero"),
            (|rules| rules.chain_id = 2, "those of chain 2"),
        ];
        for (change, complaint) in table {
            let mut rules = Rules::of(&ChainSpec::mainnet());
            change(&mut rules);
            let error = rules.chain(1).expect_err(complaint).to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
