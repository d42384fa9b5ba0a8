//! Analysed code, shared by hash across transactions, workers and blocks.

use alloy_primitives::{B256, Bytes, map::B256Map};
use parking_lot::RwLock;
use revm::bytecode::Bytecode;
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
}

#[derive(Debug, Default)]
struct Shard {
    codes: B256Map<Bytecode>,
    bytes: usize,
}

impl CodeCache {
    /// A cache of about `bytes` bytes of code.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()), shard_bytes: bytes / SHARDS }
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
