//! Images that were built: written, pushed, listed, inspected, and started on a cluster.

pub(crate) mod built_image;
pub(crate) mod context;
pub mod diff;
pub mod images;
pub mod inspect;
pub(crate) mod intact;
pub mod job;
pub(crate) mod lazy;
pub(crate) mod output;
pub mod push;
mod pushed;
pub(crate) mod subject;
pub(crate) mod target;
