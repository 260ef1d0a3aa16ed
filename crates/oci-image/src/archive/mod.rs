//! Docker archives: what `docker save` and `podman save` write and `docker load` reads.

mod docker;
mod import;
mod members;
mod open;
mod write;

pub use import::{ImportedSource, import, imported};
pub use open::open_archive;
pub use write::{StreamError, stream_archive, write_archive};
