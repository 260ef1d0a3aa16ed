//! Runs programs: one line on the console, everything they say in a log.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use anyhow::{Context, anyhow, ensure};
use fmtk::terminal::interrupt;
use serde_json::Value;

/// Prefixed lines on stderr, and all output of what is run in a file. Clones write to the same file.
#[derive(Debug, Clone)]
pub struct Log(Arc<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    name: String,
    path: PathBuf,
    file: File,
    /// The lines that are printed together in the end, where those of others come between otherwise.
    held: Option<String>,
}

impl Log {
    /// Starts `<folder>/<name>.log` anew.
    pub fn create(folder: &Path, name: &str) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(Open::new(folder, name)?))))
    }

    /// Goes on in a file of this name in the same folder, started anew; so do all clones. With `held` the lines for the
    /// console wait for [`Self::release`].
    pub fn go_on_in(&self, name: &str, held: bool) -> anyhow::Result<()> {
        self.release();
        let mut next = Open::new(self.path().parent().unwrap_or(Path::new(".")), name)?;
        next.held = held.then(String::new);
        *self.open() = next;
        Ok(())
    }

    /// Prints what was held back, in one go; what comes from now on is printed at once.
    pub fn release(&self) {
        if let Some(lines) = self.open().held.take() {
            // A closed stderr must not stop the work.
            let _ = std::io::stderr().lock().write_all(lines.as_bytes());
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn path(&self) -> PathBuf {
        self.open().path.clone()
    }

    /// A file that a daemon writes to beside this log. It has the log's name too: another's daemon has another file.
    pub fn beside(&self, name: &str) -> anyhow::Result<(PathBuf, File)> {
        let stem = self.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let path = self.path().with_file_name(format!("{stem}-{name}.log"));
        let file = File::create(&path).with_context(|| format!("failed to create `{}`", path.display()))?;
        Ok((path, file))
    }

    pub fn say(&self, text: impl AsRef<str>) {
        let text = text.as_ref();
        let mut open = self.open();
        let line = format!("[{}] {text}\n", open.name);
        match &mut open.held {
            Some(lines) => lines.push_str(&line),
            // A closed stderr must not stop the work.
            None => drop(std::io::stderr().lock().write_all(line.as_bytes())),
        }
        drop(open);
        self.note(&format!("## {text}\n"));
    }

    pub fn note(&self, text: &str) {
        // A log that cannot be written is no reason to fail: the outcome does not depend on it.
        let _ = self.open().file.write_all(text.as_bytes());
    }

    pub fn command(&self, program: impl AsRef<OsStr>) -> Invocation {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Invocation { log: self.clone(), command, input: None }
    }
}

impl Open {
    fn new(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let path = folder.join(format!("{name}.log"));
        let created = fs::create_dir_all(folder).and_then(|()| File::create(&path));
        let file = created.with_context(|| format!("failed to create `{}`", path.display()))?;
        Ok(Self { name: name.to_owned(), path, file, held: None })
    }
}

#[derive(Debug)]
pub struct Invocation {
    log: Log,
    command: Command,
    input: Option<Vec<u8>>,
}

#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub seconds: f64,
    line: String,
}

impl Invocation {
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Adds the words of a text as arguments. No quotes: what may have a blank in it is an [`Self::arg`].
    pub fn words(self, text: &str) -> Self {
        self.args(text.split_whitespace())
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Has it find the programs of this folder before all others.
    pub fn path_first(self, folder: &Path) -> Self {
        let rest = env::var("PATH").unwrap_or_default();
        self.env("PATH", format!("{}:{rest}", folder.display()))
    }

    /// Runs it through a shell that sets this umask first: a process can change no other's.
    pub fn under_umask(self, umask: &str) -> Self {
        self.under("sh", &["-c", "umask \"$1\"; shift; exec \"$@\"", "sh", umask])
    }

    /// Has SIGINT end it: whoever starts us in the background of a script may have had it ignored, which is inherited.
    pub fn interruptible(self) -> Self {
        self.under("env", &["--default-signal=INT"])
    }

    /// Has another program run it, with these arguments before its own command line. What it was to read is dropped.
    pub fn under(self, program: impl AsRef<OsStr>, arguments: &[impl AsRef<OsStr>]) -> Self {
        let mut outer = self.log.command(program).args(arguments).arg(self.command.get_program());
        outer.command.args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => outer.command.env(name, value),
                None => outer.command.env_remove(name),
            };
        }
        if let Some(folder) = self.command.get_current_dir() {
            outer.command.current_dir(folder);
        }
        outer
    }

    /// Takes variables from its environment.
    pub fn without(mut self, names: &[&str]) -> Self {
        for name in names {
            self.command.env_remove(name);
        }
        self
    }

    pub fn dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives it this file to read, instead of nothing.
    pub fn stdin(mut self, path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("failed to open `{}`", path.display()))?;
        self.command.stdin(file);
        Ok(self)
    }

    /// Gives it this to read, instead of nothing.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self.command.stdin(Stdio::piped());
        self
    }

    /// Starts it; its output goes to the log.
    pub fn spawn(mut self) -> anyhow::Result<Child> {
        self.command.stdout(self.log_file()?);
        self.stream()
    }

    /// Starts it with its stdout as a pipe to read from; the rest goes to the log.
    pub fn stream(mut self) -> anyhow::Result<Child> {
        let line = self.line();
        self.log.note(&format!("$ {line} &\n"));
        self.command.stderr(self.log_file()?);
        self.command.spawn().with_context(|| format!("failed to run `{line}`"))
    }

    /// Runs it to its end and has `read` take its stdout as it comes; anything but success is an error.
    pub fn read_by<T>(self, read: impl FnOnce(ChildStdout) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let line = self.line();
        let mut child = self.stream()?;
        let found = read(child.stdout.take().context("no pipe")?);
        let status = child.wait().with_context(|| format!("failed to wait for `{line}`"))?;
        // First: where it was not read to its end, the program fails too.
        let found = found.with_context(|| format!("what `{line}` wrote can't be read"))?;
        ensure!(status.success(), "`{line}` ended with {status}");
        Ok(found)
    }

    /// Runs it to its end, however it ends.
    pub fn finish(mut self) -> anyhow::Result<Finished> {
        let line = self.line();
        self.log.note(&format!("$ {line}\n"));
        let begin = Instant::now();
        let Output { status, stdout, stderr } = self.output().with_context(|| format!("failed to run `{line}`"))?;
        let seconds = begin.elapsed().as_secs_f64();
        let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        self.log.note(&format!("{stdout}{stderr}-- {status}, {seconds:.3} s\n"));
        Ok(Finished { status, stdout, stderr, seconds, line })
    }

    /// Runs it; anything but success is an error with what it said last.
    pub fn run(self) -> anyhow::Result<Finished> {
        let finished = self.finish()?;
        if finished.status.success() { Ok(finished) } else { Err(finished.unexpected()) }
    }

    /// Runs it; anything but this exit code is an error.
    pub fn fails(self, code: i32) -> anyhow::Result<Finished> {
        let finished = self.finish()?;
        let is_expected = finished.status.code() == Some(code);
        ensure!(is_expected, finished.unexpected().context(format!("exit code {code} was expected")));
        Ok(finished)
    }

    /// Runs a command of ours with `--format json`, and gives what it printed.
    pub fn json(self) -> anyhow::Result<Value> {
        self.words("--format json").run()?.json()
    }

    fn output(&mut self) -> std::io::Result<Output> {
        interrupt::wait_if_pending();
        let output = self.run_to_end();
        // What was interrupted has failed by that alone.
        interrupt::wait_if_pending();
        output
    }

    fn run_to_end(&mut self) -> std::io::Result<Output> {
        let Some(input) = self.input.take() else {
            return self.command.output();
        };
        let mut child = self.command.spawn()?;
        let mut stdin = child.stdin.take();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // One that does not read to the end says so by its exit code.
                let _ = stdin.as_mut().map(|pipe| pipe.write_all(&input));
            });
            child.wait_with_output()
        })
    }

    fn log_file(&self) -> anyhow::Result<File> {
        File::options().append(true).open(self.log.path()).context("failed to open the log")
    }

    fn line(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}

impl Finished {
    /// The error that shows how it ended and what it said last.
    pub fn unexpected(&self) -> anyhow::Error {
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let lines: Vec<&str> = said.trim_end().lines().collect();
        let last = lines[lines.len().saturating_sub(12)..].join("\n    ");
        anyhow!("`{}` ended with {}\n    {last}", self.line, self.status)
    }

    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("`{}` printed no JSON", self.line))
    }

    /// An error unless stderr holds all of these.
    pub fn says(&self, parts: &[&str]) -> anyhow::Result<()> {
        self.holds("say", &self.stderr, parts)
    }

    /// An error unless stdout holds all of these.
    pub fn prints(&self, parts: &[&str]) -> anyhow::Result<()> {
        self.holds("print", &self.stdout, parts)
    }

    fn holds(&self, verb: &str, text: &str, parts: &[&str]) -> anyhow::Result<()> {
        for part in parts {
            let text = text.trim_end();
            ensure!(text.contains(part), "`{}` was expected to {verb} `{part}`; it did:\n    {text}", self.line);
        }
        Ok(())
    }

    /// An error if one of these is in its output.
    pub fn keeps_silent_about(&self, secrets: &[&str]) -> anyhow::Result<()> {
        let is_said = |secret: &&str| self.stdout.contains(*secret) || self.stderr.contains(*secret);
        ensure!(!secrets.iter().any(is_said), "a password was printed");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_held_are_kept_in_their_order_until_they_are_released() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::create(folder.path(), "setup").unwrap();
        log.go_on_in("push", true).unwrap();
        log.clone().say("begun");
        log.say("passed");
        assert_eq!(log.open().held.as_deref(), Some("[push] begun\n[push] passed\n"));
        log.release();
        assert_eq!(log.open().held, None);
        let file = fs::read_to_string(folder.path().join("push.log")).unwrap();
        assert_eq!(file, "## begun\n## passed\n");
    }
}
