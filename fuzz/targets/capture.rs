//! The payload of a capture. The head before it is made here: the fuzzer would never find its checksum.

#![no_main]

use alloy_primitives::Keccak256;
use libfuzzer_sys::fuzz_target;
use warpline_decoder_fuzz::exercise;

/// Magic, version 1, stored as it is, chain 1.
const BEGINNING: &[u8] = b"\x89WLCAP\r\n\0\x01\0\0\0\0\0\0\0\0\x01";

fuzz_target!(|payload: &[u8]| {
    let length = (payload.len() as u64).to_be_bytes();
    let mut capture = [BEGINNING, &length, &length].concat();
    let mut hasher = Keccak256::new();
    hasher.update(&capture);
    hasher.update(payload);
    capture.extend_from_slice(hasher.finalize().as_slice());
    capture.extend_from_slice(payload);
    exercise(&capture);
    // The head itself is for the fuzzer, too.
    exercise(&[&BEGINNING[..8], payload].concat());
});
