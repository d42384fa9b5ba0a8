//! The memory of one path: what was written where, as far as offsets are known.
//!
//! Memory is divided into *regions*: one of offsets that are numbers, zero to begin with, and some of
//! offsets that are a number beyond the same unknown pointer. What is written beyond one pointer may lie
//! anywhere, so it makes the other regions unknown.
//!
//! There is one exception, the only assumption that the analysis makes. Code that begins as Solidity's
//! does keeps its first 128 bytes for itself, hashes mappings' keys there, and never lets a pointer
//! point there. If such code did, hashes would be taken for others than they are. See ADR 0018.

use smallvec::SmallVec;

use super::term::{TermId, Terms, UNKNOWN, ZERO};

/// Where the region that numbers address ends.
const END: u32 = u32::MAX;
/// A region in more pieces is forgotten.
const MAX_PIECES: usize = 192;
/// How many pointers are followed at once.
const MAX_POINTERS: usize = 3;

/// Where something lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At this offset.
    Known(u32),
    /// So many bytes beyond a pointer.
    Beyond(TermId, u32),
    /// Anywhere.
    Anywhere,
}

/// The memory of one path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Memory {
    /// Of offsets that are numbers. Zero where nothing is said.
    fixed: Region,
    /// Beyond pointers, latest last. Unknown where nothing is said.
    relative: SmallVec<[(TermId, Region); 1]>,
    /// Pointers never point below this.
    reserved: u32,
}

/// Pieces in order that do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Region(Vec<Piece>);

/// Bytes from `start` to `end`, which are those of a word whose first byte would lie at `origin`; or
/// that many unknown ones, or the whole call data from its first byte on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Piece {
    start: u32,
    end: u32,
    content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Content {
    Word { word: TermId, origin: i64 },
    Unknown,
    AllCalldata,
}

impl Memory {
    /// Where Solidity keeps its pointer to free memory.
    pub(crate) const FREE_POINTER: Place = Place::Known(0x40);

    pub(crate) fn new(reserved: u32) -> Self {
        Self { fixed: Region::default(), relative: SmallVec::new(), reserved }
    }

    /// Where a term points to.
    pub(crate) fn place(terms: &Terms, id: TermId) -> Place {
        match terms.split(id) {
            (None, _) => terms.as_offset(id).map_or(Place::Anywhere, Place::Known),
            (Some(base), _) if !terms.is_exact(base) => Place::Anywhere,
            (Some(base), offset) => match u32::try_from(offset) {
                Ok(offset) if offset <= super::MAX_OFFSET => Place::Beyond(base, offset),
                _ => Place::Beyond(id, 0),
            },
        }
    }

    /// Whether compilers keep a pointer to free memory there.
    pub(crate) fn is_free_pointer(&self, place: Place) -> bool {
        self.reserved > 0 && place == Self::FREE_POINTER
    }

    /// Writes the first `length` bytes of `word`.
    pub(crate) fn store(&mut self, place: Place, word: TermId, length: u32) {
        let piece = |at: u32| {
            let content = if word == UNKNOWN {
                Content::Unknown
            } else {
                Content::Word { word, origin: at.into() }
            };
            Piece { start: at, end: at.saturating_add(length), content }
        };
        if let Some((region, at)) = self.for_writing(place, length) {
            region.put(piece(at));
        }
        self.limit();
    }

    /// Writes the last byte of `word`.
    pub(crate) fn store_byte(&mut self, place: Place, word: TermId) {
        if let Some((region, at)) = self.for_writing(place, 1) {
            let content = if word == UNKNOWN {
                Content::Unknown
            } else {
                Content::Word { word, origin: i64::from(at) - 31 }
            };
            region.put(Piece { start: at, end: at.saturating_add(1), content });
        }
        self.limit();
    }

    /// Writes `length` bytes that are not known, or any number of them.
    pub(crate) fn forget(&mut self, place: Place, length: Option<u32>) {
        let length = length.unwrap_or(END);
        if length != 0
            && let Some((region, at)) = self.for_writing(place, length)
        {
            let end = at.saturating_add(length);
            region.put(Piece { start: at, end, content: Content::Unknown });
        }
        self.limit();
    }

    /// Writes the whole call data, of unknown length.
    pub(crate) fn store_calldata(&mut self, place: Place) {
        if let Some((region, at)) = self.for_writing(place, END) {
            region.put(Piece { start: at, end: END, content: Content::AllCalldata });
        }
        self.limit();
    }

    /// Whether the whole call data lies at `place` and nothing was written over it since.
    pub(crate) fn is_calldata(&self, place: Place) -> bool {
        self.region(place).is_some_and(|(region, at)| {
            region.overlapping(at, END).contains(&Piece {
                start: at,
                end: END,
                content: Content::AllCalldata,
            })
        })
    }

    /// The word whose first `length` bytes lie at `place`, zeros behind them.
    pub(crate) fn read(&self, terms: &mut Terms, place: Place, length: u32) -> TermId {
        let Some((region, at)) = self.region(place) else { return UNKNOWN };
        let end = at.saturating_add(length);
        let (mut word, mut covered) = (ZERO, 0);
        for piece in region.overlapping(at, end) {
            let (start, stop) = (piece.start.max(at), piece.end.min(end));
            let Content::Word { word: part, origin } = piece.content else { return UNKNOWN };
            let Ok(from) = u32::try_from(i64::from(start) - origin) else { return UNKNOWN };
            let part = terms.moved_bytes(part, from, stop - start, start - at);
            word = if word == ZERO {
                part
            } else {
                terms.apply(super::operator::Operator::Or, word, part)
            };
            covered += stop - start;
        }
        // Nothing written means zero only where memory is known from the beginning.
        if covered < length && !matches!(place, Place::Known(_)) { UNKNOWN } else { word }
    }

    /// The words of `length` bytes in a row from `place`, zeros behind the last.
    pub(crate) fn read_words(&self, terms: &mut Terms, place: Place, length: u32) -> Vec<TermId> {
        let starts = (0..length).step_by(32);
        starts.map(|from| self.read(terms, place.plus(from), (length - from).min(32))).collect()
    }

    /// What holds of both memories.
    pub(crate) fn join(&self, other: &Self) -> Self {
        let fixed = self.fixed.join(&other.fixed, true);
        let mut relative = SmallVec::new();
        for (pointer, region) in &self.relative {
            if let Some((_, other)) = other.relative.iter().find(|(it, _)| it == pointer) {
                relative.push((*pointer, region.join(other, false)));
            }
        }
        let mut joined = Self { fixed, relative, reserved: self.reserved };
        joined.limit();
        joined
    }

    /// How much there is to copy and compare.
    pub(crate) fn weight(&self) -> usize {
        self.fixed.0.len() + self.relative.iter().map(|(_, region)| region.0.len()).sum::<usize>()
    }

    fn region(&self, place: Place) -> Option<(&Region, u32)> {
        match place {
            Place::Known(at) => Some((&self.fixed, at)),
            Place::Beyond(pointer, at) => {
                let found = self.relative.iter().find(|(it, _)| *it == pointer);
                found.map(|(_, region)| (region, at))
            }
            Place::Anywhere => None,
        }
    }

    /// The region to write `length` bytes to at `place`, after what the write may do to the others.
    fn for_writing(&mut self, place: Place, length: u32) -> Option<(&mut Region, u32)> {
        match place {
            Place::Known(at) => {
                if at.saturating_add(length) > self.reserved {
                    self.relative.clear();
                }
                Some((&mut self.fixed, at))
            }
            Place::Beyond(pointer, at) => {
                self.forget_fixed();
                self.relative.retain(|(it, _)| *it == pointer);
                if self.relative.is_empty() {
                    self.relative.push((pointer, Region::default()));
                }
                self.relative.last_mut().map(|(_, region)| (region, at))
            }
            Place::Anywhere => {
                self.forget_fixed();
                self.relative.clear();
                None
            }
        }
    }

    fn forget_fixed(&mut self) {
        self.fixed.put(Piece { start: self.reserved, end: END, content: Content::Unknown });
    }

    fn limit(&mut self) {
        if self.fixed.0.len() > MAX_PIECES {
            self.fixed.put(Piece { start: self.reserved, end: END, content: Content::Unknown });
            if self.fixed.0.len() > MAX_PIECES {
                self.fixed.put(Piece { start: 0, end: END, content: Content::Unknown });
            }
        }
        self.relative.retain(|(_, region)| region.0.len() <= MAX_PIECES);
        if self.relative.len() > MAX_POINTERS {
            self.relative.remove(0);
        }
    }
}

impl Place {
    /// So many bytes further on.
    pub(crate) const fn plus(self, bytes: u32) -> Self {
        match self {
            Self::Known(at) => Self::Known(at.saturating_add(bytes)),
            Self::Beyond(pointer, at) => Self::Beyond(pointer, at.saturating_add(bytes)),
            Self::Anywhere => Self::Anywhere,
        }
    }
}

impl Region {
    /// The pieces that have bytes from `start` to `end`.
    fn overlapping(&self, start: u32, end: u32) -> &[Piece] {
        let first = self.0.partition_point(|piece| piece.end <= start);
        let count = self.0[first..].partition_point(|piece| piece.start < end);
        &self.0[first..first + count]
    }

    /// Puts `new` over what is there.
    fn put(&mut self, new: Piece) {
        if new.start >= new.end {
            return;
        }
        let first = self.0.partition_point(|piece| piece.end <= new.start);
        let count = self.0[first..].partition_point(|piece| piece.start < new.end);
        let mut pieces = SmallVec::<[Piece; 3]>::new();
        if let Some(before) = self.0[first..first + count].first()
            && before.start < new.start
        {
            pieces.push(before.cut(before.start, new.start));
        }
        pieces.push(new);
        if let Some(after) = self.0[first..first + count].last()
            && after.end > new.end
        {
            pieces.push(after.cut(new.end, after.end));
        }
        self.0.splice(first..first + count, pieces);
    }

    /// What holds of both. Bytes that only one says something about are zero in the other if
    /// `zero_by_default`.
    fn join(&self, other: &Self, zero_by_default: bool) -> Self {
        let mut joined = Self::default();
        let (shared, all): (Vec<_>, Vec<_>) = {
            let shared = self.0.iter().filter(|piece| {
                other
                    .0
                    .binary_search_by_key(&piece.start, |it| it.start)
                    .is_ok_and(|at| other.0[at] == **piece)
            });
            (shared.copied().collect(), self.0.iter().chain(&other.0).collect())
        };
        if zero_by_default {
            for piece in all {
                joined.put(Piece { content: Content::Unknown, ..*piece });
            }
        }
        // Unknown pieces side by side say what one says; fewer pieces are found equal sooner.
        joined.0.dedup_by(|next, before| {
            let touching = before.end == next.start;
            if touching {
                before.end = next.end;
            }
            touching
        });
        for piece in shared {
            joined.put(piece);
        }
        joined
    }
}

impl Piece {
    /// The part from `start` to `end`. Only the whole call data from its beginning is known as that.
    fn cut(self, start: u32, end: u32) -> Self {
        let content = match self.content {
            Content::AllCalldata => Content::Unknown,
            other => other,
        };
        Self { start, end, content }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::*;
    use crate::bytecode::term::Facts;

    fn terms() -> Terms {
        Terms::new(Facts::Selector(0xa905_9cbb))
    }

    #[test]
    fn words_are_read_across_their_borders() {
        let mut terms = terms();
        let mut memory = Memory::new(0x80);
        let (one, two) = (terms.constant(U256::MAX), terms.number(0xabcd));
        memory.store(Place::Known(0), one, 32);
        memory.store(Place::Known(16), two, 32);
        let read = memory.read(&mut terms, Place::Known(0), 32);
        assert_eq!(terms.as_constant(read), Some(U256::MAX << 128));
        let read = memory.read(&mut terms, Place::Known(17), 32);
        assert_eq!(terms.as_constant(read), Some(U256::from(0xabcd00)));
    }

    #[test]
    fn a_write_beyond_a_pointer_leaves_nothing_known_but_what_is_reserved() {
        let mut terms = terms();
        let pointer = terms.opaque(1);
        let seven = terms.number(7);
        for (reserved, expected) in [(0x80, seven), (0, UNKNOWN)] {
            let mut memory = Memory::new(reserved);
            memory.store(Place::Known(0), seven, 32);
            memory.store(Place::Known(0x80), seven, 32);
            memory.store(Place::Beyond(pointer, 32), seven, 32);
            assert_eq!(memory.read(&mut terms, Place::Known(0), 32), expected);
            assert_eq!(memory.read(&mut terms, Place::Known(0x80), 32), UNKNOWN);
            assert_eq!(memory.read(&mut terms, Place::Beyond(pointer, 32), 32), seven);
            assert_eq!(memory.read(&mut terms, Place::Beyond(pointer, 0), 32), UNKNOWN);
        }
    }

    #[test]
    fn joining_keeps_what_both_say() {
        let mut terms = terms();
        let (one, two) = (terms.number(1), terms.number(2));
        let mut left = Memory::new(0x80);
        left.store(Place::Known(0), one, 32);
        let mut right = left.clone();
        left.store(Place::Known(32), one, 32);
        right.store(Place::Known(32), two, 32);
        right.store(Place::Known(64), two, 32);
        let joined = left.join(&right);
        assert_eq!(joined.read(&mut terms, Place::Known(0), 32), one);
        assert_eq!(joined.read(&mut terms, Place::Known(32), 32), UNKNOWN);
        assert_eq!(joined.read(&mut terms, Place::Known(64), 32), UNKNOWN);
        assert_eq!(joined.read(&mut terms, Place::Known(96), 32), ZERO);
        assert_eq!(joined.join(&right), joined, "a join is not made wider by what it covers");
    }
}
