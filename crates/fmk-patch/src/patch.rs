//! Judging a text, making what is to be made, and judging the result again.

use file_edit::Splice;

use crate::code_cwd;
use crate::edit::{Edit, Edits, Status};
use crate::log_path;
use crate::meaning::Meaning;
use crate::outcome::{Outcome, conflict};
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
            *before = conflict(format!("the edited text would be judged `{after}`"));
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
    let outcomes = outcomes(&script, which);
    let mut edits = Vec::new();
    let mut splices = Vec::new();
    for (edit, outcome) in outcomes {
        let status = match outcome {
            Ok(Outcome::Done(status)) | Err(status) => status,
            Ok(Outcome::Change { lines, splices: made }) => {
                splices.extend(made);
                Status::Applied { lines }
            }
        };
        edits.push((edit, status));
    }
    splices.sort_by_key(|splice| splice.range.start);
    splices.dedup();
    let good = edits.iter().all(|(_, status)| status.is_good());
    if !good || splices.is_empty() {
        return Ok(Report { edits, output: None, splices: Vec::new() });
    }
    let output = file_edit::apply(source, &splices);
    Ok(Report { edits, output: Some(output), splices })
}

fn outcomes(script: &Script<'_>, which: Edits) -> Vec<(Edit, Result<Outcome, Status>)> {
    let chosen = Edit::ALL.into_iter().filter(|edit| which.contains(*edit));
    let fmk = match Fmk::find(script) {
        Ok(fmk) => fmk,
        Err(status) => return chosen.map(|edit| (edit, Err(status.clone()))).collect(),
    };
    let mut meaning = Meaning::new(script, &fmk);
    chosen
        .map(|edit| match edit {
            Edit::LogPath => (edit, log_path::judge(script, &fmk, &mut meaning)),
            Edit::CodeCwd => (edit, code_cwd::judge(script, &fmk, &mut meaning)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../tests/shapes/pristine.py");

    fn words(text: &str, which: Edits) -> Vec<(Edit, &'static str)> {
        patch(text.as_bytes(), which).unwrap().edits.iter().map(|(edit, status)| (*edit, status.word())).collect()
    }

    #[test]
    fn only_what_is_asked_for() {
        let only = Edits { log_path: false, code_cwd: true };
        assert_eq!(words(TEXT, only), [(Edit::CodeCwd, "applied")]);
        let output = String::from_utf8(patch(TEXT.as_bytes(), only).unwrap().output.unwrap()).unwrap();
        assert!(output.contains("MODEL_TASK_CWD") && !output.contains("ASCEND_PROCESS_LOG_PATH"));
        assert_eq!(words(&output, Edits::ALL), [(Edit::LogPath, "applied"), (Edit::CodeCwd, "already-applied")]);
    }

    #[test]
    fn all_or_nothing() {
        let text = TEXT.replace("return current_envs", "return dict(current_envs)");
        let report = patch(text.as_bytes(), Edits::ALL).unwrap();
        assert_eq!(words(&text, Edits::ALL), [(Edit::LogPath, "conflict"), (Edit::CodeCwd, "applied")]);
        assert_eq!((report.is_good(), report.output, report.splices), (false, None, Vec::new()));
    }

    #[test]
    fn a_small_stack_of_the_caller_is_enough() {
        let deep = format!("{TEXT}\nx = {}{}\n", "(".repeat(200), ")".repeat(200));
        let thread = std::thread::Builder::new().stack_size(128 << 10);
        let judged = thread.spawn(move || patch(deep.as_bytes(), Edits::ALL).unwrap().is_good()).unwrap();
        assert!(judged.join().unwrap());
    }
}
