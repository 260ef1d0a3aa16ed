//! Starting the process of a rank.

mod child;

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::io::{self, PipeReader};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use self::child::{Forked, Image};
use crate::exit::Exit;
use crate::job::bind::affinity::CpuMask;

/// Bytes that a rank's pipe holds: a burst of output does not stop the rank while the launcher is elsewhere.
const PIPE_BYTES: i32 = 256 << 10;

/// A process of a rank that runs.
#[derive(Debug)]
pub struct Started {
    /// Its process id, which is its session's and group's, too.
    pub pid: i32,
    /// Its standard output and standard error together; reading never waits.
    pub pipe: PipeReader,
}

/// A process could not be started.
#[derive(Debug)]
pub struct StartError {
    program: OsString,
    error: io::Error,
    hint: Option<&'static str>,
}

impl StartError {
    fn new(program: OsString, folder: &Path, error: io::Error) -> StartError {
        let hint = match error.raw_os_error() {
            Some(libc::ENOENT) if !folder.is_dir() => Some("the code folder, which ranks are started in, is gone"),
            Some(libc::ENOENT) if is_there(&program, folder) => {
                Some("the program is there, but not the interpreter in its first line: has that a Windows line end?")
            }
            Some(libc::ENOENT) if program.as_encoded_bytes().contains(&b' ') => {
                Some("write the program and each of its arguments as a word of its own, without quotes around all")
            }
            Some(libc::ENOENT) => Some("give the path of the program, or one that is in PATH"),
            Some(libc::EACCES) => Some("is it a program, and executable for this user?"),
            Some(libc::ENOEXEC) => Some("a script needs `#!` and its interpreter in its first line"),
            _ => None,
        };
        StartError { program, error, hint }
    }

    /// What may help.
    pub fn hint(&self) -> Option<&'static str> {
        self.hint
    }

    /// As a shell has it: 127 not found, 126 found but not to be executed; 125 where the system has no process for us.
    pub fn exit(&self) -> Exit {
        match self.error.raw_os_error() {
            Some(libc::ENOENT) => Exit::NOT_FOUND,
            Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) | None => Exit::LAUNCHER,
            Some(_) => Exit::NOT_EXECUTABLE,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to start `{}`: {}", self.program.display(), self.error)
    }
}

/// Whether there is such a program: a path from the folder on, or a name in PATH.
fn is_there(program: &OsString, folder: &Path) -> bool {
    if program.as_encoded_bytes().contains(&b'/') {
        return folder.join(program).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|it| !program.is_empty() && folder.join(it).join(program).exists())
}

/// A process of a rank that has been forked.
#[derive(Debug)]
pub struct Starting<'a> {
    program: &'a OsStr,
    folder: &'a Path,
    forked: Forked,
    pipe: PipeReader,
}

impl Starting<'_> {
    /// Waits until it is the program or can't become it.
    pub fn wait(self) -> Result<Started, StartError> {
        match self.forked.wait() {
            Ok(pid) => Ok(Started { pid, pipe: self.pipe }),
            Err(error) => Err(StartError::new(self.program.to_owned(), self.folder, error)),
        }
    }
}

/// Begins to start `command` in `folder` with the launcher's environment changed by `variables` (those without a value are
/// removed), on the cores `cpus` if any are named; in a session of its own, with default signals and no descriptor but the
/// first three. Whoever starts several begins with all before waiting for one.
pub fn begin<'a>(
    command: &'a [OsString],
    variables: &[(&str, Option<OsString>)],
    folder: &'a Path,
    cpus: &[u32],
) -> Result<Starting<'a>, StartError> {
    let program = command.first().map(OsString::as_os_str).unwrap_or_default();
    match try_begin(command, variables, folder, cpus) {
        Ok((forked, pipe)) => Ok(Starting { program, folder, forked, pipe }),
        Err(error) => Err(StartError::new(program.to_owned(), folder, error)),
    }
}

fn try_begin(
    command: &[OsString],
    variables: &[(&str, Option<OsString>)],
    folder: &Path,
    cpus: &[u32],
) -> io::Result<(Forked, PipeReader)> {
    let (pipe, end) = io::pipe()?;
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    // The kernel's limit for a user may be lower; what it gives then is enough, too.
    let _ = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    let mut image = Image::new(command, variables)?;
    // The launcher's own is inherited, also where this user could not enter it anew.
    if std::env::current_dir().ok().as_deref() != Some(folder) {
        image.folder = Some(CString::new(folder.as_os_str().as_bytes())?);
    }
    image.cpus = (!cpus.is_empty()).then(|| CpuMask::new(cpus));
    Ok((image.fork(&end)?, pipe))
}

/// Marks every descriptor but the first three as not for the ranks.
///
/// What the launcher was started with stays open in the launcher: somebody may wait for its end.
pub fn keep_descriptors_from_ranks() -> io::Result<()> {
    let mut numbers = Vec::new();
    match std::fs::read_dir("/proc/self/fd") {
        Ok(entries) => {
            for entry in entries {
                numbers.extend(entry?.file_name().to_str().and_then(|it| it.parse::<i32>().ok()));
            }
        }
        // Without /proc: as many as there are, as a rule.
        Err(_) => numbers.extend(3..1024),
    }
    for number in numbers.into_iter().filter(|it| *it > 2) {
        close_on_exec(number);
    }
    Ok(())
}

#[allow(unsafe_code)]
fn close_on_exec(number: i32) {
    // SAFETY: F_SETFD takes no pointers, and a number that is no descriptor of ours is answered with EBADF.
    unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
}
