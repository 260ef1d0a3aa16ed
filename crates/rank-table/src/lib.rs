//! The rank table of a job: where it is, when it is complete, what is wrong with it, and which of its servers this one is.
//!
//! A rank table is the JSON file by which the platform tells every server of a job which devices take part. [`Format`] has
//! the formats that are read: v0 (ModelArts' config map) and what the collective library reads, versions 1.0, 1.2 and 2.0.
//! Others are refused by name. A launcher goes through it in this order:
//!
//! 1. [`locate`]: where it is, by the environment;
//! 2. [`Watcher`]: wait until it is complete, driven by the launcher's own event loop;
//! 3. [`parse`] (the watcher calls it): one value for all formats, or every fault at once;
//! 4. [`find`]: which [`Instance`] this server is, or a refusal that says what was tried;
//! 5. [`write_v1`]: the file for the ranks, if the table is v0; [`write_copy`] if its path is a link, which PyTorch refuses.
//!
//! v0 and 1.0 are what the vendor's launch scripts read and write. Whatever those scripts accept is accepted, but for what
//! makes them hang or start the wrong ranks. 1.2 and 2.0 are what the manual of the collective library (HCCL) and that of
//! MindCluster describe, and what the latter's Ascend Operator writes.

mod check;
mod error;
mod find;
mod formats;
mod locate;
mod parse;
mod ranks;
mod super_pods;
mod table;
mod watch;
mod write;

pub use error::Error;
pub use find::{Clues, OwnInstance, find};
pub use locate::{DEFAULT_PATHS, FILE_NAME, FILE_NAMES, Location, Origin, locate};
pub use parse::{MAX_BYTES, parse};
pub use table::{Device, Format, Instance, RankTable};
pub use watch::{CONFIRM, MAX_INTERVAL, MIN_INTERVAL, Ready, Step, Watcher};
pub use write::{write_copy, write_v1};
