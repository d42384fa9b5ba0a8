//! Ranges of blocks as the command line writes them: as in Rust, with `latest` for the newest block.

use std::{ops::RangeInclusive, str::FromStr};

use anyhow::{Context as _, ensure};

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

    /// The numbers, where `latest` says which block is the newest.
    ///
    /// # Errors
    /// When there are none, or `latest` cannot say.
    pub(crate) fn resolve<E: std::error::Error + Send + Sync + 'static>(
        &self,
        latest: impl Fn() -> Result<u64, E>,
    ) -> anyhow::Result<RangeInclusive<u64>> {
        let newest = match (self.first, self.last) {
            (Bound::Number(_), Bound::Number(_)) => 0,
            _ => latest().context("cannot ask for the newest block")?,
        };
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
        Ok(first..=if self.inclusive { last } else { last - 1 })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn numbers(text: &str) -> Result<RangeInclusive<u64>, String> {
        let range: BlockRange = text.parse()?;
        range.resolve(|| Ok::<_, Infallible>(20)).map_err(|error| error.to_string())
    }

    #[test]
    fn ranges_are_written_as_in_rust() {
        let table = [
            ("7", 7..=7),
            ("7..=9", 7..=9),
            ("7..9", 7..=8),
            ("19_000_000..=19_000_001", 19_000_000..=19_000_001),
            ("latest", 20..=20),
            ("18..=latest", 18..=20),
            ("18..latest", 18..=19),
            ("latest..=21", 20..=21),
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
            ("21..=latest", "no block in 21..=latest: the newest is 20"),
            ("18446744073709551616", "is neither"),
        ];
        for (text, complaint) in table {
            let error = numbers(text).expect_err(text);
            assert!(error.contains(complaint), "{error}");
        }
    }
}
