//! The built program, as its users call it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod bases;
mod diff;
mod formats;
mod found;
mod full_store;
mod images;
mod init;
mod inputs;
mod intact;
mod job;
mod layout;
mod login;
mod program;
mod secrets;
mod stacks;
mod stdout;
