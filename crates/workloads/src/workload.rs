//! The kinds of blocks that can be generated, and how large they are.

use std::{fmt, str::FromStr};

/// A kind of block: one of the [shapes](Self::SHAPES), named after what the transactions share, or one
/// of the [fields](Self::FIELDS), in either form of its contract.
///
/// Together the shapes span the range of contention: from transactions that have nothing in common
/// but the fee recipient to those where each needs the one before.
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
    /// What users of a field do, with a contract in one of its forms. The same users call the same
    /// functions in the same order, whichever form it is.
    Field(Field, Form),
}

/// What contracts are used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Deposits, withdrawals, loans and repayments in a market with interest.
    Lending,
    /// Players mint items, put them on sale and buy them.
    Game,
    /// Lots of goods are registered, handed over and inspected.
    SupplyChain,
    /// Patients give and take back consents, and institutions record what they look at.
    Consent,
    /// Money is sent through agents, and paid out to recipients.
    Remittance,
}

/// How a contract is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// As one writes it first: with counters, totals and logs that every call writes.
    Naive,
    /// With as little as possible that calls of different users share.
    Parallel,
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
    /// The shapes, from independent to shared within each family.
    pub const SHAPES: [Self; 9] = [
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

    /// The fields, each in its naive form and then in its parallel-friendly one.
    pub const FIELDS: [Self; 10] = {
        let mut fields = [Self::Mixed; 10];
        let mut index = 0;
        while index < fields.len() {
            fields[index] = Self::Field(Field::ALL[index / 2], Form::ALL[index % 2]);
            index += 1;
        }
        fields
    };

    /// All workloads: the shapes, then the fields.
    pub const ALL: [Self; 19] = {
        let mut all = [Self::Mixed; 19];
        let (shapes, fields) = all.split_at_mut(Self::SHAPES.len());
        shapes.copy_from_slice(&Self::SHAPES);
        fields.copy_from_slice(&Self::FIELDS);
        all
    };

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
            Self::Field(Field::Lending, Form::Naive) => "lending-naive",
            Self::Field(Field::Lending, Form::Parallel) => "lending-parallel",
            Self::Field(Field::Game, Form::Naive) => "game-naive",
            Self::Field(Field::Game, Form::Parallel) => "game-parallel",
            Self::Field(Field::SupplyChain, Form::Naive) => "supply-chain-naive",
            Self::Field(Field::SupplyChain, Form::Parallel) => "supply-chain-parallel",
            Self::Field(Field::Consent, Form::Naive) => "consent-naive",
            Self::Field(Field::Consent, Form::Parallel) => "consent-parallel",
            Self::Field(Field::Remittance, Form::Naive) => "remittance-naive",
            Self::Field(Field::Remittance, Form::Parallel) => "remittance-parallel",
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
            Self::Field(Field::Lending, Form::Naive) => "lending: one vault, one sum of debts",
            Self::Field(Field::Lending, Form::Parallel) => "lending: books in 64 shards",
            Self::Field(Field::Game, Form::Naive) => "items: one counter, one treasury",
            Self::Field(Field::Game, Form::Parallel) => "items: ids by player, treasury in shards",
            Self::Field(Field::SupplyChain, Form::Naive) => "lots of goods: one log",
            Self::Field(Field::SupplyChain, Form::Parallel) => "lots of goods: a log for each lot",
            Self::Field(Field::Consent, Form::Naive) => "patients' consents: one log, counts",
            Self::Field(Field::Consent, Form::Parallel) => "patients' consents: a file for each",
            Self::Field(Field::Remittance, Form::Naive) => "remittances: one sequence, one limit",
            Self::Field(Field::Remittance, Form::Parallel) => {
                "remittances: ids by sender, fees by agent, the limit in shards"
            }
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
            Self::Field(Field::Lending, Form::Naive) => 48_700,
            Self::Field(Field::Lending, Form::Parallel) => 42_800,
            Self::Field(Field::Game, Form::Naive) => 48_000,
            Self::Field(Field::Game, Form::Parallel) => 52_000,
            Self::Field(Field::SupplyChain, Form::Naive) => 87_000,
            Self::Field(Field::SupplyChain, Form::Parallel) => 86_700,
            Self::Field(Field::Consent, Form::Naive) => 102_000,
            Self::Field(Field::Consent, Form::Parallel) => 79_000,
            Self::Field(Field::Remittance, Form::Naive) => 74_600,
            Self::Field(Field::Remittance, Form::Parallel) => 70_000,
        }
    }
}

impl Field {
    /// All fields.
    pub const ALL: [Self; 5] =
        [Self::Lending, Self::Game, Self::SupplyChain, Self::Consent, Self::Remittance];
}

impl Form {
    /// Both forms.
    pub const ALL: [Self; 2] = [Self::Naive, Self::Parallel];
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
    fn a_field_and_a_form_make_a_name() {
        for field in Field::ALL {
            let [naive, parallel] = Form::ALL.map(|form| Workload::Field(field, form).name());
            assert_eq!(naive.strip_suffix("-naive"), parallel.strip_suffix("-parallel"));
        }
        assert_eq!(Workload::ALL[9..], Workload::FIELDS);
        assert_eq!(Workload::FIELDS[3], Workload::Field(Field::Game, Form::Parallel));
    }

    #[test]
    fn a_gigagas_is_47620_transfers() {
        assert_eq!(Size::default().transactions(Workload::TransfersIndependent), 47_620);
        assert_eq!(Size::Transactions(0).transactions(Workload::Mixed), 1);
    }
}
