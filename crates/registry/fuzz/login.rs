//! Any text as the challenge of a registry, and as what it answers to whoever asks for a token.

#![no_main]

#[path = "../tests/loopback/foreign.rs"]
mod foreign;

libfuzzer_sys::fuzz_target!(|text: &str| foreign::login(text));
