//! Analysed code, shared by hash across transactions, workers and blocks.

use alloy_primitives::{B256, Bytes, map::B256Map};
use parking_lot::{Mutex, RwLock};
use revm::{
    bytecode::{Bytecode, JumpTable},
    primitives::KECCAK_EMPTY,
};
use warpline_primitives::StateSource;

const SHARDS: usize = 16;

/// `code`, analysed. What looks like a broken delegation (EIP-7702) is older than the rule that no
/// contract begins so (EIP-3541), and code like any other.
pub(crate) fn analysed(code: Bytes) -> Bytecode {
    Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code))
}

/// Jump-destination analysis is a pure function of the code, and code is named by its hash, so a
/// cached entry can never be wrong. What bounds the cache is memory: a full shard is emptied.
#[derive(Debug)]
pub(crate) struct CodeCache {
    shards: [RwLock<Shard>; SHARDS],
    shard_bytes: usize,
    /// The workers' own copies, while they are not at work.
    own: Vec<Mutex<Option<OwnCodes>>>,
    own_bytes: usize,
}

#[derive(Debug, Default)]
struct Shard {
    codes: B256Map<Bytecode>,
    bytes: usize,
}

impl CodeCache {
    /// A cache of about `bytes` bytes of code, one half of it for the copies of the `workers`.
    pub(crate) fn new(bytes: usize, workers: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            shard_bytes: bytes / 2 / SHARDS,
            own: std::iter::repeat_with(Mutex::default).take(workers).collect(),
            own_bytes: bytes / 2 / workers.max(1),
        }
    }

    /// The copies of a worker: none where it has none yet, or executes another block besides.
    pub(crate) fn take_own(&self, worker: usize) -> OwnCodes {
        let own = self.own.get(worker).and_then(|own| own.lock().take());
        own.unwrap_or_else(|| OwnCodes::new(self.own_bytes))
    }

    /// Keeps the copies of a worker until it has another block.
    pub(crate) fn keep_own(&self, worker: usize, codes: OwnCodes) {
        if let Some(own) = self.own.get(worker) {
            *own.lock() = Some(codes);
        }
    }

    /// The analysed code of `hash`, from `source` where it is not cached.
    pub(crate) fn get<S: StateSource>(&self, hash: B256, source: &S) -> Result<Bytecode, S::Error> {
        let shard = &self.shards[usize::from(hash[0]) % SHARDS];
        if let Some(code) = shard.read().codes.get(&hash) {
            return Ok(code.clone());
        }
        let code = analysed(source.code(hash)?);
        let mut shard = shard.write();
        if shard.bytes > self.shard_bytes {
            *shard = Shard::default();
        }
        shard.bytes += code.len();
        shard.codes.insert(hash, code.clone());
        Ok(code)
    }
}

/// One worker's own copies of the code it runs.
///
/// Code is counted by reference, several times a call. Were it the same copy for all workers, the
/// count of a popular contract would travel between their caches all the time, and that of code
/// that is empty, which revm keeps one of for the whole process, with every plain account.
#[derive(Debug)]
pub(crate) struct OwnCodes {
    codes: B256Map<Bytecode>,
    empty: Bytecode,
    bytes: usize,
    most_bytes: usize,
}

impl OwnCodes {
    /// No copies yet, and room for about `bytes` bytes of them.
    fn new(bytes: usize) -> Self {
        Self { codes: B256Map::default(), empty: empty(), bytes: 0, most_bytes: bytes }
    }

    /// The code of an account without code.
    pub(crate) fn empty(&self) -> Bytecode {
        self.empty.clone()
    }

    /// The analysed code of `hash`, from `shared` or `source` where there is no copy yet.
    pub(crate) fn get<S: StateSource>(
        &mut self,
        hash: B256,
        shared: &CodeCache,
        source: &S,
    ) -> Result<Bytecode, S::Error> {
        if hash == KECCAK_EMPTY {
            return Ok(self.empty());
        }
        if let Some(code) = self.codes.get(&hash) {
            return Ok(code.clone());
        }
        let code = shared.get(hash, source)?;
        let code = analysed(Bytes::copy_from_slice(code.original_byte_slice()));
        if self.bytes > self.most_bytes {
            self.codes.clear();
            self.bytes = 0;
        }
        self.bytes += code.len();
        self.codes.insert(hash, code.clone());
        Ok(code)
    }
}

impl Default for OwnCodes {
    /// Room for none.
    fn default() -> Self {
        Self::new(0)
    }
}

/// Code of no bytes that is not the one all others share.
#[expect(unsafe_code, reason = "there is no other way to make code of no bytes anew")]
fn empty() -> Bytecode {
    let stop = Bytes::copy_from_slice(&[0]);
    // SAFETY: this is how analysis leaves code of no bytes: followed by one STOP, at which the
    // interpreter ends, and without a place to jump to.
    unsafe { Bytecode::new_analyzed(stop, 0, JumpTable::from_slice(&[0], 1)) }
}

#[cfg(test)]
mod tests {
    use warpline_primitives::MemoryState;

    use super::*;

    #[test]
    fn empty_code_is_empty() {
        assert_eq!(empty(), Bytecode::new());
        assert_eq!((empty().len(), empty().is_empty()), (0, true));
        assert_eq!(empty().bytecode(), Bytecode::new().bytecode());
        assert_eq!(empty().hash_slow(), KECCAK_EMPTY);
    }

    /// A state with so many codes of 100 bytes, and their hashes.
    fn codes(count: u8) -> (MemoryState, Vec<B256>) {
        let mut state = MemoryState::default();
        let hashes = (0..count).map(|n| state.insert_code(Bytes::from(vec![n; 100]))).collect();
        (state, hashes)
    }

    #[test]
    fn a_worker_that_comes_back_finds_its_own_copies() {
        let (state, hashes) = codes(1);
        let hash = hashes[0];
        let cache = CodeCache::new(1 << 20, 2);
        let mut own = cache.take_own(0);
        let first = own.get(hash, &cache, &state).unwrap();
        let empty = own.empty();
        // Meanwhile there are none to take: somebody else makes new ones.
        let besides = cache.take_own(0).get(hash, &cache, &state).unwrap();
        let of_another = cache.take_own(1).get(hash, &cache, &state).unwrap();
        cache.keep_own(0, own);
        let shared = cache.get(hash, &state).unwrap();
        for other in [&besides, &of_another, &shared] {
            assert_eq!(*other, first);
            assert_ne!(other.bytecode().as_ptr(), first.bytecode().as_ptr());
        }
        let mut own = cache.take_own(0);
        let again = own.get(hash, &cache, &state).unwrap();
        assert_eq!(again.bytecode().as_ptr(), first.bytecode().as_ptr());
        assert_eq!(own.empty().bytecode().as_ptr(), empty.bytecode().as_ptr());
    }

    #[test]
    fn a_workers_own_copies_are_bounded() {
        let (state, hashes) = codes(100);
        // Half of it for two workers: 1000 bytes each.
        let cache = CodeCache::new(4000, 2);
        let mut most = 0;
        for hash in hashes {
            let mut own = cache.take_own(1);
            own.get(hash, &cache, &state).unwrap();
            let held: usize = own.codes.values().map(Bytecode::len).sum();
            assert_eq!(held, own.bytes);
            assert!(own.codes.contains_key(&hash), "the newest is kept");
            most = most.max(held);
            cache.keep_own(1, own);
        }
        // They are dropped once they are over the bound, which is by one code here.
        assert_eq!(most, 1100);
    }
}
