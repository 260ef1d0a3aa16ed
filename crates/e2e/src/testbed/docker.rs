//! A docker daemon of our own: it shares no image, no setting and no socket with one that may run on the machine.

use std::path::{Path, PathBuf};

use super::{Engine, Invocation, Log, daemon::Daemon, files};

/// A running daemon.
#[derive(Debug)]
pub struct Docker {
    daemon: Daemon,
    socket: String,
    config: PathBuf,
}

impl Docker {
    /// Starts one that keeps everything in `folder`. With `go_gzip` it inflates by itself though unpigz is installed.
    pub fn start(log: &Log, folder: &Path, go_gzip: bool) -> anyhow::Result<Self> {
        Self::start_with(log, folder, go_gzip, "{}")
    }

    /// The same with this text as its `daemon.json`.
    pub fn start_with(log: &Log, folder: &Path, go_gzip: bool, settings: &str) -> anyhow::Result<Self> {
        let config = folder.join("client");
        files::folder(&config)?;
        let place = |name: &str| folder.join(name).display().to_string();
        let socket = format!("unix://{}", place("docker.sock"));
        let arguments = [
            "--data-root".to_owned(),
            place("data"),
            "--exec-root".to_owned(),
            place("exec"),
            "--pidfile".to_owned(),
            place("docker.pid"),
            // A file of settings of its own, so that those of the machine are not read.
            "--config-file".to_owned(),
            place("daemon.json"),
            "--host".to_owned(),
            socket.clone(),
            // No container here has a network, and the machine's firewall is not ours to change.
            "--bridge=none".to_owned(),
            "--iptables=false".to_owned(),
            "--ip6tables=false".to_owned(),
        ];
        files::write(&folder.join("daemon.json"), settings)?;
        let env: &[(&str, &str)] = if go_gzip { &[("MOBY_DISABLE_PIGZ", "1")] } else { &[] };
        let daemon = Daemon::start("dockerd", &arguments, env, log.beside("dockerd")?)?;
        let mut docker = Self { daemon, socket, config };
        let quiet = Log::create(folder, "docker-wait")?;
        let (socket, config) = (docker.socket.clone(), docker.config.clone());
        docker.daemon.wait_until(|| client(&quiet, &socket, &config).arg("info").run().is_ok())?;
        Ok(docker)
    }

    /// Its command line with credentials of another folder.
    pub fn command_as<'a>(&self, log: &'a Log, login: &Path) -> Invocation<'a> {
        client(log, &self.socket, login)
    }

    /// Where it listens, as `DOCKER_HOST` wants it.
    pub fn host(&self) -> &str {
        &self.socket
    }
}

fn client<'a>(log: &'a Log, socket: &str, config: &Path) -> Invocation<'a> {
    // By variable: a context of the user's own configuration must not win.
    log.command("docker").env("DOCKER_HOST", socket).env("DOCKER_CONFIG", config).env_remove("DOCKER_CONTEXT")
}

impl Engine for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn command<'a>(&self, log: &'a Log) -> Invocation<'a> {
        client(log, &self.socket, &self.config)
    }

    fn run_options(&self, _log: &Log, _image: &str) -> anyhow::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn pull(&self, log: &Log, image: &str, login: &Path) -> anyhow::Result<()> {
        self.command_as(log, login).args(["pull", "--platform", super::engine::PLATFORM, image]).run()?;
        Ok(())
    }
}
