//! When which blob parameters apply (EIP-7840, EIP-7892).
//!
//! A chain has one list of parameters by activation time. Every fork from Cancun on may add an
//! entry; a fork that adds none leaves the entry before it in force.

use std::{collections::BTreeMap, num::NonZeroU64};

use alloy_eips::{eip7594::MAX_BLOBS_PER_TX_FUSAKA, eip7840::BLOB_BASE_COST};
use alloy_hardforks::{EthereumHardfork, ForkCondition};

use crate::BlobParams;

/// Blob counts of one fork as genesis files and fixtures list them (EIP-7840).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobCounts {
    /// Blobs a block aims at.
    pub target: u64,
    /// Blobs a block may have.
    pub max: u64,
    /// How fast the blob base fee follows the excess; larger is slower.
    pub base_fee_update_fraction: NonZeroU64,
}

/// The blob counts of a chain by fork. A name such as `BPO1` parses into the key.
pub type BlobSchedule = BTreeMap<EthereumHardfork, BlobCounts>;

impl BlobCounts {
    /// The parameters these counts mean at `fork`: from Osaka on a transaction may carry six
    /// blobs (EIP-7594) and the blob fee has a floor (EIP-7918).
    fn params(&self, fork: EthereumHardfork) -> BlobParams {
        let params = BlobParams {
            target_blob_count: self.target,
            max_blob_count: self.max,
            update_fraction: self.base_fee_update_fraction.get().into(),
            max_blobs_per_tx: self.max,
            ..BlobParams::cancun()
        };
        if fork < EthereumHardfork::Osaka {
            return params;
        }
        params.with_max_blobs_per_tx(MAX_BLOBS_PER_TX_FUSAKA).with_blob_base_cost(BLOB_BASE_COST)
    }
}

/// Blob parameters with the timestamp they begin at, earliest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BlobTimeline(Vec<(u64, BlobParams)>);

impl BlobTimeline {
    /// Lists the parameters of all `forks` that begin at a timestamp, in fork order. Counts in
    /// `schedule` go before those the fork has on mainnet.
    pub(crate) fn new(
        forks: impl IntoIterator<Item = (EthereumHardfork, ForkCondition)>,
        schedule: &BlobSchedule,
    ) -> Self {
        let entry = |(fork, condition): (EthereumHardfork, ForkCondition)| {
            let scheduled = schedule.get(&fork).map(|counts| counts.params(fork));
            Some((condition.as_timestamp()?, fork, scheduled.or_else(|| mainnet_params(fork))?))
        };
        let mut entries: Vec<_> = forks.into_iter().filter_map(entry).collect();
        entries.sort_by_key(|(timestamp, fork, _)| (*timestamp, *fork));
        Self(entries.into_iter().map(|(timestamp, _, params)| (timestamp, params)).collect())
    }

    /// The parameters in force at `timestamp`, `None` before the first.
    pub(crate) fn at(&self, timestamp: u64) -> Option<BlobParams> {
        let begun = self.0.partition_point(|(begin, _)| *begin <= timestamp);
        self.0[..begun].last().map(|(_, params)| *params)
    }
}

/// The parameters a fork brought to mainnet.
fn mainnet_params(fork: EthereumHardfork) -> Option<BlobParams> {
    match fork {
        EthereumHardfork::Cancun => Some(BlobParams::cancun()),
        EthereumHardfork::Prague => Some(BlobParams::prague()),
        EthereumHardfork::Osaka => Some(BlobParams::osaka()),
        EthereumHardfork::Bpo1 => Some(BlobParams::bpo1()),
        EthereumHardfork::Bpo2 => Some(BlobParams::bpo2()),
        _ => None,
    }
}
