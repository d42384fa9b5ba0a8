//! A block's RLP: senders are recovered and the rules that need no state are asked about it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warpline_chain::{ChainSpec, EthereumHardfork};
use warpline_replay::decode_block;

fuzz_target!(|bytes: &[u8]| {
    for fork in [EthereumHardfork::Frontier, EthereumHardfork::Berlin, EthereumHardfork::Amsterdam]
    {
        let chain = ChainSpec::at_fork(fork, 1);
        if let Ok(block) = decode_block(bytes, &chain) {
            let _ = chain.validate_body(&block, Some(bytes.len()));
            let _ = chain.validate_ommers(&block.header, &block.ommers, &[], &[]);
        }
    }
});
