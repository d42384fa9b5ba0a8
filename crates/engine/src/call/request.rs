//! A call as a transaction.

use alloy_evm::EvmEnv;
use alloy_primitives::TxKind;
use alloy_rpc_types_eth::TransactionRequest;
use revm::{
    context::{TransactionType, TxEnv, either::Either},
    primitives::hardfork::SpecId,
};

use super::{CallRefusal, CallRule};

/// The transaction that `request` describes, with what it leaves open: no fee, the nonce zero, and
/// `gas_cap` as its gas, which it never has more of.
pub(crate) fn transaction(
    request: &TransactionRequest,
    env: &EvmEnv,
    gas_cap: u64,
) -> Result<TxEnv, CallRefusal> {
    let spec = env.cfg_env.spec;
    let (cap, tip) = fees(request, spec)?;
    let data = request.input.clone().try_into_unique_input();
    let data = data.map_err(|_| CallRefusal::ConflictingInput)?.unwrap_or_default();
    let chain_id = env.cfg_env.chain_id;
    if let Some(have) = request.chain_id.filter(|have| *have != chain_id) {
        return Err(CallRefusal::ChainId { have, want: chain_id });
    }
    let tx_type = type_of(request, spec);
    let kind = request.to.unwrap_or(TxKind::Create);
    let gas_limit = request.gas.map_or(gas_cap, |gas| gas.min(gas_cap));
    let create = match tx_type {
        TransactionType::Eip4844 => Some(CallRule::BlobCreate),
        TransactionType::Eip7702 => Some(CallRule::DelegationCreate),
        _ => None,
    };
    if let Some(rule) = create.filter(|_| kind.is_create()) {
        return Err(CallRefusal::Rule { rule, gas_limit });
    }
    let authorizations = request.authorization_list.iter().flatten();
    Ok(TxEnv {
        tx_type: tx_type as u8,
        caller: request.from.unwrap_or_default(),
        gas_limit,
        gas_price: cap,
        gas_priority_fee: is_dynamic(tx_type).then_some(tip),
        kind,
        value: request.value.unwrap_or_default(),
        data,
        nonce: 0,
        chain_id: Some(chain_id),
        access_list: request.access_list.clone().unwrap_or_default(),
        blob_hashes: request.blob_versioned_hashes.clone().unwrap_or_default(),
        max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or_default(),
        authorization_list: authorizations.cloned().map(Either::Left).collect(),
    })
}

/// Lowers the prices of the block to nothing where the call offers nothing, so that it is not below
/// them. A contract sees the lowered base fee.
pub(crate) fn lower_prices(tx: &TxEnv, env: &mut EvmEnv) {
    let block = &mut env.block_env;
    if tx.gas_price == 0 {
        block.basefee = 0;
    }
    if tx.max_fee_per_blob_gas == 0
        && !tx.blob_hashes.is_empty()
        && let Some(blob) = &mut block.blob_excess_gas_and_price
    {
        blob.blob_gasprice = 0;
    }
}

/// What the call pays for gas at most, and the tip.
fn fees(request: &TransactionRequest, spec: SpecId) -> Result<(u128, u128), CallRefusal> {
    let TransactionRequest { gas_price, max_fee_per_gas, max_priority_fee_per_gas, .. } = request;
    let is_dynamic = max_fee_per_gas.is_some() || max_priority_fee_per_gas.is_some();
    match gas_price {
        Some(_) if is_dynamic => Err(CallRefusal::ConflictingFees),
        Some(price) => Ok((*price, *price)),
        None if spec.is_enabled_in(SpecId::LONDON) => {
            Ok((max_fee_per_gas.unwrap_or_default(), max_priority_fee_per_gas.unwrap_or_default()))
        }
        None => Ok((0, 0)),
    }
}

/// The oldest kind of transaction that can say all of this.
fn type_of(request: &TransactionRequest, spec: SpecId) -> TransactionType {
    if request.authorization_list.is_some() {
        return TransactionType::Eip7702;
    }
    if request.blob_versioned_hashes.is_some() {
        return TransactionType::Eip4844;
    }
    if request.gas_price.is_none() && spec.is_enabled_in(SpecId::LONDON) {
        return TransactionType::Eip1559;
    }
    if request.access_list.is_some() && spec.is_enabled_in(SpecId::BERLIN) {
        return TransactionType::Eip2930;
    }
    TransactionType::Legacy
}

const fn is_dynamic(tx_type: TransactionType) -> bool {
    matches!(
        tx_type,
        TransactionType::Eip1559 | TransactionType::Eip4844 | TransactionType::Eip7702
    )
}
