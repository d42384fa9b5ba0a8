//! Filters: what a client that polls has not seen yet.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use alloy_rpc_types_eth as rpc;
use jsonrpsee::server::StopHandle;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::broadcast::error::RecvError;

use super::{
    RpcError,
    args::Json,
    context::{Call, Node},
    kept::KeptFilter,
    logs::{self, LogFilter, Place},
    methods::{Registry, to_json},
    progress::{self, Follower, News, Portion},
    server::RandomId,
};
use crate::metrics;

/// How long a filter is kept that nobody asks for.
const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Blocks that one poll looks at.
const BLOCKS_PER_POLL: u64 = 4096;

pub(super) fn register(methods: &mut Registry) {
    methods
        .light("eth_newFilter", new_log_filter)
        .light("eth_newBlockFilter", new_block_filter)
        .light("eth_newPendingTransactionFilter", new_pending_filter)
        .heavy("eth_getFilterChanges", changes)
        .heavy("eth_getFilterLogs", all_logs)
        .light("eth_uninstallFilter", uninstall);
}

/// What a filter looks for.
#[derive(Clone, Debug)]
enum Kind {
    Logs(Arc<KeptFilter>),
    Blocks,
    /// Transactions that wait: there are none.
    Pending,
}

#[derive(Debug)]
struct Filter {
    kind: Kind,
    /// Locked while the filter is polled: two polls at once do not tell the same.
    follower: Arc<Mutex<Follower>>,
    asked: Instant,
}

/// All filters.
#[derive(Debug)]
pub(super) struct Filters {
    filters: Mutex<HashMap<String, Filter>>,
    ids: RandomId,
    most: usize,
}

impl Filters {
    pub(super) fn new(most: usize) -> Self {
        Self { filters: Mutex::default(), ids: RandomId::default(), most }
    }

    fn add(&self, kind: Kind, follower: Follower) -> Result<String, RpcError> {
        let mut filters = self.filters.lock();
        if filters.len() >= self.most {
            sweep(&mut filters);
        }
        if filters.len() >= self.most {
            return Err(RpcError::TooManyFilters { most: self.most });
        }
        let id = self.ids.next();
        let follower = Arc::new(Mutex::new(follower));
        filters.insert(id.clone(), Filter { kind, follower, asked: Instant::now() });
        metrics::filters(filters.len());
        Ok(id)
    }

    /// What the filter looks for and whom for. It lives on from now.
    fn ask(&self, id: &str) -> Result<(Kind, Arc<Mutex<Follower>>), RpcError> {
        let mut filters = self.filters.lock();
        let filter = filters.get_mut(id).filter(|filter| filter.asked.elapsed() < LIFETIME);
        let filter = filter.ok_or(RpcError::UnknownFilter)?;
        filter.asked = Instant::now();
        Ok((filter.kind.clone(), Arc::clone(&filter.follower)))
    }

    fn remove(&self, id: &str) -> bool {
        let mut filters = self.filters.lock();
        let removed = filters.remove(id);
        metrics::filters(filters.len());
        removed.is_some_and(|filter| filter.asked.elapsed() < LIFETIME)
    }
}

/// Forgets the filters that nobody asked for.
fn sweep(filters: &mut HashMap<String, Filter>) {
    filters.retain(|_, filter| filter.asked.elapsed() < LIFETIME);
    metrics::filters(filters.len());
}

/// Until the servers stop: learns of removed blocks, and forgets filters that nobody asks for.
pub(super) fn watch(node: Arc<Node>, stopped: StopHandle) {
    let mut events = node.context.events.subscribe();
    tokio::spawn(async move {
        let end = stopped.shutdown();
        tokio::pin!(end);
        let mut rounds = tokio::time::interval(LIFETIME / 5);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(event) => node.removed.learn(&event),
                    Err(RecvError::Lagged(_)) => node.removed.miss(),
                    Err(RecvError::Closed) => return,
                },
                _ = rounds.tick() => sweep(&mut node.filters.filters.lock()),
                () = &mut end => return,
            }
        }
    });
}

fn add(call: &Call, kind: Kind) -> Result<String, RpcError> {
    let follower = Follower::begin(call)?;
    call.node.filters.add(kind, follower)
}

fn new_log_filter(call: &Call, (filter,): (LogFilter,)) -> Result<String, RpcError> {
    if let Place::Block(_) = filter.place {
        return Err(RpcError::FilterOfOneBlock);
    }
    if let Place::Range(Some(from), Some(to)) = filter.place {
        let (from, to) = (from.as_number(), to.as_number());
        if let Some((from, to)) = from.zip(to).filter(|(from, to)| from > to) {
            return Err(RpcError::ReversedRange { from, to });
        }
    }
    add(call, Kind::Logs(KeptFilter::new(filter, &call.node.room)?))
}

fn new_block_filter(call: &Call, (): ()) -> Result<String, RpcError> {
    add(call, Kind::Blocks)
}

fn new_pending_filter(
    call: &Call,
    (_full,): (Option<Json<serde::de::IgnoredAny>>,),
) -> Result<String, RpcError> {
    add(call, Kind::Pending)
}

fn uninstall(call: &Call, (id,): (String,)) -> Result<bool, RpcError> {
    Ok(call.node.filters.remove(&id))
}

fn all_logs(call: &Call, (id,): (String,)) -> Result<Vec<rpc::Log>, RpcError> {
    match call.node.filters.ask(&id)?.0 {
        Kind::Logs(filter) => logs::all(call, filter.filter()),
        Kind::Blocks | Kind::Pending => Err(RpcError::NotALogFilter),
    }
}

/// What is new for a filter.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Changes {
    Logs(Vec<rpc::Log>),
    Hashes(Vec<B256>),
}

impl Changes {
    fn len(&self) -> usize {
        match self {
            Self::Logs(logs) => logs.len(),
            Self::Hashes(hashes) => hashes.len(),
        }
    }
}

/// What is new. It is as good as told when it is written: whoever asked is answered with that, unless
/// the time is over.
fn changes(call: &Call, (id,): (String,)) -> Result<Box<RawValue>, RpcError> {
    let (kind, follower) = call.node.filters.ask(&id)?;
    let mut follower = follower.try_lock().ok_or(RpcError::FilterBusy)?;
    let most = call.limits().response_bytes() as usize;
    let logs = logs::most_logs(call.limits());
    let mut portion = Portion { blocks: BLOCKS_PER_POLL, logs };
    loop {
        let News { news, follower: after } = news(call, &kind, &follower, portion)?;
        match to_json(&news, most) {
            Err(RpcError::ResponseTooBig { .. }) if portion.blocks > 1 || portion.logs > 1 => {
                // Of the logs there may be no limit, but there are so many.
                portion.logs = portion.logs.min(news.len());
                portion = portion.half();
            }
            json => {
                let json = json?;
                call.deadline.check()?;
                *follower = after;
                return Ok(json);
            }
        }
    }
}

fn news(
    call: &Call,
    kind: &Kind,
    follower: &Follower,
    portion: Portion,
) -> Result<News<Changes>, RpcError> {
    Ok(match kind {
        Kind::Pending => News { news: Changes::Hashes(Vec::new()), follower: *follower },
        Kind::Blocks => {
            let News { news, follower } = progress::headers(call, follower, portion)?;
            let hashes = news.into_iter().map(|header| header.hash).collect();
            News { news: Changes::Hashes(hashes), follower }
        }
        Kind::Logs(filter) => {
            let News { news, follower } = progress::logs(call, follower, filter.filter(), portion)?;
            News { news: Changes::Logs(news), follower }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::progress::Known;

    #[test]
    fn filters_are_bounded_and_forgotten() {
        let filters = Filters::new(2);
        let at = Follower::at(Known { number: 1, hash: B256::ZERO }, 0);
        let first = filters.add(Kind::Blocks, at).unwrap();
        let second = filters.add(Kind::Blocks, at).unwrap();
        assert!(matches!(filters.add(Kind::Blocks, at), Err(RpcError::TooManyFilters { most: 2 })));
        let Some(long_ago) = Instant::now().checked_sub(LIFETIME) else { return };
        filters.filters.lock().get_mut(&first).unwrap().asked = long_ago;
        assert!(matches!(filters.ask(&first), Err(RpcError::UnknownFilter)));
        filters.add(Kind::Blocks, at).unwrap();
        assert!(!filters.remove(&first));
        assert!(filters.remove(&second));
        assert!(!filters.remove(&second));
    }
}
