//! What takes the container and the images away again, however this program ends.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;

use super::ask;

/// A shell that waits for its input to end and then removes. The kernel closes the pipe when this program is gone, be it
/// by ctrl-C or SIGKILL.
#[derive(Debug)]
pub struct Guard {
    shell: Child,
    /// How long its end is waited for.
    patience: Duration,
}

/// For what an engine does that is well, beside the grace of its containers.
const PATIENCE: Duration = Duration::from_secs(60);

/// `$1` is the engine, `$2` the grace of a stop in seconds; then containers, whose names hold no blanks, `--`, and images.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
cat
program=$1 grace=$2 containers=
shift 2
while [ "$1" != -- ]; do containers="$containers $1"; shift; done
shift
[ "$grace" = 0 ] || "$program" stop --time "$grace" $containers
"$program" rm --force --volumes $containers
[ $# = 0 ] || "$program" rmi "$@"
"#;

impl Guard {
    /// Starts it, before anything is there that would have to be removed. Containers that still run are asked to end and
    /// have `grace` seconds for it; with 0 they are killed.
    pub fn new(program: &str, grace: u64, containers: &[&str], images: &[&str]) -> anyhow::Result<Self> {
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
        Ok(Self { shell, patience: Duration::from_secs(grace) + PATIENCE })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // A guard can't report; what is left is found by its label the next time. The shell lives on where an engine
        // does not answer, and does its work when it does.
        let deadline = Instant::now() + self.patience;
        let _ = ask::end(&mut self.shell, || Instant::now() >= deadline);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, process::Command, thread};

    use super::*;

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
        assert_eq!(calls(0, &["box"], &["one:1", "two:2"]), "rm --force --volumes box\nrmi one:1 two:2\n");
        assert_eq!(calls(30, &["a", "b"], &[]), "stop --time 30 a b\nrm --force --volumes a b\n");
    }

    /// It was waited for without end, and why it is so was told by nobody.
    #[test]
    fn an_engine_that_hangs_does_not_hold_the_end_up() {
        let folder = tempfile::tempdir().unwrap();
        let begun = folder.path().join("begun");
        // Until the folder is gone.
        let wait = format!(": > {0}; while [ -e {0} ]; do sleep 0.05; done", begun.display());
        let mut guard = Guard::new(&engine(folder.path(), &wait), 0, &["box"], &[]).unwrap();
        guard.patience = Duration::from_secs(1);
        drop(guard);
        let deadline = Instant::now() + Duration::from_secs(60);
        while !begun.exists() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(begun.exists(), "it was not asked");
    }
}
