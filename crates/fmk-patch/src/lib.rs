//! The two edits that the launch kit needs in the vendor's fmk.py: made by the grammar of Python, at the places where they
//! mean what they should, and not at all where they would not.
//!
//! [`patch`] is the pure judgement on bytes; [`patch_file`] is the same on a file, which it replaces whole or not at all.

mod bindings;
mod block;
mod code_cwd;
mod edit;
mod file;
mod lines;
mod log_path;
mod needs;
mod nesting;
mod patch;
mod refused;
mod script;
mod source;
mod starts;

pub use file_edit::{EditError, Splice, name_in_diff, printable, unified_diff};

pub use edit::{Edit, Edits, Status, UnknownEdit};
pub use file::{BACKUP_SUFFIX, Backup, FileError, FileReport, SCRIPT_NAME, judge_file, patch_file};
pub use nesting::MAX_NESTING;
pub use patch::{Report, patch};
pub use refused::Refused;
pub use source::MAX_BYTES;
