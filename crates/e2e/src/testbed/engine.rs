//! What docker and podman have in common: pull, run and export images for arm64.

use std::path::Path;

use anyhow::Context;

use super::{Finished, Invocation, Log, Snapshot};

/// The platform of every image here.
pub const PLATFORM: &str = "linux/arm64";

/// A container engine with a storage of its own.
pub trait Engine {
    /// `docker` or `podman`.
    fn name(&self) -> &'static str;

    /// Its command line, up to the subcommand.
    fn command<'a>(&self, log: &'a Log) -> Invocation<'a>;

    /// Options that `run` needs on this machine; `image` serves to find out.
    fn run_options(&self, log: &Log, image: &str) -> anyhow::Result<Vec<String>>;

    /// Fetches an image from a registry on loopback, with the credentials in the folder `login`.
    fn pull(&self, log: &Log, image: &str, login: &Path) -> anyhow::Result<()>;

    /// Runs a program in the image, without a network, and gives what it said however it ended.
    fn run(&self, log: &Log, image: &str, options: &[&str], program: &[&str]) -> anyhow::Result<Finished> {
        let needed = self.run_options(log, image)?;
        self.command(log)
            .args(["run", "--rm", "--network", "none", "--platform", PLATFORM])
            .args(needed)
            .args(options)
            .arg(image)
            .args(program)
            .finish()
    }

    /// All files of the image, as a container of it sees them.
    fn files(&self, log: &Log, image: &str) -> anyhow::Result<Snapshot> {
        let created = self
            .command(log)
            .args(["create", "--network", "none", "--platform", PLATFORM, image, "/bin/true"])
            .run()?;
        let container = created.text().lines().last().unwrap_or_default();
        let snapshot = self.container_files(log, container);
        self.command(log).args(["rm", container]).run()?;
        snapshot
    }

    /// All files of a container.
    fn container_files(&self, log: &Log, container: &str) -> anyhow::Result<Snapshot> {
        let mut child = self.command(log).args(["export", container]).stream()?;
        let stdout = child.stdout.take().context("no pipe from the engine")?;
        let snapshot = Snapshot::read(stdout);
        let status = child.wait().context("failed to wait for the engine")?;
        // First: where it was not read to its end, the engine fails too.
        let snapshot = snapshot.with_context(|| format!("`{} export` wrote no readable archive", self.name()))?;
        anyhow::ensure!(status.success(), "`{} export` ended with {status}", self.name());
        Ok(snapshot)
    }
}
