//! The chain all workloads live on, its first state and its first header.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header, constants::EMPTY_WITHDRAWALS};
use alloy_eips::{
    eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE},
    eip4788::{BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE},
    eip7002::{WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, WITHDRAWAL_REQUEST_PREDEPLOY_CODE},
    eip7251::{CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_CODE},
    eip7685::EMPTY_REQUESTS_HASH,
};
use alloy_primitives::{Address, U256, address};
use warpline_chain::{ChainSpec, EthereumHardfork};
use warpline_primitives::{Account, MemoryState};

use crate::{contracts::install_code, random::labelled};

/// The chain id of everything this crate makes.
pub const CHAIN_ID: u64 = 7_878;
/// Who earns the fees of every block this crate makes.
pub const BENEFICIARY: Address = address!("0xfee0000000000000000000000000000000000fee");

/// Seconds since 1970 of the block before the first one, and seconds between two blocks.
const GENESIS_TIME: u64 = 1_767_225_600;
const BLOCK_TIME: u64 = 12;

/// The chain: all rules up to Osaka from the first block on.
pub fn chain() -> ChainSpec {
    ChainSpec::at_fork(EthereumHardfork::Osaka, CHAIN_ID)
}

/// A state that holds what every block needs: the contracts of the system calls (EIP-4788,
/// EIP-2935, EIP-7002, EIP-7251), and the code of the workloads' contracts.
pub(crate) fn base_state() -> MemoryState {
    let mut state = MemoryState::default();
    install_code(&mut state);
    for (address, code) in [
        (BEACON_ROOTS_ADDRESS, &BEACON_ROOTS_CODE),
        (HISTORY_STORAGE_ADDRESS, &HISTORY_STORAGE_CODE),
        (WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, &WITHDRAWAL_REQUEST_PREDEPLOY_CODE),
        (CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, &CONSOLIDATION_REQUEST_PREDEPLOY_CODE),
    ] {
        let code_hash = state.insert_code(code.clone());
        state.insert_account(address, Account { nonce: 1, code_hash, ..Account::default() });
    }
    fund(&mut state, BENEFICIARY, ether(1));
    state
}

/// Gives `address` a balance; it becomes an ordinary account that has sent nothing.
pub(crate) fn fund(state: &mut MemoryState, address: Address, balance: U256) {
    state.insert_account(address, Account { balance, ..Account::default() });
}

/// One ether in wei.
const ETHER: u64 = 1_000_000_000_000_000_000;
/// The base fee the chain begins with, in wei.
const GENESIS_BASE_FEE: u64 = 10_000_000_000;

/// So many ether in wei, which is also so many tokens of 18 decimals in their smallest unit.
pub(crate) const fn ether(amount: u64) -> U256 {
    U256::from_limbs([amount, 0, 0, 0]).wrapping_mul(U256::from_limbs([ETHER, 0, 0, 0]))
}

/// The header of a first block. It is empty, so the base fee falls with the next.
pub(crate) fn genesis_header(gas_limit: u64) -> Header {
    Header {
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: BENEFICIARY,
        gas_limit,
        timestamp: GENESIS_TIME,
        base_fee_per_gas: Some(GENESIS_BASE_FEE),
        withdrawals_root: Some(EMPTY_WITHDRAWALS),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(labelled("beacon root", 0)),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    }
}

/// The header of the block after `parent` as far as it is known before execution: base fee and
/// excess blob gas follow from the parent (EIP-1559, EIP-4844), the roots are those of an empty
/// block until [`seal`](crate::seal) fills them in.
pub fn next_header(chain: &ChainSpec, parent: &Header) -> Header {
    let number = parent.number + 1;
    let timestamp = parent.timestamp + BLOCK_TIME;
    Header {
        parent_hash: parent.hash_slow(),
        number,
        timestamp,
        mix_hash: labelled("randomness", number),
        base_fee_per_gas: chain.next_base_fee(parent),
        excess_blob_gas: chain.next_excess_blob_gas(parent, timestamp),
        parent_beacon_block_root: Some(labelled("beacon root", number)),
        ..genesis_header(parent.gas_limit)
    }
}
