//! The client against a registry in memory, on loopback, with everything that can go wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its fixtures too")]

mod auth;
mod bounds;
mod conformance;
mod files;
mod fixture;
mod foreign;
mod pull;
mod push;
mod quirks;
mod reach;
mod resume;
mod retry;
mod tls;
mod trust;
