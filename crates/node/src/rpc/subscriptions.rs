//! Subscriptions: new heads and logs, told to clients on WebSockets as they come.
//!
//! What an event says is passed on as it is, where it continues what the client knows. Otherwise, most
//! often because the client reads so slowly that events were missed, what is new to it is looked up in
//! the database, so that a slow client is told late but is told everything.

use std::sync::Arc;

use alloy_rpc_types_eth as rpc;
use jsonrpsee::{
    core::SubscriptionError,
    server::{Extensions, PendingSubscriptionSink, SubscriptionSink},
    types::{ErrorObjectOwned, Params},
};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::broadcast::{self, error::RecvError};

use super::{
    RpcError,
    args::{Argument as _, Arguments, Json},
    blocks::rpc_header,
    connection::Activity,
    context::{Call, Node},
    logs::{LogFilter, Place},
    methods::Registry,
    pool::{Deadline, Weight},
    progress::{self, Follower, News, Portion},
    unsent::ServerUnsent,
};
use crate::{
    event::{ChainEvent, EventBlock},
    metrics,
};

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

/// What a client wants to be told.
#[derive(Debug)]
enum Wanted {
    Heads,
    Logs(LogFilter),
    /// Transactions that wait: there are none to tell of.
    Pending,
    /// Whether the node fetches blocks from others: it does not.
    Syncing,
}

impl Wanted {
    fn parse(params: &Params<'_>) -> Result<Self, RpcError> {
        type Raw = Option<Json<Box<RawValue>>>;
        let (kind, options) = <(String, Raw)>::parse(params.as_str())?;
        match kind.as_str() {
            "newHeads" => Ok(Self::Heads),
            "newPendingTransactions" => Ok(Self::Pending),
            "syncing" => Ok(Self::Syncing),
            "logs" => {
                let options = options.as_ref().map_or("{}", |Json(options)| options.get());
                let filter = LogFilter::parse(options);
                let filter = filter.map_err(|problem| RpcError::Argument { index: 1, problem })?;
                match filter.place {
                    Place::Block(_) => Err(RpcError::FilterOfOneBlock),
                    Place::Range(..) => Ok(Self::Logs(filter)),
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
    let wanted = match Wanted::parse(&params) {
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
    let follower = match begin(&node).await {
        Ok(follower) => follower,
        Err(error) => {
            pending.reject(error).await;
            return Ok(());
        }
    };
    let Ok(sink) = pending.accept().await else { return Ok(()) };
    let _counted = metrics::Running::subscription();
    let told = match wanted {
        Wanted::Heads => {
            Telling { sink, connection, node, follower, news: Heads }.tell(events).await
        }
        Wanted::Logs(filter) => {
            Telling { sink, connection, node, follower, news: Logs(filter) }.tell(events).await
        }
        Wanted::Syncing => match send(&sink, &connection, &false).await {
            Ok(()) => closed(&sink).await,
            ended => ended,
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

async fn begin(node: &Arc<Node>) -> Result<Follower, RpcError> {
    look_up(node, Weight::Light, |call| Ok(Follower::begin(&call.node.removed, &*call.view()?)))
        .await
}

/// Reads from the database, as a call does.
async fn look_up<T: Send + 'static>(
    node: &Arc<Node>,
    weight: Weight,
    read: impl FnOnce(&Call) -> Result<T, RpcError> + Send + 'static,
) -> Result<T, RpcError> {
    let deadline = Deadline::after(node.limits.call_time());
    let call = Call { node: Arc::clone(node), deadline };
    node.pool.run(weight, deadline, move || read(&call)).await
}

/// Why nothing more is told.
#[derive(Debug)]
enum Ended {
    /// The client has enough.
    Closed,
    /// It cannot be told what it wants.
    Failed(RpcError),
}

/// What is new, as the client wants to hear it.
trait NewsOf: Clone + Send + 'static {
    type Item: Serialize + Send + 'static;

    /// In a block that was removed, or added.
    fn of_block(&self, block: &EventBlock, is_removed: bool) -> Vec<Self::Item>;

    /// In the database.
    fn look_up(&self, call: &Call, follower: &Follower) -> Result<News<Self::Item>, RpcError>;
}

#[derive(Clone, Copy, Debug)]
struct Heads;

#[derive(Clone, Debug)]
struct Logs(LogFilter);

impl NewsOf for Heads {
    type Item = rpc::Header;

    fn of_block(&self, block: &EventBlock, is_removed: bool) -> Vec<rpc::Header> {
        let block = (!is_removed).then_some(&block.block);
        block.map(|block| rpc_header(block.header.clone(), block.hash)).into_iter().collect()
    }

    fn look_up(&self, call: &Call, follower: &Follower) -> Result<News<rpc::Header>, RpcError> {
        let News { news, last } = progress::headers(call, follower, PORTION)?;
        let news = news.into_iter().map(|stored| rpc_header(stored.header, stored.hash)).collect();
        Ok(News { news, last })
    }
}

impl NewsOf for Logs {
    type Item = rpc::Log;

    fn of_block(&self, block: &EventBlock, is_removed: bool) -> Vec<rpc::Log> {
        let Self(filter) = self;
        if !filter.covers(block.block.header.number) {
            return Vec::new();
        }
        filter.of_block(&block.block, &block.receipts, is_removed)
    }

    fn look_up(&self, call: &Call, follower: &Follower) -> Result<News<rpc::Log>, RpcError> {
        progress::logs(call, follower, &self.0, PORTION)
    }
}

/// A subscription while it is served.
struct Telling<N> {
    sink: SubscriptionSink,
    connection: Activity,
    node: Arc<Node>,
    follower: Follower,
    news: N,
}

impl<N: NewsOf> Telling<N> {
    async fn tell(mut self, mut events: broadcast::Receiver<Arc<ChainEvent>>) -> Result<(), Ended> {
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                closed = closed(&self.sink) => return closed,
            };
            match event {
                Ok(event) => match self.follower.after(&event) {
                    Some(last) => {
                        self.send_event(&event).await?;
                        self.follower.last = last;
                    }
                    None => self.catch_up().await?,
                },
                Err(RecvError::Lagged(_)) => self.catch_up().await?,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    /// Tells of an event, a block at a time: what waits for a slow client is not much.
    async fn send_event(&self, event: &ChainEvent) -> Result<(), Ended> {
        let removed = event.removed.iter().map(|block| (block, true));
        let added = event.added.iter().map(|block| (block, false));
        for (block, is_removed) in removed.chain(added) {
            self.send_all(self.news.of_block(block, is_removed)).await?;
        }
        Ok(())
    }

    /// Tells everything up to the head. What events say of it later does not continue what the client
    /// knows then, and is passed over. Of the subscriptions of a connection one at a time catches up.
    async fn catch_up(&mut self) -> Result<(), Ended> {
        let _turn = self.connection.catch_up().await;
        loop {
            let (news, follower) = (self.news.clone(), self.follower);
            let looked_up =
                look_up(&self.node, Weight::Heavy, move |call| news.look_up(call, &follower)).await;
            let News { news, last } = looked_up.map_err(Ended::Failed)?;
            let is_all = last == self.follower.last;
            self.send_all(news).await?;
            self.follower.last = last;
            if is_all {
                return Ok(());
            }
        }
    }

    async fn send_all(&self, news: Vec<N::Item>) -> Result<(), Ended> {
        for news in news {
            send(&self.sink, &self.connection, &news).await?;
        }
        Ok(())
    }
}

async fn closed(sink: &SubscriptionSink) -> Result<(), Ended> {
    sink.closed().await;
    Err(Ended::Closed)
}

async fn send(
    sink: &SubscriptionSink,
    connection: &Activity,
    news: &impl Serialize,
) -> Result<(), Ended> {
    let json = serde_json::value::to_raw_value(news);
    let json = json.map_err(|error| Ended::Failed(RpcError::Serialize(error)))?;
    let (mut answer, bytes) = (connection.answer(), json.get().len());
    answer.add(bytes);
    sink.send(json).await.map_err(|_| Ended::Closed)?;
    // Around it there is more that says whose it is, which is little.
    answer.complete(bytes);
    Ok(())
}
