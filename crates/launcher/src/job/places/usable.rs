//! Whether a folder can be written to, found out by writing, or, where nothing may be made, by asking.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use nix::unistd::{AccessFlags, access};

/// What is asked of a folder.
pub struct Demand<'a> {
    /// The folder, by its absolute path.
    pub folder: &'a Path,
    /// Permission bits, before the umask, of what has to be made.
    pub mode: u32,
    /// A folder that is, or is above, `folder` and must be a real one that only `uid` can write to.
    pub private: Option<&'a Path>,
    /// The uid that we run as.
    pub uid: u32,
}

/// Makes the folder where it is missing and writes a file to it, which is removed again.
///
/// access(2) wouldn't do: it says yes to root in places that root can't write to either.
pub fn make(demand: &Demand) -> io::Result<()> {
    refuse_relative(demand.folder)?;
    if let Some(private) = demand.private {
        // 0700: the launcher and its ranks are one uid, and nobody else has any business in it.
        match DirBuilder::new().mode(0o700).create(private) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => check_private(private, demand.uid)?,
        }
    }
    DirBuilder::new().recursive(true).mode(demand.mode).create(demand.folder)?;
    write_a_file(demand.folder)
}

/// As [`make`], but touches nothing: what exists must be a folder that access(2) calls writable, what doesn't exist must
/// have such a folder as its nearest parent.
pub fn judge(demand: &Demand) -> io::Result<()> {
    refuse_relative(demand.folder)?;
    if let Some(private) = demand.private {
        match check_private(private, demand.uid) {
            // Only the folder itself is made, so what holds it must be there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return ask(private.parent().unwrap_or(Path::new("/")));
            }
            checked => checked?,
        }
    }
    let nearest = demand.folder.ancestors().find(|path| path.symlink_metadata().is_ok());
    ask(nearest.unwrap_or(Path::new("/")))
}

fn refuse_relative(folder: &Path) -> io::Result<()> {
    // It would mean one place to the launcher and another to ranks, which start in the code folder.
    if folder.is_absolute() { Ok(()) } else { Err(io::Error::other("not an absolute path")) }
}

fn ask(folder: &Path) -> io::Result<()> {
    if !folder.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(io::Error::from)
}

/// A folder of ours that others can't write to: nobody can put a link into it, nor, below a sticky `/tmp`, replace it.
fn check_private(folder: &Path, uid: u32) -> io::Result<()> {
    let metadata = folder.symlink_metadata()?;
    if !metadata.is_dir() {
        return Err(io::Error::other("not trusted: it isn't a real folder"));
    }
    if metadata.uid() != uid {
        return Err(io::Error::other(format!("not trusted: it belongs to uid {}, not {uid}", metadata.uid())));
    }
    if metadata.mode() & 0o022 != 0 {
        let mode = metadata.mode() & 0o7777;
        return Err(io::Error::other(format!("not trusted: its mode {mode:04o} lets others write")));
    }
    Ok(())
}

fn write_a_file(folder: &Path) -> io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Servers of a job may share the folder and, each in its own container, the pid: the clock tells them apart.
    let nanoseconds = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!(".fmtk-{}-{nanoseconds:x}-{next}", std::process::id()));
    // O_EXCL, which doesn't follow a link either.
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    // A byte, since a full disk often still has room for an empty file.
    let written = file.write_all(b"\n");
    // Where it can't be removed, the folder is no less writable.
    let _ = fs::remove_file(&path);
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn euid() -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    fn demand<'a>(folder: &'a Path, private: Option<&'a Path>) -> Demand<'a> {
        Demand { folder, mode: 0o750, private, uid: euid() }
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    #[test]
    fn makes_what_is_missing_and_leaves_nothing_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        make(&demand(&folder, None)).unwrap();
        make(&demand(&folder, None)).unwrap();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        assert_eq!(mode(&folder) & 0o027, 0);
    }

    #[test]
    fn private_is_made_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let private = dir.path().join("fmtk-1");
        make(&demand(&private.join("log"), Some(&private))).unwrap();
        assert_eq!(mode(&private) & 0o077, 0);
        assert!(private.join("log").is_dir());
    }

    #[test]
    fn a_link_a_file_a_foreign_or_an_open_folder_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        let link = dir.path().join("link");
        let file = dir.path().join("file");
        let open = dir.path().join("open");
        fs::create_dir(&target).unwrap();
        fs::create_dir(&open).unwrap();
        fs::write(&file, "").unwrap();
        symlink(&target, &link).unwrap();
        symlink(dir.path().join("nowhere"), dir.path().join("dangling")).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o770)).unwrap();
        for private in [&link, &file, &open, &dir.path().join("dangling")] {
            for how in [make, judge] {
                let error = how(&demand(private, Some(private))).unwrap_err();
                assert!(error.to_string().starts_with("not trusted"), "{}: {error}", private.display());
            }
        }
        let foreign = Demand { uid: euid() + 1, ..demand(&target, Some(&target)) };
        assert!(make(&foreign).unwrap_err().to_string().contains("belongs to uid"));
        assert!(judge(&foreign).unwrap_err().to_string().contains("belongs to uid"));
        make(&demand(&target, Some(&target))).unwrap();
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    }

    #[test]
    fn a_file_in_the_way_or_a_relative_path_fails_both_ways() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        for how in [make, judge] {
            for (folder, kinds) in [
                (file.clone(), [io::ErrorKind::NotADirectory, io::ErrorKind::AlreadyExists]),
                (file.join("log"), [io::ErrorKind::NotADirectory; 2]),
                ("log".into(), [io::ErrorKind::Other; 2]),
            ] {
                let error = how(&demand(&folder, None)).unwrap_err();
                assert!(kinds.contains(&error.kind()), "{}: {error}", folder.display());
            }
        }
    }

    #[test]
    fn a_folder_that_only_access_calls_writable_is_not() {
        // Root may write everywhere by access(2), yet nobody makes files in /proc.
        assert_eq!(make(&demand(Path::new("/proc"), None)).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
