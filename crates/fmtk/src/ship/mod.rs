//! Images that were built: written, pushed, listed and looked at.

pub mod context;
pub mod images;
pub mod inspect;
pub mod intact;
pub mod lazy;
pub mod made;
pub mod output;
pub mod push;
