//! Any bytes as an image's config.

#![no_main]

#[path = "../tests/it/foreign.rs"]
mod foreign;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| foreign::config(bytes));
