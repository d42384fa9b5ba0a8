//! No contract is created where storage is (EIP-7610).
//!
//! revm looks at code and nonce only: it cannot ask a database whether an account has storage. Ours
//! can, and tell by a mark in the account's id, which revm carries along for the database's use.
//! Before a creation begins, a marked account that revm would take for free is dressed as one with
//! code, for as long as revm takes to look at it.

use alloy_evm::Database;
use alloy_primitives::{Address, B256};
use revm::{
    context::{ContextTr, JournalTr},
    context_interface::{CreateScheme, result::EVMError},
    handler::{EvmTr, FrameResult, ItemOrResult},
    interpreter::{CreateInputs, FrameInput, interpreter_action::FrameInit},
    primitives::{KECCAK_EMPTY, constants::CALL_STACK_LIMIT},
};
use warpline_primitives::Account;

use super::{
    account_id::{self, Mark},
    evm::Inner,
};

/// Whether only its storage can keep a contract from being created at `account`.
pub(crate) fn must_ask(account: &Account) -> bool {
    account.nonce == 0 && !account.has_code()
}

/// Begins a frame, as [`EvmTr::frame_init`] does; `None` where it is now running.
pub(super) fn init_frame<DB: Database, I>(
    evm: &mut Inner<DB, I>,
    init: FrameInit,
) -> Result<Option<FrameResult>, EVMError<DB::Error>> {
    let occupied = match &init.frame_input {
        FrameInput::Create(inputs) => occupied(evm, inputs, init.depth)?,
        _ => None,
    };
    dress(evm, occupied, B256::ZERO);
    let result = match evm.frame_init(init)? {
        ItemOrResult::Item(_) => None,
        ItemOrResult::Result(result) => Some(result),
    };
    dress(evm, occupied, KECCAK_EMPTY);
    Ok(result)
}

/// The address of a creation if it has storage and nothing else that would stop the creation.
fn occupied<DB: Database, I>(
    evm: &mut Inner<DB, I>,
    inputs: &CreateInputs,
    depth: usize,
) -> Result<Option<Address>, EVMError<DB::Error>> {
    if matches!(inputs.scheme(), CreateScheme::Custom { .. }) {
        return Ok(None);
    }
    let journal = evm.ctx.journal_mut();
    let caller = &journal.load_account(inputs.caller())?.data.info;
    // A creation that fails for another reason does not get as far as its address.
    let fails = depth as u64 > CALL_STACK_LIMIT
        || caller.balance < inputs.value()
        || caller.nonce == u64::MAX;
    if fails {
        return Ok(None);
    }
    let address = inputs.created_address(caller.nonce);
    // revm loads it next.
    let info = &journal.load_account(address)?.data.info;
    let marked = info.account_id.is_some_and(|id| account_id::has(id, Mark::HasStorage));
    let looks_free = info.nonce == 0 && info.code_hash == KECCAK_EMPTY;
    Ok((marked && looks_free).then_some(address))
}

/// Sets the code hash of `address`. Zero counts as occupied where a contract is created.
fn dress<DB: Database, I>(evm: &mut Inner<DB, I>, address: Option<Address>, code_hash: B256) {
    let account = address.and_then(|address| evm.ctx.journaled_state.inner.state.get_mut(&address));
    if let Some(account) = account {
        account.info.code_hash = code_hash;
    }
}
