//! Calls, gas estimates, access lists, traces and simulations, as a node serves them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod calls;
mod chain;
mod expected;
mod simulation;
mod tracing;
