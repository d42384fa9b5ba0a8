//! The kinds of blocks that can be generated, and how large they are.

use std::{fmt, str::FromStr};

/// A kind of block, named after what its transactions share.
///
/// Together they span the range of contention: from transactions that have nothing in common but
/// the fee recipient to those where each needs the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    /// Plain transfers; every sender and every recipient occurs once.
    TransfersIndependent,
    /// Plain transfers; transaction `i` pays the sender of transaction `i + 1`.
    TransfersChain,
    /// Plain transfers from distinct senders to one recipient.
    TransfersHot,
    /// Transfers of one ERC-20 token; every sender and every recipient occurs once.
    Erc20Independent,
    /// Transfers of one ERC-20 token from distinct senders to one recipient.
    Erc20Hot,
    /// Swaps, each in a pool of its own with tokens of its own.
    SwapsIndependent,
    /// Swaps in one pool, by distinct traders, in turn in either direction.
    SwapsHot,
    /// Mints of one collection, numbered by one counter, by distinct callers.
    NftMint,
    /// All of these shapes in one block; accounts, tokens and pools are as popular as Zipf says.
    Mixed,
}

/// How large a generated block shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Size {
    /// About this much gas used.
    Gas(u64),
    /// Exactly this many transactions.
    Transactions(usize),
}

/// A name that is not the name of a [`Workload`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no workload is named {name:?}")]
pub struct UnknownWorkload {
    /// What was asked for.
    pub name: String,
}

impl Workload {
    /// All workloads, from independent to shared within each family.
    pub const ALL: [Self; 9] = [
        Self::TransfersIndependent,
        Self::TransfersChain,
        Self::TransfersHot,
        Self::Erc20Independent,
        Self::Erc20Hot,
        Self::SwapsIndependent,
        Self::SwapsHot,
        Self::NftMint,
        Self::Mixed,
    ];

    /// The name on command lines and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TransfersIndependent => "transfers-independent",
            Self::TransfersChain => "transfers-chain",
            Self::TransfersHot => "transfers-hot",
            Self::Erc20Independent => "erc20-independent",
            Self::Erc20Hot => "erc20-hot",
            Self::SwapsIndependent => "swaps-independent",
            Self::SwapsHot => "swaps-hot",
            Self::NftMint => "nft-mint",
            Self::Mixed => "mixed",
        }
    }

    /// One line on what the transactions share.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::TransfersIndependent => "plain transfers that share no account",
            Self::TransfersChain => "plain transfers, each to the sender of the next",
            Self::TransfersHot => "plain transfers to one recipient",
            Self::Erc20Independent => "transfers of one token that share no balance",
            Self::Erc20Hot => "transfers of one token to one recipient",
            Self::SwapsIndependent => "swaps, each with its own pool and tokens",
            Self::SwapsHot => "swaps in one pool",
            Self::NftMint => "mints numbered by one counter",
            Self::Mixed => "all shapes in one block, popularity after Zipf",
        }
    }

    /// What a transaction uses on average, in gas, to the accuracy that sizing a block needs.
    pub const fn gas_per_transaction(self) -> u64 {
        match self {
            Self::TransfersIndependent | Self::TransfersChain | Self::TransfersHot => 21_000,
            Self::Erc20Independent | Self::Erc20Hot => 34_200,
            Self::SwapsIndependent => 152_000,
            Self::SwapsHot => 141_600,
            Self::NftMint => 72_600,
            Self::Mixed => 57_000,
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Workload {
    type Err = UnknownWorkload;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|workload| workload.name() == name);
        found.ok_or_else(|| UnknownWorkload { name: name.to_owned() })
    }
}

impl Size {
    /// One gigagas: about 47,600 plain transfers.
    pub const GIGAGAS: Self = Self::Gas(1_000_000_000);

    /// How many transactions of `workload` this is; at least one.
    pub fn transactions(self, workload: Workload) -> usize {
        match self {
            Self::Gas(gas) => {
                let count = gas.div_ceil(workload.gas_per_transaction()).max(1);
                usize::try_from(count).unwrap_or(usize::MAX)
            }
            Self::Transactions(count) => count.max(1),
        }
    }
}

impl Default for Size {
    fn default() -> Self {
        Self::GIGAGAS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_parse_back() {
        for workload in Workload::ALL {
            assert_eq!(workload.to_string().parse(), Ok(workload));
        }
        let unknown = "no-such".parse::<Workload>().unwrap_err();
        assert_eq!(unknown.to_string(), "no workload is named \"no-such\"");
    }

    #[test]
    fn a_gigagas_is_47620_transfers() {
        assert_eq!(Size::default().transactions(Workload::TransfersIndependent), 47_620);
        assert_eq!(Size::Transactions(0).transactions(Workload::Mixed), 1);
    }
}
