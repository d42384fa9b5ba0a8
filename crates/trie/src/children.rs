//! The children of a branch.

use std::mem;

use alloy_rlp::EMPTY_STRING_CODE;
use rayon::prelude::*;

use crate::node::{Link, PARALLEL_HASHES};

/// Links by nibble, stored without gaps: most branches of a large trie stand just above the
/// leaves and have two or three children, and a cache of them should cost what they hold.
///
/// An [`Empty`](Link::Empty) link counts as a child while changes are applied, from
/// [`make_room`](Self::make_room) to [`prune`](Self::prune); at other times there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children {
    /// Bit `n` is set where nibble `n` has a link.
    mask: u16,
    links: Vec<Link>,
}

static EMPTY: Link = Link::Empty;

impl Children {
    /// Adds the child at `nibble`, which must come after those there are.
    pub(crate) fn push(&mut self, nibble: u8, link: Link) {
        debug_assert!(self.mask >> nibble == 0, "children come in order");
        self.mask |= 1 << nibble;
        self.links.push(link);
    }

    /// The child at `nibble`, empty where there is none.
    pub(crate) fn get(&self, nibble: u8) -> &Link {
        if self.mask >> nibble & 1 == 0 {
            return &EMPTY;
        }
        let below = self.mask & ((1 << nibble) - 1);
        &self.links[below.count_ones() as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.links.len()
    }

    fn nibbles(mask: u16) -> impl Iterator<Item = u8> {
        (0..16).filter(move |nibble| mask >> nibble & 1 == 1)
    }

    /// Each child with its nibble, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, &Link)> {
        Self::nibbles(self.mask).zip(&self.links)
    }

    /// Each child with its nibble, in order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u8, &mut Link)> {
        Self::nibbles(self.mask).zip(&mut self.links)
    }

    /// Gives each nibble of `mask` that has no child an empty one.
    pub(crate) fn make_room(&mut self, mask: u16) {
        if mask & !self.mask == 0 {
            return;
        }
        let all = self.mask | mask;
        let mut old = mem::take(&mut self.links).into_iter();
        let has = self.mask;
        let links = Self::nibbles(all).map(|nibble| {
            let link = if has >> nibble & 1 == 1 { old.next() } else { None };
            link.unwrap_or_default()
        });
        self.links = links.collect();
        self.mask = all;
    }

    /// Drops the children that are empty.
    pub(crate) fn prune(&mut self) {
        if self.links.iter().any(Link::is_empty) {
            let left = self.iter().filter(|(_, link)| !link.is_empty());
            self.mask = left.fold(0, |mask, (nibble, _)| mask | 1 << nibble);
            self.links.retain(|link| !link.is_empty());
        }
    }

    /// Takes the only child out, with its nibble; `None` where there is not exactly one.
    pub(crate) fn take_only(&mut self) -> Option<(u8, Link)> {
        let (1, Some(nibble)) = (self.len(), Self::nibbles(self.mask).next()) else { return None };
        self.mask = 0;
        self.links.pop().map(|link| (nibble, link))
    }

    /// Finds the encodings of all children: see [`Link::settle`].
    pub(crate) fn settle(&mut self, buffer: &mut Vec<u8>, weight: usize) {
        let unsettled = self.links.iter().filter(|link| !link.is_settled()).count();
        if weight < PARALLEL_HASHES || unsettled < 2 {
            let weight = weight / unsettled.max(1);
            return self.links.iter_mut().for_each(|link| link.settle(buffer, weight));
        }
        let links = self.links.par_iter_mut().with_max_len(1);
        links.for_each_init(Vec::new, |buffer, link| link.settle(buffer, weight / unsettled));
    }

    /// How many bytes [`encode`](Self::encode) writes.
    pub(crate) fn encoded_len(&self) -> usize {
        let children: usize = self.links.iter().map(|link| link.reference_len()).sum();
        children + 17 - self.len()
    }

    /// The payload of a branch: sixteen references, and the value it has not.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut links = self.links.iter();
        for nibble in 0_u8..16 {
            let child = if self.mask >> nibble & 1 == 1 { links.next() } else { None };
            child.unwrap_or(&EMPTY).write_reference(out);
        }
        out.push(EMPTY_STRING_CODE);
    }
}
