//! Ranges of blocks as the command line writes them: as in Rust, with `latest` for the newest block.

use std::{ops::RangeInclusive, str::FromStr};

use anyhow::ensure;

/// From one block to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockRange {
    first: Bound,
    last: Bound,
    /// Whether the last one belongs to it.
    inclusive: bool,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Number(u64),
    Latest,
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let digits = text.replace('_', "");
        digits
            .parse()
            .map(Self::Number)
            .map_err(|_| format!("{text:?} is neither a block number nor `latest`"))
    }
}

impl FromStr for BlockRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last, inclusive) = match (text.split_once("..="), text.split_once("..")) {
            (Some((first, last)), _) => (first, last, true),
            (None, Some((first, last))) => (first, last, false),
            (None, None) => (text, text, true),
        };
        let range =
            Self { first: first.parse()?, last: last.parse()?, inclusive, text: text.to_owned() };
        match (range.first, range.last) {
            (Bound::Number(first), Bound::Number(last)) if !range.has(first, last) => {
                Err(format!("there is no block in {text}"))
            }
            _ => Ok(range),
        }
    }
}

impl BlockRange {
    const fn has(&self, first: u64, last: u64) -> bool {
        first < last || (self.inclusive && first == last)
    }

    /// The numbers on a chain whose newest block is `newest`.
    ///
    /// # Errors
    /// When there are none, or the chain does not have them yet: each would be asked for in vain, and there may be
    /// any number of them.
    pub(crate) fn resolve(&self, newest: u64) -> anyhow::Result<RangeInclusive<u64>> {
        let number = |bound| match bound {
            Bound::Number(number) => number,
            Bound::Latest => newest,
        };
        let (first, last) = (number(self.first), number(self.last));
        ensure!(
            self.has(first, last),
            "there is no block in {}: the newest is {newest}",
            self.text
        );
        let last = if self.inclusive { last } else { last - 1 };
        ensure!(
            last <= newest,
            "the node has no block {last} yet: the newest is {newest}, to which {first}..=latest would lead",
        );
        Ok(first..=last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Result<RangeInclusive<u64>, String> {
        let range: BlockRange = text.parse()?;
        range.resolve(20).map_err(|error| error.to_string())
    }

    #[test]
    fn ranges_are_written_as_in_rust() {
        let table = [
            ("7", 7..=7),
            ("7..=9", 7..=9),
            ("7..9", 7..=8),
            ("1_9..=2_0", 19..=20),
            ("19..21", 19..=20),
            ("latest", 20..=20),
            ("18..=latest", 18..=20),
            ("18..latest", 18..=19),
        ];
        for (text, expected) in table {
            assert_eq!(numbers(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_range_is_said_to_be_none() {
        let table = [
            ("", "\"\" is neither a block number nor `latest`"),
            ("x", "\"x\" is neither"),
            ("1..=", "\"\" is neither"),
            ("-1", "\"-1\" is neither"),
            ("9..=7", "no block in 9..=7"),
            ("9..9", "no block in 9..9"),
            ("19..=21", "no block 21 yet: the newest is 20, to which 19..=latest"),
            ("0..=18446744073709551615", "no block 18446744073709551615 yet"),
            ("21..=latest", "no block in 21..=latest: the newest is 20"),
            ("18446744073709551616", "is neither"),
        ];
        for (text, complaint) in table {
            let error = numbers(text).expect_err(text);
            assert!(error.contains(complaint), "{error}");
        }
    }
}
