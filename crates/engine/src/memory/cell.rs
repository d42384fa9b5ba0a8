//! One location: its value in the parent state, its versions, and who read it.

use smallvec::SmallVec;

use super::{Reader, Version, Visible};

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
        let newest = self.versions.iter().rev().find(|(version, _)| *version < below);
        match newest {
            Some((version, value)) => Some(Visible { value: *value, writer: Some(*version) }),
            None => self.base.map(|value| Visible { value, writer: None }),
        }
    }

    /// As [`value`](Self::value), remembering the reader.
    pub(super) fn read(&mut self, reader: Reader) -> Option<Visible<T>> {
        let seen = self.value(reader.below)?;
        if reader.register && self.readers.last() != Some(&reader.below) {
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

    /// Sets the value of `version`.
    pub(super) fn write(&mut self, version: Version, value: T, suspects: &mut Vec<Version>) {
        let at = self.versions.partition_point(|(other, _)| *other < version);
        let before = self.value(version + 1).map(|seen| seen.value);
        match self.versions.get_mut(at) {
            Some(same) if same.0 == version => same.1 = value,
            _ => self.versions.insert(at, (version, value)),
        }
        if before != Some(value) {
            self.suspect_readers(version, at, suspects);
        }
    }

    /// Takes the value of `version` back.
    pub(super) fn remove(&mut self, version: Version, suspects: &mut Vec<Version>) {
        let at = self.versions.partition_point(|(other, _)| *other < version);
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
