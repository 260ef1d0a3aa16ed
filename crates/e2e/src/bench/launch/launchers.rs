//! Who is measured: our launcher, the relative of the vendor's on PyPI, and torchrun where it is asked for.

use std::{
    fmt::Debug,
    path::{Path, PathBuf},
};

use anyhow::Context;
use fmtk::resolve::place;

use super::RANKS;
use crate::{
    bench::rounds::Bench,
    testbed::{Invocation, folder, pip, rank_table, unpack_relative_launcher, write},
};

/// Our values, and those of the others by their names.
pub type Beside<T> = (Vec<T>, Vec<(&'static str, Vec<T>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launcher {
    Ours,
    /// The relative of the vendor's.
    Vendor,
    Torchrun,
}

#[derive(Debug)]
pub struct Launchers {
    /// The clock, and the ranks.
    pub bench: Bench,
    /// `fmtk-launch` for this machine.
    pub program: PathBuf,
    pub arm64: PathBuf,
    torch: Option<PathBuf>,
}

impl Launchers {
    pub fn new(bench: Bench, torchrun: bool) -> anyhow::Result<Self> {
        let program = build(&bench, &format!("{}-unknown-linux-musl", std::env::consts::ARCH))?;
        let arm64 = build(&bench, "aarch64-unknown-linux-musl")?;
        unpack_relative_launcher(&bench.log, &bench.path(""))?;
        write_table(&bench.path("table"), 1)?;
        let torch = torchrun.then(|| bench.path("torch"));
        if let Some(folder) = &torch {
            let index = "https://download.pytorch.org/whl/cpu";
            pip(&bench.log, "install").args(["torch", "--index-url", index, "--target"]).arg(folder).run()?;
        }
        Ok(Self { bench, program, arm64, torch })
    }

    /// All that are measured, ours first.
    pub fn all(&self) -> Vec<Launcher> {
        let torch = self.torch.as_ref().map(|_| Launcher::Torchrun);
        [Launcher::Ours, Launcher::Vendor].into_iter().chain(torch).collect()
    }

    /// Has each of them measured in turn, round by round.
    pub fn in_turns<T: Debug>(
        &self,
        figure: &str,
        mut measure: impl FnMut(Launcher) -> anyhow::Result<T>,
    ) -> anyhow::Result<Beside<T>> {
        let who = self.all();
        let mut all = self.bench.in_turns_of(figure, &who, |who, _| measure(who))?.into_iter();
        let ours = all.next().context("nobody was measured")?;
        Ok((ours, who[1..].iter().map(|other| other.name()).zip(all).collect()))
    }

    /// A launcher of eight ranks of `command`, whose logs go to the second one: a folder that is made anew.
    pub fn launch(
        &self,
        launcher: Launcher,
        flags: &[&str],
        command: &[&str],
    ) -> anyhow::Result<(Invocation, PathBuf)> {
        let mount = self.bench.fresh(&format!("mount-{launcher:?}"))?;
        let logs = mount.join("log");
        folder(&logs)?;
        let launch = match launcher {
            Launcher::Ours => {
                let run = self.bench.command(&self.program).words("run --devices 0-7 --log-dir");
                run.arg(&logs).args(flags)
            }
            Launcher::Vendor => self.python().args(["-m", "davincirunsdk.davincirun"]),
            Launcher::Torchrun => {
                let torch = self.torch.clone().unwrap_or_default();
                let run = self.bench.command("python3").env("PYTHONPATH", torch);
                run.words("-m torch.distributed.run --standalone --no-python --nproc-per-node 8")
            }
        };
        let others = ["RANK_TABLE_FILE_V_1_0", "MA_VJ_NAME", "MA_HOME", "BATCH_TASK_LOG_PATH", "RANK_ID"];
        let launch = launch.args(command).without(&others).env("RANK_TABLE_FILE", self.bench.path("table"));
        let launch = launch.env("BATCH_JOB_ID", "bench").env("MA_CURRENT_INSTANCE_NAME", "job-x-0");
        let mark = launcher.mark();
        let (name, value) = mark.split_once('=').context("a mark without a value")?;
        Ok((launch.env("MA_MOUNT_PATH", mount).env(name, value), logs))
    }

    /// Python that finds the relative.
    pub fn python(&self) -> Invocation {
        self.bench.command("python3").env("PYTHONPATH", self.bench.path(""))
    }

    /// The meter's path, for ranks.
    pub fn rank(&self) -> String {
        self.bench.meter.program.display().to_string()
    }
}

impl Launcher {
    /// What marks every process of its runs in its environment: of this process alone, so that other runs are never taken
    /// for this one's.
    pub fn mark(self) -> String {
        format!("FMTK_BENCH_RUN={self:?}-{}", std::process::id())
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

fn build(bench: &Bench, target: &str) -> anyhow::Result<PathBuf> {
    let folder = place::workspace().join("target/native");
    let build = bench.command("cargo").words("build --quiet --locked --profile artifact --package launcher --target");
    let build = build.arg(target).arg("--target-dir").arg(&folder).dir(&place::workspace());
    build.run().with_context(|| format!("failed to build fmtk-launch for `{target}`"))?;
    Ok(folder.join(target).join("artifact/fmtk-launch"))
}

/// Writes a rank table (v0) of so many servers into a folder.
pub fn write_table(folder: &Path, servers: usize) -> anyhow::Result<PathBuf> {
    let names = |server: usize| (format!("job-x-{server}"), format!("192.168.{}.{}", server / 250, server % 250));
    let names: Vec<(String, String)> = (0..servers).map(names).collect();
    let devices: Vec<u32> = (0..RANKS as u32).collect();
    let instances: Vec<(&str, &str, &[u32])> =
        names.iter().map(|(pod, server)| (pod.as_str(), server.as_str(), &devices[..])).collect();
    let path = folder.join(rank_table::TABLE);
    write(&path, rank_table::v0(&instances).to_string())?;
    Ok(path)
}
