//! A launcher to start, and ways to see what became of it.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::kernel;

/// How long anything that should happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The launcher's program.
pub fn program() -> OsString {
    std::env::var_os("FMTK_TEST_LAUNCHER").unwrap_or_else(|| env!("CARGO_BIN_EXE_fmtk-launch").into())
}

/// A folder and an environment of its own for one launcher, or several.
pub struct TestFolder {
    pub folder: tempfile::TempDir,
    /// In the environment of every process of this test, and of no other.
    mark: String,
    program: OsString,
}

impl TestFolder {
    pub fn new() -> TestFolder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // Without a dot, which the tuning kit refuses.
        let folder = tempfile::Builder::new().prefix("fmtk-test-").tempdir().unwrap();
        for name in ["mount/log", "code", "home"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        TestFolder { folder, mark: format!("FMTK_TEST_MARK={}-{number}", std::process::id()), program: program() }
    }

    /// One that every user can enter and write to, with the launcher in it: the build's folder may be closed to others.
    pub fn for_any_user() -> TestFolder {
        let mut place = TestFolder::new();
        let copy = place.path("fmtk-launch");
        // By a process of its own: none that another test starts has the copy open for writing then.
        assert!(Command::new("cp").arg(program()).arg(&copy).status().unwrap().success());
        place.program = copy.into();
        for name in ["", "code", "home", "mount", "mount/log"] {
            fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o777)).unwrap();
        }
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file with that mode. By a process of its own: a child that another test has just forked would have it open for
    /// writing until it becomes its own program, and what is open so can't be run.
    pub fn write(&self, name: &str, text: &str, mode: u32) {
        let mut writer = Command::new("sh");
        writer.args(["-c", "cat > \"$0\""]).arg(self.path(name)).stdin(Stdio::piped());
        let mut writer = writer.spawn().unwrap();
        writer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(writer.wait().unwrap().success());
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The launcher in `code` with these arguments, and with nothing of our own environment but PATH.
    pub fn launcher(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let (name, value) = self.mark.split_once('=').unwrap();
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"))
            .env("MA_MOUNT_PATH", self.path("mount"))
            .env("MA_VJ_NAME_", "")
            .env("BATCH_JOB_ID", "job")
            .env(name, value)
            .current_dir(self.path("code"))
            .stdin(Stdio::null());
        // Under nohup, and behind a script's `&`, some are ignored, and stay so.
        arranged(&mut command, heard);
        kernel::deny_if_asked(&mut command);
        command
    }

    /// `fmtk-launch run FLAGS -- sh -c SCRIPT`.
    pub fn shell(&self, flags: &str, script: &str) -> Command {
        let mut arguments = vec!["run"];
        arguments.extend(flags.split_whitespace());
        arguments.extend(["--", "sh", "-c", script]);
        self.launcher(&arguments)
    }

    /// The same to its end.
    pub fn run(&self, flags: &str, script: &str) -> Finished {
        finish(&mut self.shell(flags, script))
    }

    /// The same with so many ranks, which have said `up`.
    pub fn running(&self, flags: &str, script: &str, ranks: u32) -> Child {
        let launcher = start(&mut self.shell(flags, script));
        (0..ranks).for_each(|rank| self.until_log_has(rank, "up"));
        launcher
    }

    /// Process ids of what is left of this test.
    pub fn survivors(&self) -> Vec<i32> {
        let is_ours = |pid: &i32| {
            let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { return false };
            environment.split(|it| *it == 0).any(|it| it == self.mark.as_bytes())
        };
        pids().into_iter().filter(is_ours).collect()
    }

    /// Nothing is left of this test.
    #[track_caller]
    pub fn leaves_nothing(&self) {
        assert_eq!(self.survivors(), [] as [i32; 0]);
    }

    /// Waits until nothing is left of this test.
    pub fn until_nothing_is_left(&self, what: &str) {
        until(what, || self.survivors().is_empty());
    }

    /// The path of the log of a rank whose device has the same number.
    pub fn log_file(&self, rank: u32) -> PathBuf {
        self.path(&format!("mount/log/job-proc-rank-{rank}-device-{rank}.txt"))
    }

    /// What is in it.
    pub fn log(&self, rank: u32) -> String {
        let path = self.log_file(rank);
        String::from_utf8_lossy(&fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))).into_owned()
    }

    /// The same without what a shell says of its own children that were stopped.
    pub fn own_words(&self, rank: u32) -> String {
        let said = ["Terminated\n", "Hangup\n", "Quit\n", "Quit (core dumped)\n"];
        said.iter().fold(self.log(rank), |log, it| log.replace(it, ""))
    }

    /// Waits until a rank's log has a line of this text.
    pub fn until_log_has(&self, rank: u32, line: &str) {
        let path = self.log_file(rank);
        until(&format!("`{line}` in {path:?}"), || {
            fs::read_to_string(&path).is_ok_and(|text| text.lines().any(|it| it == line))
        });
    }

    /// Asks a launcher to end once its rank 0 says `up`, and waits for that.
    pub fn stop_when_up(&self, launcher: Child) {
        self.until_log_has(0, "up");
        stop(launcher, libc::SIGTERM).ends(143);
    }

    /// The report of a launcher whose first rank is 0.
    pub fn report(&self) -> serde_json::Value {
        read_report(&self.path("mount/log/job-report-rank-0.json"))
    }
}

/// A test that has failed leaves nothing, either.
impl Drop for TestFolder {
    fn drop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        // What was just born is found by another look.
        while Instant::now() < deadline {
            let survivors = self.survivors();
            if survivors.is_empty() {
                return;
            }
            survivors.into_iter().for_each(|pid| kill(pid, libc::SIGKILL));
        }
    }
}

pub fn read_report(path: &Path) -> serde_json::Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_json::from_slice(&text).unwrap()
}

/// Every process there is.
fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|it| it.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Waits for something that has to come.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Gives signals their default action again.
#[allow(unsafe_code)]
fn heard() -> std::io::Result<()> {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2] {
        // SAFETY: async-signal-safe, and no handler is installed.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    Ok(())
}

/// The process id of the launcher below its guardian.
pub fn launcher_of(guardian: &Child) -> i32 {
    child_of(guardian.id() as i32)
}

/// The first child of a process, which may still have to come.
pub fn child_of(pid: i32) -> i32 {
    let mut found = None;
    until("a child", || {
        found = children_of(pid).first().copied();
        found.is_some()
    });
    found.unwrap()
}

pub fn children_of(pid: i32) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().map(|it| it.parse().unwrap()).collect()
}

pub fn kill(pid: i32, signal: i32) {
    // SAFETY: kill takes no pointers.
    #[allow(unsafe_code)]
    unsafe {
        libc::kill(pid, signal)
    };
}

/// What a launcher printed and its code; the code is 128 + the signal where one ended it.
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// It has ended with that code.
    #[track_caller]
    pub fn ends(self, code: i32) -> Finished {
        assert_eq!(self.code, code, "{}", self.stderr);
        self
    }

    /// All of these are on standard error.
    #[track_caller]
    pub fn says(&self, parts: &[&str]) -> &Finished {
        parts.iter().for_each(|part| assert!(self.stderr.contains(part), "no `{part}` in {}", self.stderr));
        self
    }

    /// All of these are on standard output.
    #[track_caller]
    pub fn prints(&self, parts: &[&str]) -> &Finished {
        parts.iter().for_each(|part| assert!(self.stdout.contains(part), "no `{part}` in {}", self.stdout));
        self
    }

    /// The lines of standard error that the launcher itself wrote.
    pub fn last_line(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }
}

pub fn finish(command: &mut Command) -> Finished {
    finished(command.output().unwrap())
}

pub fn finished(output: Output) -> Finished {
    use std::os::unix::process::ExitStatusExt;
    Finished {
        code: output.status.code().or_else(|| output.status.signal().map(|it| 128 + it)).unwrap(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Starts it with its output kept.
pub fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for its end, but not for ever.
pub fn wait(mut child: Child) -> Finished {
    until("the end of the launcher", || child.try_wait().unwrap().is_some());
    finished(child.wait_with_output().unwrap())
}

/// Sends it a signal, and waits for its end.
pub fn stop(child: Child, signal: i32) -> Finished {
    kill(child.id() as i32, signal);
    wait(child)
}

/// The same, but as a process of another kind: `arrange` is called between fork and exec.
#[allow(unsafe_code)]
pub fn arranged(
    command: &mut Command,
    arrange: impl Fn() -> std::io::Result<()> + Send + Sync + 'static,
) -> &mut Command {
    // SAFETY: what the tests pass here makes a few system calls and nothing else.
    unsafe { command.pre_exec(arrange) }
}
