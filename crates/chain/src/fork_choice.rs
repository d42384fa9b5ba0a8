//! Which of two blocks is the head, as far as the chain itself can tell.

use alloy_primitives::U256;

/// What makes a block the head or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The sum of the difficulties up to and including the block.
    pub total_difficulty: U256,
    /// Whether the block comes after the merge.
    pub is_merged: bool,
}

impl Tip {
    /// Whether a block that has just been accepted becomes the head instead of `head`: the one with
    /// the most total difficulty, the first of equals, as long as there is proof of work. After the
    /// merge it is the last block accepted, as a consensus client would have it (EIP-3675).
    pub fn replaces(self, head: Self) -> bool {
        self.is_merged || (!head.is_merged && self.total_difficulty > head.total_difficulty)
    }
}
