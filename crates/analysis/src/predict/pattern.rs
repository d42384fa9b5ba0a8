//! Locations as functions of the transaction that touches them.
//!
//! A token keeps the balance of whoever calls it in a slot that no two callers share. What they do
//! share is how the slot comes about: it is the hash of the caller and of a small number. A [`Pattern`]
//! says that, so that what was learned of one caller holds for the next.

use alloy_primitives::{Address, U256, keccak256};
use serde::{Deserialize, Serialize};
use warpline_primitives::Location;

/// A word that a transaction brings along, or that is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Word {
    /// Who sends the transaction.
    Sender,
    /// Whom it calls.
    Recipient,
    /// The word of the call data that begins at this byte.
    Argument(u32),
    /// What this slot of whom it calls holds when it begins, and so much more.
    Loaded {
        slot: U256,
        plus: u8,
    },
    Constant(U256),
}

/// Which part of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Place {
    /// Balance, nonce and code.
    Account,
    /// Always the same slot.
    Slot(U256),
    /// The slot of `key` in the mapping at slot `base`, and so many further.
    Entry { base: u8, order: Order, key: Word, further: u8 },
    /// No location: what code may do at one site.
    Site(u32),
    /// The slot of `inner` in the mapping that belongs to `outer` in the mapping at slot `base`.
    Nested { base: u8, order: Order, outer: Word, inner: Word, further: u8 },
}

/// In which order key and slot are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Order {
    /// As Solidity does.
    KeyFirst,
    /// As Vyper does.
    SlotFirst,
}

/// A location, as a function of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Pattern {
    /// Whose.
    pub(super) address: Word,
    pub(super) place: Place,
}

/// What a slot of the recipient holds when the transaction begins, as far as that can be known.
pub(super) type Load<'l> = dyn FnMut(Address, U256) -> Option<U256> + 'l;

/// What a transaction brings along.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    pub(super) sender: Address,
    pub(super) recipient: Option<Address>,
    pub(super) input: &'a [u8],
}

impl Order {
    /// The slot of `key` in the mapping at `base`.
    pub(super) fn hash(self, key: U256, base: U256) -> U256 {
        let [first, second] = match self {
            Self::KeyFirst => [key, base],
            Self::SlotFirst => [base, key],
        };
        let mut preimage = [0; 64];
        preimage[..32].copy_from_slice(&first.to_be_bytes::<32>());
        preimage[32..].copy_from_slice(&second.to_be_bytes::<32>());
        keccak256(preimage).into()
    }
}

impl Call<'_> {
    /// The first four bytes of the call data, filled up with zeros.
    pub(super) fn selector(&self) -> [u8; 4] {
        let mut selector = [0; 4];
        let length = self.input.len().min(4);
        selector[..length].copy_from_slice(&self.input[..length]);
        selector
    }

    /// The word of the call data at `offset`; `None` where that ends before.
    pub(super) fn argument(&self, offset: u32) -> Option<U256> {
        let start = usize::try_from(offset).ok()?;
        let word = self.input.get(start..start.checked_add(32)?)?;
        Some(U256::from_be_slice(word))
    }

    /// What `word` is in this transaction.
    pub(super) fn value(&self, word: Word, load: &mut Load<'_>) -> Option<U256> {
        match word {
            Word::Sender => Some(word_of(self.sender)),
            Word::Recipient => self.recipient.map(word_of),
            Word::Argument(offset) => self.argument(offset),
            Word::Loaded { slot, plus } => {
                Some(load(self.recipient?, slot)?.wrapping_add(U256::from(plus)))
            }
            Word::Constant(word) => Some(word),
        }
    }

    /// Which location `pattern` is in this transaction.
    pub(super) fn locate(&self, pattern: &Pattern, load: &mut Load<'_>) -> Option<Location> {
        let address = address_of(self.value(pattern.address, load)?)?;
        let slot = match pattern.place {
            Place::Account => return Some(Location::Account(address)),
            Place::Site(_) => return None,
            Place::Slot(slot) => slot,
            Place::Entry { base, order, key, further } => {
                let key = self.value(key, load)?;
                order.hash(key, U256::from(base)).wrapping_add(U256::from(further))
            }
            Place::Nested { base, order, outer, inner, further } => {
                let [outer, inner] = [self.value(outer, load)?, self.value(inner, load)?];
                let mapping = order.hash(outer, U256::from(base));
                order.hash(inner, mapping).wrapping_add(U256::from(further))
            }
        };
        Some(Location::Slot(address, slot))
    }
}

impl Pattern {
    /// What code may do at `site`.
    pub(super) const fn site(site: u32) -> Self {
        Self { address: Word::Recipient, place: Place::Site(site) }
    }

    /// Whether it is the same for every transaction.
    pub(super) const fn is_constant(&self) -> bool {
        matches!(self.address, Word::Constant(_))
            && matches!(self.place, Place::Account | Place::Slot(_))
    }

    /// Whether it is a hash of nobody knows what: most likely of something that the next transaction
    /// has another of.
    pub(super) fn is_unexplained(&self) -> bool {
        matches!(self.place, Place::Slot(slot) if is_hash(slot))
    }
}

/// Whether a slot has so large a number that it must be a hash.
pub(super) fn is_hash(slot: U256) -> bool {
    slot.bit_len() > 64
}

/// An address as a word.
pub(super) fn word_of(address: Address) -> U256 {
    U256::from_be_slice(address.as_slice())
}

/// The address that a word is, unless it is too large for one.
pub(super) fn address_of(word: U256) -> Option<Address> {
    (word.bit_len() <= 160).then(|| Address::from_word(word.into()))
}

/// Whether a word looks as if it were an address, and not an amount.
pub(super) fn is_address(word: U256) -> bool {
    (96..=160).contains(&word.bit_len())
}
