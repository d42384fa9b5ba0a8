//! What a transaction found out about the balances that it met.
//!
//! Most of those who are paid never look at what they had: the payment adds to it, whatever it was.
//! Here is what tells such accounts from others, so that what a transaction did to them can be
//! taken for a difference and need not be done again when they turn out to have had something else.
//!
//! The argument is by *shifting*. Let an account have `before`, and imagine that it had `s` more.
//! Then at every step of the execution it has `s` more, until something comes out differently. So
//! each place where revm lets anything depend on a balance is either covered by a condition on
//! `before`, or makes the balance one that was seen. These are the places, in all forks:
//!
//! | Place | What is kept |
//! |---|---|
//! | `BALANCE`, `SELFBALANCE` | seen |
//! | `SELFDESTRUCT`, for who dies: all it has moves, and the amount is logged (EIP-7708) | seen |
//! | the sender can pay all that the transaction may cost, its value included | at least that |
//! | value of an inner call or creation can be paid | at least what never leaves less than nothing; seen if it cannot |
//! | a sum does not fit | all seen after a payment of more than 128 bits, the heir's if that much is left to it; and no condition holds from 2²⁵⁵ on |
//! | somebody is *empty*, since EIP-161: new-account gas of `CALL`, `SELFDESTRUCT` and transactions (EIP-2780), gas of a creation's address (EIP-8037), `EXTCODEHASH`, the deletion of who was touched | at least 1 if neither nonce nor code keep it from that |
//!
//! The last needs no look at any of these places. Who has neither nonce nor code can only be paid,
//! until it has one of them; a sender has a nonce before anybody can look at it. So who had
//! anything is never found empty. And the condition costs nothing: who has nothing at all is not in
//! the state. Accounts that were left over empty from the time before count as seen.
//!
//! Where only *existence* matters, that is for the engine to compare: what emptiness was until
//! EIP-161, and authorities that exist (EIP-7702). So it is with nonce, code and storage, which
//! decide on collisions of creations. An account that did not exist has no balance to be different.
//!
//! What was found stays found when the frame that found it is reverted. It is kept as a mark in the
//! account's id, which nothing in revm undoes, and in a small map of those who paid.

mod instructions;

use alloy_evm::{Database, eth::EthEvmContext};
use alloy_primitives::{Address, U256, map::AddressMap};
use revm::{
    context_interface::{Cfg, Transaction},
    interpreter::{CallValue, FrameInput, interpreter_action::FrameInit},
    primitives::hardfork::SpecId,
    state::{Account, AccountId, EvmState},
};
use warpline_primitives::Account as Seen;

use super::{Mark, account_of, has, mark};
use crate::balance_use::{BalanceUse, TOO_LARGE};

pub(super) use instructions::install;

/// What a transaction made of the balances it met. The default says that it made use of all.
#[derive(Clone, Debug, Default)]
pub struct BalanceUses(Option<Notes>);

#[derive(Clone, Debug)]
struct Notes {
    sender: Address,
    /// The most that the sender may have to pay for the transaction, value included.
    spending: U256,
    /// Whether it makes a difference if somebody is empty (EIP-161).
    emptiness_matters: bool,
    payers: Payers,
}

impl BalanceUses {
    /// What the transaction that `ctx` has just executed made of balances.
    pub(super) fn new<DB: Database>(ctx: &EthEvmContext<DB>, payers: Payers) -> Self {
        let tx = &ctx.tx;
        let unusual = ctx.cfg.is_balance_check_disabled() || ctx.cfg.is_fee_charge_disabled();
        let Ok(spending) = tx.max_balance_spending() else { return Self::default() };
        if unusual || payers.large {
            return Self::default();
        }
        let emptiness_matters = ctx.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        Self(Some(Notes { sender: tx.caller(), spending, emptiness_matters, payers }))
    }

    /// What it made of that of `account`, which it left at `address` in the journal.
    pub fn of(&self, address: &Address, account: &Account) -> BalanceUse {
        let original = account_of(&account.original_info());
        self.of_read(address, account.info.account_id, Some(original))
    }

    /// What it made of the balance of an account that was as `seen` before, and is left in the journal
    /// with this id.
    pub(super) fn of_read(
        &self,
        address: &Address,
        id: Option<AccountId>,
        seen: Option<Seen>,
    ) -> BalanceUse {
        // What did not exist has no id.
        let required = || self.0.as_ref()?.required(address, id?, seen?);
        required().map_or(BalanceUse::Exact, BalanceUse::AtLeast)
    }
}

impl Notes {
    fn required(&self, address: &Address, id: AccountId, seen: Seen) -> Option<U256> {
        let before = seen.balance;
        if has(id, Mark::BalanceSeen) || before >= TOO_LARGE {
            return None;
        }
        let mut required = U256::ZERO;
        let mut at_least = |amount| required = required.max(amount);
        if self.emptiness_matters && seen.nonce == 0 && !has_code(&seen) {
            at_least(U256::ONE);
        }
        if *address == self.sender {
            at_least(self.spending);
        }
        if let Some(left) = self.payers.left.get(address) {
            at_least(before.saturating_sub(*left));
        }
        (required <= before).then_some(required)
    }
}

/// Whether there is code. revm takes a hash of zeros for none.
fn has_code(account: &Seen) -> bool {
    account.has_code() && !account.code_hash.is_zero()
}

/// Who paid for calls and creations within a transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Payers {
    /// The least that anyone had left.
    left: AddressMap<U256>,
    /// Whether a payment was so large that sums may not fit.
    large: bool,
}

impl Payers {
    /// Notes what the beginning of a frame depends on.
    pub(super) fn note<DB: Database>(&mut self, ctx: &mut EthEvmContext<DB>, init: &FrameInit) {
        let (payer, value) = match &init.frame_input {
            FrameInput::Call(inputs) => match inputs.value {
                CallValue::Transfer(value) => (inputs.caller, value),
                CallValue::Apparent(_) => return,
            },
            FrameInput::Create(inputs) => (inputs.caller(), inputs.value()),
            FrameInput::Empty => return,
        };
        if value.is_zero() {
            return;
        }
        self.large |= is_large(value);
        // The value of the transaction is part of what its sender was found to have.
        if init.depth == 0 {
            return;
        }
        let Some(account) = ctx.journaled_state.inner.state.get_mut(&payer) else { return };
        match account.info.balance.checked_sub(value) {
            Some(left) if account.info.account_id.is_some() => {
                let least = self.left.entry(payer).or_insert(left);
                *least = left.min(*least);
            }
            Some(_) => {}
            None => mark(&mut account.info, Mark::BalanceSeen),
        }
    }
}

/// Whether an amount is so large that sums may not fit.
const fn is_large(value: U256) -> bool {
    value.bit_len() > 128
}

/// Notes that the balance at `address` made a difference.
fn note_seen(state: &mut EvmState, address: Address) {
    if let Some(account) = state.get_mut(&address) {
        mark(&mut account.info, Mark::BalanceSeen);
    }
}
