//! Any bytes as a layer.

#![no_main]

#[path = "../tests/it/foreign.rs"]
mod foreign;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| foreign::layer(bytes));
