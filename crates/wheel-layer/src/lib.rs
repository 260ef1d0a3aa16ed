//! A wheel becomes a layer exactly as an installer would have put it.
//!
//! The installer is `pip install --no-deps` of pip 26.0.1 (the last for Python 3.9) with umask 022, run by
//! the target's Python for the target's prefix: paths, bytes, modes and folders are the same. [`WheelFacts`] say what
//! a wheel holds and whether it fits a target, an [`InstalledWheel`] is where its files go, and [`layers`] makes the
//! layers of one or several. Nothing is run, no folder is unpacked, and the machine's own Python does not matter. Where
//! [`Layout::bytecode`] says so, modules are compiled by what the caller gives; else it is as with `--no-compile`.
//!
//! # Where pip and the specifications differ, pip wins
//!
//! | | specification | pip 26.0.1, and so here |
//! |---|---|---|
//! | executable bit | kept from the archive (PEP 427) | 0755 where the archive says regular file and any of the three execute bits, else 0644; also for `*.data/scripts` |
//! | symbolic links | none in a wheel | a file that holds the target's text |
//! | folders | nothing said | made only above files; entries for folders are passed over |
//! | `#!python` in scripts | `#!python` or `#!pythonw` replaced, arguments kept | the whole first line replaced where it begins with `#!python` |
//! | wrappers of setuptools | nothing said | a script in `*.data/scripts` named like a command (also with `.exe`, `-script.py`, `.pya`) is left out; its row stays in RECORD |
//! | `*.data` of another name | only the distribution's own | any folder at the root that ends in `.data` |
//! | one path twice | nothing said | the later wins: root, then schemes, then scripts, then what is generated; [`InstalledWheel::twice`] tells |
//! | headers | "headers" of the scheme | below it, a folder with the normalised name of the distribution |
//! | names without the UTF-8 flag | UTF-8 (PEP 427) | code page 437, as Python's zipfile reads them |
//! | commands of pip and easy_install | as `entry_points.txt` says | with the target's version in their names |
//! | long or blank interpreter paths | nothing said | above 127 bytes, or with a blank, through `/bin/sh` |
//! | RECORD | hashes of all files | rows of the wheel stay, gone or not; of changed and generated files they are new; unlisted files get rows without a hash; sorted, lines end in CR LF |
//! | tags | those of WHEEL | those of the file name |
//! | a `Requires-Python` that can't be read | an error | as if it were not there |
//!
//! # Where this crate differs from pip
//!
//! - Hashes, sizes and completeness of RECORD are checked; machine code must be the target's or a device's.
//! - Versions need not be those of PEP 440: they then compare as texts.
//! - A name twice in the archive, a name with a backslash, a line end or a NUL, a name that begins like a whiteout
//!   (`.wh.`) and a command whose name has a space are refused; so are a file where the wheel has a folder, and two
//!   files that meet behind a link of the base.
//! - Generated scripts do the same in other words; `direct_url.json` is not made.

mod archive;
mod bytecode;
mod check;
mod closure;
mod conflicts;
mod cp437;
mod cursor;
mod entry_points;
mod error;
mod facts;
mod fields;
mod filename;
mod generated_scripts;
mod install;
mod layers;
mod layout;
mod marker;
mod outline;
mod record;
mod requirement;
mod tags;
mod write;

pub use archive::{Entry, entries};
pub use bytecode::{Compiler, NoCompiler};
pub use closure::{Corrections, Missing, unsatisfied};
pub use conflicts::{Conflict, conflicts, overwrite};
pub use elf_file::{Elf, Linkage};
pub use entry_points::Command;
pub use error::WheelError;
pub use facts::WheelFacts;
pub use filename::{FileName, normalize};
pub use install::InstalledWheel;
pub use layers::{layers, made};
pub use layout::{Layout, Target};
pub use marker::marker_holds;
pub use outline::{OUTLINES, Outline, is_outlined, outlines};
pub use requirement::{Requirement, version_satisfies};
