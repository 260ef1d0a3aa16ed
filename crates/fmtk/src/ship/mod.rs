//! Images that were built: written, pushed, listed and looked at.

pub(crate) mod context;
pub mod images;
pub mod inspect;
pub(crate) mod intact;
pub(crate) mod lazy;
pub(crate) mod made;
pub(crate) mod output;
pub mod push;
