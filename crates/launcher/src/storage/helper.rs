//! The process that copies: started when there is something to copy, asked by lines, killed when it hangs.
//!
//! A request is `NUMBER VERB FROM TO PREFIX`, an answer `NUMBER ok FILES` or `NUMBER failed WHY`, each on a line with tabs
//! in between. There is one request at a time, so that a request never waits for room in the pipe.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::Copy;
use crate::links;
use crate::ranks::family;
use crate::ranks::reap::End;
use crate::ranks::signals;

/// Bytes of an answer; longer ones are of no helper of ours.
const MAX_ANSWER: usize = 64 << 10;

/// The helper, which may run or not.
#[derive(Debug)]
pub struct Helper {
    program: Vec<OsString>,
    /// What it prints besides answers.
    log: PathBuf,
    process: Option<Process>,
    /// Why the last one is gone.
    fate: String,
    /// Requests so far: the number of the last one.
    asked: u64,
}

#[derive(Debug)]
struct Process {
    /// Its process, its session and its group.
    pid: i32,
    requests: Option<PipeWriter>,
    answers: PipeReader,
    text: Vec<u8>,
    is_killed: bool,
}

impl Helper {
    /// One that does not run yet.
    pub fn new(program: Vec<OsString>, log: PathBuf) -> Helper {
        Helper { program, log, process: None, fate: String::new(), asked: 0 }
    }

    #[cfg(test)]
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(|it| it.pid)
    }

    /// Where answers come from.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.process.as_ref().filter(|it| !it.is_killed).map(|it| it.answers.as_fd())
    }

    /// Whether it can be asked; not while one that was killed is still there.
    pub fn is_free(&self) -> bool {
        self.process.as_ref().is_none_or(|it| !it.is_killed)
    }

    /// Whether there is a process, dead or alive.
    pub fn is_there(&self) -> bool {
        self.process.is_some()
    }

    /// Why there is no answer to come; `None` while there may be one.
    pub fn fate(&self) -> Option<&str> {
        self.process.as_ref().is_none_or(|it| it.is_killed).then_some(self.fate.as_str())
    }

    /// Asks it, and starts it before if need be.
    pub fn ask(&mut self, copy: &Copy) -> io::Result<()> {
        let fields = [&copy.from, &copy.to, &copy.prefix];
        if fields.iter().any(|it| it.as_bytes().iter().any(u8::is_ascii_control)) {
            return Err(io::Error::other("a path with control characters in it can't be asked for"));
        }
        if self.process.is_none() {
            self.process = Some(start(&self.program, &self.log).map_err(|error| {
                let program = self.program.first().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
                io::Error::other(format!("failed to start `{program}`: {error}"))
            })?);
        }
        self.asked += 1;
        let mut line = format!("{}\t{}", self.asked, copy.verb).into_bytes();
        for field in fields {
            line.push(b'\t');
            line.extend(field.as_bytes());
        }
        line.push(b'\n');
        let requests = self.process.as_mut().and_then(|it| it.requests.as_mut());
        requests.ok_or(io::ErrorKind::BrokenPipe)?.write_all(&line)
    }

    /// The answer to the last request if it has come: files that were copied, or why not all of them were.
    pub fn read(&mut self) -> Option<Result<u64, String>> {
        let process = self.process.as_mut().filter(|it| !it.is_killed)?;
        let mut buffer = [0; 4096];
        let is_over = loop {
            match process.answers.read(&mut buffer) {
                Ok(length @ 1..) if process.text.len() < MAX_ANSWER => process.text.extend(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
                Ok(_) | Err(_) => break true,
            }
        };
        let whole = process.text.iter().rposition(|it| *it == b'\n').map_or(0, |it| it + 1);
        let text: Vec<u8> = process.text.drain(..whole).collect();
        if is_over {
            // Nothing can come any more, so it is of no use, be it alive or not.
            self.kill("closed its output");
        }
        text.split(|it| *it == b'\n').find_map(|line| answer(line, self.asked))
    }

    /// Kills it with all in its group.
    pub fn kill(&mut self, why: &str) {
        if let Some(process) = self.process.as_mut().filter(|it| !it.is_killed) {
            process.is_killed = true;
            process.requests = None;
            self.fate = format!("the helper {why}, see `{}`", self.log.display());
            signals::send_to_group(process.pid, libc::SIGKILL);
        }
    }

    /// Tells it that nothing more is wanted: it ends.
    pub fn close(&mut self) {
        self.process.iter_mut().for_each(|it| it.requests = None);
    }

    /// Takes a child that has ended; says whether that was it.
    pub fn ended(&mut self, pid: i32, end: End) -> bool {
        let is_it = self.process.as_ref().is_some_and(|it| it.pid == pid);
        if is_it {
            let log = self.log.display();
            if self.process.take().is_some_and(|it| !it.is_killed) {
                self.fate = format!("the helper {end}, see `{log}`");
            }
            // What it has left behind is a stray like any other.
            signals::send_to_group(pid, libc::SIGKILL);
            family::spare([]);
        }
        is_it
    }
}

fn start(program: &[OsString], log: &Path) -> io::Result<Process> {
    let (name, arguments) = program.split_first().ok_or(io::ErrorKind::NotFound)?;
    // Who is whose child decides what is torn down with the ranks.
    family::children()?;
    let (answers, answering) = io::pipe()?;
    fcntl(&answers, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let (asked, requests) = io::pipe()?;
    // A pipe without a reader is not waited for.
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_NONBLOCK;
    let log = links::open(log, flags, 0o666);
    let log = log.or_else(|_| File::create("/dev/null"))?;
    let mut command = Command::new(name);
    // Not in the code folder: Python would take the user's modules for its own.
    command.args(arguments).current_dir("/").stdin(asked).stdout(answering).stderr(Stdio::from(log));
    let parent = nix::unistd::getpid().as_raw();
    // SAFETY: the call keeps to what is allowed between fork and exec, as it promises.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || signals::settle_child(parent));
    }
    let pid = i32::try_from(command.spawn()?.id()).map_err(io::Error::other)?;
    family::spare([pid]);
    Ok(Process { pid, requests: Some(requests), answers, text: Vec::new(), is_killed: false })
}

/// What a line answers to the request of that number; `None` where it is something else.
fn answer(line: &[u8], number: u64) -> Option<Result<u64, String>> {
    let line = String::from_utf8_lossy(line);
    let mut fields = line.splitn(3, '\t');
    fields.next().filter(|it| it.parse() == Ok(number))?;
    Some(match (fields.next()?, fields.next().unwrap_or_default()) {
        ("ok", files) => Ok(files.trim().parse().unwrap_or(0)),
        (_, why) => Err(why.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        for (line, expected) in [
            ("3\tok\t12", Some(Ok(12))),
            ("3\tok", Some(Ok(0))),
            ("3\tfailed\tno\tway\x1b", Some(Err("no way ".to_owned()))),
            ("2\tok\t12", None),
            ("", None),
            ("INFO: copying", None),
            ("3", None),
        ] {
            assert_eq!(answer(line.as_bytes(), 3), expected, "{line:?}");
        }
    }
}
