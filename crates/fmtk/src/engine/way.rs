//! What engines can do and what they need to be told, each with its reason.

use std::process::Command;

use anyhow::{Context, ensure};

use super::ask::{self, AskError, ask};

/// How an engine is called on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// `docker` or `podman`.
    pub program: &'static str,
    /// Options before the subcommand.
    pub global: Vec<&'static str>,
    /// Options of `create` and `run`.
    pub create: Vec<&'static str>,
}

impl Way {
    /// The ways to try, the plainest first.
    pub fn all(program: &'static str) -> Vec<Self> {
        let way = |global: &[&'static str], create: &[&'static str]| Self {
            program,
            global: global.to_vec(),
            create: [create, platform(program)].concat(),
        };
        match program {
            "podman" => vec![
                way(&[], &[]),
                way(&[], LIMITS),
                way(&["--runtime", "runc"], &[]),
                way(&["--runtime", "runc"], LIMITS),
            ],
            _ => vec![way(&[], &[])],
        }
    }

    /// The plainest, which does for all but containers.
    pub fn plain(program: &'static str) -> Self {
        Self { program, global: Vec::new(), create: Vec::new() }
    }

    /// Runs a command to its end, however long that takes; gives the last line of what it said.
    pub fn say(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let name = || ask::asked(self.program, &arguments[..arguments.len().min(1)]);
        let output = self.command().args(arguments).output().with_context(|| format!("failed to run `{}`", name()))?;
        ensure!(output.status.success(), "`{}` failed: {}", name(), super::said(output.status, &output.stderr));
        Ok(last(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Asks for the image's id, or for what else the format says.
    pub fn image(&self, format: &str, name: &str) -> Result<String, AskError> {
        ask(self, &["image", "inspect", "--format", format, name]).map(|said| last(&said))
    }

    /// The command line up to the subcommand.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.args(&self.global);
        if self.program == "podman" {
            // podman 4 refuses to run anything where these name a login that is not there. Nothing is pulled here.
            command.env_remove("DOCKER_CONFIG").env_remove("REGISTRY_AUTH_FILE");
        }
        command
    }
}

fn last(said: &str) -> String {
    said.trim().lines().last().unwrap_or_default().to_owned()
}

/// podman sets limits that root may not raise where it lacks CAP_SYS_RESOURCE, as in some CI sandboxes; docker's are
/// those of its daemon. And crun refuses a mix of cgroup versions that runc takes.
const LIMITS: &[&str] = &["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"];

/// docker 18.09 takes `--platform` only in experimental mode, so there the image, which we have loaded and call by its
/// id, has to do; from API 1.41 (20.10) on it takes it, and with containerd's image store it looks for the host's
/// platform unless told. podman only warns that the image is for another.
fn platform(program: &str) -> &'static [&'static str] {
    if program != "docker" {
        return &[];
    }
    match ask(&Way::plain("docker"), &["version", "--format", "{{.Server.APIVersion}}"]) {
        Ok(said) if takes_platform(&said) => &["--platform", "linux/arm64"],
        _ => &[],
    }
}

/// By the version of the daemon's API.
fn takes_platform(api: &str) -> bool {
    let version = api.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    version.is_some_and(|version: (u32, u32)| version >= (1, 41))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_of_18_09_is_not_told_a_platform() {
        assert!(!takes_platform("1.39"));
        assert!(takes_platform("1.41"));
        assert!(takes_platform("2.0"));
        assert!(!takes_platform(""));
    }

    #[test]
    fn podman_is_tried_with_limits_and_with_runc() {
        let ways = Way::all("podman");
        assert_eq!((&ways[0].global[..], &ways[0].create[..]), (&[][..], &[][..]));
        assert_eq!((&ways[3].global[..], &ways[3].create[..]), (&["--runtime", "runc"][..], LIMITS));
    }
}
