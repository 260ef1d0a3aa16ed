//! Wheels made in memory, read, checked and made into layers.

#![allow(clippy::unwrap_used, reason = "a test")]

mod checks;
mod closure;
mod hostile;
mod installed;
mod layers;
mod linkage;
mod outline;
mod shared;
mod wheel_file;
mod zip_file;
