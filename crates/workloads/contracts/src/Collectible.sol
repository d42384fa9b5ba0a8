// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// Numbered collectibles, handed out in the order of the calls to `mint`.
///
/// Every mint reads and raises one counter, so no two mints of a block can run side by side.
contract Collectible {
    string public name;
    string public symbol;
    /// The number the next mint hands out.
    uint256 public nextId;
    mapping(uint256 id => address) public ownerOf;
    mapping(address owner => uint256) public balanceOf;

    event Transfer(address indexed from, address indexed to, uint256 indexed id);

    error NotOwner(address caller, uint256 id);

    constructor(string memory name_, string memory symbol_) {
        name = name_;
        symbol = symbol_;
        nextId = 1;
    }

    function mint() external returns (uint256 id) {
        id = nextId;
        unchecked {
            nextId = id + 1;
            balanceOf[msg.sender] += 1;
        }
        ownerOf[id] = msg.sender;
        emit Transfer(address(0), msg.sender, id);
    }

    function transfer(address to, uint256 id) external {
        if (ownerOf[id] != msg.sender) revert NotOwner(msg.sender, id);
        unchecked {
            balanceOf[msg.sender] -= 1;
            balanceOf[to] += 1;
        }
        ownerOf[id] = to;
        emit Transfer(msg.sender, to, id);
    }
}
