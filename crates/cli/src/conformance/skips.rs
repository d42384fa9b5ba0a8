//! Cases that are known to fail, each with a reason.
//!
//! The list is a debt, so it is kept honest: skipped cases are executed, and an entry that no
//! longer excuses anything is an error. What is never excused is that the ways of executing a
//! block disagree.

use std::fmt;

/// The list that the program comes with. Its head explains the form.
const LIST: &str = include_str!("skips.txt");
const SEPARATOR: char = '|';

/// A list of skips, with what became of their cases so far.
#[derive(Debug)]
pub(super) struct Skips {
    entries: Vec<Entry>,
}

/// One line of the list.
#[derive(Debug)]
pub(super) struct Entry {
    line: usize,
    file: String,
    network: String,
    case: String,
    reason: String,
    /// Whether a case was run from a file that it matches.
    file_run: bool,
    cases: usize,
    passed: usize,
}

/// A line that is no entry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SkipsError {
    #[error("line {line}: expected `file | network | case | reason`")]
    Fields { line: usize },
    #[error("line {line}: a skip needs a reason")]
    NoReason { line: usize },
}

/// Why an entry has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Staleness {
    /// All of its cases pass.
    WouldPass { cases: usize },
    /// Its files were run, and no case in them matches.
    NoSuchCase,
}

impl Skips {
    /// The list that the program comes with.
    pub(super) fn built_in() -> Result<Self, SkipsError> {
        Self::parse(LIST)
    }

    /// Reads a list. Empty lines and lines that begin with `#` mean nothing.
    pub(super) fn parse(text: &str) -> Result<Self, SkipsError> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let entries = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#'));
        let entries = entries.map(|(line, text)| Entry::parse(line, text));
        Ok(Self { entries: entries.collect::<Result<_, _>>()? })
    }

    /// The first entry for a case, if there is one. To be asked once for every case that is run.
    pub(super) fn find(&mut self, file: &str, network: &str, case: &str) -> Option<&mut Entry> {
        let mut found = None;
        for entry in &mut self.entries {
            if !matches(&entry.file, file) {
                continue;
            }
            entry.file_run = true;
            if found.is_none() && matches(&entry.network, network) && matches(&entry.case, case) {
                found = Some(entry);
            }
        }
        found
    }

    /// The entries that have to go, after all cases were run.
    pub(super) fn stale(&self) -> impl Iterator<Item = (&Entry, Staleness)> {
        self.entries.iter().filter_map(|entry| Some((entry, entry.staleness()?)))
    }
}

impl Entry {
    fn parse(line: usize, text: &str) -> Result<Self, SkipsError> {
        let fields: Vec<_> = text.splitn(4, SEPARATOR).map(|field| field.trim().into()).collect();
        let [file, network, case, reason]: [String; 4] =
            fields.try_into().map_err(|_| SkipsError::Fields { line })?;
        if [&file, &network, &case].iter().any(|pattern| pattern.is_empty()) {
            return Err(SkipsError::Fields { line });
        }
        if reason.is_empty() {
            return Err(SkipsError::NoReason { line });
        }
        Ok(Self { line, file, network, case, reason, file_run: false, cases: 0, passed: 0 })
    }

    /// Counts one of its cases, and returns why it is skipped.
    pub(super) fn excuse(&mut self, passed: bool) -> &str {
        self.cases += 1;
        self.passed += usize::from(passed);
        &self.reason
    }

    const fn staleness(&self) -> Option<Staleness> {
        match (self.cases, self.passed) {
            (0, _) if self.file_run => Some(Staleness::NoSuchCase),
            (0, _) => None,
            (cases, passed) if cases == passed => Some(Staleness::WouldPass { cases }),
            _ => None,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, file, network, case, .. } = self;
        write!(f, "line {line}: {file} {SEPARATOR} {network} {SEPARATOR} {case}")
    }
}

impl fmt::Display for Staleness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldPass { cases: 1 } => f.write_str("would pass"),
            Self::WouldPass { cases } => write!(f, "would pass, all {cases} cases"),
            Self::NoSuchCase => f.write_str("no such case in the files that it matches"),
        }
    }
}

/// Whether `pattern`, in which `*` stands for any text, matches the whole of `text`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(head) else { return false };
    let (middle, end) = tail.rsplit_once('*').unwrap_or(("", tail));
    // To take each part as early as possible leaves the most for those after it.
    for part in middle.split('*') {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_that_the_program_comes_with_can_be_read() {
        assert_eq!(Skips::built_in().map(drop), Ok(()));
    }

    #[test]
    fn patterns_match_as_a_whole() {
        let table = [
            ("Berlin", "Berlin", true),
            ("Berlin", "BerlinToLondonAt5", false),
            ("Berlin*", "BerlinToLondonAt5", true),
            ("*", "", true),
            ("*London*", "BerlinToLondonAt5", true),
            ("*a.json", "fixtures.tar.zst:x/a.json", true),
            ("*a.json", "fixtures.tar.zst:x/a.json.gz", false),
            ("ab*ba", "aba", false),
            ("ab*ba", "abba", true),
            ("*one*two*", "two one", false),
            ("*a*ab", "aab", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn every_entry_has_four_fields_and_a_reason() {
        let table = [
            ("", None),
            ("# a comment\n\n", None),
            ("*a.json | Berlin | x* | not metered | yet", None),
            ("*a.json | Berlin | x*", Some(SkipsError::Fields { line: 1 })),
            ("\n*a.json | | x | why", Some(SkipsError::Fields { line: 2 })),
            ("*a.json | Berlin | x | ", Some(SkipsError::NoReason { line: 1 })),
        ];
        for (text, expected) in table {
            assert_eq!(Skips::parse(text).err(), expected, "{text:?}");
        }
    }

    /// Runs cases of the files `a` and `b` against one entry.
    fn staleness_after(entry: &str, cases: &[(&str, &str, bool)]) -> Option<Staleness> {
        let mut skips = Skips::parse(entry).expect("an entry");
        for (file, case, passed) in cases {
            if let Some(entry) = skips.find(file, "Berlin", case) {
                assert_eq!(entry.excuse(*passed), "why");
            }
        }
        skips.stale().next().map(|(_, staleness)| staleness)
    }

    #[test]
    fn an_entry_is_stale_when_it_excuses_nothing() {
        let entry = "a | Berlin | x* | why";
        let would_pass = |cases| Some(Staleness::WouldPass { cases });
        assert_eq!(staleness_after(entry, &[("a", "x1", false)]), None);
        assert_eq!(staleness_after(entry, &[("a", "x1", false), ("a", "x2", true)]), None);
        assert_eq!(staleness_after(entry, &[("a", "x1", true), ("a", "x2", true)]), would_pass(2));
        assert_eq!(staleness_after(entry, &[("a", "y", true)]), Some(Staleness::NoSuchCase));
        assert_eq!(staleness_after(entry, &[("b", "x1", true)]), None, "its file was not run");
    }

    #[test]
    fn the_first_of_two_entries_for_a_case_counts_and_the_second_is_stale() {
        let mut skips = Skips::parse("a | * | x | one\na | * | * | two").expect("two entries");
        let reason = skips.find("a", "Berlin", "x").map(|entry| entry.excuse(false).to_owned());
        assert_eq!(reason.as_deref(), Some("one"));
        let stale: Vec<_> = skips.stale().map(|(entry, _)| entry.line).collect();
        assert_eq!(stale, [2]);
    }
}
