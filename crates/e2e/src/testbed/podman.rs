//! podman with a storage of its own.

use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, bail};
use fmtk::terminal::interrupt;

use super::{
    Engine, Invocation, Log,
    engine::PLATFORM,
    files::{folder, script},
    requirements::on_path,
};

#[derive(Debug)]
pub struct Podman {
    log: Log,
    folder: PathBuf,
    /// Flags that name its storage.
    storage: Vec<String>,
    /// The flags before `run` and the options behind it that work here.
    works: OnceCell<[&'static [&'static str]; 2]>,
}

impl Podman {
    /// podman that keeps everything in `folder`, with the first storage driver that works there.
    pub fn open(log: &Log, place: &Path) -> anyhow::Result<Self> {
        folder(place)?;
        // overlay does not work on top of overlay, as in many CI containers; vfs works everywhere and is slow.
        for driver in [&[][..], &["--storage-driver", "vfs"]] {
            let at = |name: &str| place.join(name).display().to_string();
            let mut storage = vec!["--root".to_owned(), at("root"), "--runroot".to_owned(), at("run")];
            storage.extend(driver.iter().map(|word| (*word).to_owned()));
            let podman = Self { log: log.clone(), folder: place.to_owned(), storage, works: OnceCell::new() };
            if podman.command().arg("info").finish()?.status.success() {
                let storage = podman.storage.clone();
                interrupt::before_end(Arc::new(move || remove_containers(&storage)));
                return Ok(podman);
            }
        }
        bail!("podman can use neither its usual storage nor vfs in `{}`", place.display())
    }

    /// Has a program that calls podman by itself use this storage: it finds a podman that is told so by flags.
    /// `CONTAINERS_STORAGE_CONF` would do, but what podman 4.3 runs at a container's end is not told of it, and every wait
    /// for one then takes 20 s.
    pub fn as_the_users(&self, command: Invocation) -> anyhow::Result<Invocation> {
        let bin = self.folder.join("bin");
        // podman remembers whether it was told the driver, and wants to be told the same again.
        let (podman, storage) = (on_path("podman")?, self.storage.join("' '"));
        script(&bin.join("podman"), &format!("#!/bin/sh\nexec '{}' '{storage}' \"$@\"\n", podman.display()))?;
        Ok(command.path_first(&bin))
    }

    fn with(&self, flags: &[&str]) -> Invocation {
        self.log.command("podman").args(&self.storage).args(flags)
    }
}

/// Ends what runs in a storage, whoever started it; podman has no daemon that would end with us.
fn remove_containers(storage: &[String]) {
    let rm = ["rm", "--all", "--force", "--time", "0"];
    // At the very end there is nobody to tell of a failure.
    let _ = Command::new("podman").args(storage).args(rm).stdin(Stdio::null()).output();
}

impl Engine for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn command(&self) -> Invocation {
        self.with(self.works.get().map_or(&[], |[flags, _]| flags))
    }

    fn run_options(&self, image: &str) -> anyhow::Result<Vec<String>> {
        // Root without CAP_SYS_RESOURCE may not raise limits; crun refuses a mix of cgroup versions that runc takes.
        const NONE: &[&str] = &[];
        const LIMITS: &[&str] = &["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"];
        const RUNC: &[&str] = &["--runtime", "runc"];
        let mut failure = None;
        for [flags, options] in [[NONE, NONE], [NONE, LIMITS], [RUNC, NONE], [RUNC, LIMITS]] {
            if self.works.get().is_none() {
                let run = self.with(flags).words("run --rm --network none --platform").arg(PLATFORM).args(options);
                match run.args([image, "/bin/true"]).run() {
                    Ok(_) => drop(self.works.set([flags, options])),
                    Err(error) => failure = Some(error),
                }
            }
        }
        match (self.works.get(), failure) {
            (Some([_, options]), _) => Ok(options.iter().map(|option| (*option).to_owned()).collect()),
            (None, failure) => Err(failure.context("podman was not tried")?)
                .context("podman cannot run an arm64 program in any way known here"),
        }
    }

    fn pull(&self, image: &str, login: &Path) -> anyhow::Result<()> {
        let pull = self.command().words("pull --quiet --tls-verify=false --platform").arg(PLATFORM).arg("--authfile");
        pull.arg(login.join("config.json")).arg(image).run().map(drop)
    }
}
