//! A docker daemon of our own: it shares no image, no setting and no socket with one that may run on the machine.

use std::path::{Path, PathBuf};

use super::{
    Engine, Invocation, Log,
    daemon::Daemon,
    engine::PLATFORM,
    files::{data, name, read, script, write},
    processes::cpu_seconds,
    requirements::on_path,
};

#[derive(Debug)]
pub struct Docker {
    log: Log,
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
        // A file of settings of its own, so that those of the machine are not read.
        write(&folder.join("daemon.json"), settings)?;
        let place = |name: &str| folder.join(name).display().to_string();
        let socket = format!("unix://{}", place("docker.sock"));
        let mut arguments = vec!["--host".to_owned(), socket.clone()];
        let kept =
            [("data-root", "data"), ("exec-root", "exec"), ("pidfile", "docker.pid"), ("config-file", "daemon.json")];
        arguments.extend(kept.iter().map(|(flag, name)| format!("--{flag}={}", place(name))));
        // No container here has a network, and the machine's firewall is not ours to change.
        arguments.extend(["--bridge=none", "--iptables=false", "--ip6tables=false"].map(str::to_owned));
        let env: &[(&str, &str)] = if go_gzip { &[("MOBY_DISABLE_PIGZ", "1")] } else { &[] };
        let (_, output) = log.beside(&format!("dockerd-in-{}", name(folder)))?;
        let daemon = Daemon::start("dockerd", &arguments, env, output)?;
        let mut docker = Self { log: log.clone(), daemon, socket, config };
        let quiet = Log::create(folder, "docker-wait")?;
        let client = |log: &Log| client(log, &docker.socket, &docker.config);
        docker.daemon.wait_until(|| client(&quiet).arg("info").run().is_ok())?;
        Ok(docker)
    }

    /// Its command line with credentials of another folder.
    pub fn command_as(&self, login: &Path) -> Invocation {
        client(&self.log, &self.socket, login)
    }

    /// Where it listens, as `DOCKER_HOST` wants it.
    pub fn host(&self) -> &str {
        &self.socket
    }

    /// CPU time so far of the daemon and its children, seconds.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(self.daemon.id())
    }

    /// Builds with the oldest builder that users have, whatever plugins this machine has.
    pub fn build(&self) -> Invocation {
        self.command().env("DOCKER_BUILDKIT", "0").arg("build")
    }
}

fn client(log: &Log, socket: &str, config: &Path) -> Invocation {
    // By variable: a context of the user's own configuration must not win.
    log.command("docker").env("DOCKER_HOST", socket).env("DOCKER_CONFIG", config).without(&["DOCKER_CONTEXT"])
}

impl Engine for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn command(&self) -> Invocation {
        self.command_as(&self.config)
    }

    fn run_options(&self, _image: &str) -> anyhow::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn pull(&self, image: &str, login: &Path) -> anyhow::Result<()> {
        self.command_as(login).args(["pull", "--platform", PLATFORM, image]).run().map(drop)
    }
}

/// Makes a folder with docker as users of old hosts have it: a program in front of the real one that takes what 18.09
/// takes and refuses the rest in its words. The daemon behind it is told to speak the protocol of that time, API 1.39.
/// The subcommands that it lets through are lines of `calls`, what it refuses lines of `refused`.
pub fn old_docker(folder: &Path) -> anyhow::Result<PathBuf> {
    let text = read(&data("old_docker.sh"))?.replace("@REAL@", &on_path("docker")?.to_string_lossy());
    script(&folder.join("docker"), &text.replace("@FOLDER@", &folder.to_string_lossy()))?;
    Ok(folder.to_owned())
}
