//! The choice in temp folders that stand for the root of a machine.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;

use super::*;

/// The folder of the run.
const OWN: &str = "fmtk-job-1";

/// A root with a `tmp` and a `cache`, and nothing else.
struct Machine {
    root: tempfile::TempDir,
    vars: HashMap<&'static str, OsString>,
    uid: u32,
    dry: bool,
}

impl Machine {
    fn new() -> Machine {
        let root = tempfile::tempdir().unwrap();
        for name in ["tmp", "cache"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        Machine { root, vars: HashMap::new(), uid: nix::unistd::geteuid().as_raw(), dry: false }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn set(&mut self, name: &'static str, path: &str) -> PathBuf {
        let path = self.path(path);
        self.vars.insert(name, path.clone().into());
        path
    }

    /// Puts a file there, which even root can't make a folder of.
    fn block(&self, path: &str) {
        let _ = fs::remove_dir_all(self.path(path));
        fs::write(self.path(path), "").unwrap();
    }

    fn ask<T>(&self, question: impl Fn(&Surroundings) -> T) -> T {
        let lookup = |name: &str| self.vars.get(name).cloned().filter(|it| !it.is_empty());
        question(&Surroundings { lookup: &lookup, uid: self.uid, own: OWN, root: self.root.path(), dry: self.dry })
    }
}

fn first(path: PathBuf) -> ChosenPath {
    (path, None)
}

#[test]
fn logs_follow_the_vendors_rule() {
    let mut machine = Machine::new();
    assert_eq!(machine.ask(|a| logs(a, None)).unwrap(), first(machine.path("tmp/log")));
    let mount = machine.set("MA_MOUNT_PATH", "mount");
    assert_eq!(machine.ask(|a| logs(a, None)).unwrap(), first(machine.path("tmp/log")));
    assert!(!mount.exists());
    fs::create_dir_all(mount.join("log")).unwrap();
    assert_eq!(machine.ask(|a| logs(a, None)).unwrap(), first(mount.join("log")));
}

#[test]
fn logs_fall_back_in_order_and_say_why() {
    let mut machine = Machine::new();
    let mount = machine.set("MA_MOUNT_PATH", "mount");
    fs::create_dir(&mount).unwrap();
    machine.block("mount/log");
    machine.block("tmp/log");
    let place = machine.ask(|a| logs(a, None)).unwrap();
    assert_eq!(place.0, machine.path("cache/log"));
    let note = place.1.unwrap();
    assert!(note.contains("mount/log`: ") && note.contains("tmp/log`: "), "{note}");
    machine.block("cache");
    let scratch = machine.set("TMPDIR", "scratch");
    assert_eq!(machine.ask(|a| logs(a, None)).unwrap().0, scratch.join("log"));
    machine.vars.remove("TMPDIR");
    // Logs outlive the run.
    let ours = machine.path("tmp").join(format!("fmtk-{}", machine.uid));
    assert_eq!(machine.ask(|a| logs(a, None)).unwrap().0, ours.join("log"));
    assert_eq!(ours.metadata().unwrap().mode() & 0o077, 0);
}

/// Whoever owns it, or can write to it, can put links into it.
#[test]
fn folders_of_somebody_else_in_a_shared_one_are_passed_over() {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    type Plant = fn(&Path);
    let plant: [(&str, Plant); 3] = [
        ("it isn't a real folder", |path| symlink("elsewhere", path).unwrap()),
        ("its mode 0777 lets others write", |path| {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }),
        ("it belongs to uid 54321, not 0", |path| {
            fs::create_dir(path).unwrap();
            chown(path, Some(54_321), None).unwrap();
        }),
    ];
    for (why, plant) in plant {
        let mut machine = Machine::new();
        // Only root can give a folder away.
        if why.contains("uid") && machine.uid != 0 {
            continue;
        }
        for name in ["tmp/log", "cache/log", "cache/fmtk_data"] {
            plant(&machine.path(name));
        }
        fs::create_dir(machine.path("tmp/elsewhere")).unwrap();
        let scratch = machine.set("TMPDIR", "scratch");
        let (chosen, note) = machine.ask(|a| logs(a, None)).unwrap();
        assert_eq!(chosen, scratch.join("log"));
        assert_eq!(note.unwrap().matches(&format!("log`: not trusted: {why}")).count(), 2);
        assert_eq!(machine.ask(|a| mirror(a, "fmtk_data")).unwrap().0, machine.path("cache/fmtk-job-1/fmtk_data"));
        assert_eq!(fs::read_dir(machine.path("tmp/elsewhere")).unwrap().count(), 0);
    }
}

/// Only root can give a link away.
#[test]
fn links_of_another_user_are_followed_nowhere() {
    use std::os::unix::fs::{chown, lchown, symlink};
    let mut machine = Machine::new();
    if machine.uid != 0 {
        return;
    }
    let mount = machine.set("MA_MOUNT_PATH", "mount");
    let target = machine.path("target");
    for folder in [&mount, &target] {
        fs::create_dir(folder).unwrap();
    }
    for name in ["log", "workspace"] {
        symlink(&target, mount.join(name)).unwrap();
        lchown(mount.join(name), Some(54_321), None).unwrap();
    }
    chown(&mount, Some(54_321), None).unwrap();
    for dry in [true, false] {
        machine.dry = dry;
        let told =
            |name| format!("`{}` is a link that belongs to uid 54321 and is not followed", mount.join(name).display());
        let (logs_at, note) = machine.ask(|a| logs(a, None)).unwrap();
        assert!(logs_at == machine.path("tmp/log") && note.unwrap().contains(&told("log")));
        let (work_at, note) = machine.ask(|a| work(a, &[0, 1])).unwrap();
        assert!(work_at == machine.path("cache/fmtk-job-1") && note.unwrap().contains(&told("workspace")));
        let error = machine.ask(|a| logs(a, Some(&mount.join("log/below")))).unwrap_err().text;
        assert!(error.contains(&told("log")), "{error}");
    }
    assert_eq!(fs::read_dir(target).unwrap().count(), 0);
    // What the user himself has arranged is fine.
    lchown(mount.join("log"), Some(0), None).unwrap();
    assert_eq!(machine.ask(|a| logs(a, None)).unwrap(), first(mount.join("log")));
}

#[test]
fn a_given_log_folder_is_made_or_refused() {
    let machine = Machine::new();
    let given = machine.path("x/y");
    assert_eq!(machine.ask(|a| logs(a, Some(&given))).unwrap(), first(given.clone()));
    assert_eq!(given.metadata().unwrap().mode() & 0o700, 0o700);
    machine.block("file");
    let error = machine.ask(|a| logs(a, Some(&machine.path("file/log")))).unwrap_err().text;
    assert!(error.contains("file/log`: ") && error.contains("\nhint: `--log-dir`"), "{error}");
    assert!(!error.contains("tmp/log"), "{error}");
}

#[test]
fn rank_table_falls_back_in_order() {
    let mut machine = Machine::new();
    assert_eq!(machine.ask(rank_table).unwrap(), first(machine.path("cache/fmtk-job-1/rank_table")));
    machine.set("MA_MOUNT_PATH", "mount");
    assert_eq!(machine.ask(rank_table).unwrap(), first(machine.path("cache/fmtk-job-1/rank_table")), "no other job's");
    machine.block("cache");
    assert_eq!(machine.ask(rank_table).unwrap().0, machine.path("tmp/fmtk-job-1/rank_table"));
    let scratch = machine.set("TMPDIR", "scratch");
    assert_eq!(machine.ask(rank_table).unwrap().0, scratch.join("fmtk-job-1/rank_table"));
    let mode = scratch.join(OWN).metadata().unwrap().mode() & 0o7777;
    assert_eq!(mode, 0o700, "nobody else's business");
}

#[test]
fn the_folder_of_a_run_goes_at_its_end() {
    let mut machine = Machine::new();
    machine.set("TMPDIR", "scratch");
    let made = |machine: &Machine| {
        let of_work = machine.ask(|a| work(a, &[0])).unwrap().0;
        fs::write(of_work.join("device0/file"), "").unwrap();
        machine.block("cache");
        machine.ask(rank_table).unwrap();
        machine.ask(|a| mirror(a, OUTPUT)).unwrap().0
    };
    let own = ["cache", "scratch", "tmp"].map(|it| machine.path(it).join(OWN));
    let output = made(&machine);
    fs::write(output.join("model"), "").unwrap();
    let notes = machine.ask(|a| remove_own(a, false));
    assert_eq!(notes, [format!("the output of this task is kept in `{}`", output.display())]);
    assert!(output.join("model").exists(), "it may not be saved yet");
    assert_eq!(machine.ask(|a| remove_own(a, true)), [] as [&str; 0]);
    assert!(own.iter().all(|it| !it.exists()));
    // What is not ours is left alone.
    std::os::unix::fs::symlink(machine.path("tmp"), &own[1]).unwrap();
    assert_eq!(machine.ask(|a| remove_own(a, true)), [] as [&str; 0]);
    assert!(own[1].is_symlink() && machine.path("tmp").exists());
}

#[test]
fn one_base_for_all_devices() {
    let mut machine = Machine::new();
    let mount = machine.set("MA_MOUNT_PATH", "mount");
    let devices = [0, 1, 7];
    assert_eq!(machine.ask(|a| work(a, &devices)).unwrap(), first(mount.join("workspace")));
    for device in devices {
        let folder = device_folder(&mount.join("workspace"), device);
        assert_eq!(folder.metadata().unwrap().mode() & 0o027, 0);
    }
    fs::remove_dir(mount.join("workspace/device7")).unwrap();
    machine.block("mount/workspace/device7");
    let place = machine.ask(|a| work(a, &devices)).unwrap();
    assert_eq!(place.0, machine.path("cache/fmtk-job-1"));
    assert!(place.1.unwrap().contains("workspace/device7`: "));
    assert!(machine.path("cache/fmtk-job-1/device7").is_dir());
    machine.block("cache");
    let place = machine.ask(|a| work(a, &devices)).unwrap();
    assert_eq!(place.0, machine.path("tmp/fmtk-job-1"));
    assert!(machine.path("tmp/fmtk-job-1/device0").is_dir());
}

#[test]
fn a_machine_without_a_cache_gets_none() {
    let machine = Machine::new();
    fs::remove_dir(machine.path("cache")).unwrap();
    assert_eq!(machine.ask(|a| work(a, &[0])).unwrap(), first(machine.path("tmp/fmtk-job-1")));
    assert_eq!(machine.ask(rank_table).unwrap(), first(machine.path("tmp/fmtk-job-1/rank_table")));
    assert!(!machine.path("cache").exists());
}

#[test]
fn no_place_lists_each_with_its_reason() {
    let mut machine = Machine::new();
    machine.set("MA_MOUNT_PATH", "mount");
    machine.vars.insert("TMPDIR", machine.path("tmp").into());
    machine.block("mount");
    machine.block("cache");
    fs::write(machine.path("tmp/fmtk-job-1"), "").unwrap();
    for dry in [false, true] {
        machine.dry = dry;
        let error = machine.ask(rank_table).unwrap_err().text;
        assert!(error.starts_with("failed to find a writable folder for the converted rank table: "), "{error}");
        assert_eq!(error.matches("rank_table`: ").count(), 2, "{error}");
        let of_work = machine.ask(|a| work(a, &[3])).unwrap_err().text;
        assert_eq!(of_work.matches("device3`: ").count(), 3, "{of_work}");
        assert!(error.contains("not trusted") && error.contains("\nhint: set `TMPDIR`"), "{error}");
    }
}

#[test]
fn a_link_a_file_a_foreign_or_an_open_folder_is_not_trusted() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let mut machine = Machine::new();
    let (folder, link) = (machine.path("folder"), machine.path("link"));
    fs::create_dir(&folder).unwrap();
    symlink(&folder, &link).unwrap();
    symlink(machine.path("nowhere"), machine.path("dangling")).unwrap();
    machine.block("file");
    let own = machine.uid;
    for (name, mode, uid, expect) in [
        ("folder", 0o755, own, None),
        ("folder", 0o770, own, Some("not trusted: its mode 0770 lets others write")),
        ("folder", 0o755, own + 1, Some("not trusted: it belongs to uid ")),
        ("link", 0o755, own, Some("not trusted: it isn't a real folder")),
        ("dangling", 0o755, own, Some("not trusted: it isn't a real folder")),
        ("file", 0o755, own, Some("not trusted: it isn't a real folder")),
    ] {
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        machine.uid = uid;
        for dry in [true, false] {
            machine.dry = dry;
            let path = machine.path(name);
            let said = machine.ask(|a| usable(a, &path, 0o750, Some(&path))).map_err(|error| error.to_string());
            match expect {
                None => assert_eq!(said, Ok(())),
                Some(why) => assert!(said.unwrap_err().starts_with(why), "{name}"),
            }
        }
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_relative_or_an_empty_variable_is_no_place() {
    let mut machine = Machine::new();
    machine.vars.insert("MA_MOUNT_PATH", "mount".into());
    let place = machine.ask(|a| work(a, &[0])).unwrap();
    assert_eq!(place.0, machine.path("cache/fmtk-job-1"));
    assert!(place.1.unwrap().contains("`mount/workspace/device0`: not an absolute path"));
    machine.vars.insert("MA_MOUNT_PATH", "".into());
    assert_eq!(machine.ask(|a| work(a, &[0])).unwrap(), first(machine.path("cache/fmtk-job-1")));
}

#[test]
fn a_dry_run_chooses_the_same_and_makes_nothing() {
    let mut machine = Machine::new();
    machine.set("MA_MOUNT_PATH", "mount");
    machine.block("tmp/log");
    machine.dry = true;
    let judged = (machine.ask(|a| logs(a, None)), machine.ask(rank_table), machine.ask(|a| work(a, &[0, 1])));
    assert!(!machine.path("mount").exists() && fs::read_dir(machine.path("cache")).unwrap().next().is_none());
    machine.dry = false;
    let made = (machine.ask(|a| logs(a, None)), machine.ask(rank_table), machine.ask(|a| work(a, &[0, 1])));
    assert_eq!(judged.0.unwrap().0, made.0.unwrap().0);
    assert_eq!(judged.1.unwrap(), made.1.unwrap());
    assert_eq!(judged.2.unwrap(), made.2.unwrap());
}

#[test]
fn home_is_kept_where_it_can_be_written() {
    let mut machine = Machine::new();
    assert!(!machine.ask(is_home_usable));
    let there = machine.set("HOME", "tmp");
    assert!(machine.ask(is_home_usable));
    assert_eq!(fs::read_dir(&there).unwrap().count(), 0);
    machine.block("file");
    let unusable = [machine.path("nowhere"), machine.path("file"), "".into(), "/proc".into(), ".".into()];
    for home in unusable {
        machine.vars.insert("HOME", home.clone().into());
        assert!(!machine.ask(is_home_usable), "{}", home.display());
    }
    assert!(!machine.path("nowhere").exists());
}
