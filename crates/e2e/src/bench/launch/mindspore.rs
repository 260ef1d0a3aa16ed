//! MindSpore's ranks under our launcher beside the same under `msrun`: a failure, and the start.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, ensure};

use super::launchers::Launchers;
use crate::{
    bench::row::{Bar, Row, Unit},
    testbed::{Family, Invocation, data, free_port, mindspore, name, paths, read},
};

const WHO: [Who; 2] = [Who::Ours, Who::Msrun];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Ours,
    Msrun,
}

pub fn run(launchers: &Launchers) -> anyhow::Result<Vec<Row>> {
    let machine = Machine { launchers, programs: mindspore(&launchers.bench.log)? };
    let mut rows = machine.failures()?;
    rows.extend(machine.starts()?);
    Ok(rows)
}

struct Machine<'l> {
    launchers: &'l Launchers,
    /// Folder of `python` and `msrun`.
    programs: PathBuf,
}

/// How a job ended of which a rank had failed.
#[derive(Debug)]
struct Ending {
    /// From the rank's exit to the launcher's.
    seconds: f64,
    code: i32,
    /// Processes of the job that the launcher had not waited for.
    left: usize,
}

/// Seconds from the call of the launcher, or of the first of two.
#[derive(Debug)]
struct Start {
    /// To the first line of the rank that comes to it last.
    to_line: f64,
    /// To the first sum of the rank that comes to it last.
    to_sum: f64,
}

impl Machine<'_> {
    fn failures(&self) -> anyhow::Result<Vec<Row>> {
        let figure = "one of 2 MindSpore ranks fails, launcher gone";
        let [ours, msrun] = self.launchers.bench.in_turns(figure, WHO, |who, _| self.failure(who))?;
        let codes = ours.iter().map(|it| it.code).collect::<Vec<_>>();
        ensure!(codes.iter().all(|code| *code == 7), "the rank ended with 7, the launcher with {codes:?}");
        let seconds = |of: &[Ending]| of.iter().map(|it| it.seconds).collect::<Vec<_>>();
        let worst = |of: &[Ending], what: fn(&Ending) -> f64| of.iter().map(what).fold(0.0, f64::max);
        let count = |figure: &str, what: fn(&Ending) -> f64, bar| {
            Row::beside(figure, worst(&ours, what), "msrun", worst(&msrun, what), Unit::Count, bar)
        };
        Ok(vec![
            Row::timed(figure, &seconds(&ours), "msrun", &seconds(&msrun), Bar::Faster(100.0)),
            count("its exit code, where the rank's is 7", |it| f64::from(it.code), Bar::None),
            count("processes left by then, scheduler included", |it| it.left as f64, Bar::AtMost(0.0)),
        ])
    }

    /// What the launchers themselves take is all until the ranks' Python runs: the rest of a start is the framework's.
    fn starts(&self) -> anyhow::Result<Vec<Row>> {
        let figure = "2 × 2 MindSpore ranks (msrun: 1 × 4)";
        let [ours, msrun] = self.launchers.bench.in_turns(figure, WHO, |who, _| self.start(who))?;
        let row = |figure: String, what: fn(&Start) -> f64, bar| {
            let of = |starts: &[Start]| starts.iter().map(what).collect::<Vec<_>>();
            Row::timed(&figure, &of(&ours), "msrun", &of(&msrun), bar)
        };
        Ok(vec![
            row(format!("{figure}, call to the last rank's first line"), |it| it.to_line, Bar::Faster(2.0)),
            row("call to the last rank's first all-reduce".to_owned(), |it| it.to_sum, Bar::None),
        ])
    }

    fn failure(&self, who: Who) -> anyhow::Result<Ending> {
        let stamps = self.launchers.bench.fresh("stamps")?;
        let command = match who {
            Who::Ours => self.ours("--devices 0-1", "0")?,
            Who::Msrun => self.msrun(2)?,
        };
        let command = self.rank(command, &stamps).env("FAILS", "1");
        let (measure, finished) = self.launchers.bench.measure_any(command)?;
        let left = Family::of(&mark())?;
        left.kill();
        let failed = last_of(&stamps, "failure", 1)?;
        let code = finished.status.code().with_context(|| format!("the launcher ended with {}", finished.status))?;
        let seconds = measure.ended.saturating_sub(failed) as f64 / 1e9;
        Ok(Ending { seconds, code, left: left.ranks.len() + left.own.len() })
    }

    fn start(&self, who: Who) -> anyhow::Result<Start> {
        let stamps = self.launchers.bench.fresh("stamps")?;
        let commands = match who {
            Who::Ours => {
                let master = free_port()?;
                let flags = |node| format!("--devices 0-1 --nnodes 2 --node-rank {node} --master {master}");
                vec![self.ours(&flags("0"), "0")?, self.ours(&flags("1"), "1")?]
            }
            Who::Msrun => vec![self.msrun(4)?],
        };
        let called = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_nanos();
        let started = commands.into_iter().map(|command| self.rank(command, &stamps).spawn());
        for mut child in started.collect::<anyhow::Result<Vec<_>>>()? {
            let status = child.wait().context("failed to wait for the launcher")?;
            ensure!(status.success(), "the launcher ended with {status}");
        }
        let to = |what| Ok::<_, anyhow::Error>(last_of(&stamps, what, 4)?.saturating_sub(called) as f64 / 1e9);
        Ok(Start { to_line: to("line")?, to_sum: to("sum")? })
    }

    /// Our launcher of a rank that follows.
    fn ours(&self, flags: &str, node: &str) -> anyhow::Result<Invocation> {
        let logs = self.launchers.bench.fresh(&format!("mindspore-{node}"))?;
        let run = self.launchers.bench.command(&self.launchers.program).words("run --log-dir").arg(logs);
        Ok(run.words(flags).words("-- python"))
    }

    /// The same of `msrun` on one node: two of its nodes can't share a machine.
    fn msrun(&self, ranks: usize) -> anyhow::Result<Invocation> {
        let (logs, port) = (self.launchers.bench.fresh("msrun")?, free_port()?.port());
        let run = self.launchers.bench.command(self.programs.join("msrun")).words("--join=True");
        let run = run.arg(format!("--worker_num={ranks}")).arg(format!("--local_worker_num={ranks}"));
        Ok(run.arg(format!("--master_port={port}")).arg(format!("--log_dir={}", logs.display())))
    }

    /// The launcher's command with the rank, and what both find in their environment.
    fn rank(&self, launcher: Invocation, stamps: &Path) -> Invocation {
        let mark = mark();
        let (name, value) = mark.split_once('=').unwrap_or_default();
        let command = launcher.arg(data("mindspore_train.py")).path_first(&self.programs);
        command.env("BATCH_JOB_ID", "bench").env("STAMPS", stamps).env(name, value).dir(stamps)
    }
}

/// In the environment of all processes of a job, of this run alone.
fn mark() -> String {
    format!("FMTK_BENCH_MINDSPORE={}", std::process::id())
}

/// The last of the times that so many ranks noted, nanoseconds since 1970.
fn last_of(stamps: &Path, what: &str, ranks: usize) -> anyhow::Result<u128> {
    let files: Vec<PathBuf> = paths(stamps)?.into_iter().filter(|path| name(path).starts_with(what)).collect();
    ensure!(files.len() == ranks, "{} ranks of {ranks} noted `{what}`", files.len());
    let times = files.iter().map(|file| read(file)?.parse::<u128>().context("a stamp is not a number"));
    times.collect::<anyhow::Result<Vec<_>>>()?.into_iter().max().context("nobody noted anything")
}
