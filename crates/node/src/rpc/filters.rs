//! Filters: what a client that polls has not seen yet.
//!
//! A filter remembers the last block that its client knows of, and nothing else, so one that is never
//! polled costs no more than one that is. When it is polled, the way from that block to the present
//! head is found:
//!
//! ```text
//!            o---o---x---x      x  the client's last block, which was removed since
//!                 \
//!                  o---o---o    what is new: two blocks back, then three ahead
//! ```
//!
//! Blocks that were removed are no longer in the database. The last of them are kept here, so that
//! their logs can be taken back; where one is asked for that is no longer kept the filter is gone, and
//! its client begins anew.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use alloy_rpc_types_eth as rpc;
use jsonrpsee::server::StopHandle;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use warpline_storage::View;

use super::{
    RpcError,
    args::Json,
    blocks,
    context::{Call, Node},
    logs::{self, LogFilter, Place},
    methods::Registry,
    server::RandomId,
};
use crate::{
    event::{ChainEvent, EventBlock},
    metrics,
};

/// How long a filter is kept that nobody asks for.
const LIFETIME: Duration = Duration::from_secs(5 * 60);

/// Removed blocks that are kept.
const REMOVED_BLOCKS: usize = 256;

/// Blocks of which a poll tells at most. The next poll tells of more.
const BLOCKS_PER_POLL: u64 = 10_000;

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
    Logs(LogFilter),
    Blocks,
    /// Transactions that wait: there are none.
    Pending,
}

/// A block by number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    number: u64,
    hash: B256,
}

#[derive(Debug)]
struct Filter {
    kind: Kind,
    /// Locked while the filter is polled: two polls at once do not tell the same.
    last: Arc<Mutex<Known>>,
    /// How often removed blocks had been lost when the filter was made.
    losses: u64,
    asked: Instant,
}

/// All filters.
#[derive(Debug)]
pub(super) struct Filters {
    filters: Mutex<HashMap<String, Filter>>,
    removed: Mutex<Removed>,
    ids: RandomId,
    most: usize,
}

/// The blocks that were removed last.
#[derive(Debug, Default)]
struct Removed {
    blocks: HashMap<B256, Arc<EventBlock>>,
    order: VecDeque<B256>,
    /// How often some were lost, or never learned of.
    losses: u64,
}

impl Removed {
    fn learn(&mut self, event: &ChainEvent) {
        for block in &event.removed {
            let hash = block.block.hash;
            if self.blocks.insert(hash, Arc::clone(block)).is_none() {
                self.order.push_back(hash);
            }
        }
        while self.order.len() > REMOVED_BLOCKS {
            self.order.pop_front().and_then(|oldest| self.blocks.remove(&oldest));
            self.losses += 1;
        }
    }
}

impl Filters {
    pub(super) fn new(most: usize) -> Self {
        Self {
            filters: Mutex::default(),
            removed: Mutex::default(),
            ids: RandomId::default(),
            most,
        }
    }

    fn add(&self, kind: Kind, last: Known) -> Result<String, RpcError> {
        let losses = self.removed.lock().losses;
        let mut filters = self.filters.lock();
        if filters.len() >= self.most {
            sweep(&mut filters);
        }
        if filters.len() >= self.most {
            return Err(RpcError::TooManyFilters { most: self.most });
        }
        let id = self.ids.next();
        let last = Arc::new(Mutex::new(last));
        filters.insert(id.clone(), Filter { kind, last, losses, asked: Instant::now() });
        metrics::filters(filters.len());
        Ok(id)
    }

    /// What the filter looks for and its last block. It lives on from now.
    fn ask(&self, id: &str) -> Result<(Kind, Arc<Mutex<Known>>, u64), RpcError> {
        let mut filters = self.filters.lock();
        let filter = filters.get_mut(id).filter(|filter| filter.asked.elapsed() < LIFETIME);
        let filter = filter.ok_or(RpcError::UnknownFilter)?;
        filter.asked = Instant::now();
        Ok((filter.kind.clone(), Arc::clone(&filter.last), filter.losses))
    }

    fn remove(&self, id: &str) -> bool {
        let mut filters = self.filters.lock();
        let removed = filters.remove(id);
        metrics::filters(filters.len());
        removed.is_some_and(|filter| filter.asked.elapsed() < LIFETIME)
    }

    /// The removed block with this hash. `None` where it is not known yet: the news of a change may
    /// come after the change.
    ///
    /// # Errors
    /// [`RpcError::UnknownFilter`] where it may have been known, and is not any more.
    fn removed(&self, hash: B256, losses: u64) -> Result<Option<Arc<EventBlock>>, RpcError> {
        let removed = self.removed.lock();
        match removed.blocks.get(&hash) {
            Some(block) => Ok(Some(Arc::clone(block))),
            None if removed.losses == losses => Ok(None),
            None => Err(RpcError::UnknownFilter),
        }
    }
}

/// Forgets the filters that nobody asked for.
fn sweep(filters: &mut HashMap<String, Filter>) {
    filters.retain(|_, filter| filter.asked.elapsed() < LIFETIME);
}

/// Keeps the filters in order until the servers stop: learns of removed blocks, and forgets filters that
/// nobody asks for.
pub(super) fn watch(node: Arc<Node>, stopped: StopHandle) {
    let mut events = node.context.events.subscribe();
    tokio::spawn(async move {
        let end = stopped.shutdown();
        tokio::pin!(end);
        let mut rounds = tokio::time::interval(LIFETIME / 5);
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                _ = rounds.tick() => {
                    let mut filters = node.filters.filters.lock();
                    sweep(&mut filters);
                    metrics::filters(filters.len());
                    continue;
                }
                () = &mut end => return,
            };
            match event {
                Ok(event) => node.filters.removed.lock().learn(&event),
                Err(RecvError::Lagged(_)) => node.filters.removed.lock().losses += 1,
                Err(RecvError::Closed) => {
                    // Nothing is removed any more. Filters still have to be forgotten.
                    events = node.context.events.subscribe();
                    tokio::select! {
                        () = tokio::time::sleep(LIFETIME / 5) => {}
                        () = &mut end => return,
                    }
                }
            }
        }
    });
}

fn head(view: &View) -> Known {
    Known { number: view.head().header.number, hash: view.head().hash }
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
    call.node.filters.add(Kind::Logs(filter), head(&*call.view()?))
}

fn new_block_filter(call: &Call, (): ()) -> Result<String, RpcError> {
    call.node.filters.add(Kind::Blocks, head(&*call.view()?))
}

fn new_pending_filter(
    call: &Call,
    (_full,): (Option<Json<serde::de::IgnoredAny>>,),
) -> Result<String, RpcError> {
    call.node.filters.add(Kind::Pending, head(&*call.view()?))
}

fn uninstall(call: &Call, (id,): (String,)) -> Result<bool, RpcError> {
    Ok(call.node.filters.remove(&id))
}

fn all_logs(call: &Call, (id,): (String,)) -> Result<Vec<rpc::Log>, RpcError> {
    match call.node.filters.ask(&id)?.0 {
        Kind::Logs(filter) => logs::all(call, &filter),
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

fn changes(call: &Call, (id,): (String,)) -> Result<Changes, RpcError> {
    let filters = &call.node.filters;
    let (kind, last, losses) = filters.ask(&id)?;
    let at = call.deadline.at();
    let mut last = last.try_lock_until(at).ok_or_else(|| call.deadline.passed())?;
    let view = call.view()?;
    let Some((removed, common)) = way_back(filters, &view, *last, losses)? else {
        return Ok(match kind {
            Kind::Logs(_) => Changes::Logs(Vec::new()),
            Kind::Blocks | Kind::Pending => Changes::Hashes(Vec::new()),
        });
    };
    let end = view.head().header.number.min(common.number.saturating_add(BLOCKS_PER_POLL));
    let added = common.number + 1..=end;
    let (changes, seen) = match kind {
        Kind::Pending => (Changes::Hashes(Vec::new()), end),
        Kind::Blocks => {
            let hashes = added.map(|number| Ok(blocks::header(&view, number)?.hash));
            (Changes::Hashes(hashes.collect::<Result<_, RpcError>>()?), end)
        }
        Kind::Logs(filter) => {
            let removed = removed.iter().filter(|event| filter.covers(event.block.header.number));
            let mut logs: Vec<_> = removed
                .flat_map(|event| filter.of_block(&event.block, &event.receipts, true))
                .collect();
            let found = logs::search(call, &view, &filter, added)?;
            let covered = |log: &rpc::Log| log.block_number.is_none_or(|at| filter.covers(at));
            logs.extend(found.logs.into_iter().filter(covered));
            (Changes::Logs(logs), found.stopped_after.unwrap_or(end))
        }
    };
    *last = Known { number: seen, hash: blocks::header(&view, seen)?.hash };
    Ok(changes)
}

/// The removed blocks from the last that a client knows of, newest first, and the block of the chain on
/// which they stood. `None` where that cannot be said yet.
type WayBack = Option<(Vec<Arc<EventBlock>>, Known)>;

fn way_back(
    filters: &Filters,
    view: &View,
    mut last: Known,
    losses: u64,
) -> Result<WayBack, RpcError> {
    let mut removed = Vec::new();
    while view.hash(last.number)? != Some(last.hash) {
        let Some(event) = filters.removed(last.hash, losses)? else { return Ok(None) };
        let header = &event.block.header;
        let Some(number) = header.number.checked_sub(1) else {
            return Err(RpcError::UnknownFilter);
        };
        last = Known { number, hash: header.parent_hash };
        removed.push(event);
    }
    Ok(Some((removed, last)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Known = Known { number: 1, hash: B256::ZERO };

    #[test]
    fn filters_are_bounded_and_forgotten() {
        let filters = Filters::new(2);
        let first = filters.add(Kind::Blocks, AT).unwrap();
        let second = filters.add(Kind::Blocks, AT).unwrap();
        assert!(matches!(filters.add(Kind::Blocks, AT), Err(RpcError::TooManyFilters { most: 2 })));
        let Some(long_ago) = Instant::now().checked_sub(LIFETIME) else { return };
        filters.filters.lock().get_mut(&first).unwrap().asked = long_ago;
        assert!(matches!(filters.ask(&first), Err(RpcError::UnknownFilter)));
        filters.add(Kind::Blocks, AT).unwrap();
        assert!(!filters.remove(&first));
        assert!(filters.remove(&second));
        assert!(!filters.remove(&second));
    }

    #[test]
    fn a_removed_block_is_unknown_before_it_is_lost() {
        let filters = Filters::new(1);
        assert!(filters.removed(B256::ZERO, 0).unwrap().is_none());
        filters.removed.lock().losses += 1;
        assert!(matches!(filters.removed(B256::ZERO, 0), Err(RpcError::UnknownFilter)));
        assert!(filters.removed(B256::ZERO, 1).unwrap().is_none());
    }
}
