// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// `LendingNaive` for blocks that are executed in parallel.
///
/// The books are kept in 64 shards. A user's debt is booked in the shard of the user's address, and
/// cash comes from there first and from the next shards only when that one is empty; so a loan is
/// given whenever the market as a whole can give it. Interest is computed from the rates and the
/// time since they were set, and written by nobody but `accrue`, which whoever cares calls once an
/// hour.
///
/// Shared: a shard, by one user in 64. All read the rates and indexes.
/// Given up: the sums are known only by reading all shards; the rates follow the market only when
/// somebody calls, and at most once an hour; who finds a shard empty pays for reading the next.
contract LendingParallel {
    /// Two slots. `supplied` and `owed` are shares: times the index they are amounts.
    struct Account {
        uint128 cash;
        uint128 collateral;
        uint128 supplied;
        uint128 owed;
    }

    /// A part of what can be lent, and the debts of some users in shares.
    struct Books {
        uint128 vault;
        uint128 owed;
    }

    /// What a share was worth, in 1e-27, when the rates were set, in seconds since 1970.
    struct Index {
        uint112 supply;
        uint112 debt;
        uint32 time;
    }

    /// Interest per second, in 1e-27.
    struct Rates {
        uint128 supply;
        uint128 debt;
    }

    uint256 private constant SHARDS = 64;

    Books[SHARDS] private shards;
    Index private index;
    Rates private rates;
    mapping(address user => Account) private accounts;

    uint256 private constant ONE = 1e27;
    /// Two per cent a year, and twenty more when all is lent.
    uint256 private constant BASE_RATE = ONE / 50 / 365 days;
    uint256 private constant SLOPE = ONE / 5 / 365 days;

    event Deposited(address indexed user, uint256 amount);
    event Withdrawn(address indexed user, uint256 amount);
    event Borrowed(address indexed user, uint256 amount);
    event Repaid(address indexed user, uint256 amount);

    error TooLittleCollateral(uint256 collateral, uint256 owed);
    error VaultTooSmall(uint256 available, uint256 wanted);

    /// Lends `amount` of the caller's cash to the market.
    function deposit(uint128 amount) external {
        Account storage account = accounts[msg.sender];
        account.cash -= amount;
        account.supplied += uint128((amount * ONE) / current().supply);
        shards[home(msg.sender)].vault += amount;
        emit Deposited(msg.sender, amount);
    }

    /// Takes back what was lent.
    function withdraw(uint128 amount) external {
        Account storage account = accounts[msg.sender];
        account.supplied -= uint128(rounded(amount, current().supply));
        account.cash += amount;
        take(amount);
        emit Withdrawn(msg.sender, amount);
    }

    /// Borrows against the caller's collateral, of which three quarters count.
    function borrow(uint128 amount) external {
        uint256 price = current().debt;
        uint128 shares = uint128(rounded(amount, price));
        Account storage account = accounts[msg.sender];
        account.owed += shares;
        account.cash += amount;
        uint256 owed = (account.owed * price) / ONE;
        if (owed * 4 > uint256(account.collateral) * 3) {
            revert TooLittleCollateral(account.collateral, owed);
        }
        shards[home(msg.sender)].owed += shares;
        take(amount);
        emit Borrowed(msg.sender, amount);
    }

    /// Pays back a part of what the caller borrowed.
    function repay(uint128 amount) external {
        uint128 shares = uint128((amount * ONE) / current().debt);
        Account storage account = accounts[msg.sender];
        account.cash -= amount;
        account.owed -= shares;
        Books storage shard = shards[home(msg.sender)];
        shard.owed -= shares;
        shard.vault += amount;
        emit Repaid(msg.sender, amount);
    }

    /// Sets the rates by what is lent now, unless that was done within the hour.
    function accrue() external {
        if (block.timestamp - index.time < 1 hours) return;
        index = current();
        uint256 owed = totalOwed();
        uint256 all = owed + available();
        uint256 lent = all == 0 ? 0 : (owed * ONE) / all;
        uint256 debtRate = BASE_RATE + (SLOPE * lent) / ONE;
        rates = Rates(uint128((debtRate * lent) / ONE), uint128(debtRate));
    }

    function cashOf(address user) external view returns (uint256) {
        return accounts[user].cash;
    }

    function suppliedBy(address user) external view returns (uint256) {
        return (uint256(accounts[user].supplied) * current().supply) / ONE;
    }

    function owedBy(address user) external view returns (uint256) {
        return (uint256(accounts[user].owed) * current().debt) / ONE;
    }

    function available() public view returns (uint256 sum) {
        for (uint256 i = 0; i < SHARDS; i++) sum += shards[i].vault;
    }

    function totalOwed() public view returns (uint256) {
        uint256 shares = 0;
        for (uint256 i = 0; i < SHARDS; i++) shares += shards[i].owed;
        return (shares * current().debt) / ONE;
    }

    function home(address user) private pure returns (uint256) {
        return uint160(user) % SHARDS;
    }

    /// Takes `amount` out of the caller's shard, and what is missing out of the next ones.
    function take(uint128 amount) private {
        uint256 first = home(msg.sender);
        uint128 missing = amount;
        for (uint256 i = 0; i < SHARDS; i++) {
            Books storage shard = shards[(first + i) % SHARDS];
            uint128 part = shard.vault < missing ? shard.vault : missing;
            if (part > 0) shard.vault -= part;
            missing -= part;
            if (missing == 0) return;
        }
        revert VaultTooSmall(amount - missing, amount);
    }

    function current() private view returns (Index memory grown) {
        grown = index;
        uint256 elapsed = block.timestamp - grown.time;
        if (elapsed == 0) return grown;
        grown.supply += uint112((grown.supply * (rates.supply * elapsed)) / ONE);
        grown.debt += uint112((grown.debt * (rates.debt * elapsed)) / ONE);
        grown.time = uint32(block.timestamp);
    }

    /// Shares for `amount`, rounded up: against the caller.
    function rounded(uint256 amount, uint256 price) private pure returns (uint256) {
        return (amount * ONE + price - 1) / price;
    }
}
