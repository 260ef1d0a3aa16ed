//! Short questions to an engine. One that hangs would be waited for without end, so each has a limit; what takes as long as
//! an image is large (load, run, save, export) has none.

use std::{
    env,
    io::{self, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use super::way::{Way, asked, last};
use crate::terminal::report;

/// How long an engine has for a short answer.
const LIMIT: Duration = Duration::from_secs(20);
/// How many seconds it has instead: for machines on which a daemon that is well takes longer.
pub const LIMIT_VARIABLE: &str = "FMTK_ENGINE_LIMIT";
/// Bytes of an answer that are read; the longest is a list of containers.
const LONGEST: u64 = 1 << 20;
/// Between two looks at a program that has closed its output and is about to end.
const PAUSE: Duration = Duration::from_millis(5);

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The program could not be run.
    #[error("failed to run `{asked}`")]
    Run {
        /// The engine and what it was asked.
        asked: String,
        /// What the system said.
        source: io::Error,
    },
    /// It hangs, or its daemon does.
    #[error("`{asked}` did not answer within {} s", .limit.as_secs_f64())]
    Silent {
        /// The engine and what it was asked.
        asked: String,
        /// How long it had.
        limit: Duration,
    },
    /// It ended with an error.
    #[error("`{asked}` failed: {said}")]
    Failed {
        /// The engine and what it was asked.
        asked: String,
        /// What it said.
        said: String,
    },
    /// The variable for the limit holds something else.
    #[error("`{LIMIT_VARIABLE}` is `{0}`, not a number of seconds")]
    Limit(String),
}

impl AskError {
    /// Whether there is no such program.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Run { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// The error with the way out, where there is one.
    pub fn hinted(self) -> anyhow::Error {
        let hint = match &self {
            Self::Silent { asked, .. } => {
                let engine = asked.split(' ').next().unwrap_or_default();
                let daemon = if engine == "docker" {
                    "is its daemon alive? `systemctl restart docker` starts it anew; "
                } else {
                    ""
                };
                format!(
                    "see whether `{engine} info` answers: {daemon}where it is only slow, `{LIMIT_VARIABLE}=60` gives it longer"
                )
            }
            _ => return self.into(),
        };
        report::hinted(self.into(), hint)
    }
}

/// What an engine answers, without the blanks around it.
pub fn ask(way: &Way, arguments: &[&str]) -> Result<String, AskError> {
    ask_within(limit(env::var_os(LIMIT_VARIABLE))?, way, arguments)
}

impl Way {
    /// Asks for the image's id, or for what else the format says.
    pub fn image(&self, format: &str, name: &str) -> Result<String, AskError> {
        ask(self, &["image", "inspect", "--format", format, name]).map(|said| last(&said))
    }
}

fn limit(value: Option<std::ffi::OsString>) -> Result<Duration, AskError> {
    let Some(value) = value else { return Ok(LIMIT) };
    let value = value.to_string_lossy();
    let seconds = value.parse().ok().filter(|seconds| *seconds > 0.0);
    let limit = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    limit.ok_or_else(|| AskError::Limit(value.into_owned()))
}

pub(super) fn ask_within(limit: Duration, way: &Way, arguments: &[&str]) -> Result<String, AskError> {
    let asked = asked(way.program, arguments);
    let mut command = way.command();
    command.args(arguments);
    match answer(command, limit) {
        Ok(Some((status, out, _))) if status.success() => Ok(out.trim().to_owned()),
        Ok(Some((status, _, said))) => Err(AskError::Failed { asked, said: super::said(status, said.as_bytes()) }),
        Ok(None) => Err(AskError::Silent { asked, limit }),
        Err(source) => Err(AskError::Run { asked, source }),
    }
}

/// How the program ended, with what it wrote to stdout and stderr; none where it took too long, and was killed.
fn answer(mut command: Command, limit: Duration) -> io::Result<Option<(ExitStatus, String, String)>> {
    let deadline = Instant::now() + limit;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (out, err) = (child.stdout.take().map(read), child.stderr.take().map(read));
    let left = || deadline.saturating_duration_since(Instant::now());
    let text =
        |pipe: Option<mpsc::Receiver<String>>| pipe.map_or(Some(String::new()), |pipe| pipe.recv_timeout(left()).ok());
    let heard = text(out).zip(text(err));
    let ended = match &heard {
        Some(_) => end(&mut child, deadline)?,
        None => None,
    };
    if ended.is_none() {
        // Failed where it has ended in this moment.
        let _ = child.kill();
        // Not waited for here: what hangs in the kernel can't be killed either.
        thread::spawn(move || child.wait());
    }
    Ok(ended.zip(heard).map(|(status, (out, err))| (status, out, err)))
}

/// Reads in a thread, which is left behind where somebody keeps the pipe open.
fn read(pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error counts; nobody listens any more where it took too long.
        let _ = pipe.take(LONGEST).read_to_end(&mut bytes);
        let _ = send.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receive
}

/// How the program ended; none where it has not by the deadline.
pub(super) fn end(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        match child.try_wait()? {
            None if Instant::now() < deadline => thread::sleep(PAUSE),
            ended => return Ok(ended),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        command
    }

    #[test]
    fn what_hangs_is_killed_at_the_limit_even_where_a_child_of_it_keeps_the_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let (own, child) = (folder.path().join("own"), folder.path().join("child"));
        let notes = format!("echo $$ > {}", own.display());
        let keeps_the_pipe = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; {notes}; wait", child.display());
        let hangs =
            [format!("{notes}; exec sleep 600"), format!("{notes}; exec >&- 2>&-; exec sleep 600"), keeps_the_pipe];
        let pid = |path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let lives = |pid: &str| std::path::Path::new("/proc").join(pid).exists();
        for hang in hangs {
            // On a busy machine the shell may need longer than the limit to come to what hangs.
            for seconds in 1.. {
                assert_eq!(answer(script(&hang), Duration::from_secs(seconds)).unwrap(), None, "{hang}");
                if !pid(&own).is_empty() {
                    break;
                }
            }
            while lives(&pid(&own)) {
                thread::yield_now();
            }
            std::fs::remove_file(&own).unwrap();
        }
        // Whoever has the pipe is alive: it was not waited for.
        assert!(lives(&pid(&child)));
        assert!(Command::new("kill").arg(pid(&child)).status().unwrap().success());
    }

    #[test]
    fn answers_and_failures_come_whole() {
        let (status, out, err) = answer(script("echo a; echo b >&2; exit 3"), LIMIT).unwrap().unwrap();
        assert_eq!((status.code(), out.as_str(), err.as_str()), (Some(3), "a\n", "b\n"));
    }

    #[test]
    fn the_limit_is_a_number_of_seconds() {
        let read =
            |text: &str| limit(Some(text.into())).map(|limit| limit.as_millis()).map_err(|error| error.to_string());
        assert_eq!(limit(None).unwrap(), LIMIT);
        assert_eq!(read("0.25"), Ok(250));
        for wrong in ["", "0", "-1", "1m", "inf", "NaN"] {
            assert_eq!(read(wrong), Err(format!("`FMTK_ENGINE_LIMIT` is `{wrong}`, not a number of seconds")));
        }
    }
}
