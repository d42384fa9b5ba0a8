//! One connection: what it does, and when it is given up.
//!
//! A client that opens a connection and sends nothing, or its first line a byte at a time, costs a
//! place that others would like to have. A connection on which nothing was asked and nothing could be
//! sent for a while is closed. WebSockets are watched in another way: they must answer pings.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
};

/// How long nothing may happen on a connection.
const IDLE: Duration = Duration::from_secs(60);

/// What happens on a connection.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Requests being answered.
    requests: AtomicUsize,
    /// When something happened last.
    last: Mutex<Instant>,
}

/// A request while it is answered.
#[derive(Debug)]
pub(super) struct ActiveRequest(Arc<Shared>);

impl Activity {
    pub(super) fn new() -> Self {
        let last = Mutex::new(Instant::now());
        Self { shared: Arc::new(Shared { requests: AtomicUsize::new(0), last }) }
    }

    /// A request begins. It ends when what is returned is dropped.
    pub(super) fn request(&self) -> ActiveRequest {
        // Relaxed: the number is only looked at, nothing is read because of it.
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        ActiveRequest(Arc::clone(&self.shared))
    }

    fn note(&self) {
        *self.shared.last.lock() = Instant::now();
    }

    /// Returns when nothing happened for too long.
    pub(super) async fn ends(&self) {
        loop {
            let idle = self.shared.last.lock().elapsed();
            let is_asked = self.shared.requests.load(Ordering::Relaxed) > 0;
            match IDLE.checked_sub(idle) {
                None if !is_asked => return,
                None => tokio::time::sleep(IDLE).await,
                Some(rest) => tokio::time::sleep(rest + Duration::from_millis(1)).await,
            }
        }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        *self.0.last.lock() = Instant::now();
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The stream of a connection. It holds the connection's place, also while it is a WebSocket.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) tcp: TcpStream,
    pub(super) activity: Activity,
    pub(super) _place: OwnedSemaphorePermit,
}

impl Stream {
    fn tcp(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().tcp)
    }

    /// What was sent counts. What was received does not: half a request is none.
    fn sent(&self, sent: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(sent, Poll::Ready(Ok(1..))) {
            self.activity.note();
        }
        sent
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.tcp().poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = self.as_mut().tcp().poll_write(context, bytes);
        self.sent(sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = self.as_mut().tcp().poll_write_vectored(context, slices);
        self.sent(sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_ends_when_nothing_happens() {
        let activity = Activity::new();
        let Some(long_ago) = Instant::now().checked_sub(2 * IDLE) else { return };
        *activity.shared.last.lock() = long_ago;
        let request = activity.request();
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, activity.ends()).await.is_err());
        drop(request);
        assert!(tokio::time::timeout(soon, activity.ends()).await.is_err());
        *activity.shared.last.lock() = long_ago;
        assert!(tokio::time::timeout(soon, activity.ends()).await.is_ok());
    }
}
