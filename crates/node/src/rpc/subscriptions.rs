//! Subscriptions: new heads and logs, told to clients on WebSockets as they come.
//!
//! A client that does not read what it is sent is told nothing more once it is so far behind that
//! events are lost: its subscription ends, and it may begin another.

use std::sync::Arc;

use jsonrpsee::{
    server::{PendingSubscriptionSink, SubscriptionSink},
    types::Params,
};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::broadcast;

use super::{
    RpcError,
    args::{Argument as _, Arguments, Json},
    blocks::rpc_header,
    context::Node,
    logs::{LogFilter, Place},
    methods::Registry,
};
use crate::{event::ChainEvent, metrics};

pub(super) fn register(methods: &mut Registry) {
    methods.add(|module| {
        let subscribe =
            |params: Params<'static>, pending, node, _| subscribe(params, pending, node);
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

async fn subscribe(params: Params<'static>, pending: PendingSubscriptionSink, node: Arc<Node>) {
    let wanted = match Wanted::parse(&params) {
        Ok(wanted) => wanted,
        Err(error) => return pending.reject(error).await,
    };
    drop(params);
    // Before the client knows of its subscription: it misses nothing from then on.
    let events = node.context.events.subscribe();
    drop(node);
    let Ok(sink) = pending.accept().await else { return };
    let _counted = metrics::Running::subscription();
    match wanted {
        Wanted::Heads => tell(&sink, events, heads).await,
        Wanted::Logs(filter) => tell(&sink, events, |event| logs(&filter, event)).await,
        Wanted::Syncing => {
            if send(&sink, &false).await {
                sink.closed().await;
            }
        }
        Wanted::Pending => sink.closed().await,
    }
}

/// Tells of events until the client has enough, or cannot follow.
async fn tell<T: Serialize>(
    sink: &SubscriptionSink,
    mut events: broadcast::Receiver<Arc<ChainEvent>>,
    news_of: impl Fn(&ChainEvent) -> Vec<T>,
) {
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = sink.closed() => return,
        };
        let event = match event {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                tracing::debug!(missed, "subscription ended: the client does not follow");
                return;
            }
            Err(broadcast::error::RecvError::Closed) => return sink.closed().await,
        };
        for news in news_of(&event) {
            if !send(sink, &news).await {
                return;
            }
        }
    }
}

/// Sends one piece of news. Whether there will be others.
async fn send(sink: &SubscriptionSink, news: &impl Serialize) -> bool {
    match serde_json::value::to_raw_value(news) {
        Ok(json) => sink.send(json).await.is_ok(),
        Err(error) => {
            tracing::error!(%error, "news cannot be written");
            false
        }
    }
}

fn heads(event: &ChainEvent) -> Vec<alloy_rpc_types_eth::Header> {
    let added = event.added.iter().map(|event| &event.block);
    added.map(|block| rpc_header(block.header.clone(), block.hash)).collect()
}

fn logs(filter: &LogFilter, event: &ChainEvent) -> Vec<alloy_rpc_types_eth::Log> {
    let removed = event.removed.iter().map(|block| (block, true));
    let added = event.added.iter().map(|block| (block, false));
    removed
        .chain(added)
        .filter(|(event, _)| filter.covers(event.block.header.number))
        .flat_map(|(event, is_removed)| filter.of_block(&event.block, &event.receipts, is_removed))
        .collect()
}
