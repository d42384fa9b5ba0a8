//! Accounts and slots, after any block whose state is kept.

use std::collections::BTreeMap;

use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use warpline_primitives::{Account, StateSource as _};
use warpline_storage::StateView;

use super::{
    RpcError,
    args::{Argument, ArgumentError, Json, Prefixed, Slot},
    blocks::resolve,
    context::Call,
    methods::Registry,
};

/// Slots that may be asked for in one call.
const MOST_SLOTS: usize = 1024;

pub(super) fn register(methods: &mut Registry) {
    methods
        .light("eth_getBalance", balance)
        .light("eth_getTransactionCount", nonce)
        .light("eth_getCode", code)
        .light("eth_getStorageAt", storage_at)
        .heavy("eth_getStorageValues", storage_values);
}

/// The state after the block that `id` means, the head where nothing is said.
///
/// # Errors
/// [`RpcError::UnknownBlock`] where there is no such block, and [`RpcError::Pruned`] where its state is
/// no longer kept.
pub(super) fn state(call: &Call, id: Option<BlockId>) -> Result<StateView, RpcError> {
    let view = call.view()?;
    let number = resolve(&view, id)?;
    Ok(view.state_at(number)?.until(call.deadline.at()))
}

fn account(call: &Call, address: Address, id: Option<BlockId>) -> Result<Account, RpcError> {
    Ok(state(call, id)?.account(address)?.unwrap_or_default())
}

fn balance(call: &Call, (address, block): (Address, Option<BlockId>)) -> Result<U256, RpcError> {
    Ok(account(call, address, block)?.balance)
}

fn nonce(call: &Call, (address, block): (Address, Option<BlockId>)) -> Result<U64, RpcError> {
    Ok(U64::from(account(call, address, block)?.nonce))
}

fn code(call: &Call, (address, block): (Address, Option<BlockId>)) -> Result<Bytes, RpcError> {
    let state = state(call, block)?;
    let account = state.account(address)?.filter(Account::has_code);
    Ok(account.map_or_else(|| Ok(Bytes::new()), |account| state.code(account.code_hash))?)
}

fn storage_at(
    call: &Call,
    (address, slot, block): (Address, Slot, Option<BlockId>),
) -> Result<B256, RpcError> {
    Ok(state(call, block)?.storage(address, slot.number)?.into())
}

/// Slots of several accounts.
#[derive(Debug)]
struct Slots(BTreeMap<Prefixed<Address>, Vec<Slot>>);

impl Argument for Slots {
    fn parse(json: &str) -> Result<Self, ArgumentError> {
        let Json(slots) = Json::<BTreeMap<Prefixed<Address>, Vec<Slot>>>::parse(json)?;
        let found = slots.values().map(Vec::len).sum();
        if found > MOST_SLOTS {
            return Err(ArgumentError::TooManySlots { found, most: MOST_SLOTS });
        }
        Ok(Self(slots))
    }
}

fn storage_values(
    call: &Call,
    (Slots(slots), block): (Slots, Option<BlockId>),
) -> Result<BTreeMap<Address, Vec<B256>>, RpcError> {
    let state = state(call, block)?;
    let of_account = |(Prefixed(address), slots): (Prefixed<Address>, Vec<Slot>)| {
        let values = slots.into_iter().map(|slot| {
            call.deadline.check()?;
            Ok(state.storage(address, slot.number)?.into())
        });
        Ok((address, values.collect::<Result<_, RpcError>>()?))
    };
    slots.into_iter().map(of_account).collect()
}
