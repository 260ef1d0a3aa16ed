//! The helper for logs that are copied to a file system of this server: this very program, asked like any other helper.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::links;

/// What the launcher calls itself as, to copy files; in no help text, as it is for nobody else.
pub const COPY_FILES: &str = "copy-files";

/// Folders for the logs of tasks: where they are below the logs themselves, they are not copied into themselves.
const OWN: [&str; 2] = ["mxLaunchKit", "mxTuningKit"];

/// Answers requests until there are no more.
///
/// # Errors
///
/// If standard input can't be read or nobody hears the answers.
pub fn serve() -> io::Result<()> {
    let mut seen = HashMap::new();
    let mut answers = io::stdout();
    for line in io::stdin().lock().split(b'\n') {
        let line = line?;
        let mut fields = line.split(|it| *it == b'\t');
        let number = String::from_utf8_lossy(fields.next().unwrap_or_default()).into_owned();
        let mut field = || Path::new(OsStr::from_bytes(fields.next().unwrap_or_default()));
        let (verb, from, to, prefix) = (field(), field(), field(), field());
        let result = match verb.to_str() {
            Some("sync") => sync(from, to, prefix.as_os_str(), &mut seen),
            _ => Err(format!("`{}` needs object storage", verb.display())),
        };
        let answer = match result {
            Ok(files) => format!("{number}\tok\t{files}\n"),
            Err(why) => format!("{number}\tfailed\t{}\n", why.replace(['\n', '\t'], " ")),
        };
        answers.write_all(answer.as_bytes())?;
        answers.flush()?;
    }
    Ok(())
}

/// What a file was like when it was copied: bytes, and seconds and nanoseconds of its last change.
type Seen = HashMap<PathBuf, (u64, i64, i64)>;

/// Copies what has changed; gives how many files that were, or the first thing that went wrong when all were tried.
fn sync(from: &Path, to: &Path, prefix: &OsStr, seen: &mut Seen) -> Result<u64, String> {
    let mut files = 0;
    let mut wrong = None;
    let mut folders = vec![(from.to_owned(), to.to_owned())];
    while let Some((from_folder, to_folder)) = folders.pop() {
        let entries = match fs::read_dir(&from_folder) {
            Ok(entries) => entries,
            // The tuning kit may not have begun to log, and folders may go.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                wrong.get_or_insert(format!("failed to list `{}`: {error}", from_folder.display()));
                continue;
            }
        };
        let is_top = from_folder == from;
        for entry in entries.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            if is_top && !name.as_bytes().starts_with(prefix.as_bytes()) || OWN.iter().any(|it| name == *it) {
                continue;
            }
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let target = to_folder.join(&name);
            if metadata.is_dir() {
                folders.push((path, target));
                continue;
            }
            let mark = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
            if !metadata.is_file() || seen.get(&path) == Some(&mark) {
                continue;
            }
            match links::open(&path, OFlag::O_RDONLY, 0).and_then(|file| copy(file, &target, 0o666)) {
                Ok(()) => {
                    files += 1;
                    seen.insert(path, mark);
                }
                Err(error) if !path.exists() && error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    wrong.get_or_insert(format!(
                        "failed to copy `{}` to `{}`: {error}",
                        path.display(),
                        target.display()
                    ));
                }
            }
        }
    }
    wrong.map_or(Ok(files), Err)
}

/// Copies a file as far as it goes now; the target, which may be a link, has the old text or the new one.
pub fn copy(from: File, to: &Path, mode: u32) -> io::Result<()> {
    links::make_folder(to.parent().unwrap_or(Path::new("/")), 0o777)?;
    // Not more than it is now: one that grows as fast as it is copied would never end.
    let length = from.metadata()?.len();
    file_edit::replace(to, mode, |target| io::copy(&mut from.take(length), target).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_changed_and_belongs_to_the_job() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("log"), folder.path().join("log/job/mxLaunchKit/node_0"));
        for (name, text) in
            [("job-0.txt", "a"), ("job/ascend/plog", "b"), ("other.txt", "c"), ("job/mxTuningKit/x", "d")]
        {
            fs::create_dir_all(from.join(name).parent().unwrap()).unwrap();
            fs::write(from.join(name), text).unwrap();
        }
        let mut seen = Seen::new();
        let mut sync = || sync(&from, &to, OsStr::new("job"), &mut seen);
        assert_eq!(sync(), Ok(2));
        assert_eq!(sync(), Ok(0));
        fs::write(from.join("job-0.txt"), "ab").unwrap();
        assert_eq!(sync(), Ok(1));
        assert_eq!(fs::read_to_string(to.join("job-0.txt")).unwrap(), "ab");
        assert_eq!(fs::read_to_string(to.join("job/ascend/plog")).unwrap(), "b");
        assert_eq!(fs::read_dir(&to).unwrap().count(), 2);
        fs::write(from.join("job-1.txt"), "").unwrap();
        fs::create_dir(to.join("job-1.txt")).unwrap();
        assert!(sync().unwrap_err().starts_with("failed to copy `"));
    }

    #[test]
    fn what_is_not_there_yet_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("to");
        assert_eq!(sync(&folder.path().join("log"), &target, OsStr::new(""), &mut Seen::new()), Ok(0));
        assert!(!target.exists());
    }
}
