//! What judging one edit comes to.

use file_edit::Splice;

use crate::edit::Status;

/// The end of a judgement that found no fault.
pub enum Outcome {
    /// There is nothing to change.
    Done(Status),
    /// These changes make the edit.
    Change {
        /// Where, in lines of the old text.
        lines: Vec<usize>,
        /// In any order; an import that both edits need is in the lists of both.
        splices: Vec<Splice>,
    },
}

/// A conflict for this reason.
pub fn conflict(reason: impl Into<String>) -> Status {
    Status::Conflict { reason: reason.into() }
}
