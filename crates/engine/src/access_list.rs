//! Block access lists (EIP-7928): built by the ordered commit, verified by it, and executed from.
//!
//! A list says of every account and slot that the block touches what each step makes of it. A
//! *step* is a position in the block: 0 is what comes before the transactions, `i + 1` is
//! transaction `i`, and the last one is what comes after.
//!
//! - **Build**: the commit tells each step's journal to a [`ListBuilder`], in block order and from
//!   final executions only. What it yields is canonical, so two executions yield the same bytes.
//! - **Verify**: [`Claims`] compares each step's journal with what a given list says of that step.
//!   The first step that disagrees makes the block invalid; what the list has too much, and no step
//!   could miss, is found after the last one. The verdict is the same however the block is executed.
//! - **Execute from it** ([`from_list`]): every transaction runs at once on the values that the list
//!   claims for the steps before it. If the first `n` steps do what is claimed of them, step
//!   `n + 1` ran on the truth; so a list that all steps agree with is proven by induction, without
//!   a single dependency or repetition.

mod builder;
mod claimed_state;
mod claims;
mod diff;
mod error;
pub(crate) mod from_list;

use alloy_eip7928::AccountChanges;
use alloy_primitives::{Address, U256};
use revm::state::EvmState;
use warpline_primitives::Account;

use crate::BlockRules;

pub(crate) use builder::ListBuilder;
pub(crate) use claims::Claims;
pub use error::{AccessListError, ListedChange, ListedField};

/// What to do about the block's access list.
#[derive(Clone, Copy, Debug, Default)]
pub enum AccessListMode<'l> {
    /// Build it where the block's fork has access lists, for
    /// [`BlockOutput::access_list`](warpline_primitives::BlockOutput::access_list).
    #[default]
    ByFork,
    /// Build it, whatever the fork.
    Build,
    /// Do without.
    Ignore,
    /// Execute from this list and verify it: a list that is not exactly the block's makes the block
    /// invalid. Whether its hash is the header's is for the caller to compare. The output has none
    /// then, for it would be this one.
    Verify(&'l [AccountChanges]),
}

impl AccessListMode<'_> {
    /// Whether a list is built under `rules`.
    pub(crate) const fn builds(&self, rules: &BlockRules) -> bool {
        match self {
            Self::Build => true,
            Self::ByFork => rules.access_lists,
            Self::Ignore | Self::Verify(_) => false,
        }
    }
}

/// A fee that was credited without the transaction looking at the beneficiary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeePayment {
    pub(crate) beneficiary: Address,
    pub(crate) before: Option<Account>,
    pub(crate) after: Option<Account>,
}

impl FeePayment {
    fn balances(&self) -> (U256, U256) {
        let balance = |account: Option<Account>| account.unwrap_or_default().balance;
        (balance(self.before), balance(self.after))
    }
}

/// Whom the ordered commit tells what each step accessed.
#[derive(Debug, Default)]
pub(crate) enum ListSink<'l> {
    #[default]
    Nobody,
    Builder(ListBuilder),
    /// The list to verify, and the next step.
    Verifier(&'l Claims<'l>, u64),
}

impl ListSink<'_> {
    /// Whether steps have to be told.
    pub(crate) const fn listens(&self) -> bool {
        !matches!(self, Self::Nobody)
    }

    /// Those in between were told elsewhere: `step` is the next.
    fn skip_to(&mut self, step: u64) {
        if let Self::Verifier(_, next) = self {
            *next = step;
        }
    }

    /// Takes in the next step: its journal, and a fee that is not part of it.
    pub(crate) fn step(
        &mut self,
        state: &EvmState,
        fee: Option<FeePayment>,
    ) -> Result<(), AccessListError> {
        match self {
            Self::Nobody => {}
            Self::Builder(builder) => builder.step(state, fee),
            Self::Verifier(claims, next) => {
                claims.check_step(*next, state, fee)?;
                *next += 1;
            }
        }
        Ok(())
    }

    /// The list, if one was built. One that was given is proven.
    pub(crate) fn finish(self) -> Result<Option<Vec<AccountChanges>>, AccessListError> {
        match self {
            Self::Nobody => Ok(None),
            Self::Builder(builder) => Ok(Some(builder.finish())),
            Self::Verifier(claims, _) => claims.check_all_used().map(|()| None),
        }
    }
}

/// The journals of a step's parts, one after the other, as one journal.
#[expect(clippy::iter_over_hash_type, reason = "each account is merged on its own")]
pub(crate) fn merged(parts: impl IntoIterator<Item = EvmState>) -> EvmState {
    let mut merged = EvmState::default();
    for part in parts {
        for (address, account) in part {
            match merged.entry(address) {
                revm::primitives::hash_map::Entry::Vacant(place) => {
                    place.insert(account);
                }
                revm::primitives::hash_map::Entry::Occupied(mut earlier) => {
                    let earlier = earlier.get_mut();
                    if earlier.is_selfdestructed_locally() {
                        earlier.storage.values_mut().for_each(|it| it.present_value = U256::ZERO);
                    }
                    earlier.info = account.info;
                    earlier.status = account.status;
                    for (slot, value) in account.storage {
                        let original = earlier.storage.get(&slot).map(|it| it.original_value);
                        let original = original.unwrap_or(value.original_value);
                        let slot = earlier.storage.entry(slot).or_insert_with(|| value.clone());
                        slot.original_value = original;
                        slot.present_value = value.present_value;
                    }
                }
            }
        }
    }
    merged
}
