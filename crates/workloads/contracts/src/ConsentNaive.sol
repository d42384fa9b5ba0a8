// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// A registry of patients' consents: a patient lets an institution use records for a purpose, and
/// the institution's staff record each access.
///
/// The first form one writes: one audit log, and counts kept up to date. Shared by all calls: the
/// length of the log; by all grants and revocations, the number of consents in force, and the
/// number of those to one institution.
contract ConsentNaive {
    enum Action {
        None,
        Granted,
        Revoked,
        Accessed
    }

    /// Three slots. Only an access has a request.
    struct Entry {
        address actor;
        uint40 time;
        uint32 institution;
        Action action;
        address patient;
        uint16 purpose;
        bytes32 request;
    }

    Entry[] private log;
    uint256 private inForce;
    /// Until when, in seconds since 1970; zero when there is no consent.
    mapping(address patient => mapping(uint256 scope => uint256)) private until;
    mapping(uint32 institution => uint256) private held;
    mapping(address who => uint32) private staff;

    event Granted(
        address indexed patient,
        uint32 indexed institution,
        uint16 purpose,
        uint256 until
    );
    event Revoked(address indexed patient, uint32 indexed institution, uint16 purpose);
    event Accessed(
        address indexed patient,
        uint32 indexed institution,
        uint16 purpose,
        bytes32 request
    );

    error NoConsent(address patient, uint32 institution, uint16 purpose);
    error NotStaff(address caller);

    /// Gives the caller's consent, or makes it last until another time.
    function grant(uint32 institution, uint16 purpose, uint40 end) external {
        uint256 scope = scopeOf(institution, purpose);
        if (until[msg.sender][scope] == 0) {
            inForce += 1;
            held[institution] += 1;
        }
        until[msg.sender][scope] = end;
        append(msg.sender, institution, purpose, Action.Granted, 0);
        emit Granted(msg.sender, institution, purpose, end);
    }

    /// Takes the caller's consent back.
    function revoke(uint32 institution, uint16 purpose) external {
        uint256 scope = scopeOf(institution, purpose);
        if (until[msg.sender][scope] == 0) revert NoConsent(msg.sender, institution, purpose);
        until[msg.sender][scope] = 0;
        inForce -= 1;
        held[institution] -= 1;
        append(msg.sender, institution, purpose, Action.Revoked, 0);
        emit Revoked(msg.sender, institution, purpose);
    }

    /// Records that the caller's institution looks at a patient's records.
    function recordAccess(address patient, uint16 purpose, bytes32 request) external {
        uint32 institution = staff[msg.sender];
        if (institution == 0) revert NotStaff(msg.sender);
        if (until[patient][scopeOf(institution, purpose)] < block.timestamp) {
            revert NoConsent(patient, institution, purpose);
        }
        append(patient, institution, purpose, Action.Accessed, request);
        emit Accessed(patient, institution, purpose, request);
    }

    function consentUntil(address patient, uint32 institution, uint16 purpose)
        external
        view
        returns (uint256)
    {
        return until[patient][scopeOf(institution, purpose)];
    }

    /// How many entries the log has on a patient: found by reading all of it.
    function entriesOf(address patient) external view returns (uint256 count) {
        for (uint256 i = 0; i < log.length; i++) if (log[i].patient == patient) count++;
    }

    /// How many entries the log has.
    function entries() external view returns (uint256) {
        return log.length;
    }

    /// How many consents there are.
    function consents() external view returns (uint256) {
        return inForce;
    }

    /// How many consents an institution holds.
    function consentsTo(uint32 institution) external view returns (uint256) {
        return held[institution];
    }

    function scopeOf(uint32 institution, uint16 purpose) private pure returns (uint256) {
        return (uint256(institution) << 16) | purpose;
    }

    function append(
        address patient,
        uint32 institution,
        uint16 purpose,
        Action action,
        bytes32 request
    ) private {
        uint40 time = uint40(block.timestamp);
        log.push(Entry(msg.sender, time, institution, action, patient, purpose, request));
    }
}
