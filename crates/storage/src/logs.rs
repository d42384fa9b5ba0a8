//! Which blocks have logs that a filter looks for.

use std::{collections::BTreeSet, ops::RangeInclusive};

use alloy_primitives::{Address, B256};

use crate::{
    StorageError, View,
    tables::{LogTerm, log_key, version_of},
};

/// What logs must be like. An empty list is no condition.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// The contract is one of these.
    pub addresses: Vec<Address>,
    /// The topic in each place is one of these.
    pub topics: [Vec<B256>; 4],
}

impl LogQuery {
    /// The conditions: any term of each must be met.
    fn conditions(&self) -> Vec<Vec<LogTerm>> {
        let addresses = self.addresses.iter().copied().map(LogTerm::Address).collect();
        let topics = (0_u8..).zip(&self.topics).map(|(place, topics)| {
            topics.iter().map(|topic| LogTerm::Topic(place, *topic)).collect()
        });
        [addresses].into_iter().chain(topics).filter(|terms: &Vec<_>| !terms.is_empty()).collect()
    }
}

impl View {
    /// The blocks of `range` that have a log for each condition of `query`, in order; all of them where
    /// it has none. One log need not meet all conditions: look at the logs themselves.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn blocks_with_logs(
        &self,
        query: &LogQuery,
        range: RangeInclusive<u64>,
    ) -> Result<Vec<u64>, StorageError> {
        let range = *range.start()..=*range.end().min(&self.head().header.number);
        let mut found: Option<BTreeSet<u64>> = None;
        for terms in query.conditions() {
            let mut blocks = BTreeSet::new();
            for term in terms {
                let (first, last) = (log_key(term, *range.start()), log_key(term, *range.end()));
                if first > last {
                    continue;
                }
                for entry in self.logs.range::<&[u8]>(&*first..=&*last)? {
                    blocks.insert(version_of(entry?.0.value()));
                }
            }
            if let Some(found) = &found {
                blocks.retain(|block| found.contains(block));
            }
            found = Some(blocks);
        }
        Ok(found.map_or_else(|| range.collect(), |found| found.into_iter().collect()))
    }
}
