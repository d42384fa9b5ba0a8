//! The blooms of receipts.
//!
//! A bloom costs a hash for the address and for each topic of every log, which in a block of swaps
//! takes a fifth of the time. Most of these are hashes of the same few tokens, events and accounts,
//! so that each thread remembers those it met last.

use std::cell::RefCell;

use alloy_primitives::{Address, B256, Bloom, BloomInput, Log, keccak256};

/// How many hashes a thread remembers, 65 bytes each with what was hashed.
const ENTRIES: usize = 1 << ENTRY_BITS;
const ENTRY_BITS: u32 = 9;

/// The bloom of `logs`.
pub(super) fn bloom_of(logs: &[Log]) -> Bloom {
    let mut bloom = Bloom::ZERO;
    if !logs.is_empty() {
        HASHES.with_borrow_mut(|hashes| {
            for log in logs {
                bloom.accrue(BloomInput::Hash(hashes.of_address(log.address)));
                for topic in log.topics() {
                    bloom.accrue(BloomInput::Hash(hashes.of_topic(*topic)));
                }
            }
        });
    }
    bloom
}

thread_local! {
    static HASHES: RefCell<Hashes> = RefCell::default();
}

/// What was hashed last, by a few of its bits. Whoever crafts inputs that displace each other makes
/// them be hashed each time, as they would be without.
#[derive(Debug)]
struct Hashes(Vec<Option<Entry>>);

/// An address, as a word, or a topic, and its hash.
#[derive(Clone, Copy, Debug)]
struct Entry {
    word: B256,
    is_address: bool,
    hash: B256,
}

impl Default for Hashes {
    fn default() -> Self {
        Self(vec![None; ENTRIES])
    }
}

impl Hashes {
    fn of_address(&mut self, address: Address) -> B256 {
        self.find(address.into_word(), true, || keccak256(address))
    }

    fn of_topic(&mut self, topic: B256) -> B256 {
        self.find(topic, false, || keccak256(topic))
    }

    fn find(&mut self, word: B256, is_address: bool, hash: impl FnOnce() -> B256) -> B256 {
        let place = &mut self.0[place_of(&word, is_address)];
        match place {
            Some(known) if known.word == word && known.is_address == is_address => known.hash,
            _ => {
                let hash = hash();
                *place = Some(Entry { word, is_address, hash });
                hash
            }
        }
    }
}

/// Topics are hashes, addresses or small numbers: the last eight bytes tell most of them apart.
fn place_of(word: &B256, is_address: bool) -> usize {
    let mut last = [0; 8];
    last.copy_from_slice(&word[24..]);
    let mixed =
        (u64::from_le_bytes(last) ^ u64::from(is_address)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - ENTRY_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bloom_is_that_of_the_logs_whatever_was_remembered_before() {
        let address = Address::with_last_byte;
        // As many words as fill the memory several times over, each as an address and as a topic.
        let log = |n: u64| {
            let word = B256::from(alloy_primitives::U256::from(n % 3000));
            let topics = vec![address(7).into_word(), word, Address::from_word(word).into_word()];
            Log::new_unchecked(Address::from_word(word), topics, Default::default())
        };
        for n in 0..10_000 {
            let logs = [log(n), log(n * 7), log(n / 2)];
            assert_eq!(bloom_of(&logs), logs.iter().collect::<Bloom>(), "{n}");
        }
        assert_eq!(bloom_of(&[]), Bloom::ZERO);
    }
}
