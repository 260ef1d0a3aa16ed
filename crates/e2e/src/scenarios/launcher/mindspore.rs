//! The launcher and real ranks of MindSpore, which meet by its scheduler: by ours, and by `msrun` that ours has started.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use fmtk::resolve::tools;
use serde_json::Value;

use crate::{
    scenarios::world::World,
    testbed::{Family, Invocation, data, free_port, mindspore, names, read, read_json},
};

/// What every rank of four says of its model: the gradients of all of them were added up.
const LEARNED: &str = "loss 4.1935 to 0.0078, weights [2.8936, 1.0]";

/// Two nodes with two ranks each; two ranks of which one fails in the end, and two by `msrun`, which learn the same.
pub fn run(world: &World) -> anyhow::Result<()> {
    let machine = Machine {
        world,
        launcher: tools::own_launcher()?,
        programs: mindspore(&world.log)?,
        mark: format!("OUT={}", world.folder("mindspore")?.display()),
    };
    machine.two_nodes()?;
    let learned = machine.failure()?;
    machine.msrun(&learned)?;
    ensure!(Family::left_behind(&machine.mark)?.ranks.is_empty(), "ranks outlive their launcher");
    Ok(())
}

struct Machine<'w> {
    world: &'w World,
    launcher: PathBuf,
    /// Folder of `python` and `msrun`.
    programs: PathBuf,
    /// In the environment of all processes.
    mark: String,
}

impl Machine<'_> {
    /// `fmtk-launch run` with these flags, and logs in this folder.
    fn launcher(&self, logs: &Path, flags: &str) -> anyhow::Result<Invocation> {
        let (name, value) = self.mark.split_once('=').context("no mark")?;
        let command = self.world.command(&self.launcher).words("run --log-dir").arg(logs).words(flags);
        let command = command.path_first(&self.programs).env("BATCH_JOB_ID", "job").env(name, value);
        Ok(command.dir(&self.world.folder("mindspore")?))
    }

    fn logs(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.world.fresh(&format!("mindspore-{name}"))
    }

    fn two_nodes(&self) -> anyhow::Result<()> {
        let master = free_port()?;
        let logs = [self.logs("node-0")?, self.logs("node-1")?];
        let node = |index: usize| {
            let flags = format!("--devices 0-1 --nnodes 2 --node-rank {index} --master {master} -- python");
            Ok::<_, anyhow::Error>(self.launcher(&logs[index], &flags)?.arg(data("mindspore_train.py")))
        };
        let mut other = node(1)?.spawn()?;
        let first = node(0)?.finish()?;
        let other = other.wait().context("failed to wait for the second node")?;
        ensure!(first.status.success() && other.success(), "node 1 ended with {other}\n{}", first.unexpected());
        first.says(&["starting ranks 0-1 of 4", "framework mindspore (2.7 found in "])?;
        for (rank, device) in [(0, 0), (1, 1), (2, 0), (3, 1)] {
            let log = read(&logs[rank / 2].join(format!("job-proc-rank-{rank}-device-{device}.txt")))?;
            check(rank, 4, LEARNED, &log)?;
        }
        let reports = [0, 1].map(|node| read_json(&logs[node].join(format!("job-report-rank-{}.json", 2 * node))));
        let [first_report, other_report] = reports;
        let outcome = |report: &Value| report["attempts"][0]["scheduler"]["outcome"].clone();
        let outcomes = [outcome(&first_report?), outcome(&other_report?)];
        ensure!(outcomes == ["succeeded".into(), Value::Null], "the schedulers of the nodes: {outcomes:?}");
        self.world.say(format!("two nodes with two ranks each learned in {:.1} s", first.seconds));
        Ok(())
    }

    /// What the placeholders and the environment are to the real `msrun`, and that the ranks learn the same below it.
    fn msrun(&self, learned: &str) -> anyhow::Result<()> {
        let logs = self.logs("msrun")?;
        let words = "--per-node --devices 0-1 -- msrun --worker_num={world_size} --local_worker_num={nproc_per_node} \
                     --master_addr={master_addr} --master_port={master_port} --node_rank={node_rank} --join=True";
        // What `import mindspore` would take for the rank's, and what is another job's.
        let command = self.launcher(&logs, words)?.env("OMPI_COMM_WORLD_RANK", "0").env("RANK_TABLE_FILE", "/none");
        let command =
            command.arg(format!("--log_dir={}", logs.join("msrun").display())).arg(data("mindspore_train.py"));
        let done = command.run()?;
        ensure!(names(&logs)?.contains(&"job-command-node-0.txt".to_owned()), "the command has no log");
        for rank in 0..2 {
            check(rank, 2, learned, &read(&logs.join(format!("msrun/worker_{rank}.log")))?)?;
        }
        self.world.say(format!("two ranks of msrun learned the same in {:.1} s", done.seconds));
        Ok(())
    }

    /// The other rank waits for the one that failed, and the scheduler for both. Gives what both have learned before.
    fn failure(&self) -> anyhow::Result<String> {
        let logs = self.logs("failure")?;
        let command = self.launcher(&logs, "--devices 0-1 -- python")?.env("FAILS", "1");
        let failed = command.arg(data("mindspore_train.py")).fails(7)?;
        failed.says(&["stopping rank 0 and the scheduler by SIGTERM", "FAILED with exit code 7", "rank 1 (host "])?;
        let report = read_json(&logs.join("job-report-rank-0.json"))?;
        let attempt = &report["attempts"][0];
        let seconds = |value: &Value| value.as_f64().context("no time in the report");
        let took = seconds(&attempt["seconds"])? - seconds(&attempt["ranks"][1]["seconds"])?;
        ensure!(attempt["scheduler"]["outcome"] == "stopped", "the scheduler was not stopped: {attempt}");
        self.world.say(format!("{took:.2} s after a rank had failed nothing was left"));
        let log = read(&logs.join("job-proc-rank-0-device-0.txt"))?;
        let learned = log.lines().find(|line| line.starts_with("loss ")).context("rank 0 learned nothing")?;
        Ok(learned.to_owned())
    }
}

fn check(rank: usize, size: usize, learned: &str, log: &str) -> anyhow::Result<()> {
    let met = format!("rank {rank} of {size} added up to {}.0", size * (size + 1) / 2);
    ensure!(
        log.contains(&met) && log.contains(learned),
        "rank {rank} was expected to say `{met}` and `{learned}`:\n{log}"
    );
    Ok(())
}
