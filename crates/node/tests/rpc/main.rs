//! The servers of a node, asked over their sockets.

mod chain;
mod client;
mod compat;
mod follow;
mod hostile;
mod node;
mod observed;
mod reads;
