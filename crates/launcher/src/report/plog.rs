//! CANN's own log of a rank, where it has written one.

use std::fs;
use std::path::{Path, PathBuf};

/// The newest log of a process below `folder`, the rank's ASCEND_PROCESS_LOG_PATH: `debug/plog/plog-<pid>_<time>.log`, and
/// without `debug` where CANN is older than 5.
pub fn of(folder: &Path, pid: i32) -> Option<PathBuf> {
    ["debug/plog", "plog"].iter().find_map(|below| newest(&folder.join(below), pid))
}

fn newest(folder: &Path, pid: i32) -> Option<PathBuf> {
    let start = format!("plog-{pid}_");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().ok();
    let names = fs::read_dir(folder).ok()?.filter_map(|entry| name(entry.ok()?));
    // Times of one length, so that their order is that of the names.
    names.filter(|name| name.starts_with(&start) && name.ends_with(".log")).max().map(|name| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_log_of_the_process_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(of(folder.path(), 7), None);
        for name in ["plog/plog-7_1.log", "run/plog/plog-7_9.log"] {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(of(folder.path(), 7), Some(folder.path().join("plog/plog-7_1.log")));
        fs::create_dir_all(folder.path().join("debug/plog")).unwrap();
        for name in ["plog-7_20260101000000002.log", "plog-7_20260101000000001.log", "plog-77_3.log", "plog-7_4.txt"] {
            fs::write(folder.path().join("debug/plog").join(name), "").unwrap();
        }
        let newest = folder.path().join("debug/plog/plog-7_20260101000000002.log");
        assert_eq!((of(folder.path(), 7), of(folder.path(), 8)), (Some(newest), None));
    }
}
