//! The container engines of this machine; CANN's installer, `--load` and `try` need one.

mod ask;
mod bound;
mod command;
mod guard;
mod load;
mod probe;

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::anyhow;
use oci_image::{Digest, Store};

pub use self::{
    ask::{Answer, ask},
    bound::bound,
    command::EngineCommand,
    guard::Guard,
    load::{load, load_upon},
    probe::probe,
};

use crate::{options::Engine, terminal::report::WithHint};

/// The program that serves the choice: docker where its daemon answers, else podman.
pub fn program(choice: Engine) -> anyhow::Result<&'static str> {
    program_within(choice, ask::limit(env::var_os(ask::LIMIT_VARIABLE))?)
}

/// The same where each engine that is asked has `limit`.
pub fn program_within(choice: Engine, limit: Duration) -> anyhow::Result<&'static str> {
    let ask = |program, arguments: &[&str]| {
        let answer = ask::ask_within(limit, &EngineCommand::plain(program), arguments)?;
        let failed = |said| format!("`{}` failed: {said}", command::asked(program, arguments));
        anyhow::Ok(if let Answer::Refused(said) = answer { Answer::Refused(failed(said)) } else { answer })
    };
    // `version` of docker asks the daemon too; without one it fails.
    let docker = || ask("docker", &["version", "--format", "{{.Server.Version}}"]);
    let podman = || ask("podman", &["--version"]);
    let unusable = |answer, says: &'static str| match answer {
        Answer::Refused(said) => anyhow!(said).context(says),
        _ => anyhow!(says),
    };
    match choice {
        Engine::Docker => match docker()? {
            Answer::Said(_) => Ok("docker"),
            answer => Err(unusable(answer, "docker does not answer"))
                .hint("start its daemon (`systemctl start docker`) or choose `--engine podman`"),
        },
        Engine::Podman => {
            let (answer, hint) = (podman()?, "install podman or choose `--engine docker`");
            match answer {
                Answer::Said(_) => Ok("podman"),
                Answer::Absent => Err(anyhow!("podman is not installed")).hint(hint),
                answer => Err(unusable(answer, "podman can't be used")).hint(hint),
            }
        }
        Engine::Auto => {
            let docker = docker();
            if let Ok(Answer::Said(_)) = docker {
                return Ok("docker");
            }
            // A docker that hangs is there, and is told; else the one that is installed.
            let answer = match (podman(), docker) {
                (Ok(Answer::Said(_)), _) => return Ok("podman"),
                (_, Err(error)) => return Err(error),
                (Ok(Answer::Absent), Ok(docker)) => docker,
                (podman, _) => podman?,
            };
            Err(unusable(answer, "neither a docker daemon answers nor can podman be run"))
                .hint("install podman or docker")
        }
    }
}

/// Where the engine keeps its images and containers, if it says so: a folder of this machine, or of its own where it runs
/// elsewhere.
pub fn storage(program: &'static str) -> Option<PathBuf> {
    let format = if program == "docker" { "{{.DockerRootDir}}" } else { "{{.Store.GraphRoot}}" };
    match ask(&EngineCommand::plain(program), &["info", "--format", format]) {
        Ok(Answer::Said(folder)) if !folder.is_empty() => Some(folder.into()),
        _ => None,
    }
}

/// What an engine that failed has said, which may be nothing.
pub fn said(status: ExitStatus, stderr: &[u8]) -> String {
    match String::from_utf8_lossy(stderr).trim() {
        "" => match status.code() {
            Some(code) => format!("exited with status {code} and no output"),
            None => format!("ended by {status}, with no output"),
        },
        said => said.to_owned(),
    }
}

/// A short name of the store, for labels and containers: runs with other stores are none of ours.
pub fn here(store: &Store) -> String {
    Digest::of(store.root().as_os_str().as_encoded_bytes()).hex()[..12].to_owned()
}

/// Removes containers with a label: those of runs whose guard was killed too. A lock is to be held, so that none of them is
/// in use.
pub fn remove_leftovers(program: &'static str, label: &str) {
    let (way, filter) = (EngineCommand::plain(program), format!("label={label}"));
    let Ok(Answer::Said(listed)) = ask(&way, &["ps", "--all", "--quiet", "--filter", &filter]) else {
        return;
    };
    // podman does not remove a container whose network another one has, and lists the oldest first or last by its version.
    let ids: Vec<&str> = listed.split_whitespace().collect();
    for id in ids.iter().chain(ids.iter().rev()) {
        // podman would give one that runs ten seconds to end; most are dead.
        let _ = way.say(&["kill", id]);
        // What can't be removed is in nobody's way: each run's container has a name of its own.
        let _ = way.say(&["rm", "--force", "--volumes", id]);
    }
}

/// The value of `--mount` for a folder of the host. Fields are those of CSV for both engines: one with a comma or a quote
/// in it is quoted.
pub fn mount(source: &Path, target: &str, read_only: bool) -> String {
    let source = format!("source={}", source.display());
    let source = if source.contains([',', '"']) { format!("\"{}\"", source.replace('"', "\"\"")) } else { source };
    format!("type=bind,{source},target={target}{}", if read_only { ",readonly" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_fails_without_a_word_is_told_by_its_exit_code() {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(said(ExitStatus::from_raw(125 << 8), b" \n"), "exited with status 125 and no output");
        assert_eq!(said(ExitStatus::from_raw(9), b""), "ended by signal: 9 (SIGKILL), with no output");
        assert_eq!(said(ExitStatus::from_raw(1 << 8), b"no space\n"), "no space");
    }

    #[test]
    fn a_folder_with_a_comma_is_one_field() {
        assert_eq!(mount(Path::new("/pkg"), "/p", true), "type=bind,source=/pkg,target=/p,readonly");
        assert_eq!(mount(Path::new("/a,\"b"), "/p", false), "type=bind,\"source=/a,\"\"b\",target=/p");
    }
}
