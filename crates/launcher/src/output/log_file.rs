//! One rank's log file: raw bytes, in parts of a largest size, with a note where bytes are missing.
//!
//! A full part `x.txt` is renamed to `x.txt.1`, the next one to `x.txt.2`, and so on: a higher number is younger, a
//! number that is taken is passed over, and nothing is ever deleted. The parts in that order, then `x.txt`, are what
//! the rank wrote.
//!
//! Others may move the live part, as logrotate does, or remove it. Then it is begun again at its path, and what was removed
//! counts as missing.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use memchr::memrchr;
use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use crate::links;

/// A log file, opened when first written to and again when that failed.
#[derive(Default)]
pub(crate) struct LogFile {
    path: PathBuf,
    /// Bytes of a part at most; 0 for no limit.
    max_size: u64,
    /// Time between two attempts at what failed without touching the bytes: open, rename. Also between two looks at what is
    /// at the path: a stat for each line would cost as much as writing it.
    retry: Duration,
    file: Option<File>,
    /// The owner of its folder when it was opened.
    folder: Option<u32>,
    looked: Option<Instant>,
    /// Bytes in the live part.
    size: u64,
    /// Those of the rank.
    of_rank: u64,
    /// The live part ends in a newline or is empty.
    ends_line: bool,
    /// Bytes since the last one that got written, to be noted in the file.
    missing: u64,
    /// Before that what failed is not tried again.
    again: Option<Instant>,
    /// Kinds of errors that were told.
    told: Vec<(&'static str, Option<i32>)>,
    /// The number of the last full part that we named.
    last_number: u32,
    /// What people should read.
    pub(crate) messages: Vec<String>,
    /// Parts that got bytes in this run, the live one too.
    pub(crate) parts: u32,
    /// Bytes of the rank that got written.
    pub(crate) written: u64,
    /// The last error, with operation and file.
    pub(crate) trouble: Option<String>,
}

impl LogFile {
    pub(crate) fn new(path: PathBuf, max_size: u64, retry: Duration) -> LogFile {
        LogFile { path, max_size, retry, ends_line: true, ..LogFile::default() }
    }

    /// Appends `bytes`; those that can't be written are counted as missing, as are `dropped` ones after them. What is missing
    /// at the end is noted there where some were dropped, and when `is_last`. The file is made for a rank that writes nothing.
    /// `progress` is called for each part: small ones on a slow folder may take long together.
    pub(crate) fn append(&mut self, mut bytes: &[u8], dropped: u64, is_last: bool, progress: impl Fn()) {
        if is_last || self.looked.is_none_or(|it| it.elapsed() >= self.retry) {
            self.look();
        }
        let mut is_open = self.open();
        while !bytes.is_empty() && is_open && self.note() {
            progress();
            let mut fitting = self.fitting(bytes);
            if fitting == 0 && self.rotate() {
                is_open = self.open();
                continue;
            }
            if fitting == 0 {
                // A part that is too large is better than bytes that are lost.
                fitting = bytes.len();
            }
            let written = self.write(&bytes[..fitting]);
            (self.written, self.of_rank) = (self.written + written as u64, self.of_rank + written as u64);
            bytes = &bytes[written..];
            if written < fitting {
                break;
            }
        }
        self.missing += bytes.len() as u64 + dropped;
        if (dropped > 0 || is_last) && self.open() {
            self.note();
        }
    }

    /// Leaves the live part if it is no longer at its path, and counts what is no longer in it.
    fn look(&mut self) {
        self.looked = Some(Instant::now());
        let Some(file) = &self.file else { return };
        let (open, at_path) = (file.metadata(), fs::metadata(&self.path));
        let id = |it: &Metadata| (it.dev(), it.ino());
        match (&open, &at_path) {
            (Ok(open), Ok(at_path)) if id(open) == id(at_path) => {
                let before = std::mem::replace(&mut self.size, open.len());
                if open.is_file() && open.len() < before {
                    self.lose((before - open.len()).min(self.of_rank), "truncated");
                } else if open.is_file() && open.len() > before {
                    // It may have truncated the file before: nothing tells what is left of the rank's.
                    let path = self.path.display();
                    let trouble =
                        format!("another process writes to `{path}`, too; if it has truncated it, lines are missing");
                    self.tell(("shared", None), trouble);
                }
                return;
            }
            // What can't be told is left as it is.
            (_, Err(error)) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return,
            _ => {}
        }
        if !open.is_ok_and(|it| it.nlink() > 0) || is_removed_by_nfs(file) {
            self.parts -= 1;
            self.lose(self.of_rank, "removed");
        }
        self.file = None;
    }

    fn lose(&mut self, lost: u64, how: &'static str) {
        (self.missing, self.written, self.of_rank) = (self.missing + lost, self.written - lost, self.of_rank - lost);
        if lost > 0 {
            let trouble = format!("`{}` was {how} while a rank was writing to it", self.path.display());
            self.tell((how, None), trouble);
        }
    }

    fn open(&mut self) -> bool {
        if self.file.is_some() {
            return true;
        }
        if self.again.is_some_and(|again| Instant::now() < again) {
            return false;
        }
        // In a folder that all users share, a stranger can put a folder of his own in the place of one that is gone.
        let is_trusted = |it| self.folder.is_none_or(|before| [before, geteuid().as_raw()].contains(&it));
        let opened = if owner_of_folder(&self.path).is_none_or(is_trusted) {
            open_part(&self.path)
        } else {
            Err(io::Error::other("its folder is now another user's"))
        };
        match opened {
            Ok((file, size)) => {
                self.folder = owner_of_folder(&self.path);
                (self.file, self.size, self.ends_line, self.again) = (Some(file), size, size == 0, None);
                (self.parts, self.of_rank) = (self.parts + 1, 0);
                true
            }
            Err(error) => {
                self.again = Some(Instant::now() + self.retry);
                self.fail("open", &error);
                false
            }
        }
    }

    /// Says in the file that bytes are missing, if any are; false where that fails.
    fn note(&mut self) -> bool {
        if self.missing == 0 {
            return true;
        }
        let start = if self.ends_line { "" } else { "\n" };
        let note = format!("{start}[fmtk-launch] {} bytes are missing here\n", self.missing);
        if self.write(note.as_bytes()) < note.len() {
            return false;
        }
        if self.trouble.is_some() && self.told.iter().all(|told| told.0 != "again") {
            self.told.push(("again", None));
            let path = self.path.display();
            self.messages.push(format!("`{path}` is written again, {} bytes are missing in it", self.missing));
        }
        self.missing = 0;
        true
    }

    /// How many of `bytes` belong into the live part: up to the last newline that fits if there is one.
    fn fitting(&self, bytes: &[u8]) -> usize {
        let room = usize::try_from(self.max_size.saturating_sub(self.size)).unwrap_or(usize::MAX);
        if self.max_size == 0 || bytes.len() <= room {
            return bytes.len();
        }
        match memrchr(b'\n', &bytes[..room]) {
            Some(newline) => newline + 1,
            None if self.size > 0 && self.ends_line => 0,
            None => room,
        }
    }

    /// Makes room for a new part; false when the file has to go on as it is.
    fn rotate(&mut self) -> bool {
        if self.again.is_some_and(|again| Instant::now() < again) {
            return false;
        }
        // Another file must not be renamed in its place.
        self.look();
        if self.file.is_none() {
            return true;
        }
        match rename_to_free_number(&self.path, self.last_number) {
            Ok(number) => {
                (self.last_number, self.file, self.again) = (number, None, None);
                true
            }
            Err(error) => {
                self.again = Some(Instant::now() + self.retry);
                self.fail("rename", &error);
                false
            }
        }
    }

    /// Writes to the live part; gives how many bytes got written, fewer where it fails.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut done = 0;
        while let Some(file) = self.file.as_mut().filter(|_| done < bytes.len()) {
            let error = match file.write(&bytes[done..]) {
                Ok(0) => ErrorKind::WriteZero.into(),
                Ok(count) => {
                    done += count;
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.fail("write to", &error);
            break;
        }
        self.size += done as u64;
        self.ends_line = bytes[..done].last().map_or(self.ends_line, |&last| last == b'\n');
        done
    }

    fn fail(&mut self, operation: &'static str, error: &io::Error) {
        let trouble = format!("failed to {operation} `{}`: {error}", self.path.display());
        self.tell((operation, error.raw_os_error()), trouble);
    }

    fn tell(&mut self, kind: (&'static str, Option<i32>), trouble: String) {
        if !self.told.contains(&kind) {
            self.told.push(kind);
            self.messages.push(trouble.clone());
        }
        self.trouble = Some(trouble);
    }
}

fn owner_of_folder(file: &Path) -> Option<u32> {
    fs::metadata(file.parent()?).ok().map(|it| it.uid())
}

/// Opens a part, in a folder that is made where it is missing. In a folder that others may write to, a link could point to a
/// file of ours; the user's own may lead where it likes.
fn open_part(path: &Path) -> io::Result<(File, u64)> {
    let open = || links::open(path, OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT, 0o644);
    let file = open().or_else(|error| match path.parent() {
        Some(folder) if error.kind() == ErrorKind::NotFound => links::make_folder(folder, 0o755).and_then(|_| open()),
        _ => Err(error),
    })?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

/// NFS keeps a file that is removed while it is open, under a name that begins so, until it is closed.
fn is_removed_by_nfs(file: &File) -> bool {
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    path.is_ok_and(|path| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b".nfs")))
}

/// Renames `path` to `<path>.<number>` with the lowest free number over `last`, and returns that number.
fn rename_to_free_number(path: &Path, last: u32) -> io::Result<u32> {
    for number in last + 1.. {
        let mut name = OsString::from(path);
        name.push(format!(".{number}"));
        match fs::symlink_metadata(&name) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return fs::rename(path, &name).map(|()| number),
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `chunks` to a file that has `before` in it; the parts in order.
    fn parts(before: &[u8], chunks: &[Vec<u8>], max_size: u64) -> (Vec<Vec<u8>>, LogFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        if !before.is_empty() {
            fs::write(&path, before).unwrap();
        }
        let mut file = LogFile::new(path.clone(), max_size, Duration::ZERO);
        chunks.iter().for_each(|chunk| file.append(chunk, 0, false, || ()));
        let numbered = (1..).map(|n| folder.path().join(format!("a.txt.{n}"))).take_while(|path| path.exists());
        let parts = numbered.chain([path.clone()]).map(|path| fs::read(path).unwrap_or_default()).collect();
        (parts, file)
    }

    fn check(before: &str, chunks: &[&str], max_size: u64, expect: &[&str]) {
        let chunks: Vec<_> = chunks.iter().map(|chunk| chunk.as_bytes().to_vec()).collect();
        let (parts, file) = parts(before.as_bytes(), &chunks, max_size);
        assert_eq!(parts.iter().map(|part| std::str::from_utf8(part).unwrap()).collect::<Vec<_>>(), expect);
        assert_eq!(file.parts as usize, expect.len());
        assert!(file.messages.is_empty() && file.trouble.is_none());
    }

    #[test]
    fn parts_end_at_newlines_where_they_can() {
        check("", &["ab\ncd\n", "ef\n"], 0, &["ab\ncd\nef\n"]);
        check("", &["ab\ncd\n", "ef\n"], 6, &["ab\ncd\n", "ef\n"]);
        check("", &["ab\ncd\n", "ef\n"], 7, &["ab\ncd\n", "ef\n"]);
        check("", &["ab\ncd\nef\n"], 8, &["ab\ncd\n", "ef\n"]);
        check("", &["abcdefgh\n"], 4, &["abcd", "efgh", "\n"]);
        check("", &["ab", "cdef\n"], 4, &["abcd", "ef\n"]);
        check("12345", &["ab\n"], 4, &["12345", "ab\n"]);
        check("1\n", &["ab\n"], 6, &["1\nab\n"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn parts_put_together_are_what_was_written(
            chunks in prop::collection::vec(prop::collection::vec(prop_oneof![3 => Just(b'x'), 1 => Just(b'\n')], 0..50), 0..20),
            max_size in 1..60u64,
        ) {
            let (parts, file) = parts(b"", &chunks, max_size);
            prop_assert_eq!(parts.concat(), chunks.concat());
            prop_assert!(parts.iter().all(|part| part.len() as u64 <= max_size));
            prop_assert_eq!(file.written as usize, chunks.concat().len());
            prop_assert!(parts.len() == 1 || parts.iter().all(|part| !part.is_empty()));
        }
    }

    #[test]
    fn numbers_that_are_taken_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for (name, text) in [("a", "new"), ("a.1", "old"), ("a.2", "older")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(rename_to_free_number(&path, 0).unwrap(), 3);
        assert_eq!(fs::read(folder.path().join("a.1")).unwrap(), b"old");
        assert_eq!(fs::read(folder.path().join("a.3")).unwrap(), b"new");
    }

    #[test]
    fn a_folder_that_comes_back_is_written_to_with_a_note() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/a");
        fs::write(folder.path().join("logs"), "").unwrap();
        let mut file = LogFile::new(path.clone(), 0, Duration::ZERO);
        let mut append = |bytes: &[u8], retry| {
            file.retry = retry;
            file.append(bytes, 0, false, || ());
            file.missing
        };
        assert_eq!(append(b"12345", Duration::ZERO), 5);
        assert_eq!(append(b"678", Duration::from_secs(3600)), 8);
        fs::remove_file(folder.path().join("logs")).unwrap();
        assert_eq!(append(b"9", Duration::ZERO), 9, "tried again before its time");
        file.again = None;
        file.append(b"a\n", 0, false, || ());
        assert_eq!(fs::read_to_string(&path).unwrap(), "[fmtk-launch] 9 bytes are missing here\na\n");
        assert_eq!(file.messages.len(), 2, "{:?}", file.messages);
        assert_eq!(file.written, 2);
    }

    /// What somebody does to the live log `logs/a`, in which a rank has written `one\n`, and what is there when it has written
    /// `two\n` and ended: the live log, the bytes lost, the number of files, and what is told.
    fn check_gone(what: impl Fn(&Path), live: &str, lost: u64, parts: u32, told: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        let mut file = LogFile::new(logs.join("a"), 0, Duration::ZERO);
        file.append(b"one\n", 0, false, || ());
        what(&logs);
        file.append(b"two\n", 0, false, || ());
        file.append(b"", 0, true, || ());
        assert_eq!(fs::read_to_string(logs.join("a")).unwrap(), live);
        assert_eq!((8 - file.written, file.parts), (lost, parts));
        assert_eq!(
            file.messages,
            told.iter().map(|it| it.replace("LOG", &logs.join("a").display().to_string())).collect::<Vec<_>>()
        );
        assert_eq!(file.trouble.is_some(), lost > 0);
    }

    #[test]
    fn a_file_that_is_moved_removed_or_emptied_is_begun_again() {
        let anew = "[fmtk-launch] 4 bytes are missing here\ntwo\n";
        let again = "`LOG` is written again, 4 bytes are missing in it";
        let removed = ["`LOG` was removed while a rank was writing to it", again];
        check_gone(|logs| fs::remove_file(logs.join("a")).unwrap(), anew, 4, 1, &removed);
        check_gone(|logs| fs::remove_dir_all(logs).unwrap(), anew, 4, 1, &removed);
        // As NFS removes a file that is open.
        check_gone(|logs| fs::rename(logs.join("a"), logs.join(".nfs0001")).unwrap(), anew, 4, 1, &removed);
        let emptied = ["`LOG` was truncated while a rank was writing to it", again];
        check_gone(|logs| drop(File::create(logs.join("a")).unwrap()), anew, 4, 1, &emptied);
        // What was moved is still there.
        check_gone(|logs| fs::rename(logs.join("a"), logs.join("a-1")).unwrap(), "two\n", 0, 2, &[]);
        check_gone(|logs| fs::rename(logs, logs.with_extension("old")).unwrap(), "two\n", 0, 2, &[]);
        let rotate = |logs: &Path| {
            fs::rename(logs.join("a"), logs.join("a-1")).unwrap();
            fs::write(logs.join("a"), "").unwrap();
        };
        check_gone(rotate, "two\n", 0, 2, &[]);
    }

    #[test]
    fn a_file_that_is_removed_before_it_is_full_is_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(folder.path().join("a"), 50, Duration::from_secs(3600));
        file.append(&[&[b'x'; 48][..], b"\n"].concat(), 0, false, || ());
        fs::remove_file(folder.path().join("a")).unwrap();
        file.append(b"two\n", 0, false, || ());
        assert_eq!(fs::read_to_string(&file.path).unwrap(), "[fmtk-launch] 49 bytes are missing here\ntwo\n");
        assert_eq!((file.written, file.parts), (4, 1));
    }

    #[test]
    fn a_file_that_is_removed_in_the_end_is_noticed_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(folder.path().join("a"), 0, Duration::from_secs(3600));
        file.append(b"one\n", 0, false, || ());
        fs::remove_file(folder.path().join("a")).unwrap();
        file.append(b"two\n", 0, false, || ());
        assert!(!folder.path().join("a").exists(), "looked again before its time");
        file.append(b"", 0, true, || ());
        assert_eq!(fs::read_to_string(&file.path).unwrap(), "[fmtk-launch] 8 bytes are missing here\n");
        assert_eq!(file.written, 0);
    }

    /// Only root can give away what it made.
    #[test]
    fn what_a_stranger_puts_in_the_place_of_the_removed_folder_is_not_used() {
        use std::os::unix::fs::{PermissionsExt, lchown, symlink};
        if !geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (logs, elsewhere) = (folder.path().join("logs"), folder.path().join("elsewhere"));
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        for (is_link, why) in [
            (true, "a link that belongs to uid 54321 and is not followed"),
            (false, "its folder is now another user's"),
        ] {
            let mut file = LogFile::new(logs.join("a"), 0, Duration::ZERO);
            file.append(b"one\n", 0, false, || ());
            fs::remove_dir_all(&logs).unwrap();
            if is_link {
                symlink(&elsewhere, &logs).unwrap()
            } else {
                fs::create_dir(&logs).unwrap()
            }
            lchown(&logs, Some(54_321), None).unwrap();
            file.append(b"two\n", 0, false, || ());
            assert!(fs::read_dir(&elsewhere).unwrap().next().is_none());
            assert!(file.trouble.as_ref().unwrap().ends_with(why), "{:?}", file.trouble);
            if is_link {
                fs::remove_file(&logs).unwrap()
            } else {
                fs::remove_dir(&logs).unwrap()
            }
            file.append(b"three\n", 0, false, || ());
            assert!(fs::read_to_string(logs.join("a")).unwrap().ends_with("8 bytes are missing here\nthree\n"));
        }
    }

    #[test]
    fn a_link_of_the_user_is_followed_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("a"), folder.path().join("target"));
        std::os::unix::fs::symlink("target", &path).unwrap();
        let mut file = LogFile::new(path.clone(), 0, Duration::ZERO);
        file.append(b"one\n", 0, false, || ());
        file.append(b"two\n", 0, false, || ());
        assert_eq!(fs::read_to_string(&target).unwrap(), "one\ntwo\n");
        fs::remove_file(&path).unwrap();
        file.append(b"three\n", 0, true, || ());
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), file.written, file.parts), ("three\n", 14, 2));
        assert!(file.messages.is_empty(), "{:?}", file.messages);
    }

    #[test]
    fn another_writer_is_told_as_it_may_have_truncated_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = LogFile::new(folder.path().join("a"), 0, Duration::ZERO);
        file.append(b"one\n", 0, false, || ());
        fs::write(&file.path, "something longer\n").unwrap();
        file.append(b"two\n", 0, false, || ());
        fs::write(&file.path, "something even longer\n").unwrap();
        file.append(b"", 0, true, || ());
        let told = format!("another process writes to `{}`, too", file.path.display());
        assert!(file.messages.len() == 1 && file.messages[0].starts_with(&told), "{:?}", file.messages);
        assert_eq!((file.written, file.trouble.as_ref()), (8, Some(&file.messages[0])));
    }
}
