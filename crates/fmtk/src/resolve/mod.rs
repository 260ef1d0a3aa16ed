//! What an image is made from, found and identified: packages, scripts, own files, base and programs.

pub(crate) mod accounts;
pub(crate) mod base;
pub mod bytecode;
pub(crate) mod cache;
pub(crate) mod connect;
pub(crate) mod containers;
pub(crate) mod fetch;
pub mod front;
pub(crate) mod inputs;
pub(crate) mod inspection;
pub(crate) mod lock;
pub(crate) mod own_file;
pub mod packages;
pub mod place;
pub mod prepare;
pub mod scripts;
pub(crate) mod system;
pub mod tools;
pub(crate) mod wheels;
