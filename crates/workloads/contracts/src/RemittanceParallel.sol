// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// `RemittanceNaive` for blocks that are executed in parallel.
///
/// An order's id is the hash of its sender and of how many that sender has sent, which lies beside
/// the sender's balance. The daily limit is cut into 64 quotas: a sender uses the one of the own
/// address, and the next ones when that one is used up. Fees are set aside for each agent, the
/// desk's half with the agent's, and collected later.
///
/// Shared: an agent's takings, by those who send through that agent; a quota, by one sender in 64.
/// Given up: ids are not consecutive, what was sent today is known only by reading all quotas, what
/// the desk has earned only by collecting from all agents, and what it owes only from the events.
contract RemittanceParallel {
    struct Account {
        uint192 balance;
        uint64 sent;
    }

    /// Two slots.
    struct Order {
        address recipient;
        uint88 amount;
        bool paid;
        address agent;
    }

    struct Quota {
        uint32 day;
        uint128 sent;
    }

    /// What the fees paid through an agent leave for the agent and for the desk.
    struct Takings {
        uint128 agent;
        uint128 desk;
    }

    uint256 private constant SHARDS = 64;

    Quota[SHARDS] private quotas;
    uint256 private earned;
    mapping(address who => Account) private accounts;
    mapping(uint256 id => Order) private orders;
    mapping(address agent => Takings) private takings;

    uint256 private constant DAILY_LIMIT = 1e27;
    uint256 private constant QUOTA = DAILY_LIMIT / SHARDS;

    event Sent(
        uint256 indexed id,
        address indexed sender,
        address indexed recipient,
        address agent,
        uint256 amount
    );
    event PaidOut(uint256 indexed id, address indexed recipient, uint256 amount);

    error BalanceTooSmall(uint256 balance, uint256 needed);
    error LimitReached(uint256 left, uint256 wanted);
    error NotDue(uint256 id, address caller);

    /// Pays in `amount` for `recipient`, and one per cent on top, half of it for the agent.
    function send(address recipient, address agent, uint88 amount) external returns (uint256 id) {
        uint128 fee = amount / 100;
        uint128 commission = fee / 2;
        Account storage account = accounts[msg.sender];
        uint256 balance = account.balance;
        if (balance < uint256(amount) + fee) revert BalanceTooSmall(balance, uint256(amount) + fee);
        account.balance = uint192(balance - amount - fee);
        id = uint256(keccak256(abi.encode(msg.sender, account.sent)));
        account.sent += 1;
        count(amount);
        Takings storage set = takings[agent];
        set.agent += commission;
        set.desk += fee - commission;
        orders[id] = Order(recipient, amount, false, agent);
        emit Sent(id, msg.sender, recipient, agent, amount);
    }

    /// Credits the caller with what was sent.
    function payOut(uint256 id) external {
        Order storage order = orders[id];
        if (order.recipient != msg.sender || order.paid) revert NotDue(id, msg.sender);
        order.paid = true;
        accounts[msg.sender].balance += order.amount;
        emit PaidOut(id, msg.sender, order.amount);
    }

    /// Credits an agent and the desk with what is set aside for them.
    function collect(address agent) external {
        Takings memory set = takings[agent];
        delete takings[agent];
        accounts[agent].balance += set.agent;
        earned += set.desk;
    }

    /// What somebody has with the desk, an agent's commissions included.
    function balanceOf(address who) external view returns (uint256) {
        return uint256(accounts[who].balance) + takings[who].agent;
    }

    /// What an order's recipient can still have paid out.
    function due(uint256 id) external view returns (address recipient, uint256 amount) {
        Order storage order = orders[id];
        return (order.recipient, order.paid ? 0 : order.amount);
    }

    function sentToday() external view returns (uint256 sum) {
        for (uint256 i = 0; i < SHARDS; i++) {
            if (quotas[i].day == block.timestamp / 1 days) sum += quotas[i].sent;
        }
    }

    /// What the desk has earned through an agent and not collected.
    function deskEarnedThrough(address agent) external view returns (uint256) {
        return takings[agent].desk;
    }

    /// What the desk has collected.
    function deskCollected() external view returns (uint256) {
        return earned;
    }

    /// Counts `amount` against the caller's quota, and what is too much for it against the next
    /// ones.
    function count(uint128 amount) private {
        uint32 today = uint32(block.timestamp / 1 days);
        uint256 first = uint160(msg.sender) % SHARDS;
        uint256 missing = amount;
        for (uint256 i = 0; i < SHARDS; i++) {
            Quota storage quota = quotas[(first + i) % SHARDS];
            uint256 before = quota.day == today ? quota.sent : 0;
            uint256 part = QUOTA - before < missing ? QUOTA - before : missing;
            if (part > 0) {
                quota.day = today;
                quota.sent = uint128(before + part);
            }
            missing -= part;
            if (missing == 0) return;
        }
        revert LimitReached(amount - missing, amount);
    }
}
