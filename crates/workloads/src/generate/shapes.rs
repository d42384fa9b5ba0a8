//! The blocks in which all transactions do the same.

use alloy_primitives::{Address, U256};

use super::{Builder, MINT_GAS_LIMIT, TOKEN_GAS_LIMIT, TRADE_GAS_LIMIT};
use crate::{
    contracts::{CollectibleState, PoolState, TokenState, mint_input, trade_input, transfer_input},
    genesis::{ether, fund},
    random::Role,
    transaction::Call,
};

impl Builder {
    pub(super) fn transfers_independent(&mut self, count: usize) {
        for index in 0..count {
            let recipient = self.recipient(index);
            self.pay(index, recipient);
        }
    }

    /// Everyone is funded from the start, so what makes it a chain is that a balance which one
    /// transaction raises is charged by the next. The last one pays somebody who sends nothing.
    pub(super) fn transfers_chain(&mut self, count: usize) {
        for index in 0..count {
            let next = self.sender(index + 1);
            self.pay(index, next);
        }
    }

    pub(super) fn transfers_hot(&mut self, count: usize) {
        let recipient = self.recipient(0);
        for index in 0..count {
            self.pay(index, recipient);
        }
    }

    fn pay(&mut self, sender: usize, recipient: Address) {
        let amount = self.amount();
        fund(&mut self.state, recipient, ether(1));
        self.send(self.sender(sender), Call::pay(recipient, amount));
    }

    pub(super) fn erc20_independent(&mut self, count: usize) {
        self.erc20(count, |builder, index| builder.recipient(index));
    }

    pub(super) fn erc20_hot(&mut self, count: usize) {
        self.erc20(count, |builder, _| builder.recipient(0));
    }

    /// The recipients hold some of the token already, so that each transfer costs the same.
    fn erc20(&mut self, count: usize, recipient: impl Fn(&Self, usize) -> Address) {
        let mut token = TokenState::new(self.addresses.get(Role::Token, 0), "Copper");
        for index in 0..count {
            let (sender, to) = (self.sender(index), recipient(self, index));
            token.set_balance(sender, ether(1_000));
            token.set_balance(to, ether(1));
            let input = transfer_input(to, self.amount());
            self.send(sender, Call::contract(token.address, input, TOKEN_GAS_LIMIT));
        }
        token.install(&mut self.state);
    }

    pub(super) fn swaps_independent(&mut self, count: usize) {
        for index in 0..count {
            let mut market = self.market(index);
            let sender = self.sender(index);
            let call = self.first_trade(&mut market, sender, 0);
            self.send(sender, call);
            market.install(self);
        }
    }

    pub(super) fn swaps_hot(&mut self, count: usize) {
        let mut market = self.market(0);
        for index in 0..count {
            let sender = self.sender(index);
            let call = self.first_trade(&mut market, sender, index % 2);
            self.send(sender, call);
        }
        market.install(self);
    }

    pub(super) fn nft_mint(&mut self, count: usize) {
        let address = self.addresses.get(Role::Collection, 0);
        CollectibleState { address, name: "Postcards" }.install(&mut self.state);
        for index in 0..count {
            let call = Call::contract(address, mint_input(), MINT_GAS_LIMIT);
            self.send(self.sender(index), call);
        }
    }

    /// A pool with two tokens that nobody else uses.
    fn market(&self, index: usize) -> Market {
        let tokens = [2 * index, 2 * index + 1].map(|token| self.addresses.get(Role::Token, token));
        let pool = PoolState::new(self.addresses.get(Role::Pool, index), tokens, self.parent_time);
        let mut market = Market {
            pool,
            tokens: [TokenState::new(tokens[0], "Copper"), TokenState::new(tokens[1], "Tin")],
        };
        for token in &mut market.tokens {
            token.set_balance(pool.address, PoolState::RESERVE);
        }
        market
    }

    /// Lets `trader`, who owns nothing of the other token yet, sell some of token `sold`.
    fn first_trade(&mut self, market: &mut Market, trader: Address, sold: usize) -> Call {
        let token = &mut market.tokens[sold];
        token.set_balance(trader, ether(1_000));
        token.set_allowance(trader, market.pool.address, U256::MAX);
        let deadline = self.deadline();
        let input = trade_input(token.address, self.amount(), trader, deadline);
        Call::contract(market.pool.address, input, TRADE_GAS_LIMIT)
    }
}

/// A pool and its two tokens.
struct Market {
    pool: PoolState,
    tokens: [TokenState; 2],
}

impl Market {
    fn install(&self, builder: &mut Builder) {
        self.pool.install(&mut builder.state);
        for token in &self.tokens {
            token.install(&mut builder.state);
        }
    }
}
