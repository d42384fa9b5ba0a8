//! What can be wrong with a genesis file, and where.

use std::fmt;

/// Why a genesis file makes no chain.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// The file is not a JSON object.
    #[error("not a genesis file: {0}")]
    Json(#[source] serde_json::Error),
    /// A member does not hold what it must.
    #[error("{place}: {problem}")]
    Member {
        /// Which.
        place: MemberPath,
        /// What is wrong with it.
        problem: MemberProblem,
    },
    /// `config` has a member that looks like a fork and is not known. Ignoring it would mean to follow the
    /// chain under wrong rules from there on.
    #[error("{place}: no fork of this name is known; take it out if the chain never reaches it")]
    UnknownFork {
        /// Which.
        place: MemberPath,
    },
    /// A fork begins before one that must come first.
    #[error("config.{later}: {later_at} is before config.{earlier}, which is {earlier_at}")]
    ForkOrder {
        /// The fork that must come first.
        earlier: &'static str,
        /// When it begins.
        earlier_at: u64,
        /// The fork that must not begin before it.
        later: &'static str,
        /// When it begins.
        later_at: u64,
    },
    /// A fork is left out although a later one, which builds on it, is there.
    #[error("config.{missing} is missing: config.{later} needs the fork before it")]
    ForkMissing {
        /// The fork left out.
        missing: &'static str,
        /// The later fork.
        later: &'static str,
    },
    /// EIP-155 and EIP-158 begin at different blocks; they are known as one fork, Spurious Dragon.
    #[error("config.eip155Block and config.eip158Block must be equal: {eip155:?} and {eip158:?}")]
    SpuriousDragon {
        /// When EIP-155 begins.
        eip155: Option<u64>,
        /// When EIP-158 begins.
        eip158: Option<u64>,
    },
    /// A fork begins at a time, which only forks after the merge do, and there is no merge.
    #[error(
        "config.{fork} needs config.terminalTotalDifficulty; it is 0 for a chain without proof of work"
    )]
    NoMerge {
        /// The fork.
        fork: &'static str,
    },
    /// The file lists blob counts, but not those of a fork that it schedules.
    #[error("config.{fork}: config.blobSchedule does not list the fork's blob counts")]
    NoBlobCounts {
        /// The fork.
        fork: &'static str,
    },
    /// Blocks are sealed by something other than proof of work and proof of stake.
    #[error("config.{engine}: only proof of work and blocks after the merge can be checked")]
    Seal {
        /// The member of `config` that says so.
        engine: &'static str,
    },
}

/// A place in a genesis file, such as `config.shanghaiTime`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberPath(String);

/// What is wrong with a member of a genesis file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberProblem {
    /// It must be there.
    #[error("missing")]
    Missing,
    /// It holds no JSON object.
    #[error("not a JSON object")]
    NotAnObject,
    /// It holds neither `true` nor `false`.
    #[error("neither true nor false")]
    NotABoolean,
    /// It holds no number.
    #[error("not a whole number: give a decimal one, or a hexadecimal one in quotes with 0x")]
    NotANumber,
    /// The number is too large.
    #[error("a number of more than {bits} bits")]
    TooLarge {
        /// How many bits it may have.
        bits: usize,
    },
    /// It is zero and must not be.
    #[error("must not be zero")]
    Zero,
    /// It is not zero and must be.
    #[error("must be zero")]
    NotZero,
    /// It holds no string of hexadecimal digits.
    #[error("not a string of pairs of hexadecimal digits")]
    NotHexadecimal,
    /// It holds more or fewer bytes than it must.
    #[error("{found} bytes instead of {expected}")]
    Length {
        /// How many there must be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The same account is listed twice, perhaps spelled differently.
    #[error("the account is listed twice")]
    Duplicate,
}

impl MemberPath {
    /// The member `name` below this place.
    pub(crate) fn join(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}.{name}", self.0)) }
    }

    /// The place as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
