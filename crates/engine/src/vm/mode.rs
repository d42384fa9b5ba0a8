//! How a worker's database reads, and why it may not.

use alloy_primitives::U256;
use revm::context::DBErrorMarker;

use crate::{commit::Fees, memory::Version};

/// A read did not deliver; [`WorkerDb::take_interruption`](super::WorkerDb::take_interruption) tells why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the read was interrupted")]
pub(crate) struct Interrupted;

impl DBErrorMarker for Interrupted {}

/// Why a read did not deliver.
#[derive(Debug)]
pub(crate) enum Interruption<E> {
    /// The parent state could not be read.
    Source(E),
    /// The value belongs to a transaction that is being executed again, or is to be waited for and
    /// nobody executes it.
    Blocked(Version),
    /// The beneficiary's balance is known only once everything before is committed.
    AwaitsCommit,
    /// Nobody is interested in the transaction any more.
    Halted,
}

/// How the database reads and whether it remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Earlier transactions may still change: every read is recorded, and reads of values under
    /// revision interrupt.
    Speculative,
    /// For the sake of the reads of the parent state alone: nothing is recorded, and nothing that
    /// comes of it is kept.
    Ahead,
    /// As before, without waiting for them: accounts that the memory does not have are taken not to
    /// exist, slots to hold this number, and reading them is left to others.
    Guessing(U256),
    /// Everything before is committed: reads are final and nothing needs recording.
    Final(Fees),
}
