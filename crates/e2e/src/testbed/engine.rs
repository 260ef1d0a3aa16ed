//! What docker and podman have in common: pull, run and export images for arm64.

use std::path::Path;

use anyhow::Context;

use super::{Invocation, Snapshot};

pub const PLATFORM: &str = "linux/arm64";
/// A `DOCKER_HOST` where no engine answers.
pub const NOWHERE: &str = "unix:///nowhere";

pub trait Engine {
    fn name(&self) -> &'static str;

    fn command(&self) -> Invocation;

    /// Options that `run` needs on this machine; `image` serves to find out.
    fn run_options(&self, image: &str) -> anyhow::Result<Vec<String>>;

    /// Fetches an image from a registry on loopback, with the credentials in the folder `login`.
    fn pull(&self, image: &str, login: &Path) -> anyhow::Result<()>;

    /// A program about to be run in the image, without a network.
    fn container(&self, image: &str, options: &[&str], program: &[&str]) -> anyhow::Result<Invocation> {
        let run = self.command().words("run --rm --network none --platform").arg(PLATFORM);
        Ok(run.args(self.run_options(image)?).args(options).arg(image).args(program))
    }

    /// What a program that has to succeed prints in the image.
    fn printed(&self, image: &str, program: &[&str]) -> anyhow::Result<String> {
        Ok(self.container(image, &[], program)?.run()?.text().to_owned())
    }

    /// A container of the image that does not run; its id.
    fn create(&self, image: &str) -> anyhow::Result<String> {
        let create = self.command().words("create --network none --platform").args([PLATFORM, image, "/bin/true"]);
        Ok(create.run()?.text().lines().last().unwrap_or_default().to_owned())
    }

    /// All files of the image as a container of it sees them, but those that an engine puts into every container.
    fn files(&self, image: &str) -> anyhow::Result<Snapshot> {
        let container = self.create(image)?;
        let snapshot = self.container_files(&container);
        self.command().args(["rm", &container]).run()?;
        snapshot
    }

    /// The same of a container that is there already.
    fn container_files(&self, container: &str) -> anyhow::Result<Snapshot> {
        let snapshot = self.command().args(["export", container]).read_by(Snapshot::read)?;
        Ok(snapshot.without_the_engines_own())
    }

    /// Loads an archive; the name of the image in it.
    fn load(&self, archive: &Path) -> anyhow::Result<String> {
        let loaded = self.command().words("load --input").arg(archive).run()?;
        let name = loaded.stdout.lines().find_map(|line| line.strip_prefix("Loaded image: "));
        Ok(name.with_context(|| format!("{} loaded no image with a name", self.name()))?.trim().to_owned())
    }

    /// What `image inspect` says by a template.
    fn inspect(&self, image: &str, template: &str) -> anyhow::Result<serde_json::Value> {
        self.command().args(["image", "inspect", "--format", &format!("{{{{json {template}}}}}"), image]).run()?.json()
    }
}
