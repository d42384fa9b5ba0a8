//! Ethereum mainnet's genesis block.

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_primitives::{Address, B64, Bytes, U256, b256};

use super::GenesisAccount;

/// The accounts of the presale and the foundation, by address: twenty bytes of address, a byte that counts
/// the balance's bytes, and these, most significant first. No account has nonce, code or storage. That this is
/// the right list is proven by the state root, which a test computes.
const ALLOC: &[u8] = include_bytes!("mainnet.bin");

/// The header without the fields that depend on the state.
pub(super) fn header() -> Header {
    let extra_data = b256!("11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa");
    Header {
        difficulty: U256::from(0x4_0000_0000_u64),
        gas_limit: 5_000,
        extra_data: Bytes::from(extra_data),
        nonce: B64::from(0x42_u64),
        ..Header::default()
    }
}

pub(super) fn alloc() -> BTreeMap<Address, GenesisAccount> {
    let mut rest = ALLOC;
    let accounts = std::iter::from_fn(|| {
        let (address, after) = rest.split_first_chunk::<{ Address::len_bytes() }>()?;
        let (length, after) = after.split_first()?;
        let (balance, after) = after.split_at_checked(usize::from(*length))?;
        rest = after;
        let balance = U256::try_from_be_slice(balance)?;
        Some((Address::new(*address), GenesisAccount { balance, ..GenesisAccount::default() }))
    });
    accounts.collect()
}
