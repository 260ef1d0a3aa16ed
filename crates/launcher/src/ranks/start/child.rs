//! A process from its fork to its exec, without its parent waiting for that.
//!
//! The standard library waits for each exec before it gives the child: on a busy machine each wait takes turns of the
//! scheduler, and the ranks would take them one after the other.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{CString, OsStr, OsString, c_char};
use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::ptr;

use crate::job::bind::affinity::{self, CpuMask};
use crate::ranks::signals;

/// What is searched for programs where PATH is not set.
const DEFAULT_PATH: &str = "/usr/local/bin:/bin:/usr/bin";

/// What a process becomes, made before the fork so that nothing is allocated after.
pub struct Image {
    /// Where the program may be, in the order in which it is looked for.
    programs: Vec<CString>,
    arguments: Vec<CString>,
    variables: Vec<CString>,
    /// Entered before anything is looked for.
    pub folder: Option<CString>,
    /// The cores that it is bound to.
    pub cpus: Option<CpuMask>,
}

/// A child that has been forked.
#[derive(Debug)]
pub struct Forked {
    pid: i32,
    /// At its end when the exec succeeds, else the number of the error.
    verdict: PipeReader,
}

impl Image {
    /// `command` with the environment of this process changed by `variables`; those without a value are removed.
    ///
    /// # Errors
    ///
    /// A NUL in something.
    pub fn new(command: &[OsString], variables: &[(&str, Option<OsString>)]) -> io::Result<Image> {
        let mut environment: BTreeMap<OsString, OsString> = env::vars_os().collect();
        for (name, value) in variables {
            match value {
                Some(value) => environment.insert((*name).into(), value.clone()),
                None => environment.remove(OsStr::new(name)),
            };
        }
        let program = command.first().map(OsString::as_os_str).unwrap_or_default();
        let path = environment.get(OsStr::new("PATH")).map_or(OsStr::new(DEFAULT_PATH), OsString::as_os_str);
        let programs = places(program, path).into_iter().map(CString::new).collect::<Result<_, _>>()?;
        let variables = environment.into_iter().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec())
        });
        let arguments = command.iter().map(|it| CString::new(it.as_bytes())).collect::<Result<_, _>>()?;
        Ok(Image { programs, arguments, variables: variables.collect::<Result<_, _>>()?, folder: None, cpus: None })
    }

    /// Forks a child with `output` as both of its outputs, which is to become this.
    pub fn fork(&self, output: &PipeWriter) -> io::Result<Forked> {
        let input = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let (verdict, teller) = io::pipe()?;
        let (arguments, variables) = (pointers(&self.arguments), pointers(&self.variables));
        let parent = nix::unistd::getpid().as_raw();
        // SAFETY: what the child does until its exec or exit is async-signal-safe: other threads may hold any lock.
        #[allow(unsafe_code)]
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let error = self.exec(parent, &input, output, &arguments, &variables);
                let number = error.raw_os_error().unwrap_or(libc::EINVAL).to_ne_bytes();
                // SAFETY: write reads as many bytes as the live array has; _exit runs no code of ours.
                unsafe {
                    libc::write(teller.as_raw_fd(), number.as_ptr().cast(), number.len());
                    libc::_exit(127)
                }
            }
            pid => Ok(Forked { pid, verdict }),
        }
    }

    /// What the child does. Comes back only if it fails.
    fn exec(
        &self,
        parent: i32,
        input: &File,
        output: &PipeWriter,
        arguments: &[*const c_char],
        variables: &[*const c_char],
    ) -> io::Error {
        let streams = [(input.as_raw_fd(), 0), (output.as_raw_fd(), 1), (output.as_raw_fd(), 2)];
        let settled = signals::settle_child(parent)
            .and_then(|()| self.cpus.as_ref().map_or(Ok(()), affinity::apply))
            .and_then(|()| streams.into_iter().try_for_each(|(from, to)| replace(from, to)))
            .and_then(|()| self.folder.as_ref().map_or(Ok(()), enter));
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

impl Forked {
    /// Waits for its exec or the failure of that. Gives its process id, which is its session's and group's, too.
    pub fn wait(mut self) -> io::Result<i32> {
        let mut number = [0; 4];
        match self.verdict.read_exact(&mut number) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(self.pid),
            read => {
                reap(self.pid);
                read.and(Err(io::Error::from_raw_os_error(i32::from_ne_bytes(number))))
            }
        }
    }
}

/// The places of a program: itself if there is a `/` in its name, else one in each folder of `path`.
fn places(program: &OsStr, path: &OsStr) -> Vec<Vec<u8>> {
    let name = program.as_bytes();
    if name.is_empty() || name.contains(&b'/') {
        return vec![name.to_vec()];
    }
    let place = |folder: &[u8]| Path::new(OsStr::from_bytes(folder)).join(program).into_os_string().into_vec();
    path.as_bytes().split(|byte| *byte == b':').map(place).collect()
}

/// A list as exec takes it.
fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|it| it.as_ptr()).chain([ptr::null()]).collect()
}

/// Makes `to` the same as `from`, also after the exec. Async-signal-safe.
#[allow(unsafe_code)]
fn replace(from: i32, to: i32) -> io::Result<()> {
    // SAFETY: dup2 takes no pointers. The three are open from the start, so `from` is none of them.
    if unsafe { libc::dup2(from, to) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Async-signal-safe.
#[allow(unsafe_code, clippy::ptr_arg)]
fn enter(folder: &CString) -> io::Result<()> {
    // SAFETY: the path ends in NUL and lives.
    if unsafe { libc::chdir(folder.as_ptr()) } != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[allow(unsafe_code)]
fn reap(pid: i32) {
    // SAFETY: waitpid takes a null pointer for a status that nobody wants. The child has exited or is about to.
    while unsafe { libc::waitpid(pid, ptr::null_mut(), 0) } < 0
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_as_execvp_does() {
        let found = |program: &str, path: &str| -> Vec<String> {
            let places = places(program.as_ref(), path.as_ref());
            places.into_iter().map(|it| String::from_utf8(it).unwrap()).collect()
        };
        assert_eq!(found("/bin/a", "/b:/c"), ["/bin/a"]);
        assert_eq!(found("./a", "/b:/c"), ["./a"]);
        assert_eq!(found("a", "/b:/c/"), ["/b/a", "/c/a"]);
        assert_eq!(found("a", ":/b::c"), ["a", "/b/a", "a", "c/a"]);
        assert_eq!(found("", "/b"), [""]);
    }

    #[test]
    fn a_program_that_is_not_to_be_executed_does_not_hide_a_later_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("true"), "").unwrap();
        let run = |path: String| {
            let image = Image::new(&["true".into()], &[("PATH", Some(path.into()))]).unwrap();
            let (_reader, writer) = io::pipe().unwrap();
            image.fork(&writer).unwrap().wait()
        };
        let here = folder.path().display().to_string();
        let pid = run(format!("/nowhere:{here}:/usr/bin:/bin")).unwrap();
        assert!(pid > 0);
        reap(pid);
        assert_eq!(run(here).unwrap_err().raw_os_error(), Some(libc::EACCES));
        assert_eq!(run("/nowhere".into()).unwrap_err().raw_os_error(), Some(libc::ENOENT));
    }
}
