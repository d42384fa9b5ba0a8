//! Proof of work: the seal of a block before the merge (Yellow Paper, appendix J).
//!
//! The nonce of a header selects 64 pages of a dataset of gigabytes, and what they are mixed to must be
//! the header's mix hash and lie below a bound that the difficulty sets. Whoever mines holds the dataset;
//! whoever verifies makes the pages that are needed from a *cache* of 16 MiB and more, which lasts for an
//! epoch of 30,000 blocks. Making a cache takes up to three seconds, verifying a seal with it some
//! milliseconds.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_primitives::{B64, B256, U256, keccak256};
use alloy_rlp::{Encodable, Header as RlpHeader};
use parking_lot::Mutex;
use sha3::{Digest, Keccak512};

/// Blocks of one epoch.
const EPOCH_LENGTH: u64 = 30_000;
/// The last epoch of which anything is computed: far beyond the merge, and its cache still fits into memory.
const LAST_EPOCH: u64 = 2_048;
/// Words of a row of the cache, and of an item of the dataset: one Keccak-512.
const ROW_WORDS: usize = 16;
const ROW_BYTES: u64 = 64;
/// Words of a page of the dataset, and of the mix: two items.
const MIX_WORDS: usize = 32;
const MIX_BYTES: u64 = 128;
/// How often the cache is mixed.
const CACHE_ROUNDS: usize = 3;
/// Rows of the cache that make an item of the dataset.
const PARENTS: u32 = 256;
/// Pages that are mixed.
const ACCESSES: u32 = 64;

type Row = [u32; ROW_WORDS];

/// Why a header is not sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The nonce makes another mix hash.
    #[error("proof of work: the nonce makes the mix hash {expected}, found {found}")]
    MixHash {
        /// What the nonce makes.
        expected: B256,
        /// The header's.
        found: B256,
    },
    /// The mix is right, and not below the bound that the difficulty sets.
    #[error("proof of work: {result} is not enough for difficulty {difficulty}")]
    NotEnough {
        /// What the mix hashes to.
        result: B256,
        /// The header's difficulty.
        difficulty: U256,
    },
    /// No chain with proof of work has so many blocks.
    #[error("proof of work: block {number} is beyond all epochs that are supported")]
    TooLate {
        /// The block's number.
        number: u64,
    },
}

/// Verifies seals, with the caches of the two epochs that it met last: blocks at the beginning of an
/// epoch may have ommers of the one before.
#[derive(Debug, Default)]
pub struct Ethash {
    /// The latest first.
    caches: Mutex<[Option<Arc<Cache>>; 2]>,
}

impl Ethash {
    /// Whether `header` is sealed: its mix hash and nonce prove the work that its difficulty says. The
    /// difficulty itself is [`ChainSpec::validate_header`](crate::ChainSpec::validate_header)'s question.
    ///
    /// # Errors
    /// [`SealError`] with what is wrong.
    pub fn verify(&self, header: &Header) -> Result<(), SealError> {
        let epoch = header.number / EPOCH_LENGTH;
        if epoch > LAST_EPOCH {
            return Err(SealError::TooLate { number: header.number });
        }
        let pages = dataset_bytes(epoch) / MIX_BYTES;
        let (mix_hash, result) =
            self.cache(epoch).hashimoto(seal_hash(header), header.nonce, pages);
        if mix_hash != header.mix_hash {
            return Err(SealError::MixHash { expected: mix_hash, found: header.mix_hash });
        }
        let difficulty = header.difficulty;
        if is_enough(result, difficulty) {
            Ok(())
        } else {
            Err(SealError::NotEnough { result, difficulty })
        }
    }

    /// Whoever needs an epoch that is being made waits for it.
    fn cache(&self, epoch: u64) -> Arc<Cache> {
        let mut caches = self.caches.lock();
        let of_epoch =
            |cache: &Option<Arc<Cache>>| cache.as_ref().is_some_and(|cache| cache.epoch == epoch);
        if !of_epoch(&caches[0]) {
            caches.swap(0, 1);
        }
        if !of_epoch(&caches[0]) {
            caches[0] = None;
        }
        let made = || Arc::new(Cache::of_epoch(epoch));
        Arc::clone(caches[0].get_or_insert_with(made))
    }
}

/// Whether a result is at most 2^256 / `difficulty`.
fn is_enough(result: B256, difficulty: U256) -> bool {
    if difficulty <= U256::ONE {
        return difficulty == U256::ONE;
    }
    // 2^256 has one bit too many: divided is the number before it.
    let (quotient, remainder) = U256::MAX.div_rem(difficulty);
    let bound = if remainder + U256::ONE == difficulty { quotient + U256::ONE } else { quotient };
    U256::from_be_bytes(result.0) <= bound
}

/// The hash of all of a header but its seal.
fn seal_hash(header: &Header) -> B256 {
    let fields: [&dyn Encodable; 13] = [
        &header.parent_hash,
        &header.ommers_hash,
        &header.beneficiary,
        &header.state_root,
        &header.transactions_root,
        &header.receipts_root,
        &header.logs_bloom,
        &header.difficulty,
        &header.number,
        &header.gas_limit,
        &header.gas_used,
        &header.timestamp,
        &header.extra_data,
    ];
    let base_fee = header.base_fee_per_gas.as_ref().map(|fee| fee as &dyn Encodable);
    let fields = || fields.into_iter().chain(base_fee);
    let payload_length = fields().map(Encodable::length).sum();
    let mut rlp = Vec::with_capacity(payload_length + 3);
    RlpHeader { list: true, payload_length }.encode(&mut rlp);
    for field in fields() {
        field.encode(&mut rlp);
    }
    keccak256(rlp)
}

/// The size of the dataset of an epoch: a prime number of pages.
fn dataset_bytes(epoch: u64) -> u64 {
    largest_prime_multiple((1 << 30) + (epoch << 23) - MIX_BYTES, MIX_BYTES)
}

/// The size of the cache of an epoch: a prime number of rows.
fn cache_bytes(epoch: u64) -> u64 {
    largest_prime_multiple((1 << 24) + (epoch << 17) - ROW_BYTES, ROW_BYTES)
}

/// The largest size of at most `size` that is `unit` times an odd prime. `size / unit` is odd.
fn largest_prime_multiple(mut size: u64, unit: u64) -> u64 {
    let is_prime = |number: u64| {
        (3..).step_by(2).take_while(|by| by * by <= number).all(|by| !number.is_multiple_of(by))
    };
    while !is_prime(size / unit) {
        size -= 2 * unit;
    }
    size
}

const fn fnv(left: u32, right: u32) -> u32 {
    left.wrapping_mul(0x0100_0193) ^ right
}

fn keccak512(bytes: &[u8]) -> Row {
    let digest = Keccak512::digest(bytes);
    let mut row = [0; ROW_WORDS];
    for (word, bytes) in row.iter_mut().zip(digest.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    row
}

fn bytes_of(words: &[u32; ROW_WORDS]) -> [u8; ROW_WORDS * 4] {
    let mut bytes = [0; ROW_WORDS * 4];
    for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    bytes
}

/// The rows of a cache: a sequence of hashes, mixed so that no row can be made without many others.
fn rows(seed: B256, count: usize) -> Vec<Row> {
    let mut rows = Vec::with_capacity(count);
    let mut last = keccak512(&seed[..]);
    for _ in 0..count {
        rows.push(last);
        last = keccak512(&bytes_of(&last));
    }
    for _ in 0..CACHE_ROUNDS {
        for at in 0..count {
            let mut row = rows[(at + count - 1) % count];
            let chosen = &rows[rows[at][0] as usize % count];
            for (word, other) in row.iter_mut().zip(chosen) {
                *word ^= other;
            }
            rows[at] = keccak512(&bytes_of(&row));
        }
    }
    rows
}

/// What an epoch's dataset is made from.
#[derive(Debug)]
struct Cache {
    epoch: u64,
    rows: Vec<Row>,
}

impl Cache {
    fn of_epoch(epoch: u64) -> Self {
        let seed = (0..epoch).fold(B256::ZERO, |seed, _| keccak256(seed));
        let count = usize::try_from(cache_bytes(epoch) / ROW_BYTES).expect("epochs are bounded");
        Self { epoch, rows: rows(seed, count) }
    }

    /// An item of the dataset: two of them are a page.
    fn item(&self, index: u32) -> Row {
        let count = self.rows.len();
        let row = |index: u32| &self.rows[index as usize % count];
        let mut mix = *row(index);
        mix[0] ^= index;
        mix = keccak512(&bytes_of(&mix));
        for parent in 0..PARENTS {
            let chosen = row(fnv(index ^ parent, mix[parent as usize % ROW_WORDS]));
            for (word, other) in mix.iter_mut().zip(chosen) {
                *word = fnv(*word, *other);
            }
        }
        keccak512(&bytes_of(&mix))
    }

    /// The mix hash, and the result that the difficulty bounds, with a dataset of so many pages.
    fn hashimoto(&self, seal_hash: B256, nonce: B64, pages: u64) -> (B256, B256) {
        let mut nonce = nonce.0;
        nonce.reverse();
        let seed = keccak512(&[&seal_hash[..], &nonce[..]].concat());
        let mut mix = [0; MIX_WORDS];
        for half in mix.as_chunks_mut::<ROW_WORDS>().0 {
            *half = seed;
        }
        for access in 0..ACCESSES {
            let chosen = fnv(access ^ seed[0], mix[access as usize % MIX_WORDS]);
            let page = u64::from(chosen) % pages;
            let first = u32::try_from(2 * page).expect("epochs are bounded");
            for (half, index) in mix.as_chunks_mut::<ROW_WORDS>().0.iter_mut().zip(first..) {
                for (word, other) in half.iter_mut().zip(self.item(index)) {
                    *word = fnv(*word, other);
                }
            }
        }
        let mut mix_hash = B256::ZERO;
        for (bytes, words) in
            mix_hash.0.as_chunks_mut::<4>().0.iter_mut().zip(mix.as_chunks::<4>().0)
        {
            *bytes = words.iter().copied().reduce(fnv).unwrap_or_default().to_le_bytes();
        }
        (mix_hash, keccak256([&bytes_of(&seed)[..], &mix_hash[..]].concat()))
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::b256;

    use super::*;

    /// The vector of the reference implementations: a cache of 1 KiB and a dataset of 32 KiB.
    #[test]
    fn a_small_dataset_is_mixed_as_the_reference_does() {
        let cache = Cache { epoch: 0, rows: rows(B256::ZERO, 16) };
        let hash = b256!("c9149cc0386e689d789a1c2f3d5d169a61a6218ed30e74414dc736e442ef3d1f");
        let (mix_hash, result) = cache.hashimoto(hash, B64::ZERO, 32 * 1024 / MIX_BYTES);
        let expected = b256!("e4073cffaef931d37117cefd9afd27ea0f1cad6a981dd2605c4a1ac97c519800");
        assert_eq!(mix_hash, expected);
        let expected = b256!("d3539235ee2e6f8db665c0a72169f55b7f6c605712330b778ec3944f0eb5a557");
        assert_eq!(result, expected);
    }

    /// The first and the last of the tables in the specification.
    #[test]
    fn sizes_are_those_of_the_specification() {
        assert_eq!((cache_bytes(0), dataset_bytes(0)), (16_776_896, 1_073_739_904));
        assert_eq!((cache_bytes(1), dataset_bytes(1)), (16_907_456, 1_082_130_304));
        assert_eq!((cache_bytes(2047), dataset_bytes(2047)), (285_081_536, 18_245_220_736));
    }

    #[test]
    fn the_bound_is_two_to_the_256_by_the_difficulty() {
        let result = |value: U256| B256::from(value.to_be_bytes());
        let table = [
            (U256::MAX, 1_u64, true),
            (U256::ZERO, 0, false),
            (U256::ONE << 255, 2, true),
            ((U256::ONE << 255) + U256::ONE, 2, false),
            (U256::MAX / U256::from(3), 3, true),
            (U256::MAX / U256::from(3) + U256::ONE, 3, false),
            (U256::ONE << 193, 1_u64 << 63, true),
            ((U256::ONE << 193) + U256::ONE, 1_u64 << 63, false),
        ];
        for (value, difficulty, expected) in table {
            assert_eq!(
                is_enough(result(value), U256::from(difficulty)),
                expected,
                "{value} {difficulty}"
            );
        }
    }
}
