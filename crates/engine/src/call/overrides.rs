//! Blocks and states that are other than they are.

use alloy_consensus::Header;
use alloy_evm::EvmEnv;
use alloy_primitives::{Address, U256};
use alloy_rpc_types_eth::{
    BlockOverrides,
    state::{AccountOverride, StateOverride},
};
use revm::{context_interface::block::BlobExcessGasAndPrice, primitives::hardfork::SpecId};
use warpline_chain::ChainSpec;

use super::{CallError, CallOverlay, CallRefusal};
use crate::{
    ExecutionError, SourceError,
    vm::{MovablePrecompiles, env_of_header},
};

/// Refuses what no block can have. What is checked is not cut down later.
pub(crate) fn check(overrides: &BlockOverrides) -> Result<(), CallRefusal> {
    let BlockOverrides { number, base_fee, blob_base_fee, .. } = overrides;
    let (short, long) = (U256::from(u64::MAX), U256::from(u128::MAX));
    for (name, value, most) in [
        ("number", number, short),
        ("baseFeePerGas", base_fee, short),
        ("blobBaseFee", blob_base_fee, long),
    ] {
        if let Some(value) = value.filter(|value| *value > most) {
            return Err(CallRefusal::OverrideTooLarge { name, value, most });
        }
    }
    Ok(())
}

/// The environment of calls in the block of `header`, with what `overrides` says instead. Which rules
/// apply depends on number and time, so these are changed before anything else is made of them.
pub(crate) fn env_of(spec: &ChainSpec, header: &Header, overrides: &BlockOverrides) -> EvmEnv {
    let mut header = header.clone();
    header.number = overrides.number.map_or(header.number, |number| number.saturating_to());
    header.difficulty = overrides.difficulty.unwrap_or(header.difficulty);
    header.timestamp = overrides.time.unwrap_or(header.timestamp);
    header.gas_limit = overrides.gas_limit.unwrap_or(header.gas_limit);
    header.beneficiary = overrides.coinbase.unwrap_or(header.beneficiary);
    header.mix_hash = overrides.random.unwrap_or(header.mix_hash);
    if let Some(base_fee) = overrides.base_fee {
        header.base_fee_per_gas = Some(base_fee.saturating_to());
    }
    let mut env = env_of_header(spec, &header);
    set_blob_fee(&mut env, overrides);
    env.cfg_env.disable_nonce_check = true;
    ask_less(&mut env);
    env
}

/// Lets anybody be a sender, and calls have more gas than blocks and transactions may.
pub(crate) fn ask_less(env: &mut EvmEnv) {
    let cfg = &mut env.cfg_env;
    cfg.disable_eip3607 = true;
    cfg.disable_block_gas_limit = true;
    if !cfg.enable_amsterdam_eip8037 {
        // From Amsterdam on, how gas is divided depends on the cap (EIP-8037).
        cfg.tx_gas_limit_cap = Some(u64::MAX);
    }
}

/// Sets the price of blob gas: the one that is wanted, or the least where there must be one and the
/// block is from before there were any.
pub(crate) fn set_blob_fee(env: &mut EvmEnv, overrides: &BlockOverrides) {
    let wanted = overrides.blob_base_fee.map(|fee| fee.saturating_to::<u128>());
    let block = &mut env.block_env;
    let missing =
        block.blob_excess_gas_and_price.is_none() && env.cfg_env.spec.is_enabled_in(SpecId::CANCUN);
    if wanted.is_none() && !missing {
        return;
    }
    let excess_blob_gas = block.blob_excess_gas_and_price.map_or(0, |blob| blob.excess_blob_gas);
    let blob_gasprice = wanted.unwrap_or(1);
    block.blob_excess_gas_and_price =
        Some(BlobExcessGasAndPrice { excess_blob_gas, blob_gasprice });
}

/// Changes the state as `overrides` says, by address, and moves precompiles. An account that is
/// overridden is no precompile any more.
pub(crate) fn apply(
    overrides: &StateOverride,
    overlay: &mut CallOverlay<'_>,
    precompiles: &mut MovablePrecompiles,
) -> Result<(), CallError<SourceError>> {
    let mut addresses: Vec<_> = overrides.keys().copied().collect();
    addresses.sort_unstable();
    let mut moved_to = Vec::new();
    for address in addresses {
        let Some(account) = overrides.get(&address) else { continue };
        if moved_to.contains(&address) {
            return Err(CallRefusal::OverriddenByPrecompile(address).into());
        }
        let precompile = precompiles.at(&address);
        if let Some(to) = account.move_precompile_to {
            let precompile = precompile.ok_or(CallRefusal::NotAPrecompile(address))?;
            if overrides.contains_key(&to) {
                return Err(CallRefusal::AlreadyOverridden(to).into());
            }
            precompiles.put(to, precompile);
            moved_to.push(to);
        }
        if precompile.is_some() {
            precompiles.remove(address);
        }
        if account.state.is_some() && account.state_diff.is_some() {
            return Err(CallRefusal::StateAndDiff(address).into());
        }
        override_account(address, account, overlay).map_err(ExecutionError::StateRead)?;
    }
    Ok(())
}

fn override_account(
    address: Address,
    account: &AccountOverride,
    overlay: &mut CallOverlay<'_>,
) -> Result<(), SourceError> {
    let AccountOverride { balance, nonce, code, state, state_diff, .. } = account;
    let code_hash = code.as_ref().map(|code| overlay.add_code(code.clone()));
    let exists = balance.is_some() || nonce.is_some() || code.is_some();
    if exists || state.is_some() || state_diff.is_some() {
        overlay.edit_account(address, |account| {
            account.balance = balance.unwrap_or(account.balance);
            account.nonce = nonce.unwrap_or(account.nonce);
            account.code_hash = code_hash.unwrap_or(account.code_hash);
        })?;
    }
    if state.is_some() {
        overlay.clear_storage(address)?;
    }
    for (slot, value) in state.iter().chain(state_diff).flatten() {
        overlay.set_slot(address, (*slot).into(), (*value).into())?;
    }
    Ok(())
}
