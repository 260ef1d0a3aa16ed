//! Debian's packages: what an archive has, which of them are needed, and how they come from there into a layer.
//!
//! The sample's base is made of them, and a recipe's `[system]` adds some to a base.

pub mod archive;
pub mod choice;
pub mod dpkg;
pub mod facts;
pub mod mirror;
mod package;
mod release;
mod scripts;
pub mod unpack;

pub use self::{
    archive::Archive,
    choice::{Choice, choose},
    facts::DebFacts,
    package::Package,
    release::{Release, Vendor},
};
