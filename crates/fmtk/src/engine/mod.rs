//! The container engines of this machine; CANN's installer, `--load` and `try` need one.

mod ask;
mod bound;
mod guard;
mod load;
mod probe;
mod way;

use std::{path::Path, process::ExitStatus, time::Duration};

use anyhow::{Context, anyhow};
use oci_image::{Digest, Store};

pub use self::{
    ask::{AskError, ask},
    bound::bound,
    guard::Guard,
    load::load,
    probe::probe,
    way::Way,
};

use crate::{options::Engine, terminal::report::WithHint};

/// The program that serves the choice: docker where its daemon answers, else podman.
pub fn program(choice: Engine) -> anyhow::Result<&'static str> {
    program_by(choice, ask)
}

/// The same for who can't wait: each engine that is asked has `limit`.
pub fn program_within(choice: Engine, limit: Duration) -> anyhow::Result<&'static str> {
    program_by(choice, |way, arguments| ask::ask_within(limit, way, arguments))
}

fn program_by(choice: Engine, ask: impl Fn(&Way, &[&str]) -> Result<String, AskError>) -> anyhow::Result<&'static str> {
    // `version` of docker asks the daemon too; without one it fails.
    let docker = || ask(&Way::plain("docker"), &["version", "--format", "{{.Server.Version}}"]);
    let podman = || ask(&Way::plain("podman"), &["--version"]);
    let asked = match choice {
        Engine::Docker => docker().map(|_| "docker"),
        Engine::Podman => podman().map(|_| "podman"),
        Engine::Auto => docker()
            .map(|_| "docker")
            .or_else(|error| podman().map(|_| "podman").map_err(|other| telling(error, other))),
    };
    match (choice, asked) {
        (_, Ok(program)) => Ok(program),
        // One that hangs is there, and the cause is told.
        (_, Err(error @ (AskError::Silent { .. } | AskError::Limit(_)))) => Err(error.hinted()),
        (Engine::Docker, Err(error)) => unusable(error, "docker does not answer")
            .hint("start its daemon (`systemctl start docker`) or choose `--engine podman`"),
        (Engine::Podman, Err(error)) => {
            let says = if error.is_absent() { "podman is not installed" } else { "podman can't be used" };
            unusable(error, says).hint("install podman or choose `--engine docker`")
        }
        (Engine::Auto, Err(error)) => unusable(error, "neither a docker daemon answers nor can podman be run")
            .hint("install podman or docker; `--load` can be replaced by `--output docker-archive:FILE`, CANN's installer has to be run"),
    }
}

/// With what the engine itself said, if it is there.
fn unusable<T>(error: AskError, says: &'static str) -> anyhow::Result<T> {
    if error.is_absent() { Err(anyhow!(says)) } else { Err(error).context(says) }
}

/// Of two engines without an answer the one that tells more: that hangs, or is not just absent.
fn telling(docker: AskError, podman: AskError) -> AskError {
    match (&docker, &podman) {
        (AskError::Silent { .. }, _) | (_, AskError::Run { .. }) => docker,
        _ => podman,
    }
}

/// What an engine that failed has said, which may be nothing.
pub fn said(status: ExitStatus, stderr: &[u8]) -> String {
    match String::from_utf8_lossy(stderr).trim() {
        "" => format!("it said nothing ({status})"),
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
    let (way, filter) = (Way::plain(program), format!("label={label}"));
    let Ok(listed) = ask(&way, &["ps", "--all", "--quiet", "--filter", &filter]) else {
        return;
    };
    for id in listed.split_whitespace() {
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
        assert_eq!(said(ExitStatus::from_raw(125 << 8), b" \n"), "it said nothing (exit status: 125)");
        assert_eq!(said(ExitStatus::from_raw(9), b""), "it said nothing (signal: 9 (SIGKILL))");
        assert_eq!(said(ExitStatus::from_raw(1 << 8), b"no space\n"), "no space");
    }

    #[test]
    fn a_folder_with_a_comma_is_one_field() {
        assert_eq!(mount(Path::new("/pkg"), "/p", true), "type=bind,source=/pkg,target=/p,readonly");
        assert_eq!(mount(Path::new("/a,\"b"), "/p", false), "type=bind,\"source=/a,\"\"b\",target=/p");
    }
}
