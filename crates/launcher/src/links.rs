//! Paths on which others may have put links: one is followed only where it is this user's own or root's, or is in a folder
//! in which nobody else can make one.
//!
//! The launcher often runs as root in folders that belong to other users. A link that one of them puts there would lead what
//! it makes and writes to wherever that user likes.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open as open_path, openat, readlinkat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{AccessFlags, faccessat, geteuid};

/// Whom the kernel names in place of a user that it can't name: root outside of a container without root, /proc's links among
/// what is its own. NFS makes this the owner of what root makes, be it this launcher, where it does not trust a machine's root.
const NOBODY: u32 = 65_534;

/// Links on the way to a file, as many as the kernel follows.
const MAX_LINKS: usize = 40;

/// What is there, be it a link, without reading it.
const ENTRY: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// A folder. Asked for as one, so that an automounter mounts it.
const FOLDER: OFlag = ENTRY.union(OFlag::O_DIRECTORY);

/// How far a path leads: the last folder that is there, and the names that are left, the last one first. The next of them is
/// a file and no link, or is missing.
fn reach(path: &Path) -> io::Result<(OwnedFd, Vec<OsString>)> {
    let root = || open_path("/", FOLDER, Mode::empty());
    let (mut folder, mut at) = (root()?, PathBuf::from("/"));
    let mut rest = names(&std::path::absolute(path)?);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        // Without a link in it, so that `..` is the folder above.
        if name == ".." {
            _ = at.pop()
        } else {
            at.push(&name)
        }
        match openat(&folder, name.as_os_str(), FOLDER, Mode::empty()) {
            Ok(entered) => {
                folder = entered;
                continue;
            }
            Err(Errno::ENOENT) => {
                rest.push(name);
                break;
            }
            Err(Errno::ENOTDIR | Errno::ELOOP) => {}
            Err(error) => return Err(error.into()),
        }
        let entry = openat(&folder, name.as_os_str(), ENTRY, Mode::empty())?;
        let status = fstat(&entry)?;
        if status.st_mode & libc::S_IFMT != libc::S_IFLNK {
            if !rest.is_empty() {
                return Err(Errno::ENOTDIR.into());
            }
            rest.push(name);
            break;
        }
        // What others own in a closed folder, root has given to them: nobody can change a link.
        let around = fstat(&folder)?;
        let is_closed = is_trusted(around.st_uid) && around.st_mode & 0o022 == 0;
        if !is_trusted(status.st_uid) && !is_closed {
            let (at, uid) = (at.display(), status.st_uid);
            return Err(io::Error::other(format!("`{at}` is a link that belongs to uid {uid} and is not followed")));
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::ELOOP.into());
        }
        let target = PathBuf::from(readlinkat(&entry, "")?);
        at.pop();
        if target.is_absolute() {
            (folder, at) = (root()?, "/".into());
        }
        rest.extend(names(&target));
    }
    Ok((folder, rest))
}

fn is_trusted(uid: u32) -> bool {
    [0, NOBODY, geteuid().as_raw()].contains(&uid)
}

/// The names on a path, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let is_name = |it: &Component| matches!(it, Component::Normal(_) | Component::ParentDir);
    path.components().rev().filter(is_name).map(|it| it.as_os_str().to_owned()).collect()
}

/// What is wrong with a path if a link of another user is on it.
pub fn foreign(path: &Path) -> Option<String> {
    // Errors of the system have kinds of their own.
    reach(path).err().filter(|error| error.kind() == io::ErrorKind::Other).map(|error| error.to_string())
}

/// Makes a folder, and those above it that are missing; gives it open, for what is made in it.
pub fn make_folder(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    let (mut folder, mut rest) = reach(path)?;
    while let Some(name) = rest.pop() {
        match mkdirat(&folder, name.as_os_str(), Mode::from_bits_truncate(mode)) {
            Ok(()) | Err(Errno::EEXIST) => folder = openat(&folder, name.as_os_str(), FOLDER, Mode::empty())?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(folder)
}

/// Asks the permissions alone whether [`make_folder`] would give one that can be written to.
pub fn may_make_folder(path: &Path) -> io::Result<()> {
    let (folder, rest) = reach(path)?;
    if rest.last().is_some_and(|it| openat(&folder, it.as_os_str(), ENTRY, Mode::empty()).is_ok()) {
        return Err(Errno::ENOTDIR.into());
    }
    Ok(faccessat(&folder, ".", AccessFlags::W_OK | AccessFlags::X_OK, AtFlags::empty())?)
}

/// Opens a file; a new one has this mode before the umask.
pub fn open(path: &Path, flags: OFlag, mode: u32) -> io::Result<File> {
    let (folder, rest) = reach(path)?;
    match &rest[..] {
        [name] => {
            let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
            Ok(openat(&folder, name.as_os_str(), flags, Mode::from_bits_truncate(mode))?.into())
        }
        [] => Err(Errno::EISDIR.into()),
        _ => Err(Errno::ENOENT.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, lchown, symlink};

    use super::*;

    const WRITE: OFlag = OFlag::O_WRONLY.union(OFlag::O_CREAT);

    #[test]
    fn paths_lead_where_the_kernel_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        fs::write(path("file"), "").unwrap();
        for (target, link) in [("a", "relative"), ("../a/b/..", "a/up"), ("nowhere/x", "dangling"), ("loop", "loop")] {
            symlink(target, path(link)).unwrap();
        }
        symlink(path("a/b"), path("absolute")).unwrap();
        symlink("made", path("a/file")).unwrap();
        for (way, made) in [
            ("a/x/y", "a/x/y"),
            ("relative/z/../y", "a/y"),
            ("absolute/x", "a/b/x"),
            ("a/up/q", "a/q"),
            ("dangling", "nowhere/x"),
            ("a/b", "a/b"),
        ] {
            may_make_folder(&path(way)).unwrap();
            make_folder(&path(way), 0o755).unwrap();
            assert!(path(made).is_dir(), "{way}");
        }
        open(&path("relative/file"), WRITE, 0o644).unwrap();
        assert!(path("a/made").is_file());
        for (way, number) in
            [("file", libc::ENOTDIR), ("file/x", libc::ENOTDIR), ("a/made/x", libc::ENOTDIR), ("loop", libc::ELOOP)]
        {
            assert_eq!(make_folder(&path(way), 0o755).unwrap_err().raw_os_error(), Some(number), "{way}");
            assert_eq!(may_make_folder(&path(way)).unwrap_err().raw_os_error(), Some(number), "{way}");
        }
        assert_eq!(open(&path("a/b"), WRITE, 0o644).unwrap_err().raw_os_error(), Some(libc::EISDIR));
        assert_eq!(open(&path("no/file"), WRITE, 0o644).unwrap_err().raw_os_error(), Some(libc::ENOENT));
        assert!(foreign(&path("absolute")).is_none() && foreign(&path("loop")).is_none());
    }

    #[test]
    fn a_link_of_another_user_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        fs::create_dir(folder.path().join("target")).unwrap();
        symlink("target", &link).unwrap();
        // Only root can give a link away.
        if lchown(&link, Some(54_321), None).is_err() {
            return;
        }
        assert_eq!(foreign(&link), None, "nobody else can have put it there");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let told = format!("`{}` is a link that belongs to uid 54321 and is not followed", link.display());
        for path in [link.clone(), link.join("a/b")] {
            assert_eq!(make_folder(&path, 0o755).unwrap_err().to_string(), told);
            assert_eq!(may_make_folder(&path).unwrap_err().to_string(), told);
            assert_eq!(open(&path, WRITE, 0o644).unwrap_err().to_string(), told);
            assert_eq!(foreign(&path), Some(told.clone()));
        }
        assert_eq!(fs::read_dir(folder.path().join("target")).unwrap().count(), 0);
        lchown(folder.path(), Some(54_321), None).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(foreign(&link), Some(told));
        // Root's, in a container without root.
        lchown(&link, Some(NOBODY), None).unwrap();
        assert_eq!(foreign(&link), None);
    }
}
