//! One location: its value in the parent state, its versions, and who read it.

use smallvec::SmallVec;

use super::{Reader, Version, Visible, Writer};

/// From so many versions on a location is hot.
const HOT: usize = if cfg!(feature = "model") { 1 } else { 4 };

/// The versions of one location. `T::default()` is what a location holds that nobody could have
/// read from the parent state: a slot of an account created in this block.
#[derive(Debug)]
pub(super) struct Cell<T> {
    base: Option<T>,
    versions: SmallVec<[(Version, T); 1]>,
    readers: SmallVec<[Version; 4]>,
}

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Self { base: None, versions: SmallVec::new(), readers: SmallVec::new() }
    }
}

impl<T: Copy + PartialEq + Default> Cell<T> {
    /// What is visible below `below`, or `None` where that is the parent state and it is unknown.
    pub(super) fn value(&self, below: Version) -> Option<Visible<T>> {
        match self.versions[..self.place(below)].last() {
            Some((version, value)) => Some(Visible { value: *value, writer: Some(*version) }),
            None => self.base.map(|value| Visible { value, writer: None }),
        }
    }

    /// How many versions are below `below`. A location that everybody writes has many versions, and
    /// who asks is mostly near their end.
    fn place(&self, below: Version) -> usize {
        let mut end = self.versions.len();
        let mut step = 1;
        while let Some(probe) = end.checked_sub(step)
            && self.versions[probe].0 >= below
        {
            end = probe;
            step *= 2;
        }
        let start = end.saturating_sub(step);
        start + self.versions[start..end].partition_point(|(version, _)| *version < below)
    }

    /// As [`value`](Self::value), remembering the reader.
    pub(super) fn read(&mut self, reader: Reader) -> Option<Visible<T>> {
        let seen = self.value(reader.below)?;
        if let Some(committed) = reader.register
            && self.readers.last() != Some(&reader.below)
        {
            if self.readers.len() == self.readers.capacity() {
                // Committed readers no longer care. Dropping them before growing keeps the list as
                // short as speculation is deep, however often the location is read.
                self.readers.retain(|other| *other > committed);
            }
            self.readers.push(reader.below);
        }
        Some(seen)
    }

    /// As [`read`](Self::read), with the parent state now known.
    pub(super) fn read_with_base(&mut self, reader: Reader, base: T) -> Visible<T> {
        self.base.get_or_insert(base);
        self.read(reader).unwrap_or(Visible { value: base, writer: None })
    }

    /// The value in the parent state.
    pub(super) fn base(&self) -> T {
        self.base.unwrap_or_default()
    }

    /// The newest version of all.
    pub(super) fn last(&self) -> Option<(Version, T)> {
        self.versions.last().copied()
    }

    /// Sets the value of a version. Readers who saw another are named where it `matters` that it was
    /// the one and is the other.
    pub(super) fn write(
        &mut self,
        Writer { version, is_final }: Writer,
        value: T,
        matters: impl Fn(T, T) -> bool,
        suspects: &mut Vec<Version>,
    ) {
        let mut at = self.place(version);
        let before = self.value(version + 1).map(|seen| seen.value);
        match self.versions.get_mut(at) {
            Some(same) if same.0 == version => same.1 = value,
            _ if is_final && at > 0 => {
                at -= 1;
                self.versions[at] = (version, value);
            }
            _ => self.versions.insert(at, (version, value)),
        }
        if before.is_none_or(|before| matters(before, value)) {
            self.suspect_readers(version, at, suspects);
        }
    }

    /// Whether many transactions write it.
    pub(super) fn is_hot(&self) -> bool {
        self.versions.len() >= HOT
    }

    /// The value of `version`, to change it without telling anybody.
    pub(super) fn get_mut(&mut self, version: Version) -> Option<&mut T> {
        let at = self.place(version);
        let (found, value) = self.versions.get_mut(at)?;
        (*found == version).then_some(value)
    }

    /// Takes the value of `version` back.
    pub(super) fn remove(&mut self, version: Version, suspects: &mut Vec<Version>) {
        let at = self.place(version);
        if self.versions.get(at).is_some_and(|(other, _)| *other == version) {
            self.suspect_readers(version, at, suspects);
            self.versions.remove(at);
        }
    }

    /// Names the readers whose view a change of `version`, which stands at index `at`, alters:
    /// those above it, up to and including the next writer, which read before it wrote.
    fn suspect_readers(&mut self, version: Version, at: usize, suspects: &mut Vec<Version>) {
        if self.readers.is_empty() {
            return;
        }
        let end = self.versions.get(at + 1).map_or(Version::MAX, |(next, _)| *next);
        suspects.extend(self.readers.iter().filter(|reader| **reader > version && **reader <= end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speculative(version: Version) -> Writer {
        Writer { version, is_final: false }
    }

    fn cell(base: u64, versions: &[(Version, u64)], readers: &[Version]) -> Cell<u64> {
        let mut cell = Cell::default();
        let _ = cell.read_with_base(Reader { below: 0, register: None }, base);
        for (version, value) in versions {
            cell.write(speculative(*version), *value, |one, other| one != other, &mut Vec::new());
        }
        for below in readers {
            let _ = cell.read(Reader { below: *below, register: Some(0) });
        }
        cell
    }

    #[test]
    fn a_reader_sees_the_newest_version_below_its_own() {
        let cell = cell(7, &[(5, 50), (2, 20)], &[]);
        let seen = |below| cell.value(below).map(|seen| (seen.value, seen.writer));
        assert_eq!(seen(1), Some((7, None)));
        assert_eq!(seen(2), Some((7, None)), "not its own");
        assert_eq!(seen(3), Some((20, Some(2))));
        assert_eq!(seen(5), Some((20, Some(2))));
        assert_eq!(seen(9), Some((50, Some(5))));
    }

    #[test]
    fn an_unknown_base_is_nothing_until_it_is_loaded() {
        let mut cell = Cell::<u64>::default();
        assert_eq!(cell.value(3), None);
        assert_eq!(cell.read_with_base(Reader { below: 3, register: None }, 7).value, 7);
        assert_eq!(cell.base(), 7);
    }

    #[test]
    fn a_new_version_casts_doubt_on_those_who_should_have_seen_it() {
        let mut cell = cell(7, &[(6, 60)], &[2, 4, 6, 8]);
        let mut suspects = Vec::new();
        cell.write(speculative(3), 30, |one, other| one != other, &mut suspects);
        assert_eq!(suspects, [4, 6], "2 is before it, 8 sees version 6, and 6 read before writing");
    }

    #[test]
    fn committed_readers_are_forgotten() {
        let mut cell = cell(7, &[], &[]);
        for below in 1..1000 {
            let _ = cell.read(Reader { below, register: Some(below - 1) });
        }
        assert!(cell.readers.len() <= 8, "{} readers remembered", cell.readers.len());
    }

    #[test]
    fn a_write_of_the_value_that_was_visible_disturbs_nobody() {
        let mut cell = cell(7, &[], &[4]);
        let mut suspects = Vec::new();
        cell.write(speculative(3), 7, |one, other| one != other, &mut suspects);
        assert!(suspects.is_empty());
        cell.write(speculative(3), 8, |one, other| one != other, &mut suspects);
        assert_eq!(suspects, [4], "a changed value does");
    }

    #[test]
    fn a_transaction_has_one_version_however_often_it_runs() {
        let mut cell = cell(7, &[(3, 30)], &[]);
        for value in 0..100 {
            cell.write(speculative(3), value, |one, other| one != other, &mut Vec::new());
        }
        assert_eq!(cell.versions.as_slice(), [(3, 99)]);
    }

    #[test]
    fn a_removed_version_casts_doubt_on_those_who_saw_it() {
        let mut cell = cell(7, &[(3, 30), (6, 60)], &[4, 8]);
        let mut suspects = Vec::new();
        cell.remove(3, &mut suspects);
        assert_eq!(suspects, [4]);
        assert_eq!(cell.value(6).map(|seen| seen.value), Some(7));
        cell.remove(3, &mut suspects);
        assert_eq!(suspects, [4], "what is not there is not removed");
    }

    #[test]
    fn what_a_final_version_supersedes_is_forgotten() {
        let differ = |one, other| one != other;
        let mut cell = cell(7, &[(2, 20), (6, 60)], &[5]);
        let mut suspects = Vec::new();
        cell.write(Writer { version: 4, is_final: true }, 40, differ, &mut suspects);
        assert_eq!(cell.versions.as_slice(), [(4, 40), (6, 60)]);
        assert_eq!(suspects, [5], "who should have seen it");
        cell.write(Writer { version: 6, is_final: true }, 61, differ, &mut suspects);
        assert_eq!(cell.versions.as_slice(), [(4, 40), (6, 61)], "its own is replaced");
        cell.write(Writer { version: 7, is_final: true }, 70, differ, &mut suspects);
        assert_eq!(cell.versions.as_slice(), [(4, 40), (7, 70)]);
    }
}
