//! The block in which everything occurs, some of it far more often than the rest.
//!
//! Public chains are like that: most accounts, tokens and pools are used once in a block, a few in
//! every tenth transaction. Here the popularity of each follows Zipf's law.

use alloy_primitives::{Address, U256};

use super::{Builder, MINT_GAS_LIMIT, TOKEN_GAS_LIMIT, TRADE_GAS_LIMIT};
use crate::{
    contracts::{CollectibleState, PoolState, TokenState, mint_input, trade_input, transfer_input},
    genesis::ether,
    random::{Role, Skewed, Zipf},
    transaction::Call,
};

const TOKENS: usize = 64;
const POOLS: usize = 48;
const COLLECTIONS: usize = 8;
const NAMES: [&str; 4] = ["Copper", "Tin", "Silver", "Amber"];

/// What a transaction does, and how many in a hundred do so.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Payment,
    PaymentToNextSender,
    TokenTransfer,
    Trade,
    Mint,
}

const SHARES: [(Kind, u64); 5] = [
    (Kind::Payment, 28),
    (Kind::PaymentToNextSender, 5),
    (Kind::TokenTransfer, 42),
    (Kind::Trade, 18),
    (Kind::Mint, 7),
];

/// Everything there is to use, and how popular it is, the most popular first.
struct World {
    user: Skewed,
    token: Zipf,
    pool: Zipf,
    collection: Zipf,
    tokens: Vec<TokenState>,
    pools: Vec<PoolState>,
    /// The tokens of each pool, by index.
    traded: Vec<[usize; 2]>,
    collections: Vec<Address>,
}

impl Builder {
    pub(super) fn mixed(&mut self, count: usize) {
        let mut world = World::new(self, count);
        // One more than there are transactions, so that the last has a next sender too.
        let senders: Vec<_> = (0..=count).map(|_| world.user.draw(&mut self.random)).collect();
        for pair in senders.windows(2) {
            let [sender, next] = [pair[0], pair[1]].map(|index| self.sender(index));
            let call = match self.random.choose(&SHARES) {
                Kind::Payment => Call::pay(world.draw_recipient(self), self.amount()),
                Kind::PaymentToNextSender => Call::pay(next, self.amount()),
                Kind::TokenTransfer => world.token_transfer(self, sender),
                Kind::Trade => world.trade(self, sender),
                Kind::Mint => {
                    let collection = world.collections[world.collection.draw(&mut self.random)];
                    Call::contract(collection, mint_input(), MINT_GAS_LIMIT)
                }
            };
            self.send(sender, call);
        }
        world.install(self);
    }
}

impl World {
    fn new(builder: &mut Builder, count: usize) -> Self {
        let token = |index| builder.addresses.get(Role::Token, index);
        let mut tokens: Vec<_> = (0..TOKENS)
            .map(|index| TokenState::new(token(index), NAMES[index % NAMES.len()]))
            .collect();
        let popularity = Zipf::new(TOKENS);
        let (mut pools, mut traded) = (Vec::new(), Vec::new());
        for index in 0..POOLS {
            let first = popularity.draw(&mut builder.random);
            let step = 1 + popularity.draw(&mut builder.random) % (TOKENS - 1);
            let pair = [first, (first + step) % TOKENS];
            let address = builder.addresses.get(Role::Pool, index);
            for token in pair {
                tokens[token].set_balance(address, PoolState::RESERVE);
            }
            let addresses = pair.map(|token| tokens[token].address);
            pools.push(PoolState::new(address, addresses, builder.parent_time));
            traded.push(pair);
        }
        let collection = |index| builder.addresses.get(Role::Collection, index);
        Self {
            // Three fifths of the transactions then come from different senders.
            user: Skewed::new(2 * count),
            token: popularity,
            pool: Zipf::new(POOLS),
            collection: Zipf::new(COLLECTIONS),
            tokens,
            pools,
            traded,
            collections: (0..COLLECTIONS).map(collection).collect(),
        }
    }

    /// A user or, as often, somebody who only ever receives.
    fn draw_recipient(&self, builder: &mut Builder) -> Address {
        let index = self.user.draw(&mut builder.random);
        if builder.random.below(2) == 0 { builder.sender(index) } else { builder.recipient(index) }
    }

    fn token_transfer(&mut self, builder: &mut Builder, sender: Address) -> Call {
        let to = self.draw_recipient(builder);
        let token = &mut self.tokens[self.token.draw(&mut builder.random)];
        token.set_balance(sender, ether(1_000));
        Call::contract(token.address, transfer_input(to, builder.amount()), TOKEN_GAS_LIMIT)
    }

    fn trade(&mut self, builder: &mut Builder, trader: Address) -> Call {
        let index = self.pool.draw(&mut builder.random);
        let pool = self.pools[index];
        let sold = self.traded[index][builder.random.index(2)];
        let token = &mut self.tokens[sold];
        token.set_balance(trader, ether(1_000));
        token.set_allowance(trader, pool.address, U256::MAX);
        let input = trade_input(token.address, builder.amount(), trader, builder.deadline());
        Call::contract(pool.address, input, TRADE_GAS_LIMIT)
    }

    fn install(&self, builder: &mut Builder) {
        for token in &self.tokens {
            token.install(&mut builder.state);
        }
        for pool in &self.pools {
            pool.install(&mut builder.state);
        }
        for address in &self.collections {
            CollectibleState { address: *address, name: "Postcards" }.install(&mut builder.state);
        }
    }
}
