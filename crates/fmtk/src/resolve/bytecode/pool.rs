//! Processes of one Python that compile what they are asked to, over pipes.

use std::{
    env,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use oci_image::MTIME;
use rustix::fs::{MemfdFlags, memfd_create};
use wheel_layer::Compiler;

use super::Release;

/// Answers requests on stdin.
const COMPILE: &str = include_str!("compile.py");
/// Bytes of a compiled module: far more than any of the sources that are compiled makes.
const LIMIT: u32 = 512 << 20;
/// Bytes that are shown of what a process says on stderr.
const SAID: u64 = 4 << 10;
/// What is left of the environment: libraries that some Pythons are built upon.
pub(super) const KEPT: &str = "LD_LIBRARY_PATH";
/// The order of sets before Python 3.11 depends on it.
pub(super) const HASH_SEED: &str = "PYTHONHASHSEED=0";

/// The arguments that have a Python of this release compile; any other refuses.
pub(super) fn arguments(release: Release) -> Vec<String> {
    let options = ["-s", "-S", "-B", "-W", "ignore", "-c", COMPILE].map(str::to_owned);
    options.into_iter().chain([MTIME.to_string(), release.to_string()]).collect()
}

/// Processes of one Python, one for each core at most; each is started when it is first needed.
pub struct Pool {
    // Dropped first: processes end before what their command needs is gone.
    idle: Mutex<Receiver<Slot>>,
    back: Sender<Slot>,
    /// The command of a process, by its number.
    command: Box<dyn Fn(usize) -> Command + Send + Sync>,
    /// Who compiles, for people.
    who: String,
    skipped: AtomicUsize,
}

/// The place of a process.
struct Slot {
    number: usize,
    process: Option<Process>,
}

struct Process {
    child: Child,
    requests: BufWriter<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// What it writes to stderr.
    said: File,
}

impl Pool {
    /// As many processes as there are cores, each by the command that `command` gives for its number.
    pub(super) fn new(who: String, command: impl Fn(usize) -> Command + Send + Sync + 'static) -> Self {
        let (back, idle) = channel();
        for number in 0..side_by_side::cores() {
            // Never refused: the other end is kept beside it.
            let _ = back.send(Slot { number, process: None });
        }
        Self { idle: Mutex::new(idle), back, command: Box::new(command), who, skipped: AtomicUsize::new(0) }
    }

    /// Processes of a program of this machine.
    pub fn on_host(program: &Path, release: Release) -> Self {
        let owned = program.to_owned();
        Self::new(format!("`{}`", program.display()), move |_| {
            let mut command = Command::new(&owned);
            command.args(arguments(release)).env_clear().envs(HASH_SEED.split_once('='));
            command.envs(env::var_os(KEPT).map(|value| (KEPT, value)));
            // Below no folder of the user's, whose modules would come before Python's own.
            command.current_dir("/");
            command
        })
    }

    /// How many sources did not compile.
    pub fn skipped(&self) -> usize {
        self.skipped.load(Ordering::Relaxed)
    }

    /// An error unless it compiles.
    pub fn check(&self) -> io::Result<()> {
        self.compile("/", b"")?.map(drop).ok_or_else(|| io::Error::other(format!("{} does not compile", self.who)))
    }

    fn start(&self, number: usize) -> io::Result<Process> {
        // Into memory and not into a pipe, which nobody reads while it answers.
        let said = File::from(memfd_create("said", MemfdFlags::CLOEXEC)?);
        let mut command = (self.command)(number);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(said.try_clone()?);
        let mut child = command.spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (requests, answers) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Process { child, requests: BufWriter::new(requests), answers: BufReader::new(answers), said })
    }
}

impl Process {
    fn ask(&mut self, path: &str, source: &[u8]) -> io::Result<Vec<u8>> {
        for bytes in [path.as_bytes(), source] {
            let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            self.requests.write_all(&length.to_le_bytes())?;
            self.requests.write_all(bytes)?;
        }
        self.requests.flush()?;
        let mut length = [0; 4];
        self.answers.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length > LIMIT {
            return Err(io::Error::other(format!("it answered with {length} bytes")));
        }
        let mut answer = vec![0; length as usize];
        self.answers.read_exact(&mut answer)?;
        Ok(answer)
    }

    /// How it ended, which it is made to, and what it said.
    fn end(mut self) -> String {
        let _ = self.child.kill();
        let ended = self.child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
        let mut said = Vec::new();
        let read = self.said.rewind().and_then(|()| (&self.said).take(SAID).read_to_end(&mut said));
        match String::from_utf8_lossy(&said).trim() {
            said if read.is_ok() && !said.is_empty() => format!("{ended}, {said}"),
            _ => ended,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that is idle has nothing to finish.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Compiler for Pool {
    fn compile(&self, path: &str, source: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let slot = self.idle.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Slot { number, process } = slot.map_err(io::Error::other)?;
        let answer =
            process.map_or_else(|| self.start(number), Ok).and_then(|mut process| match process.ask(path, source) {
                Ok(answer) => Ok((answer, process)),
                Err(error) => Err(io::Error::new(error.kind(), format!("{error}: {}", process.end()))),
            });
        let (answer, process) = match answer {
            Ok((answer, process)) => (Ok(answer), Some(process)),
            Err(error) => (Err(error), None),
        };
        let _ = self.back.send(Slot { number, process });
        let answer =
            answer.map_err(|error| io::Error::new(error.kind(), format!("{} gave no answer: {error}", self.who)))?;
        let compiled = !answer.is_empty();
        if !compiled {
            self.skipped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(compiled.then_some(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &'static str) -> Pool {
        Pool::new("`sh`".to_owned(), move |_| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        })
    }

    #[test]
    fn a_program_that_ends_is_an_error_and_no_source_that_does_not_compile() {
        let said = |script| shell(script).check().unwrap_err().to_string();
        let fails = said("head -c 9 >/dev/null; echo no memory >&2; exit 3");
        assert!(fails.starts_with("`sh` gave no answer: ") && fails.ends_with("exit status: 3, no memory"), "{fails}");
        assert_eq!(said("printf '\\0\\0\\0\\0'; cat >/dev/null"), "`sh` does not compile");
    }

    /// Layers are made side by side and each compiles on all cores.
    #[test]
    fn there_are_no_more_processes_than_cores_and_each_is_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let started = folder.path().join("started");
        let text = started.clone();
        let pool = Pool::new("`sh`".to_owned(), move |number| {
            let mut command = Command::new("sh");
            // 13 bytes: two lengths, the path and the source.
            let script = format!(
                "echo {number} >> {}; while [ $(head -c 10 | wc -c) = 10 ]; do printf '\\1\\0\\0\\0x'; done",
                text.display()
            );
            command.args(["-c", &script]);
            command
        });
        let sources = vec![(); 4 * side_by_side::cores()];
        let made = side_by_side::map(&sources, sources.len(), |()| pool.compile("/", b"1").unwrap().unwrap());
        assert!(made.iter().all(|bytes| bytes == b"x"));
        let started = std::fs::read_to_string(started).unwrap();
        let mut numbers: Vec<&str> = started.lines().collect();
        let all = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all, "one was started twice");
        assert!(all <= side_by_side::cores());
    }
}
