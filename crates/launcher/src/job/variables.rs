//! Every environment variable that the launcher has to do with: what it reads, what its ranks find, and the page of both.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;

use super::files::Folders;
use super::{Job, Lookup, Processes, Rank, is_rank};
use crate::exit;
use crate::options::{Framework, TaskRanks};

/// A variable of the launcher's own environment.
pub fn own(name: &str) -> Option<OsString> {
    debug_assert!(
        task_of_volcano(name).is_some() || VARIABLES.iter().any(|it| it.name == name),
        "`{name}` is not in the table"
    );
    env::var_os(name).filter(|it| !it.is_empty() && !is_of_outer(name, &own))
}

/// Where the ranks of an outer job meet, in the environment of one of them: each of its ranks may start a launcher, and their
/// jobs would all meet there.
const MEETING: [&str; 4] = ["MASTER_ADDR", "MASTER_PORT", "MS_SCHED_HOST", "MS_SCHED_PORT"];

fn is_of_outer(name: &str, lookup: Lookup) -> bool {
    MEETING.contains(&name) && is_rank(lookup)
}

/// The tasks of a Volcano job of which this environment has the nodes, in capitals as in `VC_<TASK>_NUM`.
pub fn volcano_tasks() -> Vec<String> {
    let set = env::vars_os().filter(|it| !it.1.is_empty());
    let tasks: BTreeSet<String> =
        set.filter_map(|(name, _)| Some(task_of_volcano(name.to_str()?)?.to_owned())).collect();
    tasks.into_iter().collect()
}

fn task_of_volcano(name: &str) -> Option<&str> {
    let task = name.strip_prefix("VC_")?;
    task.strip_suffix("_HOSTS").or_else(|| task.strip_suffix("_NUM"))
}

pub struct Variable {
    pub name: &'static str,
    /// What the launcher reads in it; empty where it reads nothing.
    read: &'static str,
    /// What its ranks find in it; empty where they find what the launcher was given.
    about: &'static str,
    /// What that is for a rank.
    value: fn(&RankContext<'_>) -> Value,
    finders: Finders,
}

/// Who finds a variable as [`Variable::value`] has it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finders {
    /// Ranks. A command that starts the ranks of its node finds none of these: of somebody else, they would mislead what it
    /// starts. What the vendor's scripts find of them is theirs to set.
    Ranks,
    /// Ranks, and a command that starts those of its node.
    Command,
    /// All of them, and the vendor's scripts.
    All,
}

/// What becomes of a variable in the environment of a rank.
enum Value {
    Unchanged,
    Removed,
    Is(OsString),
}

use Value::{Is, Removed, Unchanged};

#[derive(Clone, Copy)]
pub struct RankContext<'a> {
    pub job: &'a Job,
    pub rank: &'a Rank,
    pub folders: &'a Folders,
    /// Where the ranks are a task's.
    pub task: Option<TaskRanks>,
    /// MASTER_PORT.
    pub master_port: u16,
    /// Address of MindSpore's scheduler, where the ranks have one.
    pub scheduler_host: &'a str,
    /// How often the ranks have been started, this time included.
    pub attempt: u32,
    pub lookup: Lookup<'a>,
}

const fn read(name: &'static str, read: &'static str) -> Variable {
    Variable { name, read, about: "", value: |_| Unchanged, finders: Finders::All }
}

const fn set(
    name: &'static str,
    read: &'static str,
    about: &'static str,
    value: fn(&RankContext<'_>) -> Value,
) -> Variable {
    Variable { name, read, about, value, finders: Finders::Ranks }
}

const fn for_scripts(variable: Variable) -> Variable {
    Variable { finders: Finders::All, ..variable }
}

const fn for_command(variable: Variable) -> Variable {
    Variable { finders: Finders::Command, ..variable }
}

/// All of them: those that are only read, then those of a rank in the order in which `env` prints them.
const VARIABLES: &[Variable] = &[
    read("MA_CURRENT_INSTANCE_NAME", "`pod_name` of this server in a v0 table"),
    read("MA_CURRENT_HOST_IP", "`server_id` of this server in a rank table, or its `host_ip`"),
    read("VC_TASK_INDEX", "number of this server, from 0; a `task` with one that is not a number is refused"),
    read("VK_TASK_INDEX", "the same, where VC_TASK_INDEX is not set"),
    read("VC_WORKER_NUM", "number of servers, which has to be that of the rank table"),
    read("MA_NUM_HOSTS", "the same"),
    read("VC_WORKER_HOSTS", "names of the servers, between commas; the first is node 0"),
    read("VC_<TASK>_NUM", "the same as VC_WORKER_NUM, where the one task of a Volcano job has another name"),
    read("VC_<TASK>_HOSTS", "the same as VC_WORKER_HOSTS, likewise"),
    read("ROUTE_PLAN", "`true`: RANK_AFTER_ACC is the number of this server, in place of VC_TASK_INDEX"),
    read("RANK_AFTER_ACC", "see ROUTE_PLAN"),
    read(
        "MA_MASTER_INDEX",
        "with ROUTE_PLAN, node 0 is `<MA_VJ_NAME>-<MA_TASK_NAME>-<MA_MASTER_INDEX>.<MA_VJ_NAME>`, in place of the first of VC_WORKER_HOSTS",
    ),
    read("MA_TASK_NAME", "see MA_MASTER_INDEX"),
    read("MA_NUM_GPUS", "devices of this server, where neither a rank table nor `--devices` names them"),
    read("MS_LOCAL_WORKER", "as MA_NUM_GPUS"),
    read("SLURM_STEP_NUM_NODES", "number of servers"),
    read("SLURM_NNODES", "the same, where the former is not set"),
    read("SLURM_JOB_NUM_NODES", "the same, where neither is"),
    read("SLURM_NODEID", "number of this server"),
    read("SLURM_STEP_NODELIST", "names of the servers, in Slurm's short form; the first is node 0"),
    read("SLURM_JOB_NODELIST", "the same, where the former is not set"),
    read("SLURM_NODELIST", "the same, where neither is"),
    read("SLURMD_NODENAME", "name of this server in that list"),
    read("SLURM_LOCALID", "anything but 0 is refused: a launcher starts all ranks of its server"),
    read("SLURM_STEP_TASKS_PER_NODE", "anything but 1 is refused"),
    read("SLURM_NTASKS_PER_NODE", "the same among several servers, where the former is not set"),
    read(
        "SLURM_JOB_ID",
        "name of the job of several servers, as BATCH_JOB_ID, which comes before; without a step (SLURM_STEP_ID) such a job is \
         refused: its script runs on one alone",
    ),
    read("SLURM_STEP_ID", "see SLURM_JOB_ID"),
    read("SLURM_STEPID", "the same"),
    read("OMPI_COMM_WORLD_LOCAL_SIZE", "anything but 1 is refused: a launcher starts all ranks of its server"),
    read("PMI_SIZE", "more than 1 is refused, unless there are several servers by another variable or a flag"),
    read("PMI_RANK", "more than 0 likewise"),
    read(
        "ASCEND_RT_VISIBLE_DEVICES",
        "the devices that ranks see, numbered from 0 in this order: DEVICE_ID is the place in it; any other device is refused",
    ),
    read(
        "MA_VJ_NAME",
        "name of the job; with it a rank table is waited for, a minute where there is one server and not even the table's \
         folder exists",
    ),
    read("BATCH_JOB_ID", "name of the job in files of logs; comes before MA_VJ_NAME"),
    read(
        "KUBERNETES_SERVICE_HOST",
        "whether Kubernetes may be what stops the launcher, and whether MASTER_ADDR may be `localhost` in the first pod; OMPI_COMM_WORLD_SIZE, SLURM_JOB_ID, MA_VJ_NAME and \
         VC_TASK_INDEX say it of others, and come before",
    ),
    read(
        "MA_MOUNT_PATH",
        "the platform's folder, with `log` and `workspace` in it; two jobs in one container need one each",
    ),
    read(
        "TMPDIR",
        "where there is no /cache, this run has a folder of its own below it, `fmtk-<job>-<number>`, which is removed at the \
         end; without it below /tmp",
    ),
    read("PATH", "where programs are looked for"),
    read("PYTHONPATH", "where torch and mindspore are looked for first, to find out what ranks meet by"),
    read("NO_COLOR", "without colours on a terminal, too"),
    read("TERM", "`dumb` does the same"),
    read(
        "FMTK_LAUNCH_RANKS",
        "by `task` alone: `native` or `scripts`: who starts the ranks, unless `--ranks` says it; the image has it from \
         `launch.ranks` of the recipe",
    ),
    read("FMTK_SCRIPTS", "by `task` alone: folder of the vendor's scripts, in place of `/home/ma-user/ascend910`"),
    read(
        "FMTK_CACHE",
        "by `task` alone: folder for copies from and to object storage, in place of `/cache`; two tasks in one container \
         need one each",
    ),
    read("FMTK_STORAGE_HELPER", "by `task` alone: program that copies, in place of the image's Python and MoXing"),
    for_command(set(
        "JOB_ID",
        "by a launcher that a rank starts: the outer job's",
        "BATCH_JOB_ID, else MA_VJ_NAME with `ma-job` as `modelarts-job`; among several servers else `slurm-<SLURM_JOB_ID>` in a \
         step of Slurm, else `master-<name of node 0>`; else the host's name; `<JOB_ID>-in-rank-<RANK>` where a rank has \
         started the launcher, and the same with `-in-ranks` in place of that where its flags say that there are several \
         servers",
        |of| is(&of.job.id),
    )),
    set(
        "RANK_ID",
        "in a rank's own environment, what its folder for CANN's logs is called",
        "the rank in the job, from 0",
        |of| is(of.rank.rank),
    ),
    set("RANK_SIZE", "", "ranks of the whole job", |of| is(of.job.size)),
    set(
        "DEVICE_ID",
        "",
        "the driver's number of the rank's device, from 0: its place among those of this server by `device_id`, in whatever \
         order the table has them; of `--devices` the number itself; see ASCEND_RT_VISIBLE_DEVICES",
        |of| is(of.rank.device),
    ),
    set("ASCEND_DEVICE_ID", "", "the same", |of| is(of.rank.device)),
    set(
        "RANK_TABLE_FILE",
        "rank table, a file or its folder; without either it is `/user/config/jobstart_hccl.json`, or MindCluster's \
         `/user/serverid/devindex/config/hccl.json` if only that is there",
        "the rank table, a v0 one as a v1 file; not set where there is none, nor for `torch` and `mindspore`, unless \
         `--rank-table` names one: then a regular file that is behind no link",
        |of| of.folders.table.as_ref().map_or(Removed, |it| Is(it.into())),
    ),
    set(
        "RANK_TABLE_FILE_V_1_0",
        "the same; comes before RANK_TABLE_FILE",
        "stays only where the table was found by it",
        // In a rank's environment it would come first, and lead to another job's table.
        |of| match (of.lookup)("RANK_TABLE_FILE_V_1_0").filter(|it| of.is_given_table(Path::new(it))) {
            Some(named) => Is(named),
            None => Removed,
        },
    ),
    for_command(set("HCCL_CONNECT_TIMEOUT", "kept where it is set", "1800 seconds, unless it was set", |of| {
        of.set_or("HCCL_CONNECT_TIMEOUT", "1800")
    })),
    set(
        "ASCEND_PROCESS_LOG_PATH",
        "folder above the ranks' own ones for CANN's logs",
        "a folder of the rank's own: below the one that was set, else `<log folder>/<JOB_ID>/ascend/process_log`",
        |of| Is(of.folders.process_log(of.job, of.rank, of.lookup).into()),
    ),
    for_scripts(set(
        "MODEL_TASK_CWD",
        "by `run`: the code folder, unless `--code-dir` names it",
        "the code folder, which the rank is started in",
        |of| Is(of.folders.code.clone().into()),
    )),
    set(
        "RANK",
        "with WORLD_SIZE and MASTER_ADDR: number of this server; one of several without these is refused",
        "RANK_ID, for PyTorch",
        |of| is(of.rank.rank),
    ),
    set(
        "LOCAL_RANK",
        "one number: RANK is that of a rank, unless LOCAL_WORLD_SIZE is 1",
        "the rank's number on its server, from 0; DEVICE_ID where there is a rank table",
        |of| is(of.rank.local),
    ),
    set(
        "WORLD_SIZE",
        "number of servers, or their ranks where LOCAL_WORLD_SIZE or PET_NPROC_PER_NODE is set; see RANK",
        "RANK_SIZE, for PyTorch",
        |of| is(of.job.size),
    ),
    set("LOCAL_WORLD_SIZE", "as MA_NUM_GPUS; see WORLD_SIZE", "ranks of this server", |of| is(of.job.ranks.len())),
    set("GROUP_RANK", "", "of `torch` alone: number of this node, from 0", |of| of.torch(of.job.nodes.index)),
    set("GROUP_WORLD_SIZE", "", "of `torch` alone: number of nodes", |of| of.torch(of.job.nodes.count)),
    set("ROLE_RANK", "", "of `torch` alone: RANK", |of| of.torch(of.rank.rank)),
    set("ROLE_WORLD_SIZE", "", "of `torch` alone: WORLD_SIZE", |of| of.torch(of.job.size)),
    set(
        "TORCHELASTIC_RUN_ID",
        "set in the ranks of torchrun: a launcher that such a rank starts is a job of its own, whatever the cluster says",
        // `torch.distributed.is_torchelastic_launched` looks for it.
        "of `torch` alone: JOB_ID, by which libraries see that the ranks have been started for them",
        |of| of.torch(&of.job.id),
    ),
    set("TORCHELASTIC_RESTART_COUNT", "", "of `torch` alone: how often the ranks were started again", |of| {
        of.torch(of.attempt.saturating_sub(1))
    }),
    set(
        "TORCHELASTIC_USE_AGENT_STORE",
        "",
        // With it rank 0 expects that torchrun listens in its place.
        "not set",
        |_| Removed,
    ),
    set("MS_ROLE", "", "of `mindspore` alone: MS_WORKER; MS_SCHED in its scheduler", |of| of.mindspore("MS_WORKER")),
    set(
        "MS_WORKER_NUM",
        "ranks of the job; with MS_LOCAL_WORKER they tell the number of servers",
        "of `mindspore` alone: RANK_SIZE",
        |of| of.mindspore(of.job.size),
    ),
    set("MS_SCHED_HOST", "node 0", "of `mindspore` alone: address of node 0", |of| of.mindspore(of.scheduler_host)),
    set("MS_SCHED_PORT", "MASTER_PORT, where that is not set", "of `mindspore` alone: MASTER_PORT", |of| {
        of.mindspore(of.master_port)
    }),
    set("MS_NODE_ID", "", "of `mindspore` alone: RANK_ID; not set in its scheduler", |of| of.mindspore(of.rank.rank)),
    set("MS_NODE_RANK", "number of this server", "of `mindspore` alone: number of this node, from 0", |of| {
        of.mindspore(of.job.nodes.index)
    }),
    set(
        "MS_TOPO_TIMEOUT",
        "kept where it is set",
        "of `mindspore` alone: 600 seconds, unless it was set, in which all ranks have to have come",
        |of| match of.job.framework() {
            Framework::MindSpore => of.set_or("MS_TOPO_TIMEOUT", "600"),
            _ => Unchanged,
        },
    ),
    set(
        "OMPI_COMM_WORLD_RANK",
        "number of this server",
        // `import mindspore` sets RANK_ID, DEVICE_ID and RANK_SIZE to these; accelerate reads the last before WORLD_SIZE.
        "not set: MindSpore would take the launcher's number under `mpirun` for the rank's",
        |_| Removed,
    ),
    set("OMPI_COMM_WORLD_LOCAL_RANK", "", "not set, likewise", |_| Removed),
    set(
        "OMPI_COMM_WORLD_SIZE",
        "number of servers; where there are several, Slurm's variables are not read, which are then of mpirun itself",
        "not set, likewise",
        |_| Removed,
    ),
    for_command(set(
        "PET_NNODES",
        "number of servers; a range of two numbers is refused",
        "with `--per-node` alone, where `torchrun` reads it: number of nodes",
        |of| of.per_node(|_| of.job.nodes.count.to_string()),
    )),
    for_command(set("PET_NODE_RANK", "number of this server", "likewise: number of this node, from 0", |of| {
        of.per_node(|_| of.job.nodes.index.to_string())
    })),
    for_command(set(
        "PET_NPROC_PER_NODE",
        "as MA_NUM_GPUS, if it is a number",
        "likewise: ranks that the command starts",
        |of| of.per_node(|each| each.to_string()),
    )),
    for_command(set("PET_MASTER_ADDR", "node 0", "likewise: node 0", |of| of.per_node(|_| of.job.master().to_owned()))),
    for_command(set("PET_MASTER_PORT", "MASTER_PORT, where that is not set", "likewise: MASTER_PORT", |of| {
        of.per_node(|_| of.master_port.to_string())
    })),
    for_command(set(
        "MASTER_ADDR",
        "kept where it is set, unless `--master` is given; not read by a launcher that a rank starts, as it is the outer job's",
        "server of rank 0, unless it was set: in a rank table its `container_ip`, else its `server_id`, or its `host_ip` if the \
         id is not an address; nothing where there are several servers and none is known to be that",
        |of| match &of.job.nodes.master {
            Some(master) => is(&master.host),
            None if of.job.nodes.count > 1 => of.of_no_other_job(),
            None => of.set_or("MASTER_ADDR", of.job.master()),
        },
    )),
    for_command(set(
        "MASTER_PORT",
        "kept where it is set, unless `--master` has a port; what is not a port is refused, but for the URL that Kubernetes sets for a service `master`; \
         not read by a launcher that a rank starts, likewise",
        "a free port from 29500 on; where there are several servers, the port that came with node 0, else one of 29500 to 32499 by BATCH_JOB_ID, else MA_VJ_NAME, \
         else SLURM_JOB_ID, and 29500 where none is set; unless it was set",
        |of| is(of.master_port),
    )),
    for_command(set(
        "FMTK_WORK_DIR",
        "",
        "a folder of the rank's own for whatever it likes: `workspace/device<D>` of MA_MOUNT_PATH, else one that is \
         removed at the end",
        |of| Is(of.folders.work_of(of.rank).into()),
    )),
    for_command(set(
        "FMTK_ATTEMPT",
        "with RANK: a launcher that a rank starts is a job of its own, whatever the cluster says",
        "1, and one more for each time the ranks were started again; where BATCH_JOB_ID or MA_VJ_NAME is set, \
         or SLURM_JOB_ID among several servers, also for each time that an earlier run of the job in the same log folder \
         has started them",
        |of| is(of.attempt),
    )),
    for_scripts(set(
        "HOME",
        "whether it can be written to; by `task`: whether it is this user's own",
        "FMTK_WORK_DIR where HOME was not set or can't be written",
        |of| if of.folders.replace_home { Is(of.folders.work_of(of.rank).into()) } else { Unchanged },
    )),
    for_scripts(set(
        "SERVER_ID",
        "",
        "of a `task` alone: number of this server as `--node-rank` or its cluster says, else VC_TASK_INDEX, else VK_TASK_INDEX, else 0",
        |of| of.task.map_or(Unchanged, |it| is(it.node)),
    )),
    for_scripts(set(
        "PYTHONUNBUFFERED",
        "kept where it is set",
        // Prints that wait in a pipe's buffer are lost when a rank is killed.
        "1, unless it was set",
        |of| of.set_or("PYTHONUNBUFFERED", "1"),
    )),
];

fn is(value: impl ToString) -> Value {
    Is(value.to_string().into())
}

impl RankContext<'_> {
    /// What is set already, else `default`.
    fn set_or(&self, name: &str, default: &str) -> Value {
        Is((self.lookup)(name).unwrap_or_else(|| default.into()))
    }

    fn torch(&self, value: impl ToString) -> Value {
        if self.job.framework() == Framework::Torch { is(value) } else { self.of_no_other_job() }
    }

    fn mindspore(&self, value: impl ToString) -> Value {
        if self.job.framework() == Framework::MindSpore { is(value) } else { self.of_no_other_job() }
    }

    /// What is set stays, unless the launcher was started by a rank: then it is that rank's.
    fn of_no_other_job(&self) -> Value {
        if is_rank(self.lookup) { Removed } else { Unchanged }
    }

    /// Of a command that starts so many ranks.
    fn per_node(&self, value: impl FnOnce(u32) -> String) -> Value {
        if let Processes::PerNode(each) = self.job.processes { Is(value(each).into()) } else { Unchanged }
    }

    /// Whether the ranks are given a table, and it was found by this path.
    fn is_given_table(&self, path: &Path) -> bool {
        self.folders.table.is_some() && self.job.is_table_of(path)
    }

    /// The changes of the rank's environment, in order. Variables that are to be removed have no value.
    pub fn changes(&self) -> Vec<(&'static str, Option<OsString>)> {
        let value = |it: &Variable| match (self.job.processes, it.finders) {
            (Processes::Ranks, _) | (_, Finders::All) | (Processes::PerNode(_), Finders::Command) => (it.value)(self),
            (Processes::PerNode(_), Finders::Ranks) => Removed,
            (Processes::Scripts, _) => Unchanged,
        };
        let all = VARIABLES.iter();
        all.filter_map(|it| match value(it) {
            Unchanged => None,
            Removed => Some((it.name, None)),
            Is(value) => Some((it.name, Some(value))),
        })
        .collect()
    }
}

/// What MindSpore's scheduler finds, by what the first rank of its node does: as under `msrun`, it is no rank.
pub fn of_scheduler(mut variables: Vec<(&'static str, Option<OsString>)>) -> Vec<(&'static str, Option<OsString>)> {
    for (name, value) in &mut variables {
        match *name {
            "MS_ROLE" => *value = Some("MS_SCHED".into()),
            "MS_NODE_ID" => *value = None,
            _ => {}
        }
    }
    variables
}

/// The page: a table of variables, one of exit codes.
pub fn page() -> String {
    let mut page = String::from(
        "# Variables and exit codes of fmtk-launch\n\n\
         `fmtk-launch env --list` prints this page, which a test compares with the code; `fmtk-launch env` prints what a rank would get, but for MASTER_PORT and the folder of a run, which each run chooses; it shows control characters escaped, an end of line as `\\n`.\n\
         A variable that is empty counts as not set.\n\n\
         | variable | what the launcher reads in it | what its ranks find in it |\n|---|---|---|\n",
    );
    for Variable { name, read, about, .. } in VARIABLES {
        // Writing to memory does not fail.
        let _ = writeln!(page, "| `{name}` | {read} | {about} |");
    }
    let of_scripts = VARIABLES
        .iter()
        .filter(|it| it.finders == Finders::All && !it.about.is_empty())
        .map(|it| format!("`{}`", it.name));
    let _ = write!(
        page,
        "\nThe vendor's scripts, where they start the ranks, find set {} alone: all others are theirs to set.\n\n\
         ## Exit codes\n\n| code | meaning |\n|---|---|\n",
        of_scripts.collect::<Vec<_>>().join(", ")
    );
    for (code, about) in exit::CODES {
        let _ = writeln!(page, "| {code} | {about} |");
    }
    page.push_str("\nWith `task --legacy-exit-codes` every failure is a 1, as it was with the launch kit.\n");
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;
    use crate::job::Processes;
    use crate::job::tests::{folders, job, of_test};

    fn of_second(folders: &Folders, variables: &[(&str, &str)], task: Option<TaskRanks>) -> String {
        let mut job = job("modelarts-job-1");
        if task.is_some_and(|it| it.by_scripts) {
            job.processes = Processes::Scripts;
        }
        let lookup = of_test(variables);
        let of = RankContext {
            job: &job,
            rank: &job.ranks[1],
            folders,
            task,
            master_port: 29_503,
            scheduler_host: "10.0.0.9",
            attempt: 1,
            lookup: &lookup,
        };
        let line = |(name, value): (&str, Option<OsString>)| match value {
            Some(value) => format!("{name}={}\n", value.display()),
            None => format!("{name} is removed\n"),
        };
        of.changes().into_iter().map(line).collect()
    }

    #[test]
    fn variables_of_a_rank() {
        expect_test::expect![[r#"
            JOB_ID=modelarts-job-1
            RANK_ID=9
            RANK_SIZE=16
            DEVICE_ID=1
            ASCEND_DEVICE_ID=1
            RANK_TABLE_FILE=/mount/rank_table/jobstart_hccl.json
            RANK_TABLE_FILE_V_1_0 is removed
            HCCL_CONNECT_TIMEOUT=1800
            ASCEND_PROCESS_LOG_PATH=/log/modelarts-job-1/ascend/process_log/rank_9
            MODEL_TASK_CWD=/code
            RANK=9
            LOCAL_RANK=1
            WORLD_SIZE=16
            LOCAL_WORLD_SIZE=2
            TORCHELASTIC_USE_AGENT_STORE is removed
            OMPI_COMM_WORLD_RANK is removed
            OMPI_COMM_WORLD_LOCAL_RANK is removed
            OMPI_COMM_WORLD_SIZE is removed
            MASTER_ADDR=10.0.0.9
            MASTER_PORT=29503
            FMTK_WORK_DIR=/w/device1
            FMTK_ATTEMPT=1
            PYTHONUNBUFFERED=1
        "#]]
        .assert_eq(&of_second(&folders(), &[], None));
    }

    #[test]
    fn variables_of_a_task_and_of_the_scripts() {
        let task = Some(TaskRanks { node: 3, by_scripts: false });
        let lines = of_second(&folders(), &[("PYTHONUNBUFFERED", "x")], task);
        assert!(lines.ends_with("FMTK_ATTEMPT=1\nSERVER_ID=3\nPYTHONUNBUFFERED=x\n"), "{lines}");
        let task = Some(TaskRanks { node: 3, by_scripts: true });
        let lines = of_second(&Folders { replace_home: true, ..folders() }, &[], task);
        assert_eq!(lines, "MODEL_TASK_CWD=/code\nHOME=/w/device1\nSERVER_ID=3\nPYTHONUNBUFFERED=1\n");
    }

    #[test]
    fn what_was_set_counts() {
        let set = [("PYTHONUNBUFFERED", "x"), ("HCCL_CONNECT_TIMEOUT", "600"), ("RANK_ID", "3"), ("RANK", "3")];
        let lines = of_second(&Folders { table: None, replace_home: true, ..folders() }, &set, None);
        for line in ["HCCL_CONNECT_TIMEOUT=600", "RANK_ID=9", "RANK=9", "HOME=/w/device1", "PYTHONUNBUFFERED=x"] {
            assert!(lines.contains(&format!("{line}\n")), "{lines}");
        }
        assert!(lines.contains("RANK_TABLE_FILE is removed\n"), "{lines}");
    }

    #[test]
    fn every_code_of_the_launcher_s_own_is_in_the_table() {
        let own = [Exit::SUCCESS, Exit::FAILURE, Exit::USAGE, Exit::STALLED, Exit::LAUNCHER];
        for Exit(code) in own.into_iter().chain([Exit::NOT_EXECUTABLE, Exit::NOT_FOUND]) {
            assert!(exit::CODES.iter().any(|it| it.0 == code.to_string()), "{code}");
        }
    }
}
