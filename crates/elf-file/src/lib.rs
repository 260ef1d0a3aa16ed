//! What an ELF file is for, needs and defines, read in a few ranges of it.
//!
//! The files lie in deflate streams, where a byte costs all before it. Crates that read ELF want the whole file, or seek
//! to its section headers at the end and back; [`Linkage::read`] goes back once at most, and mostly not far.

mod linkage;
mod machine;

pub use linkage::Linkage;
pub use machine::{Elf, HEAD};
