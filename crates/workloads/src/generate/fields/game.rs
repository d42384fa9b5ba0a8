//! A block of a game. Players mint items, put what they have on sale, and buy what is on sale: most of
//! it from before the block and some put on sale in it, much of it from a few popular sellers.

use alloy_primitives::{Address, U256};

use crate::{
    Form,
    contracts::{Game, GameState},
    generate::Builder,
    random::Skewed,
};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Mint,
    List,
    Buy,
}

/// What a transaction does, and how many in a hundred do so.
const SHARES: [(Kind, u64); 3] = [(Kind::Mint, 35), (Kind::List, 25), (Kind::Buy, 40)];

/// How many kinds of items there are.
const KINDS: u64 = 24;
/// One in so many purchases is of something put on sale in this block.
const FRESH: u64 = 8;

/// What can be put on sale and bought; nothing is twice.
struct Market {
    state: GameState,
    unlisted: Vec<(U256, Address)>,
    listed: Vec<(U256, u64)>,
    fresh: Vec<(U256, u64)>,
}

impl Builder {
    pub(super) fn game(&mut self, form: Form, count: usize) {
        let mut market = self.stocked(form, count);
        for _ in 0..count {
            match self.random.choose(&SHARES) {
                Kind::Mint => {
                    let player = self.any_user(count);
                    market.state.add_player(player);
                    let kind = self.item_kind();
                    self.call(player, &Game::mintCall { kind });
                }
                Kind::List => self.list(&mut market),
                Kind::Buy => self.buy(&mut market, count),
            }
        }
        market.state.install(&mut self.state);
    }

    /// A game in which there is as much to put on sale, and to buy, as a block could use.
    fn stocked(&mut self, form: Form, count: usize) -> Market {
        let sellers = Skewed::new(2 * count);
        let mut state = GameState::new(form, self.registry);
        let (mut unlisted, mut listed) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let owner = self.any_user(count);
            unlisted.push((state.add_item(owner, 0, self.item_kind()), owner));
            let seller = sellers.draw(&mut self.random);
            let price = self.price();
            let id = state.add_item(self.sender(seller), price, self.item_kind());
            listed.push((id, price));
        }
        Market { state, unlisted, listed, fresh: Vec::new() }
    }

    fn list(&mut self, market: &mut Market) {
        let (id, owner) = market.unlisted.pop().expect("there is one for each transaction");
        let price = self.price();
        market.fresh.push((id, price));
        self.call(owner, &Game::listCall { id, price });
    }

    fn buy(&mut self, market: &mut Market, count: usize) {
        let player = self.any_user(count);
        market.state.add_player(player);
        let fresh = if self.random.below(FRESH) == 0 { market.fresh.pop() } else { None };
        let (id, price) =
            fresh.or_else(|| market.listed.pop()).expect("there is one for each transaction");
        self.call(player, &Game::buyCall { id, price });
    }

    fn item_kind(&mut self) -> u32 {
        u32::try_from(self.random.below(KINDS)).expect("it is small")
    }

    fn price(&mut self) -> u64 {
        100 + self.random.below(10_000)
    }
}
