//! Log filters that are kept: those of subscriptions, and those that clients poll.
//!
//! A filter may have thousands of addresses and topics, and there may be thousands of filters. So there
//! is only so much room for all of them, and whether a block can have any logs that are meant is first
//! looked up in its bloom, which takes no longer for a block with many logs than for one with few.

use std::sync::Arc;

use alloy_primitives::{B256, Bloom, BloomInput, keccak256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use warpline_storage::LogQuery;

use super::{RpcError, logs::LogFilter};
use crate::event::EventBlock;

/// Addresses and topics of all filters that are kept. Each takes about 64 bytes.
const MOST_ALTERNATIVES: u32 = 1 << 20;

/// Room for filters.
#[derive(Debug)]
pub(super) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_ALTERNATIVES as usize)))
    }
}

/// A filter that is kept.
#[derive(Debug)]
pub(super) struct KeptFilter {
    filter: LogFilter,
    /// The hashes of what a log must have one of, for each part of it of which anything is wanted: they
    /// say which bits of a bloom are set.
    hashes: Vec<Vec<B256>>,
    _room: OwnedSemaphorePermit,
}

impl KeptFilter {
    /// Keeps `filter` in `room`.
    ///
    /// # Errors
    /// [`RpcError::FiltersTooLarge`] where there is none.
    pub(super) fn new(filter: LogFilter, room: &Room) -> Result<Arc<Self>, RpcError> {
        let LogQuery { addresses, topics } = &filter.query;
        let addresses: Vec<_> = addresses.iter().map(keccak256).collect();
        let topics = topics.iter().map(|wanted| wanted.iter().map(keccak256).collect());
        let hashes: Vec<Vec<_>> =
            std::iter::once(addresses).chain(topics).filter(|hashes| !hashes.is_empty()).collect();
        let alternatives = hashes.iter().map(Vec::len).sum::<usize>();
        let most = MOST_ALTERNATIVES;
        let too_large = RpcError::FiltersTooLarge { most };
        let Ok(alternatives) = u32::try_from(alternatives) else { return Err(too_large) };
        match Arc::clone(&room.0).try_acquire_many_owned(alternatives) {
            Ok(room) => Ok(Arc::new(Self { filter, hashes, _room: room })),
            Err(_) => Err(too_large),
        }
    }

    /// What is looked for.
    pub(super) const fn filter(&self) -> &LogFilter {
        &self.filter
    }

    /// Whether `block` may have logs that are meant.
    pub(super) fn may_be_in(&self, block: &EventBlock) -> bool {
        let header = &block.block.header;
        self.filter.covers(header.number) && self.may_be_below(&header.logs_bloom)
    }

    fn may_be_below(&self, bloom: &Bloom) -> bool {
        let is_set = |hash: &B256| bloom.contains_input(BloomInput::Hash(*hash));
        self.hashes.iter().all(|alternatives| alternatives.iter().any(is_set))
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, Log, LogData};

    use super::*;
    use crate::rpc::args::Argument as _;

    fn kept(json: &str) -> Arc<KeptFilter> {
        KeptFilter::new(LogFilter::parse(json).unwrap(), &Room::default()).unwrap()
    }

    #[test]
    fn blooms_tell_where_nothing_is() {
        let topics = vec![B256::repeat_byte(1), B256::repeat_byte(2)];
        let data = LogData::new_unchecked(topics, Default::default());
        let log = Log { address: Address::repeat_byte(9), data };
        let bloom = alloy_primitives::logs_bloom([&log]);
        let [one, two, three] = [1, 2, 3].map(B256::repeat_byte);
        for (json, is_possible) in [
            ("{}".to_owned(), true),
            (format!(r#"{{"address":"{}"}}"#, log.address), true),
            (format!(r#"{{"address":["{}","{}"]}}"#, Address::ZERO, log.address), true),
            (format!(r#"{{"address":"{}"}}"#, Address::ZERO), false),
            (format!(r#"{{"topics":["{one}"]}}"#), true),
            (format!(r#"{{"topics":[null,["{three}","{two}"]]}}"#), true),
            (format!(r#"{{"topics":["{one}","{three}"]}}"#), false),
        ] {
            assert_eq!(kept(&json).may_be_below(&bloom), is_possible, "{json}");
        }
        assert!(kept("{}").may_be_below(&Bloom::ZERO));
    }

    #[test]
    fn there_is_room_for_so_much() {
        let room = Room(Arc::new(Semaphore::new(3)));
        let two = format!(r#"{{"topics":[["{}","{}"]]}}"#, B256::ZERO, B256::repeat_byte(1));
        let keep = || KeptFilter::new(LogFilter::parse(&two).unwrap(), &room);
        let first = keep().unwrap();
        assert!(matches!(keep(), Err(RpcError::FiltersTooLarge { .. })));
        drop(first);
        keep().unwrap();
    }
}
