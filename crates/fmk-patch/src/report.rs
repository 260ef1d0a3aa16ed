//! How the files ended, for people and for programs.

use std::fmt::Write;
use std::io;
use std::path::Path;

use fmk_patch::{Edit, FileError, FileReport, Status, printable};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Mode;

/// One file that was named, and what became of it.
pub struct Entry<'p> {
    pub path: &'p Path,
    /// What was found and done.
    pub outcome: Result<FileReport, FileError>,
}

impl Entry<'_> {
    /// Whether nothing is left to do about it by hand, nor, under `--check`, at all.
    pub fn is_good(&self, mode: Mode) -> bool {
        self.outcome
            .as_ref()
            .is_ok_and(|file| file.report.is_good() && (mode != Mode::Check || file.report.output.is_none()))
    }
}

/// A paragraph a file; those with errors are told on stderr.
pub fn human(entries: &[Entry<'_>]) -> String {
    let mut text = String::new();
    for Entry { path, outcome } in entries {
        let Ok(file) = outcome else { continue };
        // Writing to a string can't fail.
        let _ = writeln!(text, "{}: {}", shown(path), verdict(file));
        for (edit, status) in &file.report.edits {
            let _ = writeln!(text, "  {edit}: {}", printable(&sentence(status, file)));
        }
        if let Some(backup) = &file.backup {
            let _ = writeln!(text, "  old text: {}", shown(backup));
        }
    }
    text
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

fn verdict(file: &FileReport) -> &'static str {
    match (&file.report.output, file.written, file.report.is_good()) {
        (_, true, _) => "patched",
        (Some(_), ..) => "would be patched",
        (None, _, true) => "unchanged",
        (None, _, false) => "not patched",
    }
}

/// In a file that stays as it is, `applied` would be a lie.
fn sentence(status: &Status, file: &FileReport) -> String {
    match status {
        Status::Applied { .. } if !file.written => format!("to be {status}"),
        status => status.to_string(),
    }
}

/// The whole as JSON, in one line.
pub fn json(entries: &[Entry<'_>]) -> io::Result<String> {
    let files: Vec<Value> = entries.iter().map(file_json).collect();
    let mut text = serde_json::to_string(&json!({ "files": files }))?;
    text.push('\n');
    Ok(text)
}

#[derive(Serialize)]
struct EditJson<'e> {
    edit: Edit,
    #[serde(flatten)]
    status: &'e Status,
}

fn file_json(entry: &Entry<'_>) -> Value {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let file = entry.outcome.as_ref().ok();
    let edits = file.map_or(&[][..], |file| &file.report.edits);
    json!({
        "path": text(entry.path),
        // Whether the file differs from what it should be; known also where nothing is written.
        "change": file.is_some_and(|file| file.report.output.is_some()),
        "written": file.is_some_and(|file| file.written),
        "good": file.is_some_and(|file| file.report.is_good()),
        "edits": edits.iter().map(|(edit, status)| EditJson { edit: *edit, status }).collect::<Vec<_>>(),
        "backup": file.and_then(|file| file.backup.as_deref()).map(text),
        "error": entry.outcome.as_ref().err().map(ToString::to_string),
    })
}
