//! Images as data, seen from outside: what is written is read again, by us and by others, and what is refused says why.

#![allow(clippy::unwrap_used, reason = "tests")]

mod assemble;
mod base_index;
mod config;
mod foreign;
mod import;
mod layer;
mod layouts_and_archives;
mod leftover;
mod made;
mod recompress;
mod refusals;
mod unpack;
