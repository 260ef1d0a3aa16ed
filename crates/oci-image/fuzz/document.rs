//! Any bytes as a manifest or an index.

#![no_main]

#[path = "../tests/it/foreign.rs"]
mod foreign;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| foreign::document(bytes));
