// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// `ConsentNaive` for blocks that are executed in parallel.
///
/// Each patient has a file: an audit log of its own, and beside its length how many consents are in
/// force. What an institution holds is told by the events.
///
/// Shared: a patient's file, by the patient and those who look at the records.
/// Given up: how many consents there are, or one institution holds, is known only from the events
/// or by summing over the patients, and so is the order of accesses to different files.
contract ConsentParallel {
    enum Action {
        None,
        Granted,
        Revoked,
        Accessed
    }

    /// Three slots. The last two are where the log and the consents lie.
    struct File {
        uint64 entries;
        uint64 inForce;
        mapping(uint256 index => Entry) log;
        /// Until when, in seconds since 1970; zero when there is no consent.
        mapping(uint256 scope => uint256) until;
    }

    /// Two slots. Only an access has a request.
    struct Entry {
        address actor;
        uint40 time;
        uint32 institution;
        uint16 purpose;
        Action action;
        bytes32 request;
    }

    mapping(address patient => File) private files;
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
        File storage file = files[msg.sender];
        uint256 scope = scopeOf(institution, purpose);
        if (file.until[scope] == 0) file.inForce += 1;
        file.until[scope] = end;
        append(file, institution, purpose, Action.Granted, 0);
        emit Granted(msg.sender, institution, purpose, end);
    }

    /// Takes the caller's consent back.
    function revoke(uint32 institution, uint16 purpose) external {
        File storage file = files[msg.sender];
        uint256 scope = scopeOf(institution, purpose);
        if (file.until[scope] == 0) revert NoConsent(msg.sender, institution, purpose);
        file.until[scope] = 0;
        file.inForce -= 1;
        append(file, institution, purpose, Action.Revoked, 0);
        emit Revoked(msg.sender, institution, purpose);
    }

    /// Records that the caller's institution looks at a patient's records.
    function recordAccess(address patient, uint16 purpose, bytes32 request) external {
        uint32 institution = staff[msg.sender];
        if (institution == 0) revert NotStaff(msg.sender);
        File storage file = files[patient];
        if (file.until[scopeOf(institution, purpose)] < block.timestamp) {
            revert NoConsent(patient, institution, purpose);
        }
        append(file, institution, purpose, Action.Accessed, request);
        emit Accessed(patient, institution, purpose, request);
    }

    function consentUntil(address patient, uint32 institution, uint16 purpose)
        external
        view
        returns (uint256)
    {
        return files[patient].until[scopeOf(institution, purpose)];
    }

    /// How many entries the log has on a patient.
    function entriesOf(address patient) external view returns (uint256) {
        return files[patient].entries;
    }

    /// How many consents a patient has given.
    function consentsBy(address patient) external view returns (uint256) {
        return files[patient].inForce;
    }

    function scopeOf(uint32 institution, uint16 purpose) private pure returns (uint256) {
        return (uint256(institution) << 16) | purpose;
    }

    function append(
        File storage file,
        uint32 institution,
        uint16 purpose,
        Action action,
        bytes32 request
    ) private {
        uint40 time = uint40(block.timestamp);
        file.log[file.entries++] = Entry(msg.sender, time, institution, purpose, action, request);
    }
}
