//! Plans of jobs: what a container is made with, and where its paths are on this machine.

use clap::Parser;
use expect_test::expect;

use super::*;

/// As `cargo xtask try` reads them.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: TryArgs,
}

fn parsed(line: &str) -> Result<Job, clap::Error> {
    let Line { args } = Line::try_parse_from(["try"].into_iter().chain(line.split_whitespace()))?;
    Ok(Job::new(&args, "fmtk-ma:1".to_owned(), "/out".into()))
}

/// A job of so many nodes with one device each.
pub fn job(out: &Path, nodes: u32) -> Job {
    Job { out: out.to_owned(), ..parsed(&format!("--nodes {nodes} --devices 1")).unwrap() }
}

#[test]
fn a_container_is_made_as_the_platform_makes_it() {
    let job = parsed("--nodes 2 --devices 4 --read-only --env A=1=2 -- python3 /x/launcher.py --task_type=finetune");
    let job = job.unwrap();
    assert_eq!(job.command, ["python3", "/x/launcher.py", "--task_type=finetune"]);
    let text = job.options(&job.nodes[1], true).join(" ").replace(" --", "\n--");
    expect![[r#"
        --user 1000:100
        --hostname ma-job-try-worker-1
        --read-only
        --mount type=bind,source=/out/node-1/modelarts,target=/home/ma-user/modelarts
        --mount type=bind,source=/out/node-1/cache,target=/cache
        --mount type=bind,source=/out/node-1/tmp,target=/tmp
        --mount type=bind,source=/out/node-1/config,target=/user/config,readonly
        --mount type=bind,source=/out/hosts,target=/etc/hosts,readonly
        --env MA_HOME=/home/ma-user
        --env MA_MOUNT_PATH=/home/ma-user/modelarts
        --env MA_JOB_DIR=/home/ma-user/modelarts/user-job-dir
        --env MA_LOG_DIR=/home/ma-user/modelarts/log
        --env MA_VJ_NAME=ma-job-try
        --env MA_TASK_NAME=worker
        --env MA_CURRENT_IP=127.0.0.2
        --env MA_CURRENT_HOST_IP=127.0.0.2
        --env MA_CURRENT_INSTANCE_NAME=ma-job-try-worker-1
        --env MA_NUM_HOSTS=2
        --env VC_TASK_INDEX=1
        --env VK_TASK_INDEX=1
        --env VC_WORKER_NUM=2
        --env VC_WORKER_HOSTS=ma-job-try-worker-0.ma-job-try,ma-job-try-worker-1.ma-job-try
        --env MA_NUM_GPUS=4
        --env A=1=2"#]]
    .assert_eq(&text);
}

#[test]
fn without_a_command_the_launcher_runs_the_example() {
    let job = parsed("--uid 7 --gid 8").unwrap();
    assert_eq!(job.command[..3], ["fmtk-launch", "run", "--code-dir"]);
    assert_eq!((job.nodes.len(), job.devices, job.user.as_str()), (1, 8, "7:8"));
}

#[test]
fn without_a_table_the_launcher_is_told_the_devices_and_no_folder_is_its() {
    for (line, expected) in [
        ("--no-table --devices 2", expect!["--devices 0-1 -- python3 train.py"]),
        ("--no-table --devices 1 --framework torch", expect!["--devices 0 --framework torch -- python3 train.py"]),
        ("--framework mindspore", expect!["--framework mindspore -- python3 train.py"]),
    ] {
        let job = parsed(line).unwrap();
        expected.assert_eq(&job.command[4..].join(" "));
        let has_table = job.options(&job.nodes[0], true).iter().any(|it| it.contains("/user/config"));
        assert_eq!(
            (has_table, job.on_host(&job.nodes[0], "/user/config/x").is_some()),
            (job.table, job.table),
            "{line}"
        );
        assert_eq!(job.table, !line.contains("--no-table"));
    }
    let error = parsed("--framework torch -- python3 x.py").unwrap_err();
    assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict);
}

#[test]
fn not_every_engine_lets_containers_of_one_network_be_named() {
    let job = parsed("--nodes 2").unwrap();
    let named = |is_named| job.options(&job.nodes[1], is_named).iter().any(|it| it == "--hostname");
    assert!(named(true) && !named(false));
}

#[test]
fn paths_in_shared_folders_are_on_this_machine() {
    let job = parsed("").unwrap();
    let found = |path: &str| job.on_host(&job.nodes[0], path).map(|path| path.display().to_string());
    assert_eq!(found(CODE).as_deref(), Some("/out/node-0/modelarts/user-job-dir/code"));
    assert_eq!(found("/tmp/log/a.txt").as_deref(), Some("/out/node-0/tmp/log/a.txt"));
    assert_eq!(found("/tmpfile"), None);
}

#[test]
fn what_no_job_can_be_made_of_is_wrong_input() {
    for line in ["--nodes 0", "--devices 0", "--nodes 65", "--timeout 0", "--grace x", "--env A", "--env =1"] {
        let error = parsed(line).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::ValueValidation, "{line}");
    }
}

#[test]
fn no_folder_is_taken_that_holds_something() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert_eq!(out(None, path, "20221028181325").unwrap(), path.join("target/try/20221028181325"));
    assert_eq!(out(Some(path), path, "x").unwrap(), path);
    std::fs::write(path.join("a"), "").unwrap();
    assert!(out(Some(path), path, "x").unwrap_err().to_string().ends_with("is not empty"));
}
