//! Clients of an engine that end with this program.

use std::{io, os::unix::process::CommandExt, process::Command};

/// Has the kernel kill the program when the thread that starts it is gone, by ctrl-C or SIGKILL too. podman 4, whose
/// `export` finds its output closed, waits for a helper of its own without end and keeps the container's lock: whoever
/// lists or removes containers after that waits too.
#[allow(unsafe_code)]
pub fn bound(command: &mut Command) -> &mut Command {
    let parent = std::process::id();
    let bind = move || {
        // SAFETY: two system calls on plain numbers; neither allocates, as is asked for between fork and exec.
        let is_late = unsafe {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            libc::getppid() != parent as libc::pid_t
        };
        // It went before it could be asked for.
        if is_late { Err(io::Error::from(io::ErrorKind::BrokenPipe)) } else { Ok(()) }
    };
    // SAFETY: see above.
    unsafe { command.pre_exec(bind) }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, thread};

    use super::*;

    #[test]
    fn it_goes_with_the_thread_that_started_it() {
        let started = thread::spawn(|| bound(Command::new("sleep").arg("600")).spawn().unwrap());
        assert_eq!(started.join().unwrap().wait().unwrap().signal(), Some(libc::SIGKILL));
    }
}
