//! A case of a blockchain test: raw genesis and blocks, JSON for the rest.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warpline_decoder_fuzz::{exercise, hex, json, parts};

const NETWORKS: [&str; 6] = [
    "Frontier",
    "ConstantinopleFix",
    "London",
    "CancunToPragueAtTime15k",
    "ArrowGlacierToParisAtDiffC0000",
    "Amsterdam",
];

fuzz_target!(|bytes: &[u8]| {
    let [network, pre, genesis, block, last] = parts(bytes);
    let network = match network {
        [index] => NETWORKS[usize::from(*index) % NETWORKS.len()].into(),
        other => String::from_utf8_lossy(other).replace(['"', '\\'], ""),
    };
    let document = format!(
        r#"{{"case": {{"network": "{network}", "pre": {}, "genesisRLP": {}, "lastblockhash": {},
            "blocks": [{{"rlp": {}, "blockHeader": {{}}}}]}}}}"#,
        json(pre),
        hex(genesis),
        hex(last),
        hex(block)
    );
    exercise(document.as_bytes());
});
