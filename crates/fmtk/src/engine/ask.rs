//! Short questions to an engine. One that hangs would be waited for without end, so each has a limit; what takes as long as
//! an image is large (load, run, save, export) has none.

use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, Read, Seek},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use rustix::fs::{MemfdFlags, memfd_create};

use super::command::{EngineCommand, asked, last};
use crate::terminal::report::WithHint;

/// How long an engine has for a short answer.
const LIMIT: Duration = Duration::from_secs(20);
/// How many seconds it has instead: for machines on which a daemon that is well takes longer.
pub const LIMIT_VARIABLE: &str = "FMTK_ENGINE_LIMIT";
/// Bytes of an answer that are read; the longest is a list of containers.
const LONGEST: u64 = 1 << 20;
/// Between two looks whether a program has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// What comes of a question.
#[derive(Debug)]
pub enum Answer {
    /// The engine's answer, without the blanks around it.
    Said(String),
    /// It ended with an error, and said this.
    Refused(String),
    /// There is no such program.
    Absent,
}

impl Answer {
    /// Why nothing was said.
    pub fn error(self) -> anyhow::Error {
        match self {
            Self::Said(said) | Self::Refused(said) => anyhow!(said),
            Self::Absent => anyhow!("it is not installed"),
        }
    }
}

/// Asks an engine. One that hangs is an error.
pub fn ask(way: &EngineCommand, arguments: &[&str]) -> anyhow::Result<Answer> {
    ask_within(limit(env::var_os(LIMIT_VARIABLE))?, way, arguments)
}

impl EngineCommand {
    /// Asks for the image's id, or for what else the format says.
    pub fn image(&self, format: &str, name: &str) -> anyhow::Result<Answer> {
        Ok(match ask(self, &["image", "inspect", "--format", format, name])? {
            Answer::Said(said) => Answer::Said(last(&said)),
            other => other,
        })
    }
}

/// How long an engine has, where the variable has this value.
pub(super) fn limit(value: Option<OsString>) -> anyhow::Result<Duration> {
    let Some(value) = value else { return Ok(LIMIT) };
    let value = value.to_string_lossy();
    let seconds = value.parse().ok().filter(|seconds| *seconds > 0.0);
    let limit = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    limit.ok_or_else(|| anyhow!("`{LIMIT_VARIABLE}` is `{value}`, not a number of seconds"))
}

pub(super) fn ask_within(limit: Duration, way: &EngineCommand, arguments: &[&str]) -> anyhow::Result<Answer> {
    let asked = asked(way.program, arguments);
    let mut command = way.command();
    command.args(arguments);
    match answer(command, limit) {
        Ok(Some((status, out, _))) if status.success() => Ok(Answer::Said(out.trim().to_owned())),
        Ok(Some((status, _, said))) => Ok(Answer::Refused(super::said(status, said.as_bytes()))),
        Ok(None) => {
            let program = way.program;
            let daemon = match program {
                "docker" => "restart its daemon with `systemctl restart docker`; ",
                _ => "",
            };
            Err(anyhow!("`{asked}` did not answer within {} s", limit.as_secs_f64())).hint(format!(
                "see whether `{program} info` answers: {daemon}if it is only slow, set `{LIMIT_VARIABLE}=60`"
            ))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Answer::Absent),
        Err(error) => Err(error).with_context(|| format!("failed to run `{asked}`")),
    }
}

/// How the program ended, with what it wrote to stdout and stderr; none where it took too long, and was killed. It writes
/// into memory and not into pipes, which a child of it could keep open.
fn answer(mut command: Command, limit: Duration) -> io::Result<Option<(ExitStatus, String, String)>> {
    let memory = || memfd_create("answer", MemfdFlags::CLOEXEC).map(File::from);
    let (out, err) = (memory()?, memory()?);
    let mut child = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(err.try_clone()?).spawn()?;
    let is_too_long = |file: &File| file.metadata().is_ok_and(|metadata| metadata.len() > LONGEST);
    let is_too_much = || is_too_long(&out) || is_too_long(&err);
    let deadline = Instant::now() + limit;
    let Some(status) = end(&mut child, || Instant::now() >= deadline || is_too_much())? else {
        // Failed where it has ended in this moment.
        let _ = child.kill();
        // Not waited for here: what hangs in the kernel can't be killed either.
        thread::spawn(move || child.wait());
        if is_too_much() {
            return Err(io::Error::other(format!("its answer has more than {LONGEST} bytes")));
        }
        return Ok(None);
    };
    let text = |mut file: File| {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.take(LONGEST).read_to_end(&mut bytes)?;
        io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Some((status, text(out)?, text(err)?)))
}

/// How the program ended; none where it has not when that is no longer waited for.
pub(super) fn end(child: &mut Child, is_given_up: impl Fn() -> bool) -> io::Result<Option<ExitStatus>> {
    loop {
        match child.try_wait()? {
            None if !is_given_up() => thread::sleep(PAUSE),
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
    fn an_answer_without_end_is_stopped() {
        let error = answer(script("exec cat /dev/zero"), Duration::from_secs(600)).unwrap_err();
        assert_eq!(error.to_string(), "its answer has more than 1048576 bytes");
    }

    #[test]
    fn what_hangs_is_killed_at_the_limit_even_where_a_child_of_it_lives_on() {
        let folder = tempfile::tempdir().unwrap();
        let (own, child) = (folder.path().join("own"), folder.path().join("child"));
        let notes = format!("echo $$ > {}", own.display());
        let has_a_child = format!("sleep 600 & echo $! > {0}.new; mv {0}.new {0}; {notes}; wait", child.display());
        let hangs =
            [format!("{notes}; exec sleep 600"), format!("{notes}; exec >&- 2>&-; exec sleep 600"), has_a_child];
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
        // The child was not waited for.
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
