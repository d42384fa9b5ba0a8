//! Contracts put in place without a transaction, and the calls to them.
//!
//! Each type here collects what a contract shall hold and writes it into a state at once: the
//! deployed code, and every variable in the slot the storage layout gives it. What the contract's
//! own rules would keep true holds afterwards too: a token's balances sum up to its supply, and a
//! pool owns the reserves it believes in.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolValue, sol};
use warpline_primitives::{Account, MemoryState};

use crate::{
    artifact::{Artifact, COLLECTIBLE, POOL, TOKEN, mapping_slot, short_string},
    genesis::ether,
};

sol! {
    /// What the workloads call on a token.
    interface Token {
        function transfer(address to, uint256 value) external returns (bool);
        function approve(address spender, uint256 value) external returns (bool);
    }

    /// What the workloads call on a pool.
    interface Pool {
        function trade(
            address tokenIn,
            uint256 amountIn,
            uint256 minOut,
            address to,
            uint256 deadline
        ) external returns (uint256 amountOut);
    }

    /// What the workloads call on a collection.
    interface Collectible {
        function mint() external returns (uint256 id);
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

/// A pool to be put in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolState {
    /// Where it is.
    pub(crate) address: Address,
    /// The tokens it trades.
    pub(crate) tokens: [Address; 2],
    /// The time of its last swap, in seconds since 1970.
    pub(crate) updated_at: u64,
}

/// A collection to be put in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CollectibleState {
    /// Where it is.
    pub(crate) address: Address,
    /// Its name, which is its symbol too; fewer than 32 bytes.
    pub(crate) name: &'static str,
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
        let mut contract = Contract { artifact: &TOKEN, address: self.address, state };
        contract.place();
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

impl PoolState {
    /// What a pool made by [`new`](Self::new) owns of either token.
    pub(crate) const RESERVE: U256 = ether(1_000_000);

    /// A pool in balance. [`RESERVE`](Self::RESERVE) has to be given to it on either token.
    pub(crate) const fn new(address: Address, tokens: [Address; 2], updated_at: u64) -> Self {
        Self { address, tokens, updated_at }
    }

    /// Writes the pool into `state` as one that has traded before: its totals are not zero.
    pub(crate) fn install(&self, state: &mut MemoryState) {
        let mut contract = Contract { artifact: &POOL, address: self.address, state };
        contract.place();
        let price = U256::ONE << 112;
        contract.set(&[
            ("token0", self.tokens[0].into_word().into()),
            ("token1", self.tokens[1].into_word().into()),
            ("reserve0", Self::RESERVE),
            ("reserve1", Self::RESERVE),
            ("updatedAt", U256::from(self.updated_at)),
            ("price0Accumulator", price),
            ("price1Accumulator", price),
            ("fees0", U256::ONE),
            ("fees1", U256::ONE),
            ("volume0", Self::RESERVE),
            ("volume1", Self::RESERVE),
            ("trades", U256::ONE),
            ("lastPrice", price),
            ("lock", U256::ONE),
        ]);
    }
}

impl CollectibleState {
    /// Writes the collection into `state`; the first mint will hand out number 1.
    pub(crate) fn install(&self, state: &mut MemoryState) {
        let mut contract = Contract { artifact: &COLLECTIBLE, address: self.address, state };
        contract.place();
        contract.set(&[
            ("name", short_string(self.name)),
            ("symbol", short_string(self.name)),
            ("nextId", U256::ONE),
        ]);
    }
}

/// Adds the code of every contract to `state`, which what is installed there then names.
pub(crate) fn install_code(state: &mut MemoryState) {
    for artifact in [&TOKEN, &POOL, &COLLECTIBLE] {
        state.insert_code(artifact.deployed_bytecode.clone());
    }
}

/// One contract in a state.
struct Contract<'a> {
    artifact: &'a Artifact,
    address: Address,
    state: &'a mut MemoryState,
}

impl Contract<'_> {
    /// Makes the account, with the nonce a created contract starts with (EIP-161).
    fn place(&mut self) {
        let code_hash = self.artifact.code_hash;
        let account = Account { nonce: 1, code_hash, ..Account::default() };
        self.state.insert_account(self.address, account);
    }

    /// Sets variables by name; those that share a slot must be set in one call.
    fn set(&mut self, variables: &[(&str, U256)]) {
        let mut words: BTreeMap<U256, U256> = BTreeMap::new();
        for (label, value) in variables {
            let variable = self.artifact.variable(label);
            *words.entry(U256::from(variable.slot)).or_default() |= *value << (8 * variable.offset);
        }
        for (slot, word) in words {
            self.set_slot(slot, word);
        }
    }

    fn set_slot(&mut self, slot: U256, value: U256) {
        self.state.insert_storage(self.address, slot, value);
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

/// The input of `Collectible.mint`.
pub(crate) fn mint_input() -> Bytes {
    Collectible::mintCall {}.abi_encode().into()
}

/// The code that deploys a token whose creator holds all of `supply`.
pub(crate) fn token_creation(name: &str, supply: U256) -> Bytes {
    let arguments = (name, name, supply).abi_encode_params();
    [TOKEN.bytecode.as_ref(), &arguments].concat().into()
}

/// The input of `Pool.trade`; asks for at least half of what goes in, as prices stay near one.
pub(crate) fn trade_input(token_in: Address, amount: U256, to: Address, deadline: u64) -> Bytes {
    let call = Pool::tradeCall {
        tokenIn: token_in,
        amountIn: amount,
        minOut: amount / U256::from(2),
        to,
        deadline: U256::from(deadline),
    };
    call.abi_encode().into()
}
