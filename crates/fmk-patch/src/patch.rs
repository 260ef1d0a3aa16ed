//! Judging a text, making what is to be made, and judging the result again.

use file_edit::Splice;

use crate::code_cwd;
use crate::edit::{Edit, Edits, Status, Verdict};
use crate::log_path;
use crate::refused::Refused;
use crate::script::{Fmk, Script};
use crate::source::decode;

/// Stack of the thread that parses, in bytes; only what is used of it takes memory. A text of 200 levels needs less than
/// 1 MiB in a release build; the parser's recovery from errors may go some 1500 levels deep.
const STACK: usize = 64 << 20;

/// How the edits of one text ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The status of each edit that was asked for, in the order of [`Edit::ALL`].
    pub edits: Vec<(Edit, Status)>,
    /// The changed text; `None` when nothing is to be changed or an edit is not good.
    pub output: Option<Vec<u8>>,
    /// What was changed, in order; empty when `output` is `None`.
    pub splices: Vec<Splice>,
}

impl Report {
    /// Whether every edit ended applied, already applied or not applicable.
    pub fn is_good(&self) -> bool {
        self.edits.iter().all(|(_, status)| status.is_good())
    }
}

/// Applies those of `which` to `source` that it lacks. It is all or nothing: when one edit is not good, there is no output,
/// and `applied` of the other means that it could be.
///
/// Pure: no file is read or written. The result has been judged again and found to have the edits.
///
/// # Errors
///
/// [`Refused`] if `source` is too large, too deep, in an unknown encoding, or not Python.
pub fn patch(source: &[u8], which: Edits) -> Result<Report, Refused> {
    // The parser recurses, so it gets a stack that does not depend on the caller's.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("fmk-patch".to_owned()).stack_size(STACK);
        let judge = thread
            .spawn_scoped(scope, || patch_and_verify(source, which))
            .map_err(|error| Refused::Judge(format!("no thread: {error}")))?;
        judge.join().unwrap_or_else(|_| Err(Refused::Judge("the judge panicked".to_owned())))
    })
}

fn patch_and_verify(source: &[u8], which: Edits) -> Result<Report, Refused> {
    let mut report = judge(source, which)?;
    let Some(output) = &report.output else { return Ok(report) };
    let again = judge(output, which).map_err(|refused| Refused::Judge(format!("with the edits {refused}")))?;
    let mut kept = true;
    for ((_, before), (_, after)) in report.edits.iter_mut().zip(&again.edits) {
        let has_it = match &*before {
            Status::Applied { .. } => matches!(after, Status::AlreadyApplied { .. }),
            before => before.word() == after.word(),
        };
        if !has_it {
            *before = Status::Conflict { reason: format!("the edited text would be judged `{after}`") };
            kept = false;
        }
    }
    if !kept {
        (report.output, report.splices) = (None, Vec::new());
    }
    Ok(report)
}

fn judge(source: &[u8], which: Edits) -> Result<Report, Refused> {
    let text = decode(source)?;
    let script = Script::parse(&text)?;
    let mut edits = Vec::new();
    let mut splices = Vec::new();
    let fmk = Fmk::find(&script);
    for edit in Edit::ALL.into_iter().filter(|edit| which.contains(*edit)) {
        let judged = fmk.as_ref().map_err(Status::clone).and_then(|fmk| match edit {
            Edit::LogPath => log_path::judge(&script, fmk),
            Edit::CodeCwd => code_cwd::judge(&script, fmk),
        });
        let verdict = judged.unwrap_or_else(Verdict::from);
        splices.extend(verdict.splices);
        edits.push((edit, verdict.status));
    }
    splices.sort_by_key(|splice| splice.range.start);
    let mut report = Report { edits, output: None, splices: Vec::new() };
    if report.is_good() && !splices.is_empty() {
        report.output = Some(file_edit::apply(source, &splices));
        report.splices = splices;
    }
    Ok(report)
}
