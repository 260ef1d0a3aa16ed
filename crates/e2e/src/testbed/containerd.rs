//! containerd with folders and a socket of its own; `ctr` is its client.

use std::path::Path;

use anyhow::Context;

use super::{
    Invocation, Log,
    daemon::Daemon,
    engine::PLATFORM,
    files::{folder, write},
};

#[derive(Debug)]
pub struct Containerd {
    log: Log,
    daemon: Daemon,
    socket: String,
}

impl Containerd {
    /// Starts one that keeps everything in `place`.
    pub fn start(log: &Log, place: &Path) -> anyhow::Result<Self> {
        folder(place)?;
        let at = |name: &str| place.join(name).display().to_string();
        let (config, socket) = (at("config.toml"), at("c.sock"));
        // Without the part for Kubernetes, which wants a network.
        let text = format!(
            "version = 2\nroot = '{}'\nstate = '{}'\ndisabled_plugins = ['io.containerd.grpc.v1.cri']\n[grpc]\naddress = '{socket}'\n\
             [ttrpc]\naddress = '{}'\n",
            at("root"),
            at("state"),
            at("t.sock"),
        );
        write(Path::new(&config), text)?;
        let arguments = ["--config".to_owned(), config];
        let daemon = Daemon::start("containerd", &arguments, &[], log.beside("containerd")?.1)?;
        let mut containerd = Self { log: log.clone(), daemon, socket };
        let quiet = Log::create(place, "containerd-wait")?;
        let socket = containerd.socket.clone();
        containerd.daemon.wait_until(|| ctr(&quiet, &socket).arg("version").run().is_ok())?;
        Ok(containerd)
    }

    /// Fetches all of an image for arm64, each blob checked, and removes it again. Nothing is unpacked: plain copies, which
    /// alone work on every file system, would be a whole image for each layer. The digest of its manifest.
    pub fn pull(&self, image: &str, options: &[String]) -> anyhow::Result<String> {
        let fetch = self.ctr().words("content fetch --platform").arg(PLATFORM);
        fetch.args(options).arg(image).run()?;
        let digest = self.digest(image)?;
        self.remove(image)?;
        Ok(digest)
    }

    /// Imports what an OCI layout has under this tag. The digest of its manifest.
    pub fn import(&self, layout: &Path, tag: &str) -> anyhow::Result<String> {
        let archive = layout.with_extension("tar");
        self.log.command("tar").arg("-C").arg(layout).arg("-cf").arg(&archive).arg(".").run()?;
        let import = self.ctr().words("images import --no-unpack --base-name layout --platform").arg(PLATFORM);
        import.arg(&archive).run()?;
        let image = format!("layout:{tag}");
        let digest = self.digest(&image)?;
        self.remove(&image)?;
        Ok(digest)
    }

    fn digest(&self, image: &str) -> anyhow::Result<String> {
        let listed = self.ctr().args(["images", "ls", &format!("name=={image}")]).run()?;
        let digest = listed.stdout.split_whitespace().find(|word| word.starts_with("sha256:"));
        Ok(digest.with_context(|| format!("containerd has no image `{image}`"))?.to_owned())
    }

    fn remove(&self, image: &str) -> anyhow::Result<()> {
        self.ctr().args(["images", "rm", "--sync", image]).run().map(drop)
    }

    fn ctr(&self) -> Invocation {
        ctr(&self.log, &self.socket)
    }
}

fn ctr(log: &Log, socket: &str) -> Invocation {
    log.command("ctr").args(["--address", socket])
}
