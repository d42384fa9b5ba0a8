//! The game in either form: items with their owners, and what those have, put in place.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use alloy_sol_types::sol;
use warpline_primitives::MemoryState;

use super::{Contract, Ids, SHARDS, number, packed, shard_of};
use crate::{Field, Form, artifact};

sol! {
    /// What the workloads call on a game.
    interface Game {
        function mint(uint32 kind) external returns (uint256 id);
        function list(uint256 id, uint64 price) external;
        function buy(uint256 id, uint64 price) external;
    }
}

/// A game to be put in place.
#[derive(Clone, Debug)]
pub(crate) struct GameState {
    form: Form,
    address: Address,
    ids: Ids,
    items: Vec<Item>,
    /// How many items each player has.
    players: BTreeMap<Address, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    id: U256,
    owner: Address,
    price: u64,
    kind: u32,
}

/// What a player has.
const COINS: u64 = 10_000_000;
/// What minting costs.
const MINT_PRICE: u64 = 500;

impl GameState {
    /// A game that nobody plays yet.
    pub(crate) const fn new(form: Form, address: Address) -> Self {
        Self { form, address, ids: Ids::new(form), items: Vec::new(), players: BTreeMap::new() }
    }

    /// Gives `owner` a new item, on sale if the price is not zero, and returns its id.
    pub(crate) fn add_item(&mut self, owner: Address, price: u64, kind: u32) -> U256 {
        let id = self.ids.next(owner);
        self.items.push(Item { id, owner, price, kind });
        *self.players.entry(owner).or_default() += 1;
        id
    }

    /// Gives `player` coins.
    pub(crate) fn add_player(&mut self, player: Address) {
        self.players.entry(player).or_default();
    }

    /// Writes the game into `state`. The treasury has what minting cost.
    pub(crate) fn install(&self, state: &mut MemoryState) {
        let mut contract =
            Contract::place(artifact::of(Field::Game, self.form), self.address, state);
        for item in &self.items {
            let price = U256::from(item.price);
            let word =
                packed([(number(item.owner), 160), (price, 64), (U256::from(item.kind), 32)]);
            contract.set_slot(contract.entry("items", item.id), word);
        }
        match self.form {
            Form::Naive => self.install_naive(&mut contract),
            Form::Parallel => self.install_parallel(&mut contract),
        }
    }

    fn install_naive(&self, contract: &mut Contract<'_>) {
        let listed = self.items.iter().filter(|item| item.price > 0).count();
        contract.set(&[
            ("nextId", self.ids.count() + U256::ONE),
            ("listed", U256::from(listed)),
            ("earned", self.ids.count() * U256::from(MINT_PRICE)),
        ]);
        for (player, items) in &self.players {
            let word = packed([(U256::from(COINS), 128), (U256::from(*items), 64)]);
            contract.set_slot(contract.entry("players", player.into_word()), word);
        }
    }

    /// One player in 16 has everything from a sale, and spends it with the first call.
    fn install_parallel(&self, contract: &mut Contract<'_>) {
        let mut shards = [U256::ZERO; SHARDS];
        for (player, items) in &self.players {
            let minted = self.ids.given_to(*player);
            shards[shard_of(*player)] += minted;
            let sold = U256::from(u8::from(player[18] % 16 == 0));
            let coins = U256::from(COINS);
            let acquired = U256::from(*items) + sold;
            let (saved, proceeds) =
                if sold.is_zero() { (coins, U256::ZERO) } else { (U256::ZERO, coins) };
            let own = packed([(saved, 128), (minted, 64), (acquired, 64)]);
            let paid = packed([(proceeds, 128), (sold, 64)]);
            contract.set_words(contract.entry("players", player.into_word()), &[own]);
            contract.set_words(contract.entry("proceeds", player.into_word()), &[paid]);
        }
        let words =
            shards.map(|minted| packed([(minted * U256::from(MINT_PRICE), 128), (minted, 64)]));
        contract.set_words(contract.artifact.slot("shards"), &words);
    }
}
