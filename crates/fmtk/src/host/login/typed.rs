//! What comes in on stdin. On a terminal it is asked for, one line, and not shown.

use std::{
    io::{BufRead, IsTerminal, Read, Write, stderr, stdin},
    sync::Arc,
};

use anyhow::{Context, anyhow, ensure};
use registry::Secret;
use rustix::{
    process::getpgrp,
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr},
};

use crate::terminal::{interrupt, report::WithHint};

/// 64 KiB: more than any key with prose around it.
const LIMIT: u64 = 64 << 10;

/// All of stdin, or a line from a terminal.
pub fn text(what: &str) -> anyhow::Result<Secret> {
    let stdin = stdin();
    let mut bytes = Vec::new();
    if stdin.is_terminal() {
        // A closed stderr must not stop the work.
        let _ = write!(stderr(), "paste {what} (it is not shown) and press Enter: ");
        let quiet = Quiet::begin();
        let read = stdin.lock().take(LIMIT + 1).read_until(b'\n', &mut bytes);
        drop(quiet);
        let _ = writeln!(stderr());
        read.context("failed to read from the terminal")?;
    } else {
        stdin.lock().take(LIMIT + 1).read_to_end(&mut bytes).context("failed to read stdin")?;
    }
    if bytes.len() as u64 > LIMIT {
        // What was cut off might end in a part of the key.
        return Err(anyhow!("stdin has more than {} KiB, and {what} was expected there", LIMIT >> 10)).input();
    }
    let text = String::from_utf8(bytes).map_err(|_| anyhow!("stdin is not UTF-8")).input()?;
    if text.trim().is_empty() {
        return Err(anyhow!("stdin is empty, and {what} was expected there")).input();
    }
    Ok(Secret::new(text))
}

/// One secret, alone on its line.
pub fn secret(what: &str) -> anyhow::Result<Secret> {
    one_line(text(what)?.reveal(), what).input()
}

fn one_line(text: &str, what: &str) -> anyhow::Result<Secret> {
    let text = text.trim_start_matches('\u{feff}').trim_matches(['\r', '\n']);
    ensure!(!text.contains(['\r', '\n', '\0']), "stdin has several lines, and {what} was expected there alone");
    ensure!(!text.trim().is_empty(), "stdin is blank, and {what} was expected there");
    Ok(Secret::new(text))
}

/// A terminal that does not show what is typed, until this is dropped or the program is interrupted.
struct Quiet(Termios);

impl Quiet {
    /// Nothing where the terminal can't.
    fn begin() -> Option<Self> {
        let old = tcgetattr(stdin()).ok()?;
        let mut quiet = old.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        let before = old.clone();
        interrupt::before_end(Arc::new(move || {
            // In the background it would be stopped instead, and the shell has the terminal.
            if tcgetpgrp(stdin()) == Ok(getpgrp()) {
                show(&before);
            }
        }));
        tcsetattr(stdin(), OptionalActions::Now, &quiet).ok().map(|()| Self(old))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        show(&self.0);
    }
}

fn show(modes: &Termios) {
    // Nothing more can be done about a terminal that does not take its own modes.
    let _ = tcsetattr(stdin(), OptionalActions::Now, modes);
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        ffi::OsStr,
        fs::File,
        os::unix::{ffi::OsStrExt, fs::OpenOptionsExt, process::ExitStatusExt},
        process::{Command, Stdio},
        thread,
        time::{Duration, Instant},
    };

    use rustix::{
        process::{ioctl_tiocsctty, setsid},
        pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    };

    use super::*;

    const ASKS: &str = "host::login::typed::tests::asks_at_its_terminal";
    const VARIABLE: &str = "FMTK_TEST_ASKS";

    /// Runs as the child of the test below.
    #[test]
    fn asks_at_its_terminal() {
        if env::var_os(VARIABLE).is_some() {
            setsid().unwrap();
            ioctl_tiocsctty(stdin()).unwrap();
            interrupt::watch(|| ()).unwrap();
            drop(text("a key"));
        }
    }

    #[test]
    fn a_terminal_shows_what_is_typed_after_an_interruption() {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let mut options = File::options();
        let own = options.read(true).write(true).custom_flags(libc::O_NOCTTY).open(OsStr::from_bytes(name.as_bytes()));
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", ASKS, "--nocapture"])
            .env(VARIABLE, "")
            .stdin(own.unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let shows = || tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ECHO);
        let deadline = Instant::now() + Duration::from_secs(60);
        while shows() && Instant::now() < deadline {
            thread::yield_now();
        }
        assert!(!shows());
        // SIGINT may be ignored in the background of a script.
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        assert!(shows());
    }

    #[test]
    fn a_secret_is_one_line_and_keeps_its_blanks() {
        let read =
            |text: &str| one_line(text, "it").map(|secret| secret.reveal().to_owned()).map_err(|e| e.to_string());
        assert_eq!(read(" a b \r\n"), Ok(" a b ".to_owned()));
        assert_eq!(read("hunter2"), Ok("hunter2".to_owned()));
        for text in ["hunter2\nhunter3\n", "\n", "  \n", "hunter2\0"] {
            let said = read(text).unwrap_err();
            assert!(!said.contains("hunter"), "{said}");
        }
    }
}
