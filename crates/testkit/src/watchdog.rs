//! A hang is a failure, too.

use std::{
    panic::resume_unwind,
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

/// How often to look. Time is counted in these steps, so that a machine that stood still for a
/// while, with everything on it, costs one step and is not taken for a hang.
const STEP: Duration = Duration::from_millis(500);

/// Runs `work` on another thread and returns what it returns.
///
/// # Panics
/// When `work` does, or when it takes longer than `limit`: then its thread is left behind.
pub fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, finished) = sync_channel(1);
    let name = thread::current().name().unwrap_or("watched").to_owned();
    let worker = thread::Builder::new().name(name).spawn(move || {
        let result = work();
        let _ = done.send(());
        result
    });
    let worker = worker.expect("a thread can be started");
    let steps = limit.as_millis().div_ceil(STEP.as_millis());
    let ended = (0..steps).any(|_| finished.recv_timeout(STEP) != Err(RecvTimeoutError::Timeout));
    assert!(ended, "still running after {limit:?}: a hang");
    // Without a word means that it panicked.
    worker.join().unwrap_or_else(|panic| resume_unwind(panic))
}
