// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// A game's items: players mint them for coins, and sell them to each other at a price.
///
/// The first form one writes. Shared by all calls: the number of the next item, how many items are
/// on sale, and what the treasury has earned, in one slot to save gas. A sale also pays the seller,
/// in the slot that all the seller does needs.
///
/// Coins are bought outside, which is left out here.
contract GameNaive {
    struct Player {
        uint128 coins;
        /// How many items the player has.
        uint64 items;
    }

    /// One slot. Not on sale when the price is zero.
    struct Item {
        address owner;
        uint64 price;
        uint32 kind;
    }

    uint64 private nextId;
    uint64 private listed;
    uint128 private earned;
    mapping(address who => Player) private players;
    mapping(uint256 id => Item) private items;

    uint128 private constant MINT_PRICE = 500;
    uint128 private constant FEE_PER_MILLE = 25;

    event Minted(address indexed player, uint256 indexed id, uint32 kind);
    event Listed(address indexed seller, uint256 indexed id, uint256 price);
    event Sold(address indexed seller, address indexed buyer, uint256 indexed id, uint256 price);

    error NotOwner(address caller, uint256 id);
    error NotForSale(uint256 id, uint256 price);

    /// Makes an item of `kind` for the caller.
    function mint(uint32 kind) external returns (uint256 id) {
        id = nextId++;
        earned += MINT_PRICE;
        Player storage player = players[msg.sender];
        player.coins -= MINT_PRICE;
        player.items += 1;
        items[id] = Item(msg.sender, 0, kind);
        emit Minted(msg.sender, id, kind);
    }

    /// Offers an item of the caller's, or changes its price.
    function list(uint256 id, uint64 price) external {
        Item storage item = items[id];
        if (item.owner != msg.sender) revert NotOwner(msg.sender, id);
        if (price == 0) revert NotForSale(id, price);
        if (item.price == 0) listed += 1;
        item.price = price;
        emit Listed(msg.sender, id, price);
    }

    /// Buys an item for its price, which must be the one that the caller saw.
    function buy(uint256 id, uint64 price) external {
        Item storage item = items[id];
        if (price == 0 || item.price != price) revert NotForSale(id, price);
        address seller = item.owner;
        uint128 fee = (price * FEE_PER_MILLE) / 1000;
        item.owner = msg.sender;
        item.price = 0;
        listed -= 1;
        earned += fee;
        Player storage buyer = players[msg.sender];
        buyer.coins -= price;
        buyer.items += 1;
        Player storage paid = players[seller];
        paid.coins += price - fee;
        paid.items -= 1;
        emit Sold(seller, msg.sender, id, price);
    }

    function coinsOf(address player) external view returns (uint256) {
        return players[player].coins;
    }

    function itemsOf(address player) external view returns (uint256) {
        return players[player].items;
    }

    function itemOf(uint256 id) external view returns (address owner, uint64 price, uint32 kind) {
        Item storage item = items[id];
        return (item.owner, item.price, item.kind);
    }

    function treasury() external view returns (uint256) {
        return earned;
    }

    function supply() external view returns (uint256) {
        return nextId - 1;
    }
}
