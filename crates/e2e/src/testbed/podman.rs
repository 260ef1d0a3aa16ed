//! podman with a storage of its own.

use std::{
    cell::OnceCell,
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::{Engine, Invocation, Log, engine::PLATFORM, files};

/// podman, told where to keep things.
#[derive(Debug)]
pub struct Podman {
    folder: PathBuf,
    driver: Option<&'static str>,
    run_options: OnceCell<(Option<&'static str>, Vec<String>)>,
}

impl Podman {
    /// podman that keeps everything in `folder`, with the first storage driver that works there.
    pub fn open(log: &Log, folder: &Path) -> anyhow::Result<Self> {
        files::folder(folder)?;
        let mut podman = Self { folder: folder.to_owned(), driver: None, run_options: OnceCell::new() };
        // overlay does not work on top of overlay, as in many CI containers; vfs works everywhere and is slow.
        for driver in [None, Some("vfs")] {
            podman.driver = driver;
            if podman.command(log).arg("info").finish()?.status.success() {
                return Ok(podman);
            }
        }
        bail!("podman can use neither its usual storage nor vfs in `{}`", folder.display())
    }

    /// Has a program that calls podman by itself use this storage: it finds a podman that is told so by flags.
    /// `CONTAINERS_STORAGE_CONF` would do, but what podman 4.3 runs at a container's end is not told of it, and every wait
    /// for one then takes 20 s.
    pub fn as_the_users<'a>(&self, command: Invocation<'a>) -> anyhow::Result<Invocation<'a>> {
        let path = env::var_os("PATH").unwrap_or_default();
        let podman = env::split_paths(&path).map(|folder| folder.join("podman")).find(|file| file.is_file());
        let podman = podman.context("podman is not on PATH")?;
        let place = |name: &str| self.folder.join(name).display().to_string();
        // podman remembers whether it was told the driver, and wants to be told the same again.
        let driver = self.driver.map(|driver| format!(" --storage-driver {driver}")).unwrap_or_default();
        let (podman, root, run) = (podman.display(), place("root"), place("run"));
        let text = format!("#!/bin/sh\nexec '{podman}' --root '{root}' --runroot '{run}'{driver} \"$@\"\n");
        let folder = self.folder.join("bin");
        files::folder(&folder)?;
        files::script(&folder.join("podman"), &text)?;
        let folders = env::join_paths([folder].into_iter().chain(env::split_paths(&path))).context("odd PATH")?;
        Ok(command.env("PATH", folders))
    }

    fn with_runtime<'a>(&self, log: &'a Log, runtime: Option<&str>) -> Invocation<'a> {
        let place = |name: &str| self.folder.join(name);
        let mut command = log.command("podman").arg("--root").arg(place("root")).arg("--runroot").arg(place("run"));
        if let Some(driver) = self.driver {
            command = command.args(["--storage-driver", driver]);
        }
        if let Some(runtime) = runtime {
            command = command.args(["--runtime", runtime]);
        }
        command
    }
}

impl Engine for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn command<'a>(&self, log: &'a Log) -> Invocation<'a> {
        self.with_runtime(log, self.run_options.get().and_then(|(runtime, _)| *runtime))
    }

    fn run_options(&self, log: &Log, image: &str) -> anyhow::Result<Vec<String>> {
        if let Some((_, options)) = self.run_options.get() {
            return Ok(options.clone());
        }
        // Root without CAP_SYS_RESOURCE may not raise limits; crun refuses a mix of cgroup versions that runc takes.
        let limits: &[&str] = &["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"];
        let mut failure = None;
        for (runtime, options) in [(None, &[][..]), (None, limits), (Some("runc"), &[]), (Some("runc"), limits)] {
            let tried = self
                .with_runtime(log, runtime)
                .args(["run", "--rm", "--network", "none", "--platform", PLATFORM])
                .args(options)
                .args([image, "/bin/true"])
                .run();
            match tried {
                Ok(_) => {
                    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
                    let _ = self.run_options.set((runtime, options.clone()));
                    return Ok(options);
                }
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.context("podman was not tried")?)
            .context("podman cannot run an arm64 program in any way known here")
    }

    fn pull(&self, log: &Log, image: &str, login: &Path) -> anyhow::Result<()> {
        self.command(log)
            .args(["pull", "--quiet", "--tls-verify=false", "--platform", PLATFORM])
            .arg("--authfile")
            .arg(login.join("config.json"))
            .arg(image)
            .run()?;
        Ok(())
    }
}
