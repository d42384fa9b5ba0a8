//! Any document: what it is has to be found out first.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warpline_decoder_fuzz::exercise;

fuzz_target!(|bytes: &[u8]| exercise(bytes));
