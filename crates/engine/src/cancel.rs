//! Ending an execution early: from another thread, or at a deadline.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use crate::BuildEnd;

/// A switch that ends executions early. Clones are the same switch; it cannot be switched back.
///
/// ```
/// let cancellation = warpline_engine::Cancellation::default();
/// let elsewhere = cancellation.clone();
/// std::thread::spawn(move || elsewhere.cancel()).join().unwrap();
/// assert!(cancellation.is_cancelled());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// Ends all executions that were given this switch: before their next transaction, or in
    /// parallel at the next read.
    pub fn cancel(&self) {
        // Relaxed: the flag itself is all that is shared.
        self.0.store(true, Relaxed);
    }

    /// Whether it was switched.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// What may end an execution early.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EarlyEnd<'e> {
    pub(crate) cancellation: Option<&'e Cancellation>,
    pub(crate) deadline: Option<Instant>,
}

impl EarlyEnd<'_> {
    /// Why to end now, if there is a reason.
    pub(crate) fn reason(&self) -> Option<BuildEnd> {
        if self.cancellation.is_some_and(Cancellation::is_cancelled) {
            return Some(BuildEnd::Cancelled);
        }
        let passed = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        passed.then_some(BuildEnd::Deadline)
    }
}
