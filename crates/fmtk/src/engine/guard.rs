//! What takes the container and the images away again, however this program ends.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;

use super::ask;
use crate::terminal::interrupt;

/// A shell that waits for its input to end and then removes. The kernel closes the pipe when this program is gone, even by
/// SIGKILL. Whoever drops this, or presses ctrl-C, waits until everything is removed.
pub struct Guard {
    end: Arc<dyn Fn() + Send + Sync>,
}

/// For what an engine does that is well, beside the grace of its containers.
const PATIENCE: Duration = Duration::from_secs(60);

/// `$1` is the engine, `$2` the grace of a stop in seconds; then containers, whose names hold no blanks, `--`, and images.
/// A container comes after those that have its network.
/// `rm --force` alone would kill in docker, but give ten seconds of grace in podman.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
cat
program=$1 grace=$2 containers=
shift 2
while [ "$1" != -- ]; do containers="$containers $1"; shift; done
shift
# One by one: podman kills none of several if one of them is not there, and removes several at once, though not one whose
# network another of them still has.
if [ "$grace" = 0 ]; then for one in $containers; do "$program" kill "$one"; done; else "$program" stop --time "$grace" $containers; fi
for one in $containers; do "$program" rm --force --volumes "$one"; done
[ $# = 0 ] || "$program" rmi "$@"
"#;

impl Guard {
    /// Starts it, before anything is there that would have to be removed. Containers that still run are asked to end and
    /// have `grace` seconds for it; with 0 they are killed.
    pub fn new(program: &str, grace: u64, containers: &[&str], images: &[&str]) -> anyhow::Result<Self> {
        Self::patient(program, grace, containers, images, Duration::from_secs(grace) + PATIENCE)
    }

    fn patient(
        program: &str,
        grace: u64,
        containers: &[&str],
        images: &[&str],
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "sh", program, &grace.to_string()])
            .args(containers)
            .arg("--")
            .args(images)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // ctrl-C goes to the terminal's foreground group; this one has work to do then.
            .process_group(0)
            .spawn()
            .context("failed to run `sh`")?;
        let shell = Mutex::new(shell);
        let end = move || finish(&mut shell.lock().unwrap_or_else(PoisonError::into_inner), patience);
        let end: Arc<dyn Fn() + Send + Sync> = Arc::new(end);
        interrupt::before_end(end.clone());
        Ok(Self { end })
    }
}

/// Has the shell do its work, and waits for it.
fn finish(shell: &mut Child, patience: Duration) {
    drop(shell.stdin.take());
    // A guard can't report; what is left is found by its label the next time. The shell lives on where an engine
    // does not answer, and does its work when it does.
    let deadline = Instant::now() + patience;
    let _ = ask::end(shell, || Instant::now() >= deadline);
}

impl Drop for Guard {
    fn drop(&mut self) {
        (self.end)();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        env, fs,
        io::{BufRead, BufReader, Read},
        os::unix::process::ExitStatusExt,
        path::Path,
        thread,
    };

    use oci_image::Store;

    use super::*;
    use crate::terminal::progress::Progress;

    /// A program in the folder that does as the script says.
    fn engine(folder: &Path, script: &str) -> String {
        let engine = folder.join("engine");
        let text = format!("#!/bin/sh\n{script}\n");
        // By a process of its own: a child that another test has just forked would have it open for writing until it
        // becomes its own program, and what is open so can't be run.
        let made = Command::new("sh")
            .args(["-c", "echo \"$1\" > \"$0\"; chmod 755 \"$0\""])
            .args([&engine, Path::new(&text)])
            .status();
        assert!(made.unwrap().success());
        engine.to_str().unwrap().to_owned()
    }

    /// What is called when the guard goes; nothing before.
    fn calls(grace: u64, containers: &[&str], images: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("said");
        let engine = engine(folder.path(), &format!("echo \"$@\" >> {}", said.display()));
        let guard = Guard::new(&engine, grace, containers, images).unwrap();
        assert!(!said.exists());
        drop(guard);
        fs::read_to_string(&said).unwrap()
    }

    #[test]
    fn what_was_made_is_removed_at_the_end_and_not_before() {
        assert_eq!(calls(0, &["box"], &["one:1", "two:2"]), "kill box\nrm --force --volumes box\nrmi one:1 two:2\n");
        assert_eq!(calls(30, &["a", "b"], &[]), "stop --time 30 a b\nrm --force --volumes a\nrm --force --volumes b\n");
    }

    /// It was waited for without end, and why it is so was told by nobody.
    #[test]
    fn an_engine_that_hangs_does_not_hold_the_end_up() {
        let folder = tempfile::tempdir().unwrap();
        let begun = folder.path().join("begun");
        // Until the folder is gone.
        let wait = format!(": > {0}; while [ -e {0} ]; do sleep 0.05; done", begun.display());
        let engine = engine(folder.path(), &wait);
        drop(Guard::patient(&engine, 0, &["box"], &[], Duration::from_secs(1)).unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        while !begun.exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(begun.exists(), "it was not asked");
    }

    const HANGS: &str = "engine::guard::tests::hangs_until_it_is_ended";
    const FOLDER: &str = "FMTK_TEST_HANGS_IN";

    /// Runs as the child of the test below.
    #[test]
    fn hangs_until_it_is_ended() {
        let Some(folder) = env::var_os(FOLDER) else { return };
        let folder = Path::new(&folder);
        let store = Store::open(&folder.join("store")).unwrap();
        let own = store.clone();
        interrupt::before_end(Arc::new(move || own.abandon()));
        interrupt::watch(|| Progress::new(false).last_line("interrupted")).unwrap();
        let engine = engine(folder, &format!("echo \"$@\" >> {}", folder.join("said").display()));
        let _guard = Guard::new(&engine, 0, &["box"], &["one:1"]).unwrap();
        let scratch = store.scratch().unwrap();
        fs::write(scratch.path().join("half"), "half").unwrap();
        println!("\nready");
        loop {
            thread::park();
        }
    }

    /// The prompt was back ten seconds before the container was gone, and files of the store stayed.
    #[test]
    fn who_is_ended_leaves_neither_containers_nor_half_written_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", HANGS, "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        // SIGINT may be ignored in the background of a script.
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said, "interrupted\n");
        let asked = fs::read_to_string(folder.path().join("said")).unwrap();
        assert_eq!(asked, "kill box\nrm --force --volumes box\nrmi one:1\n");
        assert_eq!(fs::read_dir(folder.path().join("store/tmp")).unwrap().count(), 0);
    }
}
