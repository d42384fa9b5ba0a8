//! A block with an execution witness: `{block, witness: {state, codes, headers}}`, as
//! `debug_executionWitness` returns it.
//!
//! The witness proves itself: the parent header is the one with the hash the block names, its
//! state root is where the trie begins, each further header is the parent of the one before it,
//! and codes are known by the hash of their bytes. Preimages (`keys`) are never looked at.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, keccak256};
use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer},
};
use warpline_chain::ChainSpec;

use super::member;
use crate::{
    InputProblem, JsonPath,
    block::{BlockDecodeError, decode_exact},
    capture::{Capture, CapturedState},
    error::Problem,
    json::{Json, Members},
};

/// What `debug_executionWitness` returns.
#[derive(Deserialize)]
pub(crate) struct WitnessJson {
    state: Vec<Bytes>,
    codes: Vec<Bytes>,
    pub(crate) headers: Vec<HeaderJson>,
}

/// An ancestor header in either of the two forms in use.
pub(crate) enum HeaderJson {
    Rlp(Bytes),
    Object(Box<Header>),
}

pub(super) fn decode<'a>(
    json: Json<'a>,
    members: &Members<'a>,
    chain: &Arc<ChainSpec>,
) -> Result<Capture, Problem> {
    let rlp: Bytes = json.decode(member(members, "block")?, &"block".into())?;
    let (block, _) = decode_exact(&rlp).map_err(|error| Problem::at("block", error))?;
    let witness: WitnessJson = json.decode(member(members, "witness")?, &"witness".into())?;
    witness.capture(rlp, block.header.parent_hash, chain)
}

impl WitnessJson {
    /// The block `rlp`, whose parent has the hash `parent_hash`, with this witness.
    pub(crate) fn capture(
        self,
        rlp: Bytes,
        parent_hash: B256,
        chain: &Arc<ChainSpec>,
    ) -> Result<Capture, Problem> {
        let (parent_header, block_hashes) = link_headers(parent_hash, self.headers)
            .map_err(|problem| problem.below(&JsonPath::from("witness")))?;
        Ok(Capture {
            chain: chain.clone(),
            block: rlp,
            ommer_hashes: Vec::new(),
            parent_header: Some(parent_header),
            state: CapturedState::Witness(self.state),
            codes: self.codes,
            block_hashes,
            access_list: None,
        })
    }
}

/// Checks that the headers, in whichever order, are the block's ancestors without a gap, and returns the parent's
/// and the hashes of all by number.
fn link_headers(
    parent_hash: B256,
    headers: Vec<HeaderJson>,
) -> Result<(Header, BTreeMap<u64, B256>), Problem> {
    let mut ancestors = Vec::with_capacity(headers.len());
    for (index, header) in headers.into_iter().enumerate() {
        let (header, hash) =
            header.decode().map_err(|error| Problem::at(header_place(index), error))?;
        ancestors.push((index, header, hash));
    }
    // Some nodes list the oldest first.
    ancestors.sort_by_key(|(_, header, _)| std::cmp::Reverse(header.number));
    let mut known = BTreeMap::new();
    let mut expected = parent_hash;
    for (index, header, found) in &ancestors {
        if *found != expected {
            let problem = InputProblem::HeaderChain { expected, found: *found };
            return Err(Problem::at(header_place(*index), problem));
        }
        known.insert(header.number, *found);
        expected = header.parent_hash;
    }
    match ancestors.into_iter().next() {
        Some((_, parent, _)) => Ok((parent, known)),
        None => Err(Problem::at("headers", InputProblem::NoParentHeader { parent: parent_hash })),
    }
}

fn header_place(index: usize) -> String {
    format!("headers[{index}]")
}

impl From<Header> for HeaderJson {
    fn from(header: Header) -> Self {
        Self::Object(Box::new(header))
    }
}

impl HeaderJson {
    fn decode(self) -> Result<(Header, B256), BlockDecodeError> {
        match self {
            Self::Object(header) => {
                let hash = header.hash_slow();
                Ok((*header, hash))
            }
            Self::Rlp(rlp) => {
                let header = alloy_rlp::decode_exact(&rlp)?;
                Ok((header, keccak256(&rlp)))
            }
        }
    }
}

impl<'de> Deserialize<'de> for HeaderJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = HeaderJson;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a header, as RLP in hex or as an object")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map(HeaderJson::Rlp).map_err(E::custom)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Header::deserialize(MapAccessDeserializer::new(map))
                    .map(|header| HeaderJson::Object(Box::new(header)))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
