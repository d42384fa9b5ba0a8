//! Which logs are meant, and where they are.

use std::ops::RangeInclusive;

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256};
use alloy_rpc_types_eth as rpc;
use serde::Deserialize;
use warpline_primitives::{Receipt, RecoveredBlock};
use warpline_storage::{LogQuery, View};

use super::{
    RpcError,
    args::{Argument, ArgumentError, Prefixed},
    blocks::{self, resolve},
    context::Call,
    error::Inconsistency,
    methods::Registry,
    transactions::LogPlace,
};
use crate::config::RpcLimits;

/// Addresses, or topics in one place, that a filter may have.
const MOST_ALTERNATIVES: usize = 1000;

/// Blocks that are looked up in the index at once, before the time is looked at again.
const BLOCKS_AT_ONCE: u64 = 4096;

pub(super) fn register(methods: &mut Registry) {
    methods.heavy("eth_getLogs", logs);
}

/// Where logs are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In one block.
    Block(B256),
    /// In a range of blocks; in the head where an end is not said.
    Range(Option<BlockNumberOrTag>, Option<BlockNumberOrTag>),
}

/// Which logs are meant. The alternatives of the query are in order, each once.
#[derive(Clone, Debug)]
pub(super) struct LogFilter {
    pub(super) place: Place,
    pub(super) query: LogQuery,
}

/// One value or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}

/// The topics in one place, any of which will do; with `null` among them every other, too.
type Topics = OneOrMany<Option<Prefixed<B256>>>;

/// A filter as it is written. What else it has is passed over, as other nodes do.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Written {
    from_block: Option<BlockNumberOrTag>,
    to_block: Option<BlockNumberOrTag>,
    block_hash: Option<Prefixed<B256>>,
    address: Option<OneOrMany<Prefixed<Address>>>,
    topics: Option<Vec<Option<Topics>>>,
}

impl Argument for LogFilter {
    fn parse(json: &str) -> Result<Self, ArgumentError> {
        let written: Written = serde_json::from_str(json)?;
        let at_most = |found: usize, most: usize| match found > most {
            true => Err(ArgumentError::TooManyAlternatives { found, most }),
            false => Ok(()),
        };
        let addresses = written.address.map(OneOrMany::into_vec).unwrap_or_default();
        at_most(addresses.len(), MOST_ALTERNATIVES)?;
        let places = written.topics.unwrap_or_default();
        let mut query = LogQuery {
            addresses: addresses.into_iter().map(|Prefixed(address)| address).collect(),
            ..LogQuery::default()
        };
        sort(&mut query.addresses);
        at_most(places.len(), query.topics.len())?;
        for (topics, place) in query.topics.iter_mut().zip(places) {
            let alternatives = place.map(OneOrMany::into_vec).unwrap_or_default();
            at_most(alternatives.len(), MOST_ALTERNATIVES)?;
            // With `null` among them any topic will do.
            let alternatives: Option<Vec<_>> = alternatives.into_iter().collect();
            *topics = alternatives.into_iter().flatten().map(|Prefixed(topic)| topic).collect();
            sort(topics);
        }
        let place = match (written.block_hash, written.from_block, written.to_block) {
            (Some(Prefixed(hash)), None, None) => Place::Block(hash),
            (None, from, to) => Place::Range(from, to),
            (Some(_), ..) => return Err(ArgumentError::HashAndRange),
        };
        Ok(Self { place, query })
    }

    fn absent() -> Option<Self> {
        Some(Self { place: Place::Range(None, None), query: LogQuery::default() })
    }
}

/// Alternatives in order, each once.
fn sort<T: Ord>(alternatives: &mut Vec<T>) {
    alternatives.sort_unstable();
    alternatives.dedup();
}

impl LogFilter {
    fn matches(&self, log: &alloy_primitives::Log) -> bool {
        let LogQuery { addresses, topics } = &self.query;
        let has_address = addresses.is_empty() || addresses.binary_search(&log.address).is_ok();
        has_address
            && topics.iter().enumerate().all(|(place, wanted)| {
                let is_wanted = |topic| wanted.binary_search(topic).is_ok();
                wanted.is_empty() || log.topics().get(place).is_some_and(is_wanted)
            })
    }

    /// The logs of a block that are meant; those of one that was removed from the chain are marked.
    pub(super) fn of_block(
        &self,
        block: &RecoveredBlock,
        receipts: &[Receipt],
        is_removed: bool,
    ) -> Vec<rpc::Log> {
        let mut found = Vec::new();
        let mut before = 0;
        for (index, receipt) in receipts.iter().enumerate().take(block.transactions.len()) {
            let mut place = LogPlace::new(block, index, before).removed(is_removed);
            for log in receipt.logs() {
                if self.matches(log) {
                    found.push(place.next(log.clone()));
                } else {
                    place.skip();
                }
            }
            before += receipt.logs().len();
        }
        found
    }

    /// Whether block `number` is one of those that are looked at, where the head is `head`.
    pub(super) fn covers(&self, number: u64) -> bool {
        let Place::Range(from, to) = self.place else { return false };
        let number_of = |tag: Option<BlockNumberOrTag>| tag.and_then(|tag| tag.as_number());
        number_of(from).is_none_or(|from| from <= number)
            && number_of(to).is_none_or(|to| number <= to)
    }

    /// The blocks that are meant.
    ///
    /// # Errors
    /// Where there are no such blocks, or too many.
    pub(super) fn range(&self, call: &Call, view: &View) -> Result<RangeInclusive<u64>, RpcError> {
        let (from, to) = match self.place {
            Place::Block(hash) => {
                let number = view.number(hash)?.ok_or_else(|| RpcError::unknown_hash(hash))?;
                return Ok(number..=number);
            }
            Place::Range(from, to) => (from.unwrap_or_default(), to.unwrap_or_default()),
        };
        let head = view.head().header.number;
        let end = |tag: BlockNumberOrTag| match tag {
            BlockNumberOrTag::Number(number) => Ok(number),
            tag => resolve(view, Some(tag.into())),
        };
        let (from, to) = (end(from)?, end(to)?);
        if from > to {
            return Err(RpcError::ReversedRange { from, to });
        }
        if to > head {
            return Err(RpcError::RangeBeyondHead { head });
        }
        let most = call.limits().max_blocks_per_filter;
        if most > 0 && to - from >= most {
            return Err(RpcError::RangeTooLong { most });
        }
        Ok(from..=to)
    }
}

/// Logs of the chain, up to the block at which they became too many.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) logs: Vec<rpc::Log>,
    /// The last block that was looked at, where there was not room for all that came after it.
    pub(super) stopped_after: Option<u64>,
}

/// The logs in `range` that `filter` means, in order. Where there are more than `most` there are only those
/// of the first blocks; the first block with any logs has all of its own.
///
/// # Errors
/// When the tables cannot be read, and when the time is over.
pub(super) fn search(
    call: &Call,
    view: &View,
    filter: &LogFilter,
    range: RangeInclusive<u64>,
    most: usize,
) -> Result<Found, RpcError> {
    let mut logs = Vec::new();
    let (mut first, last) = range.into_inner();
    while first <= last {
        call.deadline.check()?;
        let part_end = last.min(first.saturating_add(BLOCKS_AT_ONCE - 1));
        for number in view.blocks_with_logs(&filter.query, first..=part_end)? {
            call.deadline.check()?;
            let more = logs_of(view, filter, number)?;
            if !logs.is_empty() && logs.len() + more.len() > most {
                return Ok(Found { logs, stopped_after: Some(number - 1) });
            }
            logs.extend(more);
        }
        let Some(next) = part_end.checked_add(1) else { break };
        first = next;
    }
    Ok(Found { logs, stopped_after: None })
}

/// How many logs one response may have.
pub(super) fn most_logs(limits: &RpcLimits) -> usize {
    match limits.max_logs_per_response {
        0 => usize::MAX,
        most => most,
    }
}

/// The logs of one block. Its transactions are read only where there are any.
fn logs_of(view: &View, filter: &LogFilter, number: u64) -> Result<Vec<rpc::Log>, RpcError> {
    let receipts = view.receipts(number)?.ok_or_else(|| blocks::missing(number))?;
    let mut logs = receipts.iter().flat_map(|receipt| receipt.logs());
    if !logs.any(|log| filter.matches(log)) {
        return Ok(Vec::new());
    }
    let block = blocks::block(view, number)?;
    if block.transactions.len() != receipts.len() {
        let (transactions, receipts) = (block.transactions.len(), receipts.len());
        let problem = Inconsistency::Receipts { transactions, receipts };
        return Err(RpcError::Inconsistent { number, problem });
    }
    Ok(filter.of_block(&block, &receipts, false))
}

/// All logs that `filter` means.
///
/// # Errors
/// As [`LogFilter::range`] and [`search`], and [`RpcError::TooManyLogs`].
pub(super) fn all(call: &Call, filter: &LogFilter) -> Result<Vec<rpc::Log>, RpcError> {
    let view = call.view()?;
    let range = filter.range(call, &view)?;
    let (from, most) = (*range.start(), most_logs(call.limits()));
    let found = search(call, &view, filter, range, most)?;
    match found.stopped_after {
        Some(last) => Err(RpcError::TooManyLogs { most, from, last }),
        None => Ok(found.logs),
    }
}

fn logs(call: &Call, (filter,): (LogFilter,)) -> Result<Vec<rpc::Log>, RpcError> {
    all(call, &filter)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Log, LogData};

    use super::*;

    fn filter(json: &str) -> LogFilter {
        LogFilter::parse(json).unwrap()
    }

    fn topic(byte: u8) -> String {
        format!("\"{}\"", B256::repeat_byte(byte))
    }

    #[test]
    fn a_filter_may_be_written_in_many_ways() {
        let address = Address::repeat_byte(1);
        assert_eq!(filter(&format!(r#"{{"address":"{address}"}}"#)).query.addresses, [address]);
        assert_eq!(filter(&format!(r#"{{"address":["{address}"]}}"#)).query.addresses, [address]);
        assert!(filter(r#"{"address":null,"topics":null,"limit":3}"#).query.addresses.is_empty());
        let two = format!(r#"{{"topics":[{},[{},{}],null]}}"#, topic(1), topic(2), topic(3));
        let topics = filter(&two).query.topics;
        assert_eq!(topics.map(|topics| topics.len()), [1, 2, 0, 0]);
        let wild = format!(r#"{{"topics":[[{},null]]}}"#, topic(1));
        assert!(filter(&wild).query.topics[0].is_empty());
    }

    #[test]
    fn a_filter_is_bounded() {
        let addresses = |count| {
            let addresses = vec![format!("\"{}\"", Address::ZERO); count].join(",");
            LogFilter::parse(&format!(r#"{{"address":[{addresses}]}}"#))
        };
        assert!(addresses(1000).is_ok());
        assert!(addresses(1001).is_err());
        assert!(LogFilter::parse(r#"{"topics":[null,null,null,null,null]}"#).is_err());
        let hash = B256::ZERO;
        let both = format!(r#"{{"blockHash":"{hash}","fromBlock":"0x1"}}"#);
        assert!(matches!(LogFilter::parse(&both), Err(ArgumentError::HashAndRange)));
        assert!(LogFilter::parse(&"[".repeat(100_000)).is_err());
        let deep = format!(r#"{{"topics":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(LogFilter::parse(&deep).is_err());
    }

    #[test]
    fn topics_are_matched_by_place() {
        let log = Log {
            address: Address::repeat_byte(9),
            data: LogData::new_unchecked(
                vec![B256::repeat_byte(1), B256::repeat_byte(2)],
                Default::default(),
            ),
        };
        for (topics, is_match) in [
            (String::new(), true),
            (topic(1), true),
            (topic(2), false),
            (format!("null,{}", topic(2)), true),
            (format!("[{},{}]", topic(3), topic(1)), true),
            (format!("null,null,{}", topic(1)), false),
        ] {
            let filter = filter(&format!(r#"{{"topics":[{topics}]}}"#));
            assert_eq!(filter.matches(&log), is_match, "{topics}");
        }
    }
}
