//! What a client that follows the chain knows of it, and what is new to it.
//!
//! Who follows the chain is remembered by the last block that he knows of, and nothing else, so one who
//! never comes back costs no more than one who does. When he is to be told what is new, the way from
//! that block to the present head is found:
//!
//! ```text
//!            o---o---x---x      x  the last block that he knows of, which was removed since
//!                 \
//!                  o---o---o    what is new: two blocks back, then three ahead
//! ```
//!
//! Blocks that were removed are no longer in the database. The last of them are kept here, so that
//! their logs can be taken back; where one is needed that is no longer kept, he has lost the way.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use alloy_primitives::B256;
use alloy_rpc_types_eth as rpc;
use parking_lot::Mutex;
use warpline_storage::{StoredHeader, View};

use super::{
    RpcError, blocks,
    context::Call,
    logs::{self, LogFilter},
};
use crate::event::{ChainEvent, EventBlock};

/// Removed blocks that are kept.
const REMOVED_BLOCKS: usize = 256;

/// A block by number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) number: u64,
    pub(super) hash: B256,
}

impl Known {
    fn of(event: &EventBlock) -> Self {
        Self { number: event.block.header.number, hash: event.block.hash }
    }

    fn parent_of(event: &EventBlock) -> Option<Self> {
        let header = &event.block.header;
        let number = header.number.checked_sub(1)?;
        Some(Self { number, hash: header.parent_hash })
    }
}

/// Somebody who follows the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Follower {
    /// The last block that he knows of.
    pub(super) last: Known,
    /// How often removed blocks had been lost when that was part of the chain.
    losses: u64,
}

impl Follower {
    /// Somebody who knows of the block `last`, which was part of the chain when removed blocks had been
    /// lost `losses` times.
    pub(super) const fn at(last: Known, losses: u64) -> Self {
        Self { last, losses }
    }

    /// Somebody who begins with the head.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub(super) fn begin(call: &Call) -> Result<Self, RpcError> {
        // Before the view is taken: what is lost later may be what he knows.
        let losses = call.node.removed.losses();
        let view = call.view()?;
        let head = view.head();
        Ok(Self::at(Known { number: head.header.number, hash: head.hash }, losses))
    }

    /// The last block that he knows of after `event`, where that begins with the one he knows of now.
    pub(super) fn after(&self, event: &ChainEvent) -> Option<Known> {
        let begin = match (event.removed.first(), event.added.first()) {
            (Some(removed), _) => Some(Known::of(removed)),
            (None, Some(added)) => Known::parent_of(added),
            (None, None) => None,
        };
        begin.filter(|begin| *begin == self.last)?;
        match (event.removed.last(), event.added.last()) {
            (_, Some(added)) => Some(Known::of(added)),
            (removed, None) => removed.and_then(|removed| Known::parent_of(removed)),
        }
    }
}

/// The blocks that were removed last.
#[derive(Debug, Default)]
pub(super) struct Removed {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    blocks: HashMap<B256, Arc<EventBlock>>,
    order: VecDeque<B256>,
    /// How often some were lost, or never learned of.
    losses: u64,
}

impl Removed {
    /// How often some were lost.
    fn losses(&self) -> u64 {
        self.kept.lock().losses
    }

    /// Keeps what `event` removed.
    pub(super) fn learn(&self, event: &ChainEvent) {
        let mut kept = self.kept.lock();
        for block in &event.removed {
            let hash = block.block.hash;
            if kept.blocks.insert(hash, Arc::clone(block)).is_none() {
                kept.order.push_back(hash);
            }
        }
        while kept.order.len() > REMOVED_BLOCKS {
            let oldest = kept.order.pop_front();
            oldest.and_then(|oldest| kept.blocks.remove(&oldest));
            kept.losses += 1;
        }
    }

    /// Some events were missed, and nobody knows what they removed.
    pub(super) fn miss(&self) {
        self.kept.lock().losses += 1;
    }

    /// The removed block with this hash. `None` where it is not known yet: the news of a change may
    /// come after the change.
    ///
    /// # Errors
    /// [`RpcError::UnknownFilter`] where it may have been known, and is not any more.
    fn find(&self, hash: B256, losses: u64) -> Result<Option<Arc<EventBlock>>, RpcError> {
        let kept = self.kept.lock();
        match kept.blocks.get(&hash) {
            Some(block) => Ok(Some(Arc::clone(block))),
            None if kept.losses == losses => Ok(None),
            None => Err(RpcError::UnknownFilter),
        }
    }
}

/// The way back from the last block that somebody knows of.
#[derive(Debug)]
struct Back {
    /// The removed blocks, newest first.
    removed: Vec<Arc<EventBlock>>,
    /// The block of the chain on which they stood.
    common: Known,
    /// How often removed blocks had been lost when it was looked for.
    losses: u64,
}

/// The view in which to look for what is new, and the way back for `follower`; `None` where that cannot
/// be said yet.
fn begin(call: &Call, follower: &Follower) -> Result<Option<(Arc<View>, Back)>, RpcError> {
    let losses = call.node.removed.losses();
    let view = call.view()?;
    let back = back(&call.node.removed, &view, follower, losses)?;
    Ok(back.map(|back| (view, back)))
}

fn back(
    removed: &Removed,
    view: &View,
    follower: &Follower,
    losses: u64,
) -> Result<Option<Back>, RpcError> {
    let mut common = follower.last;
    let mut passed = Vec::new();
    while view.hash(common.number)? != Some(common.hash) {
        let Some(event) = removed.find(common.hash, follower.losses)? else { return Ok(None) };
        common = Known::parent_of(&event).ok_or(RpcError::UnknownFilter)?;
        passed.push(event);
    }
    Ok(Some(Back { removed: passed, common, losses }))
}

/// How much somebody is told at once. The rest comes the next time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portion {
    /// So many blocks.
    pub(super) blocks: u64,
    /// So many logs, unless the first block with any has more.
    pub(super) logs: usize,
}

impl Portion {
    /// Half as much.
    pub(super) const fn half(self) -> Self {
        Self { blocks: self.blocks.div_ceil(2), logs: self.logs.div_ceil(2) }
    }
}

/// News, and what who hears them knows then.
#[derive(Debug)]
pub(super) struct News<T> {
    pub(super) news: T,
    pub(super) follower: Follower,
}

impl<T: Default> News<T> {
    fn none(follower: &Follower) -> Self {
        Self { news: T::default(), follower: *follower }
    }
}

fn last_told(view: &View, common: Known, portion: Portion) -> u64 {
    view.head().header.number.min(common.number.saturating_add(portion.blocks))
}

/// The headers that are new to `follower`.
///
/// # Errors
/// [`RpcError::UnknownFilter`] where he lost the way, and when the tables cannot be read.
pub(super) fn headers(
    call: &Call,
    follower: &Follower,
    portion: Portion,
) -> Result<News<Vec<StoredHeader>>, RpcError> {
    let Some((view, back)) = begin(call, follower)? else { return Ok(News::none(follower)) };
    let Back { common, losses, .. } = back;
    let numbers = common.number + 1..=last_told(&view, common, portion);
    let headers = numbers.map(|number| blocks::header(&view, number));
    let news = headers.collect::<Result<Vec<_>, _>>()?;
    let last = news.last().map(|last| Known { number: last.header.number, hash: last.hash });
    let follower = Follower::at(last.unwrap_or(common), losses);
    Ok(News { news, follower })
}

/// The logs that are new to `follower`, after those that are taken back.
///
/// # Errors
/// As [`headers`].
pub(super) fn logs(
    call: &Call,
    follower: &Follower,
    filter: &LogFilter,
    portion: Portion,
) -> Result<News<Vec<rpc::Log>>, RpcError> {
    let Some((view, back)) = begin(call, follower)? else { return Ok(News::none(follower)) };
    let Back { removed, common, losses } = back;
    let mut news = Vec::new();
    for event in removed {
        if filter.covers(event.block.header.number) {
            news.extend(filter.of_block(&event.block, &event.receipts, true));
        }
        if news.len() >= portion.logs {
            // The block before it may be removed, too, and is the next one to be told.
            let last = Known::parent_of(&event).ok_or(RpcError::UnknownFilter)?;
            return Ok(News { news, follower: Follower { last, ..*follower } });
        }
    }
    let end = last_told(&view, common, portion);
    let most = portion.logs - news.len();
    let found = logs::search(call, &view, filter, common.number + 1..=end, most)?;
    let covered = |log: &rpc::Log| log.block_number.is_none_or(|number| filter.covers(number));
    news.extend(found.logs.into_iter().filter(covered));
    let number = found.stopped_after.unwrap_or(end);
    let hash = view.hash(number)?.ok_or_else(|| blocks::missing(number))?;
    Ok(News { news, follower: Follower::at(Known { number, hash }, losses) })
}

#[cfg(test)]
mod tests {
    use alloy_consensus::Header;
    use warpline_primitives::RecoveredBlock;

    use super::*;

    fn block(number: u64, hash: u8, parent: u8) -> Arc<EventBlock> {
        let parent_hash = B256::repeat_byte(parent);
        let block = RecoveredBlock {
            header: Header { number, parent_hash, ..Header::default() },
            hash: B256::repeat_byte(hash),
            transactions: Vec::new(),
            ommers: Vec::new(),
            withdrawals: None,
        };
        Arc::new(EventBlock { block, receipts: Vec::new(), total_difficulty: Default::default() })
    }

    fn known(number: u64, hash: u8) -> Known {
        Known { number, hash: B256::repeat_byte(hash) }
    }

    #[test]
    fn an_event_continues_what_is_known_or_does_not() {
        let follower = Follower { last: known(5, 5), losses: 0 };
        let after = |removed: &[Arc<EventBlock>], added: &[Arc<EventBlock>]| {
            let event = ChainEvent { removed: removed.to_vec(), added: added.to_vec() };
            follower.after(&event)
        };
        assert_eq!(after(&[], &[block(6, 6, 5)]), Some(known(6, 6)));
        assert_eq!(after(&[], &[block(6, 6, 5), block(7, 7, 6)]), Some(known(7, 7)));
        assert_eq!(after(&[], &[block(7, 7, 6)]), None);
        assert_eq!(after(&[], &[block(5, 5, 4)]), None);
        assert_eq!(after(&[block(5, 5, 4)], &[block(5, 9, 4)]), Some(known(5, 9)));
        assert_eq!(after(&[block(5, 5, 4), block(4, 4, 3)], &[]), Some(known(3, 3)));
        assert_eq!(after(&[block(5, 8, 4)], &[block(5, 9, 4)]), None);
        assert_eq!(after(&[], &[]), None);
    }

    #[test]
    fn a_removed_block_is_unknown_before_it_is_lost() {
        let removed = Removed::default();
        assert!(removed.find(B256::ZERO, 0).unwrap().is_none());
        removed.miss();
        assert!(matches!(removed.find(B256::ZERO, 0), Err(RpcError::UnknownFilter)));
        assert!(removed.find(B256::ZERO, 1).unwrap().is_none());
    }

    #[test]
    fn only_some_removed_blocks_are_kept() {
        let removed = Removed::default();
        for round in 0..5 {
            let blocks = (0..100).map(|hash| block(1, hash + 100 * (round % 2), 0)).collect();
            removed.learn(&ChainEvent { removed: blocks, added: Vec::new() });
        }
        let kept = removed.kept.lock();
        assert_eq!((kept.blocks.len(), kept.order.len(), kept.losses), (200, 200, 0));
        drop(kept);
        let many = (0..=255).map(|hash| block(1, hash, 0)).chain([block(1, 0, 0)]);
        let other = Arc::new(EventBlock {
            block: RecoveredBlock { hash: B256::with_last_byte(1), ..block(1, 0, 0).block.clone() },
            ..(*block(1, 0, 0)).clone()
        });
        let many = many.chain([other]).collect();
        removed.learn(&ChainEvent { removed: many, added: Vec::new() });
        let kept = removed.kept.lock();
        assert_eq!((kept.blocks.len(), kept.order.len(), kept.losses), (256, 256, 1));
    }
}
