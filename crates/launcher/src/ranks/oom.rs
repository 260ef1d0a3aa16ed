//! How many processes of our cgroup the kernel has killed because memory ran out.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// The kernel's counter for the cgroup that we and our ranks are in.
#[derive(Debug)]
pub struct Counter {
    file: PathBuf,
    before: u64,
}

impl Counter {
    /// Finds the counter and reads it for the first time; `None` where the kernel or the container doesn't show one.
    ///
    /// `root` is what `/proc` and `/sys` are below.
    pub fn start(root: &Path) -> Option<Counter> {
        let memberships = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
        files(root, &memberships).into_iter().find_map(|file| Some(Counter { before: read(&file)?, file }))
    }

    /// Kills since [`Counter::start`]; `None` where the counter has gone.
    pub fn kills(&self) -> Option<u64> {
        Some(read(&self.file)?.saturating_sub(self.before))
    }
}

/// Where the counter may be, most trusted first.
fn files(root: &Path, memberships: &str) -> Vec<PathBuf> {
    // A line is `hierarchy:controllers:path`; version 2 is hierarchy 0 with no controllers.
    let lines = || memberships.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let v1 = lines().filter(|(controllers, _)| controllers.split(',').any(|name| name == "memory"));
    let v2 = lines().filter(|(controllers, _)| controllers.is_empty());
    let cgroup = root.join("sys/fs/cgroup");
    // Where version 1 has the memory controller, version 2 can't have it too.
    let v1 = v1.flat_map(|(_, path)| below(&cgroup.join("memory"), path, "memory.oom_control"));
    let v2 = v2.flat_map(|(_, path)| {
        // A hybrid system mounts version 2 in a folder of its own.
        [below(&cgroup, path, "memory.events"), below(&cgroup.join("unified"), path, "memory.events")].concat()
    });
    v1.chain(v2).collect()
}

/// `name` in the cgroup `path` of a mount, whose top may be any cgroup above: a container often sees the host's path, yet
/// has only its own part mounted; with a cgroup namespace of another it sees `/../..`. So leading parts are left off one by one.
fn below(mount: &Path, path: &str, name: &str) -> Vec<PathBuf> {
    let parts: Vec<Component> =
        Path::new(path).components().filter(|part| matches!(part, Component::Normal(_))).collect();
    (0..=parts.len()).map(|skipped| mount.join(parts[skipped..].iter().collect::<PathBuf>()).join(name)).collect()
}

/// The number after `oom_kill`, in both versions' files.
fn read(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "oom_kill_disable 0\nunder_oom 0\noom_kill ";
    const V2: &str = "low 0\nhigh 0\nmax 7\noom 5\noom_kill ";

    fn machine(memberships: &str, file: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        fs::write(root.path().join("proc/self/cgroup"), memberships).unwrap();
        let file = root.path().join("sys/fs/cgroup").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        (root, file)
    }

    #[test]
    fn counts_from_the_start_wherever_the_counter_is() {
        for (memberships, file, text) in [
            ("0::/a.slice/b.scope\n", "a.slice/b.scope/memory.events", V2),
            ("0::/\n", "memory.events", V2),
            ("0::/../..\n", "memory.events", V2),
            ("0::/../../kubepods/pod1\n", "memory.events", V2),
            ("1:name=systemd:/x\n0::/a\n", "unified/a/memory.events", V2),
            ("4:memory:/job/1\n0::/\n", "memory/job/1/memory.oom_control", V1),
            ("9:cpu,memory:/job\n", "memory/job/memory.oom_control", V1),
            ("4:memory:/docker/123abc\n", "memory/memory.oom_control", V1),
            ("4:memory:/docker/123abc/mine\n", "memory/mine/memory.oom_control", V1),
            ("4:memory:/with:colon\n", "memory/with:colon/memory.oom_control", V1),
        ] {
            let (root, path) = machine(memberships, file, &format!("{text}3\n"));
            let counter = Counter::start(root.path()).unwrap_or_else(|| panic!("{memberships}"));
            assert_eq!(counter.kills(), Some(0));
            fs::write(&path, format!("{text}5\n")).unwrap();
            assert_eq!(counter.kills(), Some(2));
            fs::remove_file(&path).unwrap();
            assert_eq!(counter.kills(), None);
        }
    }

    #[test]
    fn our_own_cgroup_goes_before_those_above() {
        let (root, own) = machine("0::/a/b\n", "a/b/memory.events", &format!("{V2}1\n"));
        fs::write(root.path().join("sys/fs/cgroup/memory.events"), format!("{V2}9\n")).unwrap();
        assert_eq!(Counter::start(root.path()).unwrap().file, own);
    }

    #[test]
    fn unknown_where_nothing_tells() {
        for (memberships, file, text) in [
            ("", "memory.events", V2),
            ("no colons\n::\n", "memory.events", "oom_kill x\n"),
            ("0::/\n", "memory.events", "low 0\n"),
            ("3:cpu:/\n", "memory/memory.oom_control", "oom_kill 1\n"),
        ] {
            let (root, _) = machine(memberships, file, text);
            assert!(Counter::start(root.path()).is_none(), "{memberships:?} {file}");
        }
    }
}
