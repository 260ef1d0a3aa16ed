//! What this machine is: which programs it has, whose process this is, how full its disks are.

use std::path::Path;

/// Whether a program of this name is on the path.
pub fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    // The owner of a process's own folder in proc is its effective user.
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// Bytes that this user may still write into the folder, where that is known.
pub fn free_space(folder: &Path) -> Option<u64> {
    rustix::fs::statvfs(folder).ok().map(|found| found.f_bavail * found.f_frsize)
}
