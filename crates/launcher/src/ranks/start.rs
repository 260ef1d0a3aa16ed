//! Starting the process of a rank, from its fork to its exec, without waiting for that.
//!
//! The standard library waits for each exec before it gives the child: on a busy machine each wait takes turns of the
//! scheduler, and the ranks would take them one after the other.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{CString, OsStr, OsString, c_char};
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::exit::Exit;
use crate::ranks::signals;

/// Bytes that a rank's pipe holds: a burst of output does not stop the rank while the launcher is elsewhere.
const PIPE_BYTES: i32 = 256 << 10;

/// What is searched for programs where PATH is not set.
const DEFAULT_PATH: &str = "/usr/local/bin:/bin:/usr/bin";

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
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|it| !program.is_empty() && folder.join(it).join(program).exists())
}

/// A process of a rank that has been forked.
#[derive(Debug)]
pub struct Starting<'a> {
    program: &'a OsStr,
    folder: &'a Path,
    pid: i32,
    /// At its end when the exec succeeds, else the number of the error.
    verdict: PipeReader,
    output: PipeReader,
}

impl Starting<'_> {
    /// Waits until it is the program or can't become it. Gives its process id, which is its session's and group's, too, and
    /// its standard output and standard error together; reading never waits.
    pub fn wait(mut self) -> Result<(i32, PipeReader), StartError> {
        let mut number = [0; 4];
        let error = match self.verdict.read_exact(&mut number) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok((self.pid, self.output)),
            Ok(()) => io::Error::from_raw_os_error(i32::from_ne_bytes(number)),
            Err(error) => error,
        };
        reap(self.pid);
        Err(StartError::new(self.program.to_owned(), self.folder, error))
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
    let begun = Image::new(command, variables, folder, cpus).and_then(|image| image.fork());
    match begun {
        Ok((pid, verdict, output)) => Ok(Starting { program, folder, pid, verdict, output }),
        Err(error) => Err(StartError::new(program.to_owned(), folder, error)),
    }
}

/// What a process becomes, made before the fork so that nothing is allocated after.
struct Image {
    /// Where the program may be, in the order in which it is looked for.
    programs: Vec<CString>,
    arguments: Vec<CString>,
    variables: Vec<CString>,
    /// Entered before anything is looked for.
    folder: Option<CString>,
    cpus: Option<CpuSet>,
}

impl Image {
    fn new(
        command: &[OsString],
        variables: &[(&str, Option<OsString>)],
        folder: &Path,
        cpus: &[u32],
    ) -> io::Result<Image> {
        let mut environment: BTreeMap<OsString, OsString> = env::vars_os().collect();
        for (name, value) in variables {
            match value {
                Some(value) => environment.insert((*name).into(), value.clone()),
                None => environment.remove(OsStr::new(name)),
            };
        }
        let path = environment.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str);
        let programs = paths(command.first().map(OsString::as_os_str).unwrap_or_default(), path);
        let variables = environment.into_iter().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec())
        });
        let mut set = CpuSet::new();
        cpus.iter().try_for_each(|cpu| set.set(*cpu as usize))?;
        // The launcher's own is inherited, also where this user could not enter it anew.
        let is_own = env::current_dir().ok().as_deref() == Some(folder);
        Ok(Image {
            programs: programs.into_iter().map(CString::new).collect::<Result<_, _>>()?,
            arguments: command.iter().map(|it| CString::new(it.as_bytes())).collect::<Result<_, _>>()?,
            variables: variables.collect::<Result<_, _>>()?,
            folder: if is_own { None } else { Some(CString::new(folder.as_os_str().as_bytes())?) },
            cpus: if cpus.is_empty() { None } else { Some(set) },
        })
    }

    /// Forks a child that is to become this; gives its process id, its verdict and its output.
    fn fork(&self) -> io::Result<(i32, PipeReader, PipeReader)> {
        let (output, end) = io::pipe()?;
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        // The kernel's limit for a user may be lower; what it gives then is enough, too.
        let _ = fcntl(&output, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
        let input = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let (verdict, teller) = io::pipe()?;
        let (arguments, variables) = (pointers(&self.arguments), pointers(&self.variables));
        let streams = [(input.as_raw_fd(), 0), (end.as_raw_fd(), 1), (end.as_raw_fd(), 2)];
        let parent = nix::unistd::getpid().as_raw();
        // SAFETY: what the child does until its exec or exit is async-signal-safe: other threads may hold any lock.
        #[allow(unsafe_code)]
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let error = self.exec(parent, streams, &arguments, &variables);
                let number = error.raw_os_error().unwrap_or(libc::EINVAL).to_ne_bytes();
                // SAFETY: write reads as many bytes as the live array has; _exit runs no code of ours.
                unsafe {
                    libc::write(teller.as_raw_fd(), number.as_ptr().cast(), number.len());
                    libc::_exit(127)
                }
            }
            pid => Ok((pid, verdict, output)),
        }
    }

    fn exec(
        &self,
        parent: i32,
        streams: [(i32, i32); 3],
        arguments: &[*const c_char],
        variables: &[*const c_char],
    ) -> io::Error {
        // SAFETY: dup2 takes no pointers; the three are open from the start, so `from` is none of them. The path ends in NUL
        // and lives.
        #[allow(unsafe_code)]
        let settled = signals::settle_child(parent)
            .and_then(|()| self.cpus.map_or(Ok(()), |it| Ok(sched_setaffinity(Pid::from_raw(0), &it)?)))
            .and_then(|()| streams.into_iter().try_for_each(|(from, to)| answered(unsafe { libc::dup2(from, to) })))
            .and_then(|()| self.folder.as_ref().map_or(Ok(()), |it| answered(unsafe { libc::chdir(it.as_ptr()) })));
        if let Err(error) = settled {
            return error;
        }
        // As execvp(3): the last error, but that of a program that is there and not to be executed before others.
        let mut error = io::Error::from_raw_os_error(libc::ENOENT);
        for program in &self.programs {
            // SAFETY: all are texts that end in NUL and live, both lists end in a null pointer.
            #[allow(unsafe_code)]
            unsafe {
                libc::execve(program.as_ptr(), arguments.as_ptr(), variables.as_ptr());
            }
            let failed = io::Error::last_os_error();
            match failed.raw_os_error() {
                Some(libc::EACCES) => error = failed,
                Some(libc::ENOENT | libc::ENOTDIR) => {}
                _ => return failed,
            }
        }
        error
    }
}

/// What a system call has answered.
fn answered(answer: i32) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Where a program may be: itself if there is a `/` in its name, else in each folder of `path`.
fn paths(program: &OsStr, path: &OsStr) -> Vec<Vec<u8>> {
    let name = program.as_bytes();
    if name.is_empty() || name.contains(&b'/') {
        return vec![name.to_vec()];
    }
    let below = |folder: &[u8]| Path::new(OsStr::from_bytes(folder)).join(program).into_os_string().into_vec();
    path.as_bytes().split(|byte| *byte == b':').map(below).collect()
}

/// A list as exec takes it.
fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|it| it.as_ptr()).chain([ptr::null()]).collect()
}

#[allow(unsafe_code)]
fn reap(pid: i32) {
    // SAFETY: waitpid takes a null pointer for a status that nobody wants. The child has exited or is about to.
    while unsafe { libc::waitpid(pid, ptr::null_mut(), 0) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_as_execvp_does() {
        for (program, path, expect) in [
            ("/bin/a", "/b:/c", &["/bin/a"][..]),
            ("./a", "/b:/c", &["./a"]),
            ("a", "/b:/c/", &["/b/a", "/c/a"]),
            ("a", ":/b::c", &["a", "/b/a", "a", "c/a"]),
            ("", "/b", &[""]),
        ] {
            let found = paths(program.as_ref(), path.as_ref());
            assert_eq!(found.into_iter().map(|it| String::from_utf8(it).unwrap()).collect::<Vec<_>>(), expect);
        }
    }

    #[test]
    fn a_program_that_is_not_to_be_executed_does_not_hide_a_later_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("true"), "").unwrap();
        let run = |path: String| {
            let command = ["true".into()];
            begin(&command, &[("PATH", Some(path.into()))], folder.path(), &[]).unwrap().wait()
        };
        let here = folder.path().display().to_string();
        let (pid, _output) = run(format!("/nowhere:{here}:/usr/bin:/bin")).unwrap();
        reap(pid);
        assert_eq!(run(here).unwrap_err().exit(), Exit::NOT_EXECUTABLE);
        assert_eq!(run("/nowhere".into()).unwrap_err().exit(), Exit::NOT_FOUND);
    }
}
