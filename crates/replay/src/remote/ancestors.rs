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

use super::{
    BlockHead, FetchError, JsonRpc, RemoteNode, RpcAnswer, RpcFault, RpcRequest, decode, hex,
};

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
        let mut headers = self.raw_headers(first..=last)?;
        if headers.iter().any(Option::is_none) {
            let params = |number| json!([hex(number), false]);
            let answers = self.send_all("eth_getBlockByNumber", params, first..=last)?;
            let header = |answer| found("eth_getBlockByNumber", answer);
            headers = answers.into_iter().map(header).collect::<Result<_, _>>()?;
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

    /// Headers as RLP. What does not come, for whatever reason, is `None`: the caller has another method.
    fn raw_headers(&self, numbers: RangeInclusive<u64>) -> Result<Vec<Option<Header>>, FetchError> {
        if !self.offers.raw_header.load(Ordering::Relaxed) {
            return Ok(vec![None]);
        }
        let method = "debug_getRawHeader";
        let answers = self.send_all(method, |number| json!([hex(number)]), numbers)?;
        let is_missing =
            |answer: &RpcAnswer| answer.as_ref().is_err_and(RpcFault::is_method_missing);
        // A node that is merely busy is asked for the next ones all the same.
        if answers.iter().any(is_missing) {
            self.offers.raw_header.store(false, Ordering::Relaxed);
        }
        let header = |answer| {
            let rlp: Bytes = found(method, answer).ok()??;
            alloy_rlp::decode_exact(&rlp).ok()
        };
        Ok(answers.into_iter().map(header).collect())
    }

    /// Asks one question for each of the `numbers`.
    fn send_all(
        &self,
        method: &'static str,
        params: impl Fn(u64) -> Value,
        numbers: RangeInclusive<u64>,
    ) -> Result<Vec<RpcAnswer>, FetchError> {
        let request = |number| RpcRequest { method, params: params(number) };
        let requests: Vec<_> = numbers.map(request).collect();
        let answers = self.rpc.send(&requests).map_err(FetchError::Transport)?;
        if answers.len() < requests.len() {
            return Err(FetchError::Answers { expected: requests.len(), found: answers.len() });
        }
        Ok(answers)
    }
}

/// What the node has, or `None` if it says that it has nothing. That it refuses for any other reason says nothing
/// of what it has: taken for absence, it would be kept with the block as a hash that does not exist.
fn found<T: DeserializeOwned>(
    method: &'static str,
    answer: RpcAnswer,
) -> Result<Option<T>, FetchError> {
    match answer {
        Err(fault) if fault.is_method_missing() || fault.is_pruned() => Ok(None),
        answer => decode(method, answer),
    }
}
