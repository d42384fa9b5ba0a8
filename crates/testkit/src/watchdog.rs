//! A hang is a failure, too.

use std::{
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

/// How often to look. Time is counted in these steps, so that a machine that stood still for a
/// while, with everything on it, costs one step and is not taken for a hang.
const STEP: Duration = Duration::from_millis(500);

/// Why watched work returned nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It panicked, with this message.
    Panic(String),
    /// It took too long, and still runs on a thread that is left behind.
    Hang,
}

/// Runs `work` on another thread and returns what it returns.
///
/// # Errors
/// When it panics, or takes longer than `limit`.
///
/// # Panics
/// When no thread can be started.
pub fn watched<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Ended> {
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
    if !ended {
        return Err(Ended::Hang);
    }
    // Without a word means that it panicked.
    worker.join().map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Ended::Panic(text.unwrap_or_else(|| "a panic without a message".to_owned()))
    })
}

/// As [`watched`], for tests.
///
/// # Panics
/// When `work` does, or when it takes longer than `limit`.
pub fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> T {
    match watched(limit, work) {
        Ok(result) => result,
        Err(Ended::Panic(message)) => panic!("{message}"),
        Err(Ended::Hang) => panic!("still running after {limit:?}: a hang"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_ends_in_a_result_a_panic_or_a_hang() {
        let limit = Duration::from_secs(60);
        assert_eq!(watched(limit, || 7), Ok(7));
        let panicked: Result<(), _> = watched(limit, || panic!("on {}", "purpose"));
        assert_eq!(panicked, Err(Ended::Panic("on purpose".to_owned())));
        let endless = || thread::sleep(Duration::from_secs(3_600));
        assert_eq!(watched(Duration::from_millis(1), endless), Err(Ended::Hang));
    }
}
