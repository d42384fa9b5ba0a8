//! The servers of a node, asked over their sockets.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic and talk")]

mod calls;
mod chain;
mod client;
mod compat;
mod follow;
mod hostile;
mod node;
mod observed;
mod reads;
mod traces;
mod witness;
