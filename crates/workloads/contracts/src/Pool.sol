// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

interface Asset {
    function balanceOf(address holder) external view returns (uint256);
    function transfer(address to, uint256 value) external returns (bool);
    function transferFrom(address from, address to, uint256 value) external returns (bool);
}

/// Two tokens traded against each other so that the product of the reserves never falls.
///
/// A trader calls `trade`, which plays the router's part too: it quotes, pulls the input through
/// `transferFrom`, pays the output and settles the books. A swap therefore writes, besides the four
/// token balances and the allowance, the lock, the reserves, the totals, the last price, the price
/// accumulators (once a block) and the trader's own record: the footprint, and about the gas, of a
/// routed swap on a public chain.
contract Pool {
    struct Trader {
        uint128 volume0;
        uint128 volume1;
    }

    address public token0;
    address public token1;

    /// Reserves and the time of the last swap, one slot.
    uint112 public reserve0;
    uint112 public reserve1;
    uint32 public updatedAt;

    /// Sums over time of the price of one token in the other, in 1 / 2^112.
    uint256 public price0Accumulator;
    uint256 public price1Accumulator;

    /// What the pool has earned per token, one slot.
    uint128 public fees0;
    uint128 public fees1;

    /// What has been paid in per token, one slot.
    uint128 public volume0;
    uint128 public volume1;

    /// How many trades there were, and the price after the last, in 1 / 2^112.
    uint256 public trades;
    uint256 public lastPrice;

    mapping(address trader => Trader) public traders;

    /// 1 when free, 2 while a trade runs: never zero, as leaving zero is what costs most.
    uint256 private lock;

    uint256 private constant FREE = 1;
    uint256 private constant BUSY = 2;
    uint256 private constant FEE_PER_MILLE = 3;

    event Swap(
        address indexed trader,
        address indexed to,
        uint256 in0,
        uint256 in1,
        uint256 out0,
        uint256 out1
    );
    event Sync(uint112 reserve0, uint112 reserve1);

    error Expired(uint256 deadline);
    error Reentered();
    error NotTraded(address token);
    error NothingOut();
    error TooLittleOut(uint256 amount, uint256 wanted);
    error TransferFailed(address token);
    error ProductFell();
    error ReserveOverflow();

    modifier locked() {
        if (lock != FREE) revert Reentered();
        lock = BUSY;
        _;
        lock = FREE;
    }

    constructor(address token0_, address token1_) {
        token0 = token0_;
        token1 = token1_;
        lock = FREE;
    }

    /// What `amountIn` buys, after the fee.
    function quote(uint256 amountIn, uint256 reserveIn, uint256 reserveOut)
        public
        pure
        returns (uint256)
    {
        uint256 effective = amountIn * (1000 - FEE_PER_MILLE);
        return (effective * reserveOut) / (reserveIn * 1000 + effective);
    }

    /// Sells `amountIn` of `tokenIn` for at least `minOut` of the other token.
    function trade(address tokenIn, uint256 amountIn, uint256 minOut, address to, uint256 deadline)
        external
        locked
        returns (uint256 amountOut)
    {
        if (block.timestamp > deadline) revert Expired(deadline);
        (address asset0, address asset1) = (token0, token1);
        (uint256 before0, uint256 before1) = (reserve0, reserve1);
        bool zeroIn = tokenIn == asset0;
        if (!zeroIn && tokenIn != asset1) revert NotTraded(tokenIn);

        amountOut = zeroIn ? quote(amountIn, before0, before1) : quote(amountIn, before1, before0);
        if (amountOut == 0) revert NothingOut();
        if (amountOut < minOut) revert TooLittleOut(amountOut, minOut);
        address tokenOut = zeroIn ? asset1 : asset0;
        if (!Asset(tokenIn).transferFrom(msg.sender, address(this), amountIn)) {
            revert TransferFailed(tokenIn);
        }
        if (!Asset(tokenOut).transfer(to, amountOut)) revert TransferFailed(tokenOut);

        settle(asset0, asset1, before0, before1, to);
    }

    /// Takes what arrived and what left from the balances, checks the product, writes the books.
    function settle(address asset0, address asset1, uint256 before0, uint256 before1, address to)
        private
    {
        uint256 after0 = Asset(asset0).balanceOf(address(this));
        uint256 after1 = Asset(asset1).balanceOf(address(this));
        if (after0 > type(uint112).max || after1 > type(uint112).max) revert ReserveOverflow();
        uint256 in0 = after0 > before0 ? after0 - before0 : 0;
        uint256 in1 = after1 > before1 ? after1 - before1 : 0;
        uint256 charged0 = after0 * 1000 - in0 * FEE_PER_MILLE;
        uint256 charged1 = after1 * 1000 - in1 * FEE_PER_MILLE;
        if (charged0 * charged1 < before0 * before1 * 1e6) revert ProductFell();

        accumulate(before0, before1);
        reserve0 = uint112(after0);
        reserve1 = uint112(after1);
        trades += 1;
        lastPrice = (after1 << 112) / after0;
        record(in0, in1);
        emit Sync(uint112(after0), uint112(after1));
        emit Swap(
            msg.sender,
            to,
            in0,
            in1,
            before0 > after0 ? before0 - after0 : 0,
            before1 > after1 ? before1 - after1 : 0
        );
    }

    /// Adds the price since the last swap, weighted by the seconds it stood.
    function accumulate(uint256 before0, uint256 before1) private {
        unchecked {
            uint32 timestamp = uint32(block.timestamp);
            uint256 elapsed = timestamp - updatedAt;
            if (elapsed == 0 || before0 == 0 || before1 == 0) return;
            updatedAt = timestamp;
            // Both may wrap: readers take differences.
            price0Accumulator += ((before1 << 112) / before0) * elapsed;
            price1Accumulator += ((before0 << 112) / before1) * elapsed;
        }
    }

    /// Adds a trade to the totals of the pool and of the trader.
    function record(uint256 in0, uint256 in1) private {
        fees0 += uint128((in0 * FEE_PER_MILLE) / 1000);
        fees1 += uint128((in1 * FEE_PER_MILLE) / 1000);
        volume0 += uint128(in0);
        volume1 += uint128(in1);
        Trader storage trader = traders[msg.sender];
        trader.volume0 += uint128(in0);
        trader.volume1 += uint128(in1);
    }
}
