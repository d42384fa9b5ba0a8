//! One connection: what it does, and when it is given up.
//!
//! A client that opens a connection and sends nothing, or its first line a byte at a time, costs a
//! place that others would like to have. A connection on which nothing was asked and nothing could be
//! sent for a while is closed. WebSockets are watched in another way: they must answer pings.
//!
//! On a WebSocket a client may ask again before it is answered. A few of its calls are worked on at
//! once, so that however many it makes there is room for those of others. When it has made too many,
//! or does not read what it is sent, nothing more is read from it. What it asked by then is worked on
//! when it reads again: see [`unsent`](super::unsent).

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

use super::unsent::{ServerUnsent, Unsent, frame_bytes};

/// How long nothing may happen on a connection.
const IDLE: Duration = Duration::from_secs(60);

/// Calls of one connection that are worked on at once.
const CALLS_AT_ONCE: usize = 8;

/// Calls of one connection, worked on or not, with which nothing more is read.
const MOST_CALLS: usize = 64;

/// How a client begins that speaks HTTP/2 without asking (RFC 9113, section 3.4), and nobody else.
const HTTP2: &[u8] = b"PRI";

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
    /// Calls that are not answered.
    calls: AtomicUsize,
    /// Those that may be worked on.
    turns: Arc<Semaphore>,
    /// The batch that may be worked on.
    batches: Arc<Semaphore>,
    /// The subscription that catches up with the chain.
    catching_up: Arc<Semaphore>,
    /// What was answered and is not sent.
    unsent: Unsent,
    /// Tells those who wait that something was sent.
    was_sent: Notify,
    is_ws: AtomicBool,
    /// Whether the client does not read what it is sent.
    is_unread: AtomicBool,
    /// Who reads from the connection, and waits until that may go on.
    reader: Mutex<Option<Waker>>,
}

/// A call while it is worked on.
#[derive(Debug)]
pub(super) struct ActiveCall {
    shared: Arc<Shared>,
    _turn: Option<OwnedSemaphorePermit>,
}

/// An answer while it is made. Its bytes count from the start.
#[derive(Debug)]
pub(super) struct Answer {
    shared: Arc<Shared>,
    bytes: usize,
}

/// A request while it is answered.
#[derive(Debug)]
pub(super) struct ActiveRequest(Arc<Shared>);

impl Activity {
    pub(super) fn new(server: ServerUnsent) -> Self {
        let shared = Shared {
            requests: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
            calls: AtomicUsize::new(0),
            turns: Arc::new(Semaphore::new(CALLS_AT_ONCE)),
            batches: Arc::new(Semaphore::new(1)),
            catching_up: Arc::new(Semaphore::new(1)),
            unsent: Unsent::new(server),
            was_sent: Notify::new(),
            is_ws: AtomicBool::new(false),
            is_unread: AtomicBool::new(false),
            reader: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// From now on the connection is a WebSocket.
    pub(super) fn upgrade(&self) {
        self.shared.is_ws.store(true, Ordering::Relaxed);
    }

    /// Waits for the turn of a call. It ends when what is returned is dropped.
    pub(super) async fn call(&self) -> ActiveCall {
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        let mut call = ActiveCall { shared: Arc::clone(&self.shared), _turn: None };
        call._turn = Arc::clone(&self.shared.turns).acquire_owned().await.ok();
        self.shared.reads().await;
        call
    }

    /// As [`call`](Self::call), of a call within a batch. What that has come to so far is not yet to be
    /// sent, so there is no waiting for it.
    pub(super) async fn call_of_batch(&self) -> ActiveCall {
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        let mut call = ActiveCall { shared: Arc::clone(&self.shared), _turn: None };
        call._turn = Arc::clone(&self.shared.turns).acquire_owned().await.ok();
        call
    }

    /// Waits for the turn of a batch. It ends when what is returned is dropped.
    pub(super) async fn batch(&self) -> ActiveCall {
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        let mut batch = ActiveCall { shared: Arc::clone(&self.shared), _turn: None };
        batch._turn = Arc::clone(&self.shared.batches).acquire_owned().await.ok();
        self.shared.reads().await;
        batch
    }

    /// An answer begins, with nothing in it.
    pub(super) fn answer(&self) -> Answer {
        Answer { shared: Arc::clone(&self.shared), bytes: 0 }
    }

    /// A request begins. It ends when what is returned is dropped.
    pub(super) fn request(&self) -> ActiveRequest {
        // Relaxed: the number is only looked at, nothing is read because of it.
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        if !self.shared.is_ws.load(Ordering::Relaxed) {
            // Over HTTP one asks when the last answer was sent, whatever became of it.
            self.shared.unsent.remove(usize::MAX);
        }
        ActiveRequest(Arc::clone(&self.shared))
    }

    /// Waits until no other subscription of the connection catches up with the chain. This one does until
    /// what is returned is dropped.
    pub(super) async fn catch_up(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.shared.catching_up).acquire_owned().await.ok()
    }

    /// Waits until there is room for another answer.
    pub(super) async fn reads(&self) {
        self.shared.reads().await;
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

impl Shared {
    /// Whether the client has to wait before it may ask for more.
    fn is_full(&self) -> bool {
        self.is_ws.load(Ordering::Relaxed)
            && (self.is_unread.load(Ordering::Relaxed)
                || self.calls.load(Ordering::Relaxed) >= MOST_CALLS)
    }

    /// Waits until there is room for another answer. What is sent over HTTP is sent one after the other.
    async fn reads(&self) {
        loop {
            // Before the look: what is sent after it is not missed.
            let was_sent = self.was_sent.notified();
            let is_unread = self.is_unread.load(Ordering::Relaxed);
            let has_room = !is_unread && self.unsent.has_room();
            if has_room || !self.is_ws.load(Ordering::Relaxed) {
                return;
            }
            was_sent.await;
        }
    }

    /// Whether the reader has to wait. It is woken when it need not any more.
    ///
    /// What it waits for may end between the look and the leaving of the waker, so it looks again. The
    /// other side changes a number and then takes the waker. Either it finds the waker, or it took the
    /// lock earlier, and then the second look sees the change: the lock orders both, and the numbers
    /// themselves need no order.
    fn must_wait(&self, context: &Context<'_>) -> bool {
        if !self.is_full() {
            return false;
        }
        *self.reader.lock() = Some(context.waker().clone());
        self.is_full()
    }

    fn wake_reader(&self) {
        let reader = self.reader.lock().take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        if self.shared.calls.fetch_sub(1, Ordering::Relaxed) == MOST_CALLS {
            self.shared.wake_reader();
        }
    }
}

impl Answer {
    /// `bytes` more are in it.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.shared.unsent.add(bytes);
    }

    /// It is complete, a text of `bytes`, and counts until it is sent.
    pub(super) fn complete(mut self, bytes: usize) {
        let part = std::mem::take(&mut self.bytes);
        self.shared.unsent.add(frame_bytes(bytes));
        self.shared.unsent.remove(part);
    }

    /// `bytes` of it are complete, a text by themselves.
    pub(super) fn complete_part(&mut self, bytes: usize) {
        let part = bytes.min(self.bytes);
        self.bytes -= part;
        self.shared.unsent.add(frame_bytes(bytes));
        self.shared.unsent.remove(part);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if self.shared.unsent.remove(self.bytes) {
            self.shared.was_sent.notify_waiters();
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
    tcp: TcpStream,
    activity: Activity,
    /// How long the client may leave unread what it is sent.
    patience: Duration,
    /// Runs while it does. A client that never reads would otherwise keep its place for ever.
    unread: Option<Pin<Box<Sleep>>>,
    /// How much of [`HTTP2`] was received; `None` when something else was.
    http2: Option<usize>,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, activity: Activity, place: OwnedSemaphorePermit) -> Self {
        Self { tcp, activity, patience: IDLE, unread: None, http2: Some(0), _place: place }
    }

    fn tcp(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().tcp)
    }

    /// Refuses HTTP/2, which the server would speak as well: there a connection that nobody reads from
    /// seems to be alive, and many requests are made at once.
    fn refuse_http2(&mut self, received: &[u8]) -> io::Result<()> {
        for byte in received {
            let Some(seen) = self.http2 else { break };
            self.http2 = (HTTP2[seen] == *byte).then_some(seen + 1);
            if self.http2 == Some(HTTP2.len()) {
                return Err(io::ErrorKind::Unsupported.into());
            }
        }
        Ok(())
    }

    /// Notes what came of an attempt to send. What was sent counts as activity. What was received does
    /// not: half a request is none.
    fn sent(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        sent: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let shared = &this.activity.shared;
        if let Poll::Ready(result) = &sent {
            this.unread = None;
            let was_unread = shared.is_unread.swap(false, Ordering::Relaxed);
            if was_unread {
                shared.wake_reader();
            }
            if shared.unsent.remove(*result.as_ref().unwrap_or(&0)) || was_unread {
                shared.was_sent.notify_waiters();
            }
            this.activity.note();
            return sent;
        }
        shared.is_unread.store(true, Ordering::Relaxed);
        let patience = this.patience;
        let unread = this.unread.get_or_insert_with(|| Box::pin(sleep(patience)));
        unread.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.activity.shared.must_wait(context) {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let this = self.get_mut();
        let read = Pin::new(&mut this.tcp).poll_read(context, buffer);
        this.refuse_http2(&buffer.filled()[before..])?;
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = self.as_mut().tcp().poll_write(context, bytes);
        self.sent(context, sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = self.as_mut().tcp().poll_write_vectored(context, slices);
        self.sent(context, sent)
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_connection_ends_when_nothing_happens() {
        let activity = Activity::new(ServerUnsent::default());
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

    /// Both ends of a connection.
    async fn connected(patience: Duration) -> (Stream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        (
            Stream { patience, ..Stream::new(tcp, Activity::new(ServerUnsent::default()), place) },
            client,
        )
    }

    #[tokio::test]
    async fn who_does_not_read_is_given_up() {
        let (mut stream, _client) = connected(Duration::from_millis(50)).await;
        let bytes = vec![0; 1 << 20];
        let failed = loop {
            if let Err(error) = stream.write_all(&bytes).await {
                break error;
            }
        };
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_reads_nothing_gets_no_turn() {
        let (mut stream, mut client) = connected(IDLE).await;
        let activity = stream.activity.clone();
        activity.upgrade();
        let soon = Duration::from_millis(20);
        let bytes = vec![0; 20 << 20];
        let mut given_up = activity.answer();
        given_up.add(bytes.len());
        drop(given_up);
        drop(tokio::time::timeout(soon, activity.call()).await.unwrap());
        activity.answer().complete(bytes.len());
        assert!(tokio::time::timeout(soon, activity.call()).await.is_err());
        assert!(tokio::time::timeout(soon, activity.batch()).await.is_err());
        let reads =
            tokio::spawn(async move { tokio::io::copy(&mut client, &mut tokio::io::sink()).await });
        let (sent, _turn) = tokio::join!(
            async {
                stream.write_all(&bytes).await?;
                stream.write_all(&[0; 10]).await
            },
            activity.call()
        );
        sent.unwrap();
        assert!(tokio::time::timeout(soon, activity.batch()).await.is_ok());
        drop(stream);
        reads.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn who_asks_too_much_is_not_read() {
        let (mut stream, mut client) = connected(IDLE).await;
        client.write_all(&[1, 2]).await.unwrap();
        let activity = stream.activity.clone();
        let calls: Vec<_> = (0..MOST_CALLS)
            .map(|_| {
                let activity = activity.clone();
                tokio::spawn(async move {
                    let call = activity.call().await;
                    std::future::pending::<()>().await;
                    drop(call);
                })
            })
            .collect();
        while activity.shared.calls.load(Ordering::Relaxed) < MOST_CALLS {
            tokio::task::yield_now().await;
        }
        // One after the other is what HTTP is anyway.
        assert_eq!(stream.read_u8().await.unwrap(), 1);
        activity.upgrade();
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, stream.read_u8()).await.is_err());
        let reader = tokio::spawn(async move { stream.read_u8().await });
        tokio::task::yield_now().await;
        calls[0].abort();
        assert_eq!(reader.await.unwrap().unwrap(), 2);
        calls.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
