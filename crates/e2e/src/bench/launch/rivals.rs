//! Who is measured: our launcher, the relative of the vendor's on PyPI, and torchrun where it is asked for.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use fmtk::resolve::place;
use serde_json::json;

use super::RANKS;
use crate::{
    bench::meter::Meter,
    testbed::{self, Invocation, Log, RELATIVE, Workplace, unpack_relative_launcher},
};

/// This server in a rank table.
const INSTANCE: &str = "job-x-0";
/// Marks every process of a run in its environment.
pub const MARK: &str = "FMTK_BENCH_RUN";

/// Who launches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    /// `fmtk-launch`.
    Ours,
    /// The relative of the vendor's.
    Vendor,
    /// PyTorch's.
    Torchrun,
}

/// Everything that a measurement needs.
#[derive(Debug)]
pub struct Rivals {
    /// How often each figure is measured.
    pub rounds: usize,
    /// Where output goes.
    pub log: Log,
    /// The clock, and the ranks.
    pub meter: Meter,
    /// For files of the measurements.
    pub workplace: Workplace,
    /// `fmtk-launch` for this machine, and for aarch64.
    pub program: PathBuf,
    /// For aarch64.
    pub arm64: PathBuf,
    torch: Option<PathBuf>,
}

impl Rivals {
    /// Builds and fetches.
    pub fn new(rounds: usize, torchrun: bool) -> anyhow::Result<Self> {
        let workplace = Workplace::new()?;
        let log = Log::create(&place::workspace().join("target/bench"), "launch")?;
        log.say(&format!("setting up: meter, programs, {RELATIVE}"));
        let meter = Meter::build(&log, workplace.path())?;
        let program = build(&log, &format!("{}-unknown-linux-musl", std::env::consts::ARCH))?;
        let arm64 = build(&log, "aarch64-unknown-linux-musl")?;
        unpack_relative_launcher(&log, workplace.path())?;
        write_table(&workplace.path().join("table"), 1)?;
        let torch = torchrun.then(|| workplace.path().join("torch"));
        if let Some(folder) = &torch {
            let index = "https://download.pytorch.org/whl/cpu";
            let pip =
                ["-m", "pip", "install", "--quiet", "--only-binary=:all:", "torch", "--index-url", index, "--target"];
            log.command("python3").args(pip).arg(folder).run()?;
        }
        Ok(Self { rounds, log, meter, workplace, program, arm64, torch })
    }

    /// All that are measured.
    pub fn all(&self) -> Vec<Launcher> {
        let torch = self.torch.as_ref().map(|_| Launcher::Torchrun);
        [Launcher::Ours, Launcher::Vendor].into_iter().chain(torch).collect()
    }

    /// A folder of this name, made anew.
    pub fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.workplace.fresh(name)
    }

    /// A launcher of eight ranks of `command`, whose logs go to the second one: a folder that is made anew.
    pub fn launch(
        &self,
        launcher: Launcher,
        flags: &[&str],
        command: &[&str],
    ) -> anyhow::Result<(Invocation<'_>, PathBuf)> {
        let mount = self.fresh(&format!("mount-{launcher:?}"))?;
        let logs = mount.join("log");
        fs::create_dir(&logs).with_context(|| format!("failed to create folder `{}`", logs.display()))?;
        let launch = match launcher {
            Launcher::Ours => self.log.command(&self.program).args(["run", "--devices", "0-7", "--log-dir"]).arg(&logs),
            Launcher::Vendor => self.python().args(["-m", "davincirunsdk.davincirun"]),
            Launcher::Torchrun => {
                let torch = self.torch.clone().unwrap_or_default();
                let run = self.log.command("python3").env("PYTHONPATH", torch).args(["-m", "torch.distributed.run"]);
                run.args(["--standalone", "--no-python", "--nproc-per-node", "8"])
            }
        };
        let flags = if launcher == Launcher::Ours { flags } else { &[] };
        let mut launch = launch.args(flags).args(command);
        for name in
            ["RANK_TABLE_FILE", "RANK_TABLE_FILE_V_1_0", "MA_VJ_NAME", "MA_HOME", "BATCH_TASK_LOG_PATH", "RANK_ID"]
        {
            launch = launch.env_remove(name);
        }
        let launch = launch.env("BATCH_JOB_ID", "bench").env("MA_CURRENT_INSTANCE_NAME", INSTANCE);
        let launch = launch.env("RANK_TABLE_FILE", self.workplace.path().join("table"));
        Ok((launch.env("MA_MOUNT_PATH", mount).env(MARK, launcher.mark()), logs))
    }

    /// Python that finds the relative.
    pub fn python(&self) -> Invocation<'_> {
        self.log.command("python3").env("PYTHONPATH", self.workplace.path())
    }

    /// The meter's path, for ranks.
    pub fn rank(&self) -> String {
        self.meter.program().display().to_string()
    }
}

impl Launcher {
    /// What is after [`MARK`]: of this process alone, so that other runs are never taken for this one's.
    pub fn mark(self) -> String {
        format!("{self:?}-{}", std::process::id())
    }

    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Vendor => "vendor's",
            Self::Torchrun => "torchrun",
        }
    }
}

fn build(log: &Log, target: &str) -> anyhow::Result<PathBuf> {
    let folder = place::workspace().join("target/native");
    log.command("cargo")
        .args(["build", "--quiet", "--locked", "--profile", "artifact", "--package", "launcher", "--target", target])
        .arg("--target-dir")
        .arg(&folder)
        .dir(&place::workspace())
        .run()
        .with_context(|| format!("failed to build fmtk-launch for `{target}`"))?;
    Ok(folder.join(target).join("artifact/fmtk-launch"))
}

/// Writes a rank table (v0) of so many servers into a folder.
pub fn write_table(folder: &Path, servers: usize) -> anyhow::Result<PathBuf> {
    let instance = |server: usize| {
        let (high, low) = (server / 250, server % 250);
        let device = |device: usize| json!({ "device_id": device.to_string(), "device_ip": format!("10.{}.{low}.{high}", device + 1) });
        json!({
            "pod_name": format!("job-x-{server}"),
            "server_id": format!("192.168.{high}.{low}"),
            "devices": (0..RANKS).map(device).collect::<Vec<_>>(),
        })
    };
    let group = json!({
        "group_name": "job",
        "device_count": (RANKS * servers).to_string(),
        "instance_count": servers.to_string(),
        "instance_list": (0..servers).map(instance).collect::<Vec<_>>(),
    });
    let table = json!({ "status": "completed", "group_count": "1", "group_list": [group] });
    testbed::folder(folder)?;
    let path = folder.join("jobstart_hccl.json");
    testbed::write(&path, table.to_string())?;
    Ok(path)
}
