//! The built program, as its users call it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod found;
mod full_store;
mod images;
mod inputs;
mod intact;
mod login;
mod program;
mod stdout;
