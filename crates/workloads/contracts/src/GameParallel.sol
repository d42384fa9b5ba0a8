// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// `GameNaive` for blocks that are executed in parallel.
///
/// An item's id is the hash of its first owner and of how many that player has minted. What the
/// treasury earns is set aside in 64 shards, by the address of the player who minted or sold. How
/// many items are on sale is told by the events. A sale writes the seller's proceeds, which are
/// apart from what the seller's own calls write; they become coins when the coins do not suffice.
///
/// Shared: a shard, by one player in 64, and the proceeds of a popular seller.
/// Given up: ids are not consecutive, the treasury and the number of items are known only by
/// reading all shards, and no contract can ask how many items are on sale.
contract GameParallel {
    /// What only the player's own calls write.
    struct Player {
        uint128 coins;
        uint64 minted;
        /// How many items the player has ever had.
        uint64 acquired;
    }

    /// What only those who buy from the player write, until it is spent.
    struct Proceeds {
        uint128 coins;
        uint64 sold;
    }

    /// One slot. Not on sale when the price is zero.
    struct Item {
        address owner;
        uint64 price;
        uint32 kind;
    }

    struct Shard {
        uint128 earned;
        uint64 minted;
    }

    uint256 private constant SHARDS = 64;

    Shard[SHARDS] private shards;
    mapping(address who => Player) private players;
    mapping(address who => Proceeds) private proceeds;
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
        Player storage player = players[msg.sender];
        id = uint256(keccak256(abi.encode(msg.sender, player.minted)));
        spend(player, MINT_PRICE);
        player.minted += 1;
        player.acquired += 1;
        items[id] = Item(msg.sender, 0, kind);
        Shard storage shard = shards[home(msg.sender)];
        shard.earned += MINT_PRICE;
        shard.minted += 1;
        emit Minted(msg.sender, id, kind);
    }

    /// Offers an item of the caller's, or changes its price.
    function list(uint256 id, uint64 price) external {
        Item storage item = items[id];
        if (item.owner != msg.sender) revert NotOwner(msg.sender, id);
        if (price == 0) revert NotForSale(id, price);
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
        shards[home(seller)].earned += fee;
        Player storage buyer = players[msg.sender];
        spend(buyer, price);
        buyer.acquired += 1;
        Proceeds storage paid = proceeds[seller];
        paid.coins += price - fee;
        paid.sold += 1;
        emit Sold(seller, msg.sender, id, price);
    }

    function coinsOf(address player) external view returns (uint256) {
        return uint256(players[player].coins) + proceeds[player].coins;
    }

    function itemsOf(address player) external view returns (uint256) {
        return players[player].acquired - proceeds[player].sold;
    }

    function itemOf(uint256 id) external view returns (address owner, uint64 price, uint32 kind) {
        Item storage item = items[id];
        return (item.owner, item.price, item.kind);
    }

    function treasury() external view returns (uint256 sum) {
        for (uint256 i = 0; i < SHARDS; i++) sum += shards[i].earned;
    }

    function supply() external view returns (uint256 sum) {
        for (uint256 i = 0; i < SHARDS; i++) sum += shards[i].minted;
    }

    function home(address player) private pure returns (uint256) {
        return uint160(player) % SHARDS;
    }

    /// Takes coins of the caller's; the proceeds are looked at only when they are needed.
    function spend(Player storage player, uint128 amount) private {
        if (player.coins < amount) {
            player.coins += proceeds[msg.sender].coins;
            proceeds[msg.sender].coins = 0;
        }
        player.coins -= amount;
    }
}
