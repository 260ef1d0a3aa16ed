//! Judging a script on the disk, and replacing it whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use file_edit::{EditError, Original};

use crate::edit::Edits;
use crate::patch::{Report, patch};
use crate::refused::Refused;
use crate::source::MAX_BYTES;

/// The name of the script in a folder of the vendor's scripts.
pub const SCRIPT_NAME: &str = "fmk.py";

/// What is added to a script's name for the copy that [`Backup::Keep`] makes.
pub const BACKUP_SUFFIX: &str = ".orig";

/// Whether the old text stays beside the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backup {
    /// It does not.
    #[default]
    None,
    /// As `fmk.py.orig`, with mode, owner and times of the script. One that is there already must be the same text.
    Keep,
}

/// What was found out about one file, and done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// The file itself: symbolic links followed, `fmk.py` of a folder.
    pub target: PathBuf,
    /// Its bytes before.
    pub source: Vec<u8>,
    /// The judgement.
    pub report: Report,
    /// Whether the file has been replaced.
    pub written: bool,
    /// The copy of the old text, made now or found.
    pub backup: Option<PathBuf>,
}

/// A file that could not be judged or not be replaced. It is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A folder without the script.
    #[error("the folder `{0}` has no `{SCRIPT_NAME}`")]
    NoScript(PathBuf),
    /// It was not judged.
    #[error("`{path}` is refused: {refused}")]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        refused: Refused,
    },
    /// It could not be read or not be replaced.
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// Judges `path`, a script or the folder of a `fmk.py`, and writes nothing.
///
/// # Errors
///
/// [`FileError`] if the file can't be read or its text is refused.
pub fn judge_file(path: &Path, which: Edits) -> Result<FileReport, FileError> {
    judge(path, which).map(|(_, report)| report)
}

/// Judges `path`, a script or the folder of a `fmk.py`, and replaces the file when the judgement says so.
///
/// See [`Original::replace`] for what stays. A file that needs no change is not touched.
///
/// # Errors
///
/// [`FileError`] if the file can't be read, its text is refused, or it can't be replaced; the file is as it was then.
pub fn patch_file(path: &Path, which: Edits, backup: Backup) -> Result<FileReport, FileError> {
    let (original, mut judged) = judge(path, which)?;
    let Some(output) = &judged.report.output else { return Ok(judged) };
    let mut name = judged.target.as_os_str().to_owned();
    name.push(BACKUP_SUFFIX);
    let kept = (backup == Backup::Keep).then(|| PathBuf::from(name));
    original.replace(output, kept.as_deref())?;
    judged.backup = kept;
    judged.written = true;
    Ok(judged)
}

fn judge(path: &Path, which: Edits) -> Result<(Original, FileReport), FileError> {
    let read_error = |path: &Path, error| EditError::Read(path.to_owned(), error);
    let is_folder = fs::metadata(path).map_err(|error| read_error(path, error))?.is_dir();
    let script = if is_folder { path.join(SCRIPT_NAME) } else { path.to_owned() };
    let refused = |path: &Path, refused| FileError::Refused { path: path.to_owned(), refused };
    let original = Original::read(&script, MAX_BYTES).map_err(|error| match error {
        EditError::Read(_, error) if is_folder && error.kind() == io::ErrorKind::NotFound => {
            FileError::NoScript(path.to_owned())
        }
        EditError::TooLarge(path, limit) => refused(&path, Refused::TooLarge { bytes: limit as u64 + 1 }),
        error => error.into(),
    })?;
    let report = patch(&original.bytes, which).map_err(|reason| refused(&original.target, reason))?;
    let (target, source) = (original.target.clone(), original.bytes.clone());
    Ok((original, FileReport { target, source, report, written: false, backup: None }))
}
