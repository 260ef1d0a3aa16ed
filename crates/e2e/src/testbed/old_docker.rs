//! docker as users of old hosts have it: a program in front of the real one that takes what 18.09 takes and refuses the
//! rest in its words. The daemon behind it is told to speak the protocol of that time, API 1.39.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::{Docker, Invocation, Log, files};

/// `@REAL@` and `@FOLDER@` are filled in.
const SCRIPT: &str = include_str!("old_docker.sh");

/// A folder with a program `docker`.
#[derive(Debug)]
pub struct OldDocker {
    folder: PathBuf,
}

impl OldDocker {
    /// Puts it in front of the `docker` on PATH.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        files::folder(folder)?;
        let path = env::var_os("PATH").unwrap_or_default();
        let Some(real) = env::split_paths(&path).map(|one| one.join("docker")).find(|file| file.is_file()) else {
            bail!("no `docker` is on PATH")
        };
        let text = SCRIPT.replace("@REAL@", &real.to_string_lossy()).replace("@FOLDER@", &folder.to_string_lossy());
        files::script(&folder.join("docker"), &text)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Has a program find it before every other `docker`.
    pub fn first_on_path<'a>(&self, command: Invocation<'a>) -> anyhow::Result<Invocation<'a>> {
        let rest = env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(self.folder.clone()).chain(env::split_paths(&rest));
        Ok(command.env("PATH", env::join_paths(all).context("a folder on PATH has a colon")?))
    }

    /// The program itself, for this daemon.
    pub fn command<'a>(&self, log: &'a Log, docker: &Docker) -> Invocation<'a> {
        log.command(self.folder.join("docker")).env("DOCKER_HOST", docker.host())
    }

    /// The subcommands that were let through.
    pub fn calls(&self) -> anyhow::Result<Vec<String>> {
        self.lines("calls")
    }

    /// What was refused.
    pub fn refused(&self) -> anyhow::Result<Vec<String>> {
        self.lines("refused")
    }

    fn lines(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let path = self.folder.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| format!("failed to read `{}`", path.display())),
        }
    }
}
