//! The reports of the nodes, as they are found in files and folders. They may be anything.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::error::Category;

use super::Source;
use crate::report::shape::{Report, VERSION};

/// Bytes of a report; one of eight ranks that have all failed, with the longest tracebacks, has less than one million.
const LARGEST: u64 = 8 << 20;

/// Bytes of all reports together.
const ALL: u64 = 256 << 20;

/// Reads the reports of these files, and of these folders all that are named like one, in order of their names.
///
/// # Errors
///
/// All files that are no reports, a line each.
pub fn all(paths: &[PathBuf]) -> Result<Vec<Source>, Vec<String>> {
    let (mut sources, mut wrong, mut bytes) = (Vec::new(), Vec::new(), 0);
    for path in paths {
        match files(path) {
            Ok(files) if files.is_empty() => wrong.push(format!("no `*-report-*.json` in `{}`", path.display())),
            Err(why) => wrong.push(format!("`{}`: {why}", path.display())),
            Ok(files) => {
                for file in files {
                    match read(&file, &mut bytes) {
                        Ok(report) => sources.push(Source { file, report }),
                        Err(why) => wrong.push(format!("`{}` {why}", file.display())),
                    }
                }
            }
        }
    }
    if wrong.is_empty() { Ok(sources) } else { Err(wrong) }
}

/// The file itself, or the reports in the folder.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let paths = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let is_report = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.contains("-report-") && name.ends_with(".json")
    };
    let mut files: Vec<PathBuf> = paths.into_iter().filter(is_report).collect();
    files.sort();
    Ok(files)
}

/// Reads one report; `all` counts the bytes of those before it. Errors: what is said of the file behind its name.
fn read(path: &Path, all: &mut u64) -> Result<Report, String> {
    let failed = |error: io::Error| format!("can't be read: {error}");
    // Before it is opened: a pipe would be waited for.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut text)).map_err(failed)?;
    let length = text.len() as u64;
    *all += length;
    if length > LARGEST {
        return Err(format!("is larger than {} MiB, which no report is", LARGEST >> 20));
    }
    if *all > ALL {
        return Err(format!("and those before it have more than {} MiB together", ALL >> 20));
    }
    parse(&text)
}

/// What every version has.
#[derive(Deserialize)]
struct Header {
    version: u32,
    #[serde(rename = "launcher")]
    _launcher: String,
}

fn parse(text: &[u8]) -> Result<Report, String> {
    let wrong = |error: serde_json::Error| match error.classify() {
        Category::Eof => format!("breaks off: {error}"),
        Category::Syntax | Category::Io => format!("is not JSON: {error}"),
        Category::Data => format!("is not a report of fmtk-launch: {error}"),
    };
    let Header { version, .. } = serde_json::from_slice(text).map_err(wrong)?;
    if version != VERSION {
        return Err(format!("is a report of version {version}; this program reads version {VERSION}"));
    }
    serde_json::from_slice(text).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::joined::tests::report;

    #[test]
    fn what_is_no_report_is_told_by_its_kind() {
        let whole = serde_json::to_string(&report("j", "h", &[0, 1])).unwrap();
        assert!(parse(whole.as_bytes()).is_ok());
        for (text, expect) in [
            ("", "breaks off: "),
            (&whole[..whole.len() / 2], "breaks off: "),
            ("<html>", "is not JSON: "),
            ("{} {}", "is not a report of fmtk-launch: missing field"),
            ("[]", "is not a report of fmtk-launch: "),
            (r#"{"version":2,"launcher":"fmtk-launch 9"}"#, "is a report of version 2; this program reads version 1"),
            (r#"{"version":1,"launcher":"fmtk-launch 9"}"#, "is not a report of fmtk-launch: missing field"),
            (
                &whole.replace("\"failed\"", "\"vanished\""),
                "is not a report of fmtk-launch: unknown variant `vanished`",
            ),
        ] {
            let why = parse(text.as_bytes()).expect_err(text);
            assert!(why.starts_with(expect), "{text}: {why}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let text = serde_json::to_string(&report("j", "h", &[0])).unwrap();
        for (name, text) in [("j-report-rank-0.json", text.as_str()), ("j-report-rank-8.json", "{"), ("other.json", "")]
        {
            fs::write(path(name), text).unwrap();
        }
        fs::create_dir(path("empty")).unwrap();
        File::create(path("large")).unwrap().set_len(LARGEST + 1).unwrap();
        nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let wrong = all(&["", "empty", "large", "pipe", "gone"].map(path)).unwrap_err();
        let expect = [
            "-rank-8.json` breaks off: ",
            "no `*-report-*.json` in `",
            "large` is larger than 8 MiB",
            "pipe` is not a",
            "gone` can't be read: No such",
        ];
        assert_eq!(wrong.len(), expect.len(), "{wrong:?}");
        wrong.iter().zip(expect).for_each(|(why, part)| assert!(why.contains(part), "{why}"));
        assert_eq!(all(&[path("j-report-rank-0.json")]).unwrap().len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        /// A report with bytes changed, removed or put in is an error or a report, and the latter is joined.
        #[test]
        fn foreign_bytes_do_no_harm(edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>()), 1..6)) {
            let mut text = serde_json::to_vec(&report("j", "h", &[0, 1, 2])).unwrap();
            for (at, what, byte) in edits {
                let at = at.index(text.len());
                match what {
                    0 => text[at] = byte,
                    // Numbers of any size.
                    1 => text[at] = b'0' + byte % 10,
                    2 => text.insert(at, b'0' + byte % 10),
                    _ => { text.remove(at); }
                }
            }
            if let Ok(report) = parse(&text) {
                crate::joined::tests::show(vec![report]);
            }
        }
    }
}
