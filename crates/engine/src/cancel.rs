//! Calling an execution off from another thread.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

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
    /// Ends all executions that were given this switch, at the next transaction or read.
    pub fn cancel(&self) {
        // Relaxed: the flag itself is all that is shared.
        self.0.store(true, Relaxed);
    }

    /// Whether it was switched.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Relaxed)
    }
}
