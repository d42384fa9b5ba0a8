//! The life of one transaction, in one word.
//!
//! ```text
//!              claim                 finish               begin_commit
//!   Pending ----------> Executing ----------> Executed ----------------> Committing
//!      ^  \                |  ^                  |                        |     |
//!      |   \   release     |  |  claim_suspect   |     restart            |     | commit
//!      +----\--------------+  +------------------+  <---------------------+     v
//!            \                                       (back to Executing)     Committed
//!             +---- begin_commit: straight to Executing, by the holder of the commit role
//! ```
//!
//! Whoever moved a transaction to `Executing` or `Committing` owns its data until it moves it
//! on. `SUSPECT` is a flag beside the state: somebody published a value that the transaction
//! should have seen. It is a hint to look again early and never decides anything.

use crate::sync::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Acquire, SeqCst},
};

const PENDING: u32 = 0;
const EXECUTING: u32 = 1;
const EXECUTED: u32 = 2;
const COMMITTING: u32 = 3;
const COMMITTED: u32 = 4;
const STATE: u32 = 0x7;
const SUSPECT: u32 = 0x8;

/// The state word. Moves that hand the transaction's data to another thread release it, moves
/// that take it over acquire it. `finish` is sequentially consistent: a worker about to sleep
/// must see it or be seen sleeping (see [`super::wait`]).
#[derive(Debug, Default)]
pub(super) struct Status(AtomicU32);

/// What the commit role may do with the next transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum CommitClaim {
    /// It was executed: validate and commit it.
    Executed,
    /// It was not: execute it now, on final values.
    Pending,
    /// Somebody is executing it.
    Busy,
}

impl Status {
    /// Takes a pending transaction for execution.
    pub(super) fn claim(&self) -> bool {
        self.advance(|state| state == PENDING, EXECUTING).is_some()
    }

    /// Takes an executed transaction whose reads are in doubt.
    pub(super) fn claim_suspect(&self) -> bool {
        let word = self.0.load(Acquire);
        word == EXECUTED | SUSPECT
            && self.0.compare_exchange(word, EXECUTING, AcqRel, Acquire).is_ok()
    }

    /// Takes the next transaction in line for the commit role.
    pub(super) fn begin_commit(&self) -> CommitClaim {
        if self.advance(|state| state == EXECUTED, COMMITTING).is_some() {
            CommitClaim::Executed
        } else if self.claim() {
            CommitClaim::Pending
        } else {
            CommitClaim::Busy
        }
    }

    /// Whether [`begin_commit`](Self::begin_commit) would find something to do.
    pub(super) fn is_committable(&self) -> bool {
        matches!(self.0.load(SeqCst) & STATE, PENDING | EXECUTED)
    }

    /// Whether nobody executes the transaction, and nobody did.
    pub(super) fn is_pending(&self) -> bool {
        self.0.load(Acquire) & STATE == PENDING
    }

    /// Whether somebody executes the transaction.
    pub(super) fn is_executing(&self) -> bool {
        self.0.load(Acquire) & STATE == EXECUTING
    }

    /// Whether the transaction's published values may be read.
    pub(super) fn is_settled(&self) -> bool {
        self.0.load(Acquire) & STATE >= EXECUTED
    }

    /// Ends an execution. `false` where the transaction came under suspicion meanwhile: it then
    /// stays with the caller, unsuspected, to be looked at again.
    #[must_use]
    pub(super) fn finish(&self) -> bool {
        if self.0.compare_exchange(EXECUTING, EXECUTED, SeqCst, Acquire).is_ok() {
            return true;
        }
        self.0.fetch_and(!SUSPECT, AcqRel);
        false
    }

    /// Ends an execution, suspected or not: the commit will tell.
    pub(super) fn finish_anyway(&self) {
        self.0.store(EXECUTED, SeqCst);
    }

    /// Gives an execution up; somebody will claim it again.
    pub(super) fn release(&self) {
        self.0.store(PENDING, SeqCst);
    }

    /// From `Committing` back to `Executing`: the validation failed.
    pub(super) fn restart(&self) {
        self.0.store(EXECUTING, SeqCst);
    }

    /// The end.
    pub(super) fn commit(&self) {
        self.0.store(COMMITTED, SeqCst);
    }

    /// Casts suspicion; `true` where somebody should be sent to look.
    pub(super) fn suspect(&self) -> bool {
        let before = self.0.fetch_or(SUSPECT, AcqRel);
        before == EXECUTED
    }

    /// Moves to `to` from any word whose state satisfies `from`, dropping suspicion.
    fn advance(&self, from: impl Fn(u32) -> bool, to: u32) -> Option<u32> {
        let step = |word: u32| from(word & STATE).then_some(to);
        self.0.fetch_update(AcqRel, Acquire, step).ok()
    }
}
