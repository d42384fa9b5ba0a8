//! A block with an execution witness: `{block, witness: {state, codes, headers}}`, as
//! `debug_executionWitness` returns it.
//!
//! The witness proves itself: the parent header is the one with the hash the block names, its
//! state root is where the trie begins, each further header is the parent of the one before it,
//! and codes are known by the hash of their bytes. Preimages (`keys`) are never looked at.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, keccak256};
use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer},
};
use warpline_chain::ChainSpec;
use warpline_primitives::MemoryState;

use super::member;
use crate::{
    BlockInput, InputProblem, JsonPath, Origin, ParentState, WitnessState,
    block::{BlockDecodeError, decode_block},
    error::Problem,
    input::Ommers,
    json::{Json, Members},
};

#[derive(Deserialize)]
struct WitnessJson {
    state: Vec<Bytes>,
    codes: Vec<Bytes>,
    headers: Vec<HeaderJson>,
}

/// An ancestor header in either of the two forms in use.
enum HeaderJson {
    Rlp(Bytes),
    Object(Box<Header>),
}

pub(super) fn decode<'a>(
    json: Json<'a>,
    members: &Members<'a>,
    origin: &Origin,
    chain: &Arc<ChainSpec>,
) -> Result<BlockInput, Problem> {
    let rlp: Bytes = json.decode(member(members, "block")?, &"block".into())?;
    let block = decode_block(&rlp, chain).map_err(|error| Problem::at("block", error))?;
    let witness: WitnessJson = json.decode(member(members, "witness")?, &"witness".into())?;

    let mut known = MemoryState::default();
    let place = JsonPath::from("witness");
    let parent_header = link_headers(block.header.parent_hash, witness.headers, &mut known)
        .map_err(|problem| problem.below(&place))?;
    for code in witness.codes {
        known.insert_code(code);
    }
    let parent = WitnessState::new(parent_header.state_root, witness.state, known)
        .map_err(|error| Problem::at("witness.state", InputProblem::Witness(error)))?;
    Ok(BlockInput {
        origin: origin.clone(),
        chain: chain.clone(),
        block,
        encoded_len: Some(rlp.len()),
        access_list: None,
        ommers: Ommers::Known,
        parent_header: Some(parent_header),
        parent: ParentState::Witness(parent),
    })
}

/// Checks that the headers, youngest first, are the block's ancestors without a gap, puts their
/// hashes in `known` and returns the parent's.
fn link_headers(
    parent_hash: B256,
    headers: Vec<HeaderJson>,
    known: &mut MemoryState,
) -> Result<Header, Problem> {
    let mut ancestors = Vec::with_capacity(headers.len());
    for (index, header) in headers.into_iter().enumerate() {
        let (header, hash) =
            header.decode().map_err(|error| Problem::at(header_place(index), error))?;
        ancestors.push((index, header, hash));
    }
    // Some nodes list the oldest first.
    ancestors.sort_by_key(|(_, header, _)| std::cmp::Reverse(header.number));
    let mut expected = parent_hash;
    for (index, header, found) in &ancestors {
        if *found != expected {
            let problem = InputProblem::HeaderChain { expected, found: *found };
            return Err(Problem::at(header_place(*index), problem));
        }
        known.insert_block_hash(header.number, *found);
        expected = header.parent_hash;
    }
    let parent = ancestors.into_iter().next().map(|(_, header, _)| header);
    parent
        .ok_or_else(|| Problem::at("headers", InputProblem::NoParentHeader { parent: parent_hash }))
}

fn header_place(index: usize) -> String {
    format!("headers[{index}]")
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
