//! The token: its balances and allowances put in place, and the calls to it.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolValue, sol};
use warpline_primitives::MemoryState;

use super::Contract;
use crate::artifact::{TOKEN, mapping_slot, short_string};

sol! {
    /// What the workloads call on a token.
    interface Token {
        function transfer(address to, uint256 value) external returns (bool);
        function approve(address spender, uint256 value) external returns (bool);
    }
}

/// A token to be put in place.
#[derive(Clone, Debug)]
pub(crate) struct TokenState {
    /// Where it is.
    pub(crate) address: Address,
    /// Its name, which is its symbol too; fewer than 32 bytes.
    pub(crate) name: &'static str,
    balances: BTreeMap<Address, U256>,
    allowances: BTreeMap<(Address, Address), U256>,
}

impl TokenState {
    /// A token that nobody holds yet.
    pub(crate) const fn new(address: Address, name: &'static str) -> Self {
        Self { address, name, balances: BTreeMap::new(), allowances: BTreeMap::new() }
    }

    /// Sets what `holder` holds.
    pub(crate) fn set_balance(&mut self, holder: Address, amount: U256) -> &mut Self {
        self.balances.insert(holder, amount);
        self
    }

    /// Sets what `spender` may move on behalf of `owner`.
    pub(crate) fn set_allowance(
        &mut self,
        owner: Address,
        spender: Address,
        amount: U256,
    ) -> &mut Self {
        self.allowances.insert((owner, spender), amount);
        self
    }

    /// Writes the token into `state`; its supply is the sum of the balances.
    pub(crate) fn install(&self, state: &mut MemoryState) {
        let mut contract = Contract::place(&TOKEN, self.address, state);
        contract.set(&[
            ("name", short_string(self.name)),
            ("symbol", short_string(self.name)),
            ("totalSupply", self.balances.values().copied().sum()),
        ]);
        let (balance_of, allowance) = (TOKEN.slot("balanceOf"), TOKEN.slot("allowance"));
        for (holder, amount) in &self.balances {
            contract.set_slot(mapping_slot(holder.into_word(), balance_of), *amount);
        }
        for ((owner, spender), amount) in &self.allowances {
            let spenders = mapping_slot(owner.into_word(), allowance);
            contract.set_slot(mapping_slot(spender.into_word(), spenders), *amount);
        }
    }
}

/// The input of `Token.transfer`.
pub(crate) fn transfer_input(to: Address, value: U256) -> Bytes {
    Token::transferCall { to, value }.abi_encode().into()
}

/// The input of `Token.approve`.
pub(crate) fn approve_input(spender: Address, value: U256) -> Bytes {
    Token::approveCall { spender, value }.abi_encode().into()
}

/// The code that deploys a token whose creator holds all of `supply`.
pub(crate) fn token_creation(name: &str, supply: U256) -> Bytes {
    let arguments = (name, name, supply).abi_encode_params();
    [TOKEN.bytecode.as_ref(), &arguments].concat().into()
}
