//! Decision points: where it is decided, or left to chance, what a worker does next or sees.
//!
//! Each is named by a [`Site`] and calls [`Hooks`]. Without the feature `testing`, `Hooks` is a type
//! without fields whose methods are empty or return what they were given: nothing of it is left in
//! the program. With it, `Hooks` may delay a worker there, make it choose otherwise, or make it
//! panic; see `testing.rs`.

/// A decision point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Site {
    /// A worker looks for something to do.
    Choose,
    /// It found something to commit. *Spuriously*: it leaves that to others.
    EnterCommit,
    /// The holder of the commit role looks at the next in line. *Spuriously*: it gives the role
    /// back.
    BeginCommit,
    /// It finishes with a transaction, whose result is booked.
    Commit,
    /// That transaction's status says so, and those who waited for it are free.
    Committed,
    /// The validation at the commit failed.
    Restart,
    /// A worker keeps a transaction that it set free. *Spuriously*: it hands it out.
    Keep,
    /// A transaction is handed out. *Spuriously*: others first.
    Next,
    /// A transaction is put among those to hand out. *Spuriously*: it is lost.
    Lose,
    /// As before. *Spuriously*: it is put there twice.
    Repeat,
    /// Somebody claims a pending transaction.
    Claim,
    /// Somebody claims a suspect.
    ClaimSuspect,
    /// An execution begins.
    Execute,
    /// It ended.
    Executed,
    /// Its result is published.
    Kept,
    /// It is to be marked as executed. *Spuriously*: as if it had come under suspicion meanwhile.
    Finish,
    /// It is marked, and who waited for it is still to be set free. *Spuriously*: somebody comes
    /// under suspicion without reason.
    Settle,
    /// An execution is given up.
    Release,
    /// A transaction is to be executed again, and others are to wait for it.
    Reopen,
    /// A transaction is put on a waiting list.
    Wait,
    /// It is about to be linked there.
    Link,
    /// A waiting list was closed and is walked along.
    Unlink,
    /// Suspicion is cast.
    Suspect,
    /// A transaction waits in the middle of its execution for one before it.
    Pause,
    /// It was measured when a transaction comes to what its class conflicts over. *Spuriously*: late.
    Reach,
    /// Reads are compared. *Spuriously*: the class is told of a conflict.
    Validate,
    /// One read is compared.
    Compare,
    /// A value is looked up.
    Lookup,
    /// A value was read from the parent state and is to be kept.
    Insert,
    /// A value was found and is still locked.
    Found,
    /// A value was read, and is to be judged and recorded.
    Record,
    /// It is asked whether an account's storage was wiped.
    Wipes,
    /// A location is published or taken back.
    Publish,
    /// It is locked and about to be changed.
    Change,
    /// A transaction that waits for others is to be executed for its reads only. *Spuriously*: it is
    /// not.
    ReadAhead,
    /// A worker is about to read the parent state, and gives its permit up.
    Leave,
    /// It has read, and wants a permit.
    Return,
    /// A worker found nothing to do. *Spuriously*: it looks again at once.
    Park,
    /// It announced that it sleeps.
    Announced,
    /// Under the lock, it is about to sleep.
    Sleep,
    /// Work was made visible, and sleepers are to be woken.
    Wake,
    /// A transaction was committed. *Spuriously*: the next ones are executed by one worker alone.
    Alone,
}

#[cfg(feature = "testing")]
pub(crate) use crate::testing::Hooks;

#[cfg(not(feature = "testing"))]
pub(crate) use off::Hooks;

#[cfg(not(feature = "testing"))]
mod off {
    use super::Site;

    /// What happens at decision points: nothing.
    #[derive(Clone, Debug)]
    pub(crate) struct Hooks;

    // Whoever gives it a field finds out here.
    const _: () = assert!(size_of::<Hooks>() == 0);

    impl Hooks {
        /// Nothing happens.
        #[inline]
        pub(crate) const fn none() -> Self {
            Self
        }

        /// What to use for one block.
        #[inline]
        pub(crate) const fn of_run(&self) -> Self {
            Self
        }

        /// The decision point `site` on the way of transaction `tx`.
        #[inline]
        pub(crate) const fn at(&self, _site: Site, _tx: u32) {}

        /// As [`at`](Self::at), and whether to do the unlikely thing.
        #[inline]
        pub(crate) const fn spuriously(&self, _site: Site, _tx: u32) -> bool {
            false
        }

        /// How many transactions to draw in order to hand out one.
        #[inline]
        pub(crate) const fn look_ahead(&self, _tx: u32) -> u32 {
            1
        }

        /// A number below `count`, for what is done spuriously.
        #[inline]
        pub(crate) const fn pick(&self, _tx: u32, _count: u32) -> u32 {
            0
        }

        /// The window when so many transactions are committed.
        #[inline]
        pub(crate) const fn window(&self, _committed: u32, usual: u32) -> u32 {
            usual
        }

        /// How often a worker repeats a transaction that came into doubt.
        #[inline]
        pub(crate) const fn rounds(&self, usual: usize) -> usize {
            usual
        }

        /// How often a transaction may be executed speculatively.
        #[inline]
        pub(crate) const fn speculations(&self, usual: u32) -> u32 {
            usual
        }

        /// Whether to break the validation of `tx`.
        #[inline]
        pub(crate) const fn skips_validation(&self, _tx: u32) -> bool {
            false
        }

        /// Whether to drop suspicion of `tx`.
        #[inline]
        pub(crate) const fn drops_suspicion(&self, _tx: u32) -> bool {
            false
        }
    }
}
