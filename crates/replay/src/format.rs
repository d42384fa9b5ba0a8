//! The formats, one file each: bytes in, captures and cases out.

mod chain_test;
pub(crate) mod snapshot;
pub(crate) mod witness;

use std::sync::Arc;

use warpline_chain::ChainSpec;

pub use chain_test::{ChainTest, Expectation, PostState, TestBlock};

use crate::{
    InputError, InputProblem, Origin,
    capture::Capture,
    error::Problem,
    json::{Format, Json, recognise},
};

/// What a JSON document turned out to hold.
pub(crate) enum Decoded {
    Block(Box<Capture>),
    /// Each case by itself: a malformed one does not spoil its neighbours.
    ChainTests(Vec<Result<ChainTest, InputError>>),
    Unknown,
}

/// Decodes a JSON document in whichever format it is. `chain` holds for snapshots and witnesses, which
/// do not say which chain they are of.
pub(crate) fn decode(
    document: &[u8],
    origin: &Origin,
    chain: &Arc<ChainSpec>,
) -> Result<Decoded, InputError> {
    let locate = |problem: Problem| problem.in_origin(origin.clone());
    let json = Json::new(document);
    let Some(members) = json.members().map_err(locate)? else { return Ok(Decoded::Unknown) };
    match recognise(&members) {
        None => Ok(Decoded::Unknown),
        Some(Format::Snapshot) => snapshot::decode(json, &members, chain)
            .map(|capture| Decoded::Block(Box::new(capture)))
            .map_err(locate),
        Some(Format::Witness) => witness::decode(json, &members, chain)
            .map(|capture| Decoded::Block(Box::new(capture)))
            .map_err(locate),
        Some(Format::ChainTests) => {
            Ok(Decoded::ChainTests(chain_test::decode(json, &members, origin)))
        }
    }
}

/// Checks that `data` hashes to what the input states beside it.
fn check_hash(
    place: impl FnOnce() -> String,
    stated: alloy_primitives::B256,
    computed: alloy_primitives::B256,
) -> Result<(), Problem> {
    if stated == computed {
        return Ok(());
    }
    Err(Problem::at(place(), InputProblem::Hash { stated, computed }))
}

/// A member that must be there.
fn member<'a>(
    members: &crate::json::Members<'a>,
    name: &'static str,
) -> Result<&'a serde_json::value::RawValue, Problem> {
    members.get(name).copied().ok_or_else(|| Problem::at("", InputProblem::MissingMember(name)))
}
