//! On which balances of an account the outcome of a transaction rests.

use alloy_primitives::U256;

/// From where on no balance is at least anything: half of what fits. Payments of up to 128 bits
/// never get from below it to where a sum does not fit, for there is no gas to make so many.
pub(crate) const TOO_LARGE: U256 = U256::from_limbs([0, 0, 0, 1 << 63]);

/// On which balances of an account, at the beginning of a transaction, the outcome rests.
///
/// It is only the balance that may be another: that the account exists, its nonce, code and storage
/// must be as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BalanceUse {
    /// On that very balance, for all that is known.
    Exact,
    /// On any from this amount in wei on. Another such balance changes nothing but itself: after the
    /// transaction it differs from that before it by as much, and in the same direction.
    AtLeast(U256),
}

impl BalanceUse {
    /// Whether a transaction that was executed where the balance was `seen` comes to the same where
    /// it is `now`.
    pub fn holds(self, seen: U256, now: U256) -> bool {
        now == seen
            || match self {
                Self::Exact => false,
                Self::AtLeast(required) => required <= now && now < TOO_LARGE,
            }
    }
}
