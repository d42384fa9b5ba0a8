//! An execution witness of raw parts: a block, trie nodes, codes and headers.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warpline_decoder_fuzz::{exercise, hex, hex_list, parts};

fuzz_target!(|bytes: &[u8]| {
    let [block, state, codes, headers] = parts(bytes);
    let document = format!(
        r#"{{"block": {}, "witness": {{"state": {}, "codes": {}, "headers": {}}}}}"#,
        hex(block),
        hex_list(state),
        hex_list(codes),
        hex_list(headers)
    );
    exercise(document.as_bytes());
});
