//! Execution of what is no transaction of the chain: `eth_call`, `eth_estimateGas` and
//! `eth_createAccessList`.

use super::methods::Registry;

pub(super) const fn register(_: &mut Registry) {}
