//! What an image is made from, found and identified: packages, scripts, own files, base and programs.

pub mod base;
pub mod connect;
pub mod fetch;
pub mod front;
pub mod lock;
pub mod own_file;
pub mod packages;
pub mod place;
pub mod prepare;
pub mod scripts;
pub mod setup;
pub mod tools;
pub mod wheels;
