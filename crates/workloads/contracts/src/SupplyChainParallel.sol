// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// `SupplyChainNaive` for blocks that are executed in parallel.
///
/// Each lot has a log of its own, whose length lies beside the custodian. A lot's id is the hash of
/// its maker and of how many lots that maker has registered.
///
/// Shared: a lot, by those who hand it over and inspect it.
/// Given up: ids are not consecutive, how many lots or entries there are is known only from the
/// events, and so is the order of what happened to different lots.
contract SupplyChainParallel {
    enum Action {
        None,
        Registered,
        HandedOver,
        Inspected
    }

    /// Two slots. The second is where the log lies.
    struct Lot {
        address custodian;
        /// How many inspections it did not pass.
        uint32 objections;
        uint40 entries;
        mapping(uint256 index => Entry) log;
    }

    /// Two slots.
    struct Entry {
        address actor;
        uint40 time;
        Action action;
        bytes32 detail;
    }

    mapping(uint256 id => Lot) private lots;
    mapping(address maker => uint256) private registered;
    mapping(address who => bool) private inspectors;

    event Registered(uint256 indexed lot, address indexed maker, bytes32 description);
    event HandedOver(uint256 indexed lot, address indexed from, address indexed to, bytes32 note);
    event Inspected(uint256 indexed lot, address indexed inspector, bool passed, bytes32 report);

    error NotCustodian(address caller, uint256 lot);
    error NotInspector(address caller);
    error UnknownLot(uint256 lot);

    /// Registers a lot that the caller has made, and holds.
    function register(bytes32 description) external returns (uint256 lot) {
        lot = uint256(keccak256(abi.encode(msg.sender, registered[msg.sender]++)));
        lots[lot].custodian = msg.sender;
        append(lots[lot], Action.Registered, description);
        emit Registered(lot, msg.sender, description);
    }

    /// Gives a lot that the caller holds to somebody else.
    function handOver(uint256 lot, address to, bytes32 note) external {
        if (lots[lot].custodian != msg.sender) revert NotCustodian(msg.sender, lot);
        lots[lot].custodian = to;
        append(lots[lot], Action.HandedOver, note);
        emit HandedOver(lot, msg.sender, to, note);
    }

    /// Records what an inspector found.
    function inspect(uint256 lot, bool passed, bytes32 report) external {
        if (!inspectors[msg.sender]) revert NotInspector(msg.sender);
        if (lots[lot].custodian == address(0)) revert UnknownLot(lot);
        if (!passed) lots[lot].objections += 1;
        append(lots[lot], Action.Inspected, report);
        emit Inspected(lot, msg.sender, passed, report);
    }

    function lotOf(uint256 lot) external view returns (address custodian, uint256 objections) {
        return (lots[lot].custodian, lots[lot].objections);
    }

    /// How many entries the log has on a lot.
    function entriesOf(uint256 lot) external view returns (uint256) {
        return lots[lot].entries;
    }

    function append(Lot storage lot, Action action, bytes32 detail) private {
        lot.log[lot.entries++] = Entry(msg.sender, uint40(block.timestamp), action, detail);
    }
}
