//! How an engine is called.

use std::{fmt, process::Command};

use anyhow::{Context, ensure};

use crate::terminal::interrupt;

/// How an engine is called on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineCommand {
    /// `docker` or `podman`.
    pub program: &'static str,
    /// Options before the subcommand.
    pub global: Vec<&'static str>,
    /// Options of `create` and `run`.
    pub create: Vec<&'static str>,
}

impl EngineCommand {
    /// The plainest, which does for all but containers.
    pub fn plain(program: &'static str) -> Self {
        Self { program, global: Vec::new(), create: Vec::new() }
    }

    /// Whether a container that has another one's network can have a host name of its own. docker gives it the other's.
    pub fn names_hosts_of_one_network(&self) -> bool {
        self.program == "podman"
    }

    /// Runs a command to its end, however long that takes; gives the last line of what it said.
    pub fn say(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let name = || asked(self.program, &arguments[..arguments.len().min(1)]);
        let output = self.command().args(arguments).output().with_context(|| format!("failed to run `{}`", name()))?;
        ensure!(output.status.success(), "`{}` failed: {}", name(), super::said(output.status, &output.stderr));
        Ok(last(&String::from_utf8_lossy(&output.stdout)))
    }

    /// The command line up to the subcommand.
    pub fn command(&self) -> Command {
        // After ctrl-C nothing is made any more that would have to be removed.
        interrupt::wait_if_pending();
        let mut command = Command::new(self.program);
        command.args(&self.global);
        if self.program == "podman" {
            // podman 4 refuses to run anything where these name a login that is not there. Nothing is pulled here.
            command.env_remove("DOCKER_CONFIG").env_remove("REGISTRY_AUTH_FILE");
        }
        command
    }
}

/// The last line of what was said.
pub(super) fn last(said: &str) -> String {
    said.trim().lines().last().unwrap_or_default().to_owned()
}

/// The question as people know it: the subcommand, without options and what is behind them.
pub fn asked(program: impl fmt::Display, arguments: &[&str]) -> String {
    let words = arguments.iter().enumerate().take_while(|(place, word)| *place == 0 || !word.starts_with('-'));
    words.fold(program.to_string(), |asked, (_, word)| asked + " " + word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_named_by_its_subcommand() {
        assert_eq!(asked("docker", &["image", "inspect", "--format", "{{.Id}}", "x"]), "docker image inspect");
        assert_eq!(asked("podman", &["--version"]), "podman --version");
        assert_eq!(asked("docker", &[]), "docker");
    }
}
