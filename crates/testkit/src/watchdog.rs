//! A hang is a failure, too.

use std::{
    panic::resume_unwind,
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

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
    match finished.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => panic!("still running after {limit:?}: a hang"),
        // Without a word means that it panicked.
        Ok(()) | Err(RecvTimeoutError::Disconnected) => match worker.join() {
            Ok(result) => result,
            Err(panic) => resume_unwind(panic),
        },
    }
}
