//! Subscriptions: new heads and logs, told to clients on WebSockets as they come.
//!
//! What an event says is passed on as it is, where it continues what the client knows. Otherwise, most
//! often because the client reads so slowly that events were missed, what is new to it is looked up in
//! the database, so that a slow client is told late but is told everything.
//!
//! Whether a block has any logs that are wanted is seen from its bloom. Where it may have, they are
//! looked for and written on the [pool](super::pool), and count as unsent from when they are written.

use std::sync::Arc;

use jsonrpsee::{
    core::SubscriptionError,
    server::{Extensions, PendingSubscriptionSink, SubscriptionSink},
    types::{ErrorObjectOwned, Params},
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    RpcError,
    args::{Argument as _, Arguments, Json},
    blocks::rpc_header,
    connection::Activity,
    context::{Call, Node},
    kept::{KeptFilter, Room},
    logs::{LogFilter, Place},
    methods::Registry,
    pool::Weight,
    progress::{self, Follower, Known, News, Portion},
    unsent::ServerUnsent,
};
use crate::{event::ChainEvent, metrics};

/// What is looked up at once: it waits in memory for a client that reads slowly.
const PORTION: Portion = Portion { blocks: 256, logs: 1000 };

pub(super) fn register(methods: &mut Registry) {
    methods.add(|module| {
        let subscribe = |params: Params<'static>, pending, node, extensions| {
            subscribe(params, pending, node, extensions)
        };
        let added = module.register_subscription(
            "eth_subscribe",
            "eth_subscription",
            "eth_unsubscribe",
            subscribe,
        );
        added.map(drop)
    });
}

/// What a client can follow.
#[derive(Clone, Debug)]
enum Followed {
    Heads,
    Logs(Arc<KeptFilter>),
}

/// What a client wants to be told.
#[derive(Debug)]
enum Wanted {
    News(Followed),
    /// Transactions that wait: there are none to tell of.
    Pending,
    /// Whether the node fetches blocks from others: it does not.
    Syncing,
}

impl Wanted {
    fn parse(params: &Params<'_>, room: &Room) -> Result<Self, RpcError> {
        type Raw = Option<Json<Box<RawValue>>>;
        let (kind, options) = <(String, Raw)>::parse(params.as_str())?;
        match kind.as_str() {
            "newHeads" => Ok(Self::News(Followed::Heads)),
            "newPendingTransactions" => Ok(Self::Pending),
            "syncing" => Ok(Self::Syncing),
            "logs" => {
                let options = options.as_ref().map_or("{}", |Json(options)| options.get());
                let filter = LogFilter::parse(options);
                let filter = filter.map_err(|problem| RpcError::Argument { index: 1, problem })?;
                match filter.place {
                    Place::Block(_) => Err(RpcError::FilterOfOneBlock),
                    Place::Range(..) => {
                        Ok(Self::News(Followed::Logs(KeptFilter::new(filter, room)?)))
                    }
                }
            }
            _ => Err(RpcError::UnknownSubscription),
        }
    }
}

/// Serves a subscription until the client has enough. What fails is told to the client, and ends it.
async fn subscribe(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    node: Arc<Node>,
    extensions: Extensions,
) -> Result<(), SubscriptionError> {
    let wanted = match Wanted::parse(&params, &node.room) {
        Ok(wanted) => wanted,
        Err(error) => {
            pending.reject(error).await;
            return Ok(());
        }
    };
    drop(params);
    let connection = extensions.get::<Activity>().cloned();
    let connection = connection.unwrap_or_else(|| Activity::new(ServerUnsent::default()));
    // Before the client knows of its subscription: it misses nothing from then on.
    let events = node.context.events.subscribe();
    let follower = match look_up(&node, |call| Follower::begin(&call)).await {
        Ok(follower) => follower,
        Err(error) => {
            pending.reject(error).await;
            return Ok(());
        }
    };
    let Ok(sink) = pending.accept().await else { return Ok(()) };
    let _counted = metrics::Running::subscription();
    let told = match wanted {
        Wanted::News(followed) => {
            Telling { sink, connection, node, follower, followed }.tell(events).await
        }
        Wanted::Syncing => match to_raw_value(&false) {
            Ok(json) => match send(&sink, &connection, vec![json]).await {
                Ok(()) => closed(&sink).await,
                ended => ended,
            },
            Err(error) => Err(Ended::Failed(RpcError::Serialize(error))),
        },
        Wanted::Pending => closed(&sink).await,
    };
    match told {
        Err(Ended::Failed(error)) => {
            tracing::debug!(%error, "subscription ended");
            Err(ErrorObjectOwned::from(error).message().into())
        }
        Ok(()) | Err(Ended::Closed) => Ok(()),
    }
}

/// Reads from the database, as a call does.
async fn look_up<T: Send + 'static>(
    node: &Arc<Node>,
    read: impl FnOnce(Call) -> Result<T, RpcError> + Send + 'static,
) -> Result<T, RpcError> {
    let time = node.limits.call_time();
    let call = Arc::clone(node);
    let work = move |deadline| read(Call { node: call, deadline });
    node.pool.run_when_free(Weight::News, time, work).await
}

/// Why nothing more is told.
#[derive(Debug)]
enum Ended {
    /// The client has enough.
    Closed,
    /// It cannot be told what it wants.
    Failed(RpcError),
}

impl From<RpcError> for Ended {
    fn from(error: RpcError) -> Self {
        Self::Failed(error)
    }
}

/// News as they are written.
type Written = Vec<Box<RawValue>>;

fn write(news: impl IntoIterator<Item = impl Serialize>) -> Result<Written, RpcError> {
    news.into_iter().map(|news| to_raw_value(&news).map_err(RpcError::Serialize)).collect()
}

impl Followed {
    /// What is new in the database.
    fn look_up(&self, call: &Call, follower: &Follower) -> Result<News<Written>, RpcError> {
        match self {
            Self::Heads => {
                let News { news, follower } = progress::headers(call, follower, PORTION)?;
                let headers = news.into_iter().map(|stored| rpc_header(stored.header, stored.hash));
                Ok(News { news: write(headers)?, follower })
            }
            Self::Logs(filter) => {
                let News { news, follower } =
                    progress::logs(call, follower, filter.filter(), PORTION)?;
                Ok(News { news: write(news)?, follower })
            }
        }
    }
}

/// The logs of which `event` tells; `None` where they are more than are told at once.
fn logs_of(event: &ChainEvent, filter: &KeptFilter) -> Result<Option<Written>, RpcError> {
    let removed = event.removed.iter().map(|block| (block, true));
    let added = event.added.iter().map(|block| (block, false));
    let mut written = Written::new();
    for (block, is_removed) in removed.chain(added) {
        if !filter.may_be_in(block) {
            continue;
        }
        let logs = filter.filter().of_block(&block.block, &block.receipts, is_removed);
        if written.len() + logs.len() > PORTION.logs {
            return Ok(None);
        }
        written.extend(write(logs)?);
    }
    Ok(Some(written))
}

/// A subscription while it is served.
struct Telling {
    sink: SubscriptionSink,
    connection: Activity,
    node: Arc<Node>,
    follower: Follower,
    followed: Followed,
}

impl Telling {
    async fn tell(mut self, mut events: broadcast::Receiver<Arc<ChainEvent>>) -> Result<(), Ended> {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                closed = closed(&self.sink) => return closed,
            };
            let told = match event {
                Ok(event) => self.written(event).await?,
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return Ok(()),
            };
            match told {
                Some((news, last)) => {
                    send(&self.sink, &self.connection, news).await?;
                    self.follower.last = last;
                }
                None => self.catch_up().await?,
            }
        }
    }

    /// What `event` says, and the last block that the client knows of then; `None` where it does not
    /// continue what the client knows, or says much. The event is not kept longer than that takes.
    async fn written(&self, event: Arc<ChainEvent>) -> Result<Option<(Written, Known)>, RpcError> {
        let Some(last) = self.follower.after(&event) else {
            // Whoever looks up what is new may need what it removed.
            self.node.removed.learn(&event);
            return Ok(None);
        };
        let written = match &self.followed {
            Followed::Heads => {
                let headers = event.added.iter().map(|block| &block.block);
                Some(write(headers.map(|block| rpc_header(block.header.clone(), block.hash)))?)
            }
            Followed::Logs(filter) => {
                let mut blocks = event.removed.iter().chain(&event.added);
                if !blocks.any(|block| filter.may_be_in(block)) {
                    return Ok(Some((Written::new(), last)));
                }
                let (node, filter) = (Arc::clone(&self.node), Arc::clone(filter));
                let write = move |_: Call| {
                    let written = logs_of(&event, &filter)?;
                    if written.is_none() {
                        // They are looked up, those of removed blocks among these.
                        node.removed.learn(&event);
                    }
                    Ok(written)
                };
                look_up(&self.node, write).await?
            }
        };
        Ok(written.map(|written| (written, last)))
    }

    /// Tells everything up to the head. What events say of it later does not continue what the client
    /// knows then, and is passed over. Of the subscriptions of a connection one at a time catches up,
    /// and only when the client reads what it is sent.
    async fn catch_up(&mut self) -> Result<(), Ended> {
        let _turn = self.connection.catch_up().await;
        loop {
            tokio::select! {
                () = self.connection.reads() => {}
                closed = closed(&self.sink) => return closed,
            }
            let (followed, follower) = (self.followed.clone(), self.follower);
            let looked_up = look_up(&self.node, move |call| followed.look_up(&call, &follower));
            let News { news, follower } = looked_up.await?;
            let is_all = follower.last == self.follower.last;
            send(&self.sink, &self.connection, news).await?;
            self.follower = follower;
            if is_all {
                return Ok(());
            }
        }
    }
}

async fn closed(sink: &SubscriptionSink) -> Result<(), Ended> {
    sink.closed().await;
    Err(Ended::Closed)
}

async fn send(sink: &SubscriptionSink, connection: &Activity, news: Written) -> Result<(), Ended> {
    let mut answer = connection.answer();
    answer.add(news.iter().map(|json| json.get().len()).sum());
    for json in news {
        let bytes = json.get().len();
        sink.send(json).await.map_err(|_| Ended::Closed)?;
        // Around it there is more that says whose it is, which is little.
        answer.complete_part(bytes);
    }
    Ok(())
}
