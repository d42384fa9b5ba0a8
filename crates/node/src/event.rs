//! What whoever follows the chain is told of it.
//!
//! The importer sends one event each time the head changes, after the database has what it tells of:
//! a [`View`](warpline_storage::View) taken upon an event has all added blocks. Events come in the
//! order of the changes. A receiver that falls behind misses the oldest.

use std::sync::Arc;

use alloy_primitives::U256;
use tokio::sync::broadcast;
use warpline_primitives::{Receipt, RecoveredBlock};

/// A block that became part of the chain or ceased to be.
#[derive(Clone, Debug)]
pub struct EventBlock {
    /// The block.
    pub block: RecoveredBlock,
    /// Its receipts, in block order.
    pub receipts: Vec<Receipt>,
    /// The sum of the difficulties up to and including it.
    pub total_difficulty: U256,
}

/// A change of the head.
#[derive(Clone, Debug)]
pub struct ChainEvent {
    /// The blocks that the chain lost to a reorganisation, newest first.
    pub removed: Vec<Arc<EventBlock>>,
    /// The blocks that it gained, oldest first.
    pub added: Vec<Arc<EventBlock>>,
}

/// Tells everybody of changes. Nobody need listen.
pub type EventSender = broadcast::Sender<Arc<ChainEvent>>;

/// A sender that keeps `capacity` events for receivers that fall behind.
///
/// # Panics
/// Where `capacity` is 0.
pub fn channel(capacity: usize) -> EventSender {
    broadcast::Sender::new(capacity)
}
