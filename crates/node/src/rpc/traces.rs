//! What happened within transactions: `debug_trace*`, and what blocks read: `debug_executionWitness`.

use super::methods::Registry;

pub(super) const fn register(_: &mut Registry) {}
