//! An import that can be stopped: between two blocks, and while it waits for what does not come.

use std::io;

use tokio::{
    runtime::{self, Runtime},
    sync::watch,
};

use crate::signals::{self, Signal};

/// Listens for signals as long as it lives.
pub(super) struct Stop {
    _runtime: Runtime,
    asked: watch::Receiver<Option<Signal>>,
}

impl Stop {
    /// Listens from now on.
    pub(super) fn at_signals() -> io::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build()?;
        let guard = runtime.enter();
        let first = signals::first()?;
        drop(guard);
        let (sender, asked) = watch::channel(None);
        runtime.spawn(async move { sender.send_replace(Some(first.await)) });
        Ok(Self { _runtime: runtime, asked })
    }

    /// The signal, once there was one.
    pub(super) fn asked(&self) -> Option<Signal> {
        *self.asked.borrow()
    }
}
