//! A file is changed in ranges of its bytes, shown as a unified diff, and replaced whole or not at all.

mod attributes;
mod beside;
mod diff;
mod error;
pub mod json;
mod original;
mod printable;
mod signals;
mod splice;

pub use beside::replace;
pub use diff::{name_in_diff, unified_diff};
pub use error::EditError;
pub use original::{Original, create};
pub use printable::{escaped, printable};
pub use splice::{Splice, apply};
