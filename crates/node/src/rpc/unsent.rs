//! What was answered and is not sent: how much memory clients hold who do not read.
//!
//! An answer counts from when it is made until as many bytes went out on its connection. One connection
//! may hold [`MOST_OF_CONNECTION`], and nothing more is worked on for it before it reads. All connections
//! of a server together may hold [`MOST_OF_SERVER`]; beyond that one has to read everything before more
//! is worked on for it. So who reads is served, whatever others leave lying.
//!
//! What is sent besides, such as the answers to pings, is taken for part of what waits. That makes the
//! number too small for a moment and never too large: a connection cannot wait for what will not be sent.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes of answers that one connection may have waiting before it has to read.
const MOST_OF_CONNECTION: usize = 16 << 20;

/// Bytes of answers that all connections of a server may have waiting.
const MOST_OF_SERVER: usize = 256 << 20;

const _: () = assert!(MOST_OF_CONNECTION < MOST_OF_SERVER);

/// The bytes that wait on all connections of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct ServerUnsent(Arc<AtomicUsize>);

/// The bytes that wait on one connection.
///
/// Relaxed throughout: the numbers are only compared with limits, and nothing is read because of them.
#[derive(Debug)]
pub(super) struct Unsent {
    bytes: AtomicUsize,
    server: ServerUnsent,
}

impl Unsent {
    pub(super) fn new(server: ServerUnsent) -> Self {
        Self { bytes: AtomicUsize::new(0), server }
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.server.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes `bytes` off, or what there is. Returns whether there was anything.
    pub(super) fn remove(&self, bytes: usize) -> bool {
        let less = |held: usize| Some(held.saturating_sub(bytes));
        let held = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        let held = held.unwrap_or_else(|held| held);
        self.server.0.fetch_sub(held.min(bytes), Ordering::Relaxed);
        held > 0
    }

    /// Whether more may be worked on for the connection.
    pub(super) fn has_room(&self) -> bool {
        let held = self.bytes.load(Ordering::Relaxed);
        let all = self.server.0.load(Ordering::Relaxed);
        held == 0 || (held < MOST_OF_CONNECTION && all < MOST_OF_SERVER)
    }
}

impl Drop for Unsent {
    /// What is still there will never be sent.
    fn drop(&mut self) {
        self.remove(usize::MAX);
    }
}

/// How long a text is on a WebSocket (RFC 6455, section 5.2; what servers send has no mask).
pub(super) const fn frame_bytes(text: usize) -> usize {
    text + match text {
        0..126 => 2,
        126..65536 => 4,
        _ => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_is_served_whatever_others_hold() {
        let server = ServerUnsent::default();
        let slow: Vec<_> = (0..17).map(|_| Unsent::new(server.clone())).collect();
        for one in &slow {
            assert!(one.has_room());
            one.add(MOST_OF_CONNECTION);
            assert!(!one.has_room());
        }
        let reads = Unsent::new(server.clone());
        assert!(reads.has_room());
        reads.add(100);
        assert!(!reads.has_room());
        assert!(reads.remove(100) && reads.has_room());
        reads.add(100);
        drop(slow);
        assert!(reads.has_room());
        assert!(reads.remove(1000) && !reads.remove(1));
        assert_eq!(server.0.load(Ordering::Relaxed), 0);
    }
}
