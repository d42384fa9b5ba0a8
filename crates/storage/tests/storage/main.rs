//! What a database promises.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod common;
mod history;
mod opening;
mod power_loss;
