// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// A remittance desk: a sender pays in for a recipient, through an agent who earns a commission,
/// and the recipient has it paid out.
///
/// The first form one writes. Shared by all payments: the sequence number and what was sent today,
/// which may not exceed a limit (one slot); by all calls: what the desk has earned and what it
/// still owes (one slot). The agent's balance is credited at once.
///
/// Balances are with the desk; how money gets there and away is left out here.
contract RemittanceNaive {
    /// Two slots.
    struct Order {
        address recipient;
        uint88 amount;
        bool paid;
        address agent;
    }

    uint64 private sequence;
    uint32 private day;
    uint128 private sent;
    uint128 private earned;
    uint128 private owed;
    mapping(address who => uint256) private balances;
    mapping(uint256 id => Order) private orders;

    uint256 private constant DAILY_LIMIT = 1e27;

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
        uint256 balance = balances[msg.sender];
        if (balance < uint256(amount) + fee) revert BalanceTooSmall(balance, uint256(amount) + fee);
        balances[msg.sender] = balance - amount - fee;
        balances[agent] += commission;
        count(amount);
        earned += fee - commission;
        owed += amount;
        id = sequence++;
        orders[id] = Order(recipient, amount, false, agent);
        emit Sent(id, msg.sender, recipient, agent, amount);
    }

    /// Credits the caller with what was sent.
    function payOut(uint256 id) external {
        Order storage order = orders[id];
        if (order.recipient != msg.sender || order.paid) revert NotDue(id, msg.sender);
        order.paid = true;
        owed -= order.amount;
        balances[msg.sender] += order.amount;
        emit PaidOut(id, msg.sender, order.amount);
    }

    /// What somebody has with the desk, an agent's commissions included.
    function balanceOf(address who) external view returns (uint256) {
        return balances[who];
    }

    /// What an order's recipient can still have paid out.
    function due(uint256 id) external view returns (address recipient, uint256 amount) {
        Order storage order = orders[id];
        return (order.recipient, order.paid ? 0 : order.amount);
    }

    function sentToday() external view returns (uint256) {
        return day == block.timestamp / 1 days ? sent : 0;
    }

    /// What the desk has earned.
    function deskEarned() external view returns (uint256) {
        return earned;
    }

    /// What the desk owes to recipients.
    function outstanding() external view returns (uint256) {
        return owed;
    }

    function count(uint128 amount) private {
        uint32 today = uint32(block.timestamp / 1 days);
        uint128 before = day == today ? sent : 0;
        if (before + amount > DAILY_LIMIT) revert LimitReached(DAILY_LIMIT - before, amount);
        day = today;
        sent = before + amount;
    }
}
