//! Names for what is known by its code: our own contracts.

use std::collections::BTreeSet;

use alloy_primitives::{Address, U256};
use warpline_primitives::StateSource;
use warpline_savings::{BlockRecord, report::Names};
use warpline_workloads::artifact::Artifact;

/// Names the contracts among those that the block met, and their variables.
pub(super) fn add<S: StateSource>(names: &mut Names, record: &BlockRecord, state: &S) {
    let met = record.traces.iter().flat_map(|trace| &trace.slots).map(|slot| slot.address);
    for address in met.collect::<BTreeSet<Address>>() {
        let Ok(Some(account)) = state.account(address) else { continue };
        let known = Artifact::all().find(|artifact| artifact.code_hash == account.code_hash);
        let Some(artifact) = known else { continue };
        let place = address.to_string();
        names.name_contract(address, format!("{} {}…", artifact.contract, &place[..6]));
        for signature in artifact.signatures() {
            names.name_function(&signature);
        }
        // Small variables share slots.
        for in_slot in artifact.storage_layout.chunk_by(|one, other| one.slot == other.slot) {
            let labels: Vec<_> = in_slot.iter().map(|variable| variable.label.as_str()).collect();
            names.name_slot(address, U256::from(in_slot[0].slot), labels.join("/"));
        }
    }
}
