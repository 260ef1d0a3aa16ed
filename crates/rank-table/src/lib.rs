//! The rank table of a job: where it is, when it is complete, what is wrong with it, and which of its servers this one is.
//!
//! A rank table is the JSON file by which the platform tells every server of a job which devices take part. There are two
//! formats, [`Format::V0`] (the platform's config map) and [`Format::V1`] (what the collective library reads); newer ones
//! are refused by name. A launcher goes through it in this order:
//!
//! 1. [`locate`]: where it is, by the environment;
//! 2. [`Watcher`]: wait until it is complete, driven by the launcher's own event loop;
//! 3. [`parse`] (the watcher calls it): one value for both formats, or every fault at once;
//! 4. [`find`]: which [`Instance`] this server is, or a refusal that says what was tried;
//! 5. [`write_v1`]: the file for the ranks, where the table was v0.
//!
//! The formats are those that the vendor's launch scripts read and write; nobody publishes a specification. Whatever those
//! scripts accept is accepted, but for what makes them hang or start the wrong ranks.

mod check;
mod error;
mod find;
mod formats;
mod locate;
mod parse;
mod table;
mod watch;
mod write;

pub use error::Error;
pub use find::{Clues, OwnInstance, find};
pub use locate::{DEFAULT_PATH, FILE_NAME, Location, Origin, locate};
pub use parse::{MAX_BYTES, parse};
pub use table::{Device, Format, Instance, RankTable};
pub use watch::{CONFIRM, MAX_INTERVAL, MIN_INTERVAL, Ready, Step, Watcher};
pub use write::write_v1;
