//! The variables of a rank: those of the vendor's scripts with the same values, and those that PyTorch reads.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::job::{Job, Rank};

/// A variable that the launcher sets for a rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub about: &'static str,
}

/// Every variable that a rank may find set by the launcher, in the order in which they are printed.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "JOB_ID",
        about: "BATCH_JOB_ID, else MA_VJ_NAME with `ma-job` as `modelarts-job`, else the host's name",
    },
    Variable { name: "RANK_ID", about: "the rank in the job, from 0" },
    Variable { name: "RANK_SIZE", about: "ranks of the whole job" },
    Variable { name: "DEVICE_ID", about: "logical number of the rank's device on its server" },
    Variable { name: "ASCEND_DEVICE_ID", about: "the same" },
    Variable { name: "RANK_TABLE_FILE", about: "the rank table as a v1 file; not set where there is none" },
    Variable { name: "RANK_TABLE_FILE_V_1_0", about: "stays only where the table was found by it" },
    Variable { name: "HCCL_CONNECT_TIMEOUT", about: "1800 seconds, unless it was set" },
    Variable {
        name: "ASCEND_PROCESS_LOG_PATH",
        about: "a folder of the rank's own: below the one that was set, else `<log folder>/<JOB_ID>/ascend/process_log`",
    },
    Variable { name: "MODEL_TASK_CWD", about: "the code folder, which the rank is started in" },
    Variable { name: "RANK", about: "RANK_ID, for PyTorch" },
    Variable { name: "LOCAL_RANK", about: "the rank's number on its server, from 0" },
    Variable { name: "WORLD_SIZE", about: "RANK_SIZE, for PyTorch" },
    Variable { name: "LOCAL_WORLD_SIZE", about: "ranks of this server" },
    Variable { name: "MASTER_ADDR", about: "server of rank 0, unless it was set" },
    Variable { name: "MASTER_PORT", about: "29500, unless it was set" },
    Variable { name: "FMTK_WORK_DIR", about: "a folder of the rank's own for whatever it likes" },
    Variable { name: "FMTK_ATTEMPT", about: "1, and one more for each time the ranks were started again" },
    Variable { name: "HOME", about: "FMTK_WORK_DIR where HOME was not set or can't be written" },
];

/// What a rank of a task finds set besides [`VARIABLES`].
pub const OF_TASK: &[Variable] = &[
    Variable { name: "SERVER_ID", about: "number of this server: VC_TASK_INDEX, else VK_TASK_INDEX, else 0" },
    Variable { name: "PYTHONUNBUFFERED", about: "1, unless it was set" },
];

/// Those of [`VARIABLES`] that the vendor's scripts are started with: all others are theirs to set.
pub const OF_SCRIPTS: &[&str] = &["MODEL_TASK_CWD", "HOME"];

/// What the variables of a rank depend on besides the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// MODEL_TASK_CWD.
    pub code: PathBuf,
    /// The log folder.
    pub logs: PathBuf,
    /// The v1 rank table, if there is a table.
    pub table: Option<PathBuf>,
    /// Parent of the devices' folders.
    pub work: PathBuf,
    /// Whether HOME is of no use.
    pub replace_home: bool,
}

impl Folders {
    /// The work folder of a rank.
    pub fn work_of(&self, rank: &Rank) -> PathBuf {
        self.work.join(format!("device{}", rank.device))
    }
}

/// The variables to set for a rank, in the order of [`VARIABLES`], and the folder that its process log goes to. Those that
/// are to be removed have no value. `variable` looks up the launcher's own environment.
pub fn of_rank(
    job: &Job,
    rank: &Rank,
    folders: &Folders,
    attempt: u32,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<(&'static str, Option<OsString>)> {
    let set = |name| variable(name).filter(|it| !it.is_empty());
    let work = folders.work_of(rank);
    let value = |name: &'static str| -> Option<OsString> {
        Some(match name {
            "JOB_ID" => job.id.clone().into(),
            "RANK_ID" | "RANK" => rank.rank.to_string().into(),
            "RANK_SIZE" | "WORLD_SIZE" => job.size.to_string().into(),
            "DEVICE_ID" | "ASCEND_DEVICE_ID" => rank.device.to_string().into(),
            "RANK_TABLE_FILE" => folders.table.clone()?.into(),
            // In a rank's environment it would come first, and lead to another job's table.
            "RANK_TABLE_FILE_V_1_0" => set(name).filter(|it| {
                let read = job.table.as_ref().map(|it| it.path.as_path());
                read.is_some_and(|read| read == Path::new(it) || read.parent() == Some(Path::new(it)))
            })?,
            "HCCL_CONNECT_TIMEOUT" => set(name).unwrap_or_else(|| "1800".into()),
            "ASCEND_PROCESS_LOG_PATH" => process_log(job, rank, &folders.logs, &variable).into(),
            "MODEL_TASK_CWD" => folders.code.clone().into(),
            "LOCAL_RANK" => rank.local.to_string().into(),
            "LOCAL_WORLD_SIZE" => job.ranks.len().to_string().into(),
            "MASTER_ADDR" => set(name).unwrap_or_else(|| job.master.clone().into()),
            "MASTER_PORT" => set(name).unwrap_or_else(|| "29500".into()),
            "FMTK_WORK_DIR" => work.clone().into(),
            "FMTK_ATTEMPT" => attempt.to_string().into(),
            "HOME" if folders.replace_home => work.clone().into(),
            _ => return None,
        })
    };
    // HOME stays as it is unless it is replaced; a table of the launcher's own environment would be another job's.
    let stays = |name| name == "HOME" && !folders.replace_home;
    let is_ours = |name| !job.by_scripts || OF_SCRIPTS.contains(&name);
    let ours = VARIABLES.iter().filter(|it| is_ours(it.name) && !stays(it.name));
    ours.map(|it| (it.name, value(it.name))).collect()
}

/// ASCEND_PROCESS_LOG_PATH of a rank.
pub fn process_log(job: &Job, rank: &Rank, logs: &Path, variable: impl Fn(&str) -> Option<OsString>) -> PathBuf {
    let set = |name| variable(name).filter(|it: &OsString| !it.is_empty());
    let own = format!("rank_{}", rank.rank);
    let Some(preset) = set("ASCEND_PROCESS_LOG_PATH").map(PathBuf::from) else {
        return logs.join(file_name(&job.id)).join("ascend/process_log").join(own);
    };
    // The ranks have another working folder.
    let preset = std::path::absolute(&preset).unwrap_or(preset);
    // In the environment of a rank: a neighbour of its folder, not a folder in it.
    let outer = set("RANK_ID").map(|it| format!("rank_{}", it.to_string_lossy()));
    match preset.parent() {
        Some(parent) if outer.is_some_and(|outer| preset.ends_with(outer)) => parent.join(own),
        _ => preset.join(own),
    }
}

/// The log file of a rank, named as by the vendor's scripts; with the attempt from the second on. That of the scripts
/// themselves is beside those that they write.
pub fn log_file(job: &Job, rank: &Rank, logs: &Path, attempt: u32) -> PathBuf {
    let attempt = if attempt > 1 { format!("-attempt-{attempt}") } else { String::new() };
    let own = match job.by_scripts {
        true => format!("scripts-node-{}", rank.rank),
        false => format!("proc-rank-{}-device-{}", rank.rank, rank.device),
    };
    logs.join(format!("{}-{own}{attempt}.txt", file_name(&job.id)))
}

/// The report of a server, beside the log files.
pub fn report_file(job: &Job, logs: &Path) -> PathBuf {
    let first = job.ranks.first().map_or(0, |it| it.rank);
    let what = if job.by_scripts { "node" } else { "rank" };
    logs.join(format!("{}-report-{what}-{first}.json", file_name(&job.id)))
}

/// A job's id as part of a file's name.
pub fn file_name(id: &str) -> String {
    // A name has 255 bytes at most; what is appended to the id, numbers and all, takes less than 80.
    let end = id.floor_char_boundary(160);
    let name: String = id[..end].chars().map(|it| if it == '/' || it.is_control() { '_' } else { it }).collect();
    if name == "." || name == ".." { name.replace('.', "_") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str) -> Job {
        let rank = |rank, local| Rank { rank, local, device: local, physical: local };
        Job {
            id: id.to_owned(),
            host: "10.0.0.1".to_owned(),
            ranks: vec![rank(8, 0), rank(9, 1)],
            size: 16,
            master: "10.0.0.9".to_owned(),
            table: None,
            by_scripts: false,
        }
    }

    fn folders() -> Folders {
        Folders {
            code: "/code".into(),
            logs: "/log".into(),
            table: Some("/mount/rank_table/jobstart_hccl.json".into()),
            work: "/w".into(),
            replace_home: false,
        }
    }

    fn of_second(folders: &Folders, variables: &[(&str, &str)]) -> String {
        let job = job("modelarts-job-1");
        let variable = |name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1.into());
        let line = |(name, value): (&str, Option<OsString>)| match value {
            Some(value) => format!("{name}={}\n", value.display()),
            None => format!("{name} is removed\n"),
        };
        of_rank(&job, &job.ranks[1], folders, 1, variable).into_iter().map(line).collect()
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
            MASTER_ADDR=10.0.0.9
            MASTER_PORT=29500
            FMTK_WORK_DIR=/w/device1
            FMTK_ATTEMPT=1
        "#]]
        .assert_eq(&of_second(&folders(), &[]));
    }

    #[test]
    fn what_was_set_counts() {
        let set = [
            ("HCCL_CONNECT_TIMEOUT", "600"),
            ("MASTER_ADDR", "m"),
            ("MASTER_PORT", "7"),
            ("RANK_ID", "3"),
            ("RANK", "3"),
        ];
        let lines = of_second(&Folders { table: None, replace_home: true, ..folders() }, &set);
        for line in
            ["HCCL_CONNECT_TIMEOUT=600", "MASTER_ADDR=m", "MASTER_PORT=7", "RANK_ID=9", "RANK=9", "HOME=/w/device1"]
        {
            assert!(lines.contains(&format!("{line}\n")), "{lines}");
        }
        assert!(lines.contains("RANK_TABLE_FILE is removed\n"), "{lines}");
    }

    #[test]
    fn process_logs_are_never_shared() {
        let here = std::env::current_dir().expect("a working folder").join("own/rank_9");
        for (variables, expected) in [
            (&[][..], "/log/j_1/ascend/process_log/rank_9"),
            (&[("ASCEND_PROCESS_LOG_PATH", "/own")], "/own/rank_9"),
            (&[("ASCEND_PROCESS_LOG_PATH", "/own/rank_3"), ("RANK_ID", "3")], "/own/rank_9"),
            (&[("ASCEND_PROCESS_LOG_PATH", "/own/rank_3")], "/own/rank_3/rank_9"),
            (&[("ASCEND_PROCESS_LOG_PATH", "own")], here.to_str().expect("UTF-8")),
        ] {
            let variable = |name: &str| variables.iter().find(|it| it.0 == name).map(|it| it.1.into());
            let job = job("j/1");
            assert_eq!(process_log(&job, &job.ranks[1], Path::new("/log"), variable), Path::new(expected));
        }
    }

    #[test]
    fn files() {
        let name =
            |id, attempt| log_file(&job(id), &job(id).ranks[1], Path::new("/log"), attempt).display().to_string();
        assert_eq!(name("modelarts-job-1", 1), "/log/modelarts-job-1-proc-rank-9-device-1.txt");
        assert_eq!(name("../x", 2), "/log/.._x-proc-rank-9-device-1-attempt-2.txt");
        let long = name(&"ü".repeat(150), u32::MAX);
        assert!(long.len() < 240 && long.ends_with("ü-proc-rank-9-device-1-attempt-4294967295.txt"), "{long}");
        assert_eq!(report_file(&job("j"), Path::new("/log")), Path::new("/log/j-report-rank-8.json"));
    }
}
