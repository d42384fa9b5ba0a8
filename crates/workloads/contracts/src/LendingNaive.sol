// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// A money market of one asset: accounts lend what they have, and borrow against collateral.
///
/// The first form one writes. Shared by all calls: the vault and the sum of all debts (one slot),
/// the rates that follow from them and are set anew by every call (one slot), and the indexes (one
/// slot, written by the first call of a block). So each call of a block needs the one before.
///
/// Cash and collateral come in and leave through a bridge that is left out here. Collateral stands
/// at par: a price would be one more slot, which all read and a feed writes.
contract LendingNaive {
    /// Two slots. `supplied` and `owed` are shares: times the index they are amounts.
    struct Account {
        uint128 cash;
        uint128 collateral;
        uint128 supplied;
        uint128 owed;
    }

    /// What can be lent, and all debts in shares.
    struct Books {
        uint128 vault;
        uint128 owed;
    }

    /// What a share is worth, in 1e-27, and since when, in seconds since 1970.
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

    Books private books;
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
        accrue();
        Account storage account = accounts[msg.sender];
        account.cash -= amount;
        account.supplied += uint128((amount * ONE) / index.supply);
        books.vault += amount;
        setRates();
        emit Deposited(msg.sender, amount);
    }

    /// Takes back what was lent.
    function withdraw(uint128 amount) external {
        accrue();
        Account storage account = accounts[msg.sender];
        account.supplied -= uint128(rounded(amount, index.supply));
        account.cash += amount;
        take(amount);
        setRates();
        emit Withdrawn(msg.sender, amount);
    }

    /// Borrows against the caller's collateral, of which three quarters count.
    function borrow(uint128 amount) external {
        accrue();
        uint128 shares = uint128(rounded(amount, index.debt));
        Account storage account = accounts[msg.sender];
        account.owed += shares;
        account.cash += amount;
        uint256 owed = (uint256(account.owed) * index.debt) / ONE;
        if (owed * 4 > uint256(account.collateral) * 3) {
            revert TooLittleCollateral(account.collateral, owed);
        }
        books.owed += shares;
        take(amount);
        setRates();
        emit Borrowed(msg.sender, amount);
    }

    /// Pays back a part of what the caller borrowed.
    function repay(uint128 amount) external {
        accrue();
        uint128 shares = uint128((amount * ONE) / index.debt);
        Account storage account = accounts[msg.sender];
        account.cash -= amount;
        account.owed -= shares;
        books.owed -= shares;
        books.vault += amount;
        setRates();
        emit Repaid(msg.sender, amount);
    }

    /// Adds the interest since it was last added.
    function accrue() public {
        if (index.time != block.timestamp) index = current();
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

    function available() external view returns (uint256) {
        return books.vault;
    }

    function totalOwed() external view returns (uint256) {
        return (uint256(books.owed) * current().debt) / ONE;
    }

    function take(uint128 amount) private {
        if (books.vault < amount) revert VaultTooSmall(books.vault, amount);
        books.vault -= amount;
    }

    /// Borrowing costs more the more of the market is lent; lenders get what borrowers pay.
    function setRates() private {
        uint256 owed = (uint256(books.owed) * index.debt) / ONE;
        uint256 all = owed + books.vault;
        uint256 lent = all == 0 ? 0 : (owed * ONE) / all;
        uint256 debtRate = BASE_RATE + (SLOPE * lent) / ONE;
        rates = Rates(uint128((debtRate * lent) / ONE), uint128(debtRate));
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
