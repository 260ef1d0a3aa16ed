//! Images that were built: written, pushed, listed and inspected.

pub(crate) mod built_image;
pub(crate) mod context;
pub mod diff;
pub mod images;
pub mod inspect;
pub(crate) mod intact;
pub(crate) mod lazy;
pub(crate) mod output;
pub mod push;
pub(crate) mod subject;
mod target;
