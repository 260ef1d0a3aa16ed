//! What this machine is: which programs it has and whose process this is.

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
