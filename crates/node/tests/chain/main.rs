//! What becomes of blocks that come to a chain.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod adopt;
mod ahead;
mod branches;
mod builder;
mod files;
mod pow;
mod refused;
mod rpc_compat;
