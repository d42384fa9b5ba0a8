//! Two headers, one after the other: whether the second may follow the first, and what else may.

#![no_main]

use alloy_consensus::Header;
use alloy_rlp::Decodable;
use libfuzzer_sys::fuzz_target;
use warpline_chain::{ChainSpec, EthereumHardfork};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let Ok(parent) = Header::decode(&mut rest) else { return };
    // Where there is no second header, the first is held against itself.
    let child = Header::decode(&mut rest).unwrap_or_else(|_| parent.clone());
    for fork in EthereumHardfork::VARIANTS {
        let chain = ChainSpec::at_fork(*fork, 1);
        let _ = chain.validate_header(&child, &parent);
        let _ = chain.next_base_fee(&parent);
        let _ = chain.next_excess_blob_gas(&parent, child.timestamp);
        let _ = chain.next_difficulty(&parent, child.timestamp);
        let _ = chain.blob_base_fee(&child);
    }
});
