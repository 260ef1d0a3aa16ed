//! Runs programs: one line on the console, everything they say in a log.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};

/// What one scenario says: prefixed lines on stderr, and all output of what it runs in a file.
#[derive(Debug)]
pub struct Log {
    name: String,
    path: PathBuf,
    file: Mutex<File>,
}

impl Log {
    /// Starts `<folder>/<name>.log` anew.
    pub fn create(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let path = folder.join(format!("{name}.log"));
        let failed = || format!("failed to create `{}`", path.display());
        fs::create_dir_all(folder).with_context(failed)?;
        let file = File::create(&path).with_context(failed)?;
        Ok(Self { name: name.to_owned(), path, file: Mutex::new(file) })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file that a daemon writes to beside this log.
    pub fn beside(&self, name: &str) -> anyhow::Result<File> {
        let path = self.path.with_file_name(format!("{name}.log"));
        File::create(&path).with_context(|| format!("failed to create `{}`", path.display()))
    }

    /// A line for people and for the log.
    pub fn say(&self, text: &str) {
        // A closed stderr must not stop the work.
        let _ = writeln!(std::io::stderr().lock(), "[{}] {text}", self.name);
        self.note(&format!("## {text}\n"));
    }

    /// Text for the log alone.
    pub fn note(&self, text: &str) {
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // A log that cannot be written is no reason to fail: the outcome does not depend on it.
        let _ = file.write_all(text.as_bytes());
    }

    /// A program to run.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Invocation<'_> {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Invocation { log: self, command, input: None }
    }
}

/// A program about to be run.
#[derive(Debug)]
pub struct Invocation<'a> {
    log: &'a Log,
    command: Command,
    input: Option<Vec<u8>>,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its stdout.
    pub stdout: String,
    /// All of its stderr.
    pub stderr: String,
    /// From start to end.
    pub time: Duration,
    line: String,
}

impl Invocation<'_> {
    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it through a shell that sets this umask first: a process can change no other's.
    pub fn under_umask(self, umask: &str) -> Self {
        self.under("sh", &["-c", "umask \"$1\"; shift; exec \"$@\"", "sh", umask].map(OsStr::new))
    }

    /// Has another program run it, with these arguments before its own command line. What it was to read is dropped.
    pub fn under(self, program: impl AsRef<OsStr>, arguments: &[&OsStr]) -> Self {
        let mut outer = Command::new(program);
        outer.args(arguments).arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => outer.env(name, value),
                None => outer.env_remove(name),
            };
        }
        if let Some(folder) = self.command.get_current_dir() {
            outer.current_dir(folder);
        }
        outer.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command: outer, input: None, ..self }
    }

    /// Takes a variable from its environment.
    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Sets its working folder.
    pub fn dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives it this file to read, instead of nothing.
    pub fn stdin(mut self, file: File) -> Self {
        self.command.stdin(file);
        self
    }

    /// Gives it this to read, instead of nothing.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self.command.stdin(Stdio::piped());
        self
    }

    /// Starts it; its output goes to the log.
    pub fn spawn(mut self) -> anyhow::Result<Child> {
        let line = self.line();
        self.log.note(&format!("$ {line} &\n"));
        let file = File::options().append(true).open(self.log.path()).context("failed to open the log")?;
        let twin = file.try_clone().context("failed to open the log")?;
        self.command.stdout(file).stderr(twin);
        self.command.spawn().with_context(|| format!("failed to run `{line}`"))
    }

    /// Starts it with its stdout as a pipe to read from; the rest goes to the log.
    pub fn stream(mut self) -> anyhow::Result<Child> {
        let line = self.line();
        self.log.note(&format!("$ {line} |\n"));
        let file = File::options().append(true).open(self.log.path()).context("failed to open the log")?;
        self.command.stderr(file);
        self.command.spawn().with_context(|| format!("failed to run `{line}`"))
    }

    /// Runs it to its end, however it ends.
    pub fn finish(mut self) -> anyhow::Result<Finished> {
        let line = self.line();
        self.log.note(&format!("$ {line}\n"));
        let begin = Instant::now();
        let output = self.output().with_context(|| format!("failed to run `{line}`"))?;
        let time = begin.elapsed();
        let finished = Finished {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            time,
            line,
        };
        let Finished { stdout, stderr, status, .. } = &finished;
        self.log.note(&format!("{stdout}{stderr}-- {status}, {:.3} s\n", time.as_secs_f64()));
        Ok(finished)
    }

    /// Runs it; anything but success is an error with what it said last.
    pub fn run(self) -> anyhow::Result<Finished> {
        let finished = self.finish()?;
        if finished.status.success() { Ok(finished) } else { Err(finished.unexpected()) }
    }

    /// Runs it; anything but this exit code is an error.
    pub fn fails(self, code: i32) -> anyhow::Result<Finished> {
        let finished = self.finish()?;
        if finished.status.code() == Some(code) {
            Ok(finished)
        } else {
            Err(finished.unexpected().context(format!("exit code {code} was expected")))
        }
    }

    fn output(&mut self) -> std::io::Result<Output> {
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

    fn line(&self) -> String {
        let mut line = String::new();
        for word in std::iter::once(self.command.get_program()).chain(self.command.get_args()) {
            let _ = write!(line, "{}{}", if line.is_empty() { "" } else { " " }, word.to_string_lossy());
        }
        line
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

    /// Its stdout without white space at the ends.
    pub fn text(&self) -> &str {
        self.stdout.trim()
    }

    /// Its stdout as JSON.
    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("`{}` printed no JSON", self.line))
    }

    /// An error unless stderr holds all of these.
    pub fn says(&self, parts: &[&str]) -> anyhow::Result<()> {
        for part in parts {
            if !self.stderr.contains(part) {
                bail!("`{}` was expected to say `{part}`; it said:\n    {}", self.line, self.stderr.trim_end());
            }
        }
        Ok(())
    }
}
