//! The hashes that `BLOCKHASH` may ask for: those of the 256 blocks before.
//!
//! They are read off the parents' hashes in headers, one block linking to the next, so that they are the hashes of
//! this block's ancestors even if the node's chain moves meanwhile. Consecutive blocks have all but one in common.

use std::{
    collections::{BTreeMap, HashMap},
    ops::RangeInclusive,
    sync::atomic::Ordering,
};

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{BlockHead, FetchError, JsonRpc, RemoteNode, RpcAnswer, RpcRequest, hex};

/// How far back `BLOCKHASH` sees.
const VISIBLE: u64 = 256;

/// So many links are kept at most: then all are forgotten, and asked for again.
const MAX_LINKS: usize = 1 << 16;

impl<R: JsonRpc> RemoteNode<R> {
    /// The hashes of the blocks before `head`, as many as code can see and the node still has.
    pub(super) fn block_hashes(&self, head: &BlockHead) -> Result<BTreeMap<u64, B256>, FetchError> {
        // Held while asking: who comes second finds what the first asked for.
        let mut parents = self.parents();
        if parents.len() > MAX_LINKS {
            parents.clear();
        }
        let last = head.header.number.saturating_sub(VISIBLE);
        let mut hashes = BTreeMap::new();
        let (mut number, mut hash) = (head.header.number - 1, head.header.parent_hash);
        // Twice as many each time: mostly the newest link alone is missing, and for the first block all are.
        let mut ahead = 1;
        loop {
            hashes.insert(number, hash);
            if number == last {
                return Ok(hashes);
            }
            if !parents.contains_key(&hash) {
                let first = number.saturating_sub(ahead - 1).max(last + 1);
                ahead *= 2;
                let newest = self.link(&mut parents, first, number)?;
                match newest {
                    // Whoever asks for what the node has forgotten is told that it is missing.
                    None => return Ok(hashes),
                    Some(found) if found != hash => {
                        return Err(FetchError::OtherBlock { number, expected: hash, found });
                    }
                    Some(_) => {}
                }
            }
            let Some(parent) = parents.get(&hash) else { return Ok(hashes) };
            (number, hash) = (number - 1, *parent);
        }
    }

    /// Asks for the headers from `first` to `last`, takes down whose parents they name, and returns the hash of the
    /// last one, if the node has it.
    fn link(
        &self,
        parents: &mut HashMap<B256, B256>,
        first: u64,
        last: u64,
    ) -> Result<Option<B256>, FetchError> {
        let mut headers = Vec::new();
        if self.offers.raw_header.load(Ordering::Relaxed) {
            let raw =
                self.try_all::<Bytes>("debug_getRawHeader", |it| json!([hex(it)]), first..=last);
            let decode = |rlp: Bytes| alloy_rlp::decode_exact::<Header>(&rlp).ok();
            headers = raw?.into_iter().map(|rlp| rlp.and_then(decode)).collect();
        }
        if headers.iter().all(Option::is_none) {
            self.offers.raw_header.store(false, Ordering::Relaxed);
            let params = |number| json!([hex(number), false]);
            headers = self.try_all("eth_getBlockByNumber", params, first..=last)?;
        }
        let mut newest = None;
        for header in headers {
            newest = header.map(|header: Header| {
                let hash = header.hash_slow();
                parents.insert(hash, header.parent_hash);
                hash
            });
        }
        Ok(newest)
    }

    /// Asks one question for each of the `numbers`. What is refused or cannot be read is `None`.
    fn try_all<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: impl Fn(u64) -> Value,
        numbers: RangeInclusive<u64>,
    ) -> Result<Vec<Option<T>>, FetchError> {
        let request = |number| RpcRequest { method, params: params(number) };
        let requests: Vec<_> = numbers.map(request).collect();
        let answers = self.rpc.send(&requests).map_err(FetchError::Transport)?;
        let value = |answer: RpcAnswer| serde_json::from_str(answer.ok()?.get()).ok();
        Ok(answers.into_iter().map(value).collect())
    }
}
