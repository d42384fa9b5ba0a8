//! The money market in either form: books put in place in which all debts and deposits add up.

use std::collections::BTreeSet;

use alloy_primitives::{Address, U256};
use alloy_sol_types::sol;
use warpline_primitives::MemoryState;

use super::{Contract, SHARDS, packed, shard_of, use_up};
use crate::{Field, Form, artifact, genesis::ether};

sol! {
    /// What the workloads call on a market.
    interface Lending {
        function deposit(uint128 amount) external;
        function withdraw(uint128 amount) external;
        function borrow(uint128 amount) external;
        function repay(uint128 amount) external;
        function accrue() external;
    }
}

/// A market to be put in place, in which all users have the same.
#[derive(Clone, Debug)]
pub(crate) struct LendingState {
    /// Which contract it is.
    pub(crate) form: Form,
    /// Where it is.
    pub(crate) address: Address,
    /// When the rates were set, in seconds since 1970.
    pub(crate) updated_at: u64,
    /// Who has an account.
    pub(crate) users: BTreeSet<Address>,
}

/// What a user has, in cash and as collateral.
const CASH: U256 = ether(1_000);
/// What a user has lent and owes, in shares.
const SUPPLIED: U256 = ether(100);
const OWED: U256 = ether(50);

/// One, as the market's indexes and rates have it.
const ONE: u128 = 1_000_000_000_000_000_000_000_000_000;
/// What a share of the deposits and of the debts is worth.
const INDEX: [u128; 2] = [ONE / 100 * 102, ONE / 100 * 104];
/// Interest per second of a tenth a year for borrowers, and of half of it for lenders.
const RATES: [u128; 2] = [ONE / 20 / 31_536_000, ONE / 10 / 31_536_000];

impl LendingState {
    /// Writes the market into `state`. Its vault has what was lent and is not borrowed; some shards
    /// of it are used up.
    pub(crate) fn install(&self, state: &mut MemoryState) {
        let artifact = artifact::of(Field::Lending, self.form);
        let mut contract = Contract::place(artifact, self.address, state);
        let [supply, debt] = INDEX.map(U256::from);
        let index = packed([(supply, 112), (debt, 112), (U256::from(self.updated_at), 32)]);
        let rates = packed(RATES.map(|rate| (U256::from(rate), 128)));
        contract.set(&[("index", index), ("rates", rates)]);
        let account =
            [[CASH, CASH], [SUPPLIED, OWED]].map(|halves| packed(halves.map(|half| (half, 128))));
        for user in &self.users {
            contract.set_words(contract.entry("accounts", user.into_word()), &account);
        }

        let mut users = [0_u64; SHARDS];
        for user in &self.users {
            users[shard_of(*user)] += 1;
        }
        let left = (SUPPLIED * supply - OWED * debt) / U256::from(ONE);
        let books = |of_vault: u64, of_debts: u64| {
            packed([(left * U256::from(of_vault), 128), (OWED * U256::from(of_debts), 128)])
        };
        match self.form {
            Form::Naive => {
                let all = users.iter().sum();
                contract.set(&[("books", books(all, all))]);
            }
            Form::Parallel => {
                let mut vaults = users;
                use_up(&mut vaults);
                let shards: [_; SHARDS] = std::array::from_fn(|i| books(vaults[i], users[i]));
                contract.set_words(artifact.slot("shards"), &shards);
            }
        }
    }
}
