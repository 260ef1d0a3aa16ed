//! Children that have ended.

use std::fmt;
use std::io;

use libc::c_int;

use crate::exit::Exit;
use crate::ranks::family;
use crate::ranks::signals;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exited with this code.
    Code(u8),
    /// This signal ended it.
    Signal(c_int),
}

impl End {
    /// The code that a shell would have for it.
    pub fn exit(self) -> Exit {
        match self {
            End::Code(code) => Exit(code),
            End::Signal(signal) => Exit::signal(signal),
        }
    }

    /// What has become of those that are named in the plural.
    pub fn of_several(self) -> String {
        self.to_string().replacen("was ", "were ", 1)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Code(code) => write!(f, "exited with code {code}"),
            End::Signal(signal) => write!(f, "was killed by {}", signals::name(*signal)),
        }
    }
}

/// What has ended since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Process ids and how they ended, in no order that means anything.
    pub ended: Vec<(i32, End)>,
    /// Whether no child is left, alive or dead, but for those that are spared.
    pub none_left: bool,
}

/// Takes every child that has ended, adopted ones too, without waiting for any.
#[allow(unsafe_code)]
pub fn reap() -> io::Result<Reaped> {
    let mut reaped = Reaped::default();
    loop {
        let mut status = 0;
        // SAFETY: the pointer is to a live local. The binding of `nix` loses a child that a real-time signal has ended.
        match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
            0 => {
                // Where some are spared, that there is a child says nothing.
                reaped.none_left = family::spares_any() && family::children().is_ok_and(|it| it.is_empty());
                return Ok(reaped);
            }
            pid if pid > 0 => reaped.ended.push((pid, end(status))),
            _ => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ECHILD) => {
                    reaped.none_left = true;
                    return Ok(reaped);
                }
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

fn end(status: c_int) -> End {
    if libc::WIFSIGNALED(status) {
        End::Signal(libc::WTERMSIG(status))
    } else {
        // Eight bits by definition.
        End::Code(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))
    }
}
