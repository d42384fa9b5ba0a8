//! Proofs of accounts and slots against a state root (EIP-1186).

use alloy_eips::BlockId;
use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::{EIP1186AccountProofResponse, EIP1186StorageProof};
use alloy_serde::JsonStorageKey;
use warpline_storage::{StateView, StorageError};
use warpline_trie::{AccountProof, SlotProof};

use super::{
    RpcError,
    args::{Argument, ArgumentError, Json, Slot},
    context::Call,
    methods::Registry,
    state::state,
};

/// Slots that may be proven in one call.
const MOST_SLOTS: usize = 1024;

pub(super) fn register(methods: &mut Registry) {
    methods.heavy("eth_getProof", proof);
}

/// The slots to be proven.
#[derive(Debug)]
struct Slots(Vec<Slot>);

impl Argument for Slots {
    fn parse(json: &str) -> Result<Self, ArgumentError> {
        let Json(slots) = Json::<Vec<Slot>>::parse(json)?;
        let found = slots.len();
        if found > MOST_SLOTS {
            return Err(ArgumentError::TooManySlots { found, most: MOST_SLOTS });
        }
        Ok(Self(slots))
    }
}

/// What the trie of `state` proves.
fn prove(state: &StateView, address: Address, slots: &[U256]) -> Result<AccountProof, RpcError> {
    Ok(state.trie().proof(address, slots).map_err(StorageError::from)?)
}

fn proof(
    call: &Call,
    (address, Slots(asked), block): (Address, Slots, Option<BlockId>),
) -> Result<EIP1186AccountProofResponse, RpcError> {
    let state = state(call, block)?;
    let numbers: Vec<_> = asked.iter().map(|slot| slot.number).collect();
    let AccountProof { address, account, storage_root, nodes, slots } =
        prove(&state, address, &numbers)?;
    let account = account.unwrap_or_default();
    // A slot is named as it was asked for.
    let storage_proof = asked.iter().zip(slots).map(|(asked, SlotProof { slot, value, nodes })| {
        let key = match asked.is_hash {
            true => JsonStorageKey::Hash(slot.into()),
            false => JsonStorageKey::Number(slot),
        };
        EIP1186StorageProof { key, value, proof: nodes }
    });
    Ok(EIP1186AccountProofResponse {
        address,
        balance: account.balance,
        code_hash: account.code_hash,
        nonce: account.nonce,
        storage_hash: storage_root,
        account_proof: nodes,
        storage_proof: storage_proof.collect(),
    })
}
