// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// A registry of lots of goods: who made them, who holds them, what inspectors found.
///
/// The first form one writes: one log of everything, numbered by one counter. Shared by all calls:
/// the length of the log, which every call raises; and by all registrations, the number of the next
/// lot.
contract SupplyChainNaive {
    enum Action {
        None,
        Registered,
        HandedOver,
        Inspected
    }

    /// One slot.
    struct Lot {
        address custodian;
        /// How many inspections it did not pass.
        uint32 objections;
    }

    /// Two slots.
    struct Entry {
        address actor;
        uint40 lot;
        uint40 time;
        Action action;
        bytes32 detail;
    }

    uint256 private nextLot;
    Entry[] private log;
    mapping(uint256 id => Lot) private lots;
    mapping(address who => bool) private inspectors;

    event Registered(uint256 indexed lot, address indexed maker, bytes32 description);
    event HandedOver(uint256 indexed lot, address indexed from, address indexed to, bytes32 note);
    event Inspected(uint256 indexed lot, address indexed inspector, bool passed, bytes32 report);

    error NotCustodian(address caller, uint256 lot);
    error NotInspector(address caller);
    error UnknownLot(uint256 lot);

    /// Registers a lot that the caller has made, and holds.
    function register(bytes32 description) external returns (uint256 lot) {
        lot = nextLot++;
        lots[lot].custodian = msg.sender;
        append(lot, Action.Registered, description);
        emit Registered(lot, msg.sender, description);
    }

    /// Gives a lot that the caller holds to somebody else.
    function handOver(uint256 lot, address to, bytes32 note) external {
        if (lots[lot].custodian != msg.sender) revert NotCustodian(msg.sender, lot);
        lots[lot].custodian = to;
        append(lot, Action.HandedOver, note);
        emit HandedOver(lot, msg.sender, to, note);
    }

    /// Records what an inspector found.
    function inspect(uint256 lot, bool passed, bytes32 report) external {
        if (!inspectors[msg.sender]) revert NotInspector(msg.sender);
        if (lots[lot].custodian == address(0)) revert UnknownLot(lot);
        if (!passed) lots[lot].objections += 1;
        append(lot, Action.Inspected, report);
        emit Inspected(lot, msg.sender, passed, report);
    }

    function lotOf(uint256 lot) external view returns (address custodian, uint256 objections) {
        return (lots[lot].custodian, lots[lot].objections);
    }

    /// How many entries the log has on a lot: found by reading all of it.
    function entriesOf(uint256 lot) external view returns (uint256 count) {
        for (uint256 i = 0; i < log.length; i++) if (log[i].lot == lot) count++;
    }

    /// How many entries the log has.
    function entries() external view returns (uint256) {
        return log.length;
    }

    function append(uint256 lot, Action action, bytes32 detail) private {
        log.push(Entry(msg.sender, uint40(lot), uint40(block.timestamp), action, detail));
    }
}
