//! Under which rules a block is executed.

use std::{fmt, str::FromStr};

use warpline_chain::ChainSpec;
use warpline_testkit::Fork;

use crate::dice::Dice;

/// A fork, by the name that blockchain tests give its network.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    name: &'static str,
    fork: Fork,
    /// Whether plain revm knows them: EIP-1283 is our own.
    oracle: bool,
    /// How often they are chosen, against the others.
    weight: u64,
}

/// A name that no rules have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown fork {0:?}")]
pub struct UnknownRules(Box<str>);

const fn rules(name: &'static str, fork: Fork, weight: u64) -> Rules {
    Rules { name, fork, oracle: !matches!(fork, Fork::Constantinople), weight }
}

impl Rules {
    /// All there are. Forks that changed nothing but the difficulty are left out. `Amsterdam` is
    /// Osaka with block access lists, `AllOfAmsterdam` what revm has of that fork besides.
    pub const ALL: [Self; 17] = [
        rules("Frontier", Fork::Frontier, 2),
        rules("Homestead", Fork::Homestead, 1),
        rules("EIP150", Fork::Tangerine, 1),
        rules("EIP158", Fork::SpuriousDragon, 2),
        rules("Byzantium", Fork::Byzantium, 1),
        rules("Constantinople", Fork::Constantinople, 1),
        rules("ConstantinopleFix", Fork::Petersburg, 2),
        rules("Istanbul", Fork::Istanbul, 1),
        rules("Berlin", Fork::Berlin, 1),
        rules("London", Fork::London, 2),
        rules("Paris", Fork::Paris, 1),
        rules("Shanghai", Fork::Shanghai, 2),
        rules("Cancun", Fork::Cancun, 3),
        rules("Prague", Fork::Prague, 4),
        rules("Osaka", Fork::Osaka, 6),
        rules("Amsterdam", Fork::Amsterdam, 2),
        rules("AllOfAmsterdam", Fork::Amsterdam, 2),
    ];

    pub(crate) fn random(dice: &mut Dice) -> Self {
        Self::ALL[dice.weighted(&Self::ALL.map(|rules| rules.weight))]
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The fork.
    pub const fn fork(self) -> Fork {
        self.fork
    }

    /// Whether plain revm knows these rules and can be asked.
    pub const fn has_oracle(self) -> bool {
        self.oracle
    }

    /// The chain on which they hold from the first block on.
    ///
    /// # Panics
    /// Never: the names are known.
    pub fn chain(self) -> ChainSpec {
        ChainSpec::from_fixture_network(self.name, None).expect("the names are known")
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

impl FromStr for Rules {
    type Err = UnknownRules;

    fn from_str(name: &str) -> Result<Self, UnknownRules> {
        let named = |rules: &&Self| {
            rules.name.eq_ignore_ascii_case(name) || rules.fork.name().eq_ignore_ascii_case(name)
        };
        Self::ALL.iter().find(named).copied().ok_or_else(|| UnknownRules(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_a_chain_and_are_found_by_name() {
        for rules in Rules::ALL {
            assert_eq!(rules.chain().fork_at(1, 1), rules.fork());
            assert_eq!(rules.name().parse(), Ok(rules));
        }
        assert_eq!("petersburg".parse::<Rules>().unwrap().name(), "ConstantinopleFix");
        assert!("Atlantis".parse::<Rules>().is_err());
    }
}
