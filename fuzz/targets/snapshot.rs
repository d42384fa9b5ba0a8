//! The parts of a snapshot's JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warpline_decoder_fuzz::{exercise, json, parts};

fuzz_target!(|bytes: &[u8]| {
    let [block, state, codes, hashes] = parts(bytes);
    let document = format!(
        r#"{{"block": {}, "pre_state": {}, "codes": {}, "block_hashes": {}}}"#,
        json(block),
        json(state),
        json(codes),
        json(hashes)
    );
    exercise(document.as_bytes());
});
