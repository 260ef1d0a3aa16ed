//! Launchers side by side as the nodes of one job: 64 servers of a table, and three by the variables of each cluster.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use crate::harness::{TestFolder, finish, program, start, wait};

const SERVERS: u32 = 64;
const DEVICES: u32 = 2;

#[test]
fn all_servers_of_a_job_at_once() {
    let place = TestFolder::new();
    let mut servers = String::new();
    for server in 0..SERVERS {
        let mut devices = String::new();
        for device in 0..DEVICES {
            let comma = if device > 0 { "," } else { "" };
            write!(devices, r#"{comma}{{"device_id":"{device}","device_ip":"192.1.{server}.{device}"}}"#).unwrap();
        }
        let comma = if server > 0 { "," } else { "" };
        write!(
            servers,
            r#"{comma}{{"pod_name":"job-x-{server}","server_id":"10.0.0.{server}","devices":[{devices}]}}"#
        )
        .unwrap();
    }
    let count = SERVERS * DEVICES;
    let table = format!(
        r#"{{"status":"completed","group_count":"1","group_list":[{{"group_name":"g","device_count":"{count}",
        "instance_count":"{SERVERS}","instance_list":[{servers}]}}]}}"#
    );
    // The platform's way: a folder that the variable names.
    fs::create_dir(place.path("table")).unwrap();
    fs::write(place.path("table/jobstart_hccl.json"), table).unwrap();
    // Every node on a file system of all of them: logs meet.
    let children: Vec<_> = (0..SERVERS)
        .map(|server| {
            let mut command = place.shell(
                "",
                "echo $RANK_ID/$RANK_SIZE $DEVICE_ID $MASTER_ADDR; grep -q 'server_count\":\"64\"' $RANK_TABLE_FILE",
            );
            command.env("RANK_TABLE_FILE", place.path("table"));
            command.env("MA_CURRENT_INSTANCE_NAME", format!("job-x-{server}"));
            start(&mut command)
        })
        .collect();
    let mut lines = BTreeSet::new();
    for child in children {
        let finished = wait(child).ends(0);
        lines.extend(finished.stdout.lines().map(str::to_owned));
    }
    let expected: BTreeSet<String> =
        (0..count).map(|rank| format!("[rank {rank}] {rank}/{count} {} 10.0.0.0", rank % DEVICES)).collect();
    assert_eq!(lines, expected);
    assert_eq!(
        fs::read_dir(place.path("mount/log")).unwrap().filter(|it| is_log(it.as_ref().unwrap())).count(),
        count as usize
    );
}

fn is_log(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().contains("-proc-rank-")
}

/// The ranks of a job's nodes, started side by side by the variables of a cluster: each number once, and all know where
/// they meet. The address is nobody's here, as the ranks do not go there.
fn nodes_of(flags: &str, of_node: impl Fn(u32) -> Vec<(&'static str, String)>) {
    const NODES: u32 = 3;
    let place = TestFolder::new();
    let children: Vec<_> = (0..NODES)
        .map(|node| {
            let mut command = place.shell(
                &flags.replace("@", &node.to_string()),
                "echo $RANK_ID/$RANK_SIZE $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $DEVICE_ID $MASTER_ADDR:$MASTER_PORT",
            );
            start(command.envs(of_node(node)))
        })
        .collect();
    let mut lines = BTreeSet::new();
    for (node, child) in (0..).zip(children) {
        let finished = wait(child).ends(0);
        finished.says(&[&format!("(node {node} of 3, master 203.0.113.7:6000, by ")]);
        let is_told = finished.stderr.contains("node 0 is `203.0.113.7`, which is not an address of this machine");
        assert_eq!(is_told, node == 0, "{}", finished.stderr);
        lines.extend(finished.stdout.lines().map(str::to_owned));
    }
    let line = |rank| {
        let local = rank % DEVICES;
        format!("[rank {rank}] {rank}/6 {rank}/6 {local}/2 {local} 203.0.113.7:6000")
    };
    assert_eq!(lines, (0..NODES * DEVICES).map(line).collect());
}

fn master() -> [(&'static str, String); 2] {
    [("MASTER_ADDR", "203.0.113.7".to_owned()), ("MASTER_PORT", "6000".to_owned())]
}

#[test]
fn nodes_by_flags() {
    nodes_of("--devices 0-1 --nnodes 3 --node-rank @ --master 203.0.113.7:6000", |_| Vec::new());
}

#[test]
fn nodes_of_model_arts() {
    nodes_of("", |node| {
        let job = [("MA_NUM_HOSTS", "3"), ("VC_WORKER_NUM", "3"), ("MA_NUM_GPUS", "2"), ("MA_VJ_NAME", "ma-job-1")];
        let hosts = "203.0.113.7,203.0.113.8,203.0.113.9";
        let own = [("VC_TASK_INDEX", node.to_string()), ("VC_WORKER_HOSTS", hosts.to_owned())];
        job.map(|(name, value)| (name, value.to_owned())).into_iter().chain(own).chain([master()[1].clone()]).collect()
    });
}

#[test]
fn nodes_of_the_ascend_operator() {
    nodes_of("", |node| {
        let own = [("RANK", node.to_string()), ("WORLD_SIZE", "6".to_owned())];
        let local = [("LOCAL_WORLD_SIZE", "2".to_owned()), ("LOCAL_RANK", "0,1".to_owned())];
        own.into_iter().chain(local).chain(master()).collect()
    });
    nodes_of("", |node| {
        let all = [("MS_WORKER_NUM", "6"), ("MS_LOCAL_WORKER", "2"), ("MS_SCHED_HOST", "203.0.113.7")];
        let own = [("MS_SCHED_PORT", "6000".to_owned()), ("MS_NODE_RANK", node.to_string())];
        all.map(|(name, value)| (name, value.to_owned())).into_iter().chain(own).collect()
    });
}

#[test]
fn nodes_of_kubeflow() {
    // The older operator, the newer one, and the trainer.
    nodes_of("--devices 0,1", |node| {
        [("RANK", node.to_string()), ("WORLD_SIZE", "3".to_owned())].into_iter().chain(master()).collect()
    });
    let elastic = |node: u32| {
        let all = [("PET_NNODES", "3"), ("PET_NPROC_PER_NODE", "2")].map(|(name, value)| (name, value.to_owned()));
        all.into_iter().chain([("PET_NODE_RANK", node.to_string())])
    };
    nodes_of("", |node| {
        elastic(node).chain([("RANK", node.to_string()), ("WORLD_SIZE", "6".to_owned())]).chain(master()).collect()
    });
    nodes_of("", |node| {
        let master = [("PET_MASTER_ADDR", "203.0.113.7".to_owned()), ("PET_MASTER_PORT", "6000".to_owned())];
        elastic(node).chain(master).collect()
    });
}

#[test]
fn nodes_of_slurm() {
    nodes_of("--devices 0-1", |node| {
        let step =
            [("SLURM_JOB_ID", "7"), ("SLURM_STEP_ID", "0"), ("SLURM_STEP_NUM_NODES", "3"), ("SLURM_LOCALID", "0")];
        let list = [("SLURM_STEP_NODELIST", "n[09-11]"), ("SLURM_STEP_TASKS_PER_NODE", "1(x3)")];
        let own = [("SLURM_NODEID", node.to_string()), ("SLURMD_NODENAME", format!("n{:02}", node + 9))];
        let all = step.into_iter().chain(list).map(|(name, value)| (name, value.to_owned()));
        all.chain(own).chain(master()).collect()
    });
}

#[test]
fn nodes_of_open_mpi() {
    nodes_of("--devices 0-1 --master 203.0.113.7:6000", |node| {
        let all = [("OMPI_COMM_WORLD_SIZE", "3"), ("OMPI_COMM_WORLD_LOCAL_SIZE", "1")];
        let own = [("OMPI_COMM_WORLD_RANK", node.to_string())];
        all.map(|(name, value)| (name, value.to_owned())).into_iter().chain(own).collect()
    });
}

#[test]
fn a_node_without_a_number_starts_nothing() {
    let place = TestFolder::new();
    let mut command = place.shell("--devices 0-7", "echo started");
    let finished = finish(command.env("VC_WORKER_NUM", "2")).ends(2);
    assert_eq!(finished.stdout, "");
    finished.says(&["VC_WORKER_NUM is `2`, and nothing says which of them this node is\nhint: set VC_TASK_INDEX"]);
    let mut command = place.shell("--devices 0-7 --nnodes 4 --node-rank 1", "echo started");
    let finished = finish(command.env("VC_WORKER_NUM", "2")).ends(2);
    assert_eq!(finished.stdout, "");
    finished.says(&["`--nnodes` is 4, but VC_WORKER_NUM is `2`: both say how many nodes the job has\nhint: "]);
}

/// Each node has logs of its own, as on several machines; their reports are joined afterwards.
#[test]
fn nodes_whose_job_is_not_named_share_an_id() {
    let place = TestFolder::new();
    for node in 0..2 {
        let flags = format!("--devices 0-1 --nnodes 2 --node-rank {node} --master 203.0.113.7 --log-dir logs-{node}");
        let finished = finish(place.shell(&flags, "echo $JOB_ID $MASTER_PORT").env("BATCH_JOB_ID", "")).ends(0);
        finished.says(&["job master-203.0.113.7: starting ranks"]);
        assert_eq!(finished.stdout.lines().filter(|it| it.ends_with("master-203.0.113.7 29500")).count(), 2);
    }
    finish(&mut place.launcher(&["report", "logs-0", "logs-1"]))
        .ends(0)
        .prints(&["job master-203.0.113.7: SUCCEEDED; 2 nodes, 4 ranks"]);
    finish(&mut place.launcher(&["report", "logs-0"]))
        .ends(0)
        .prints(&["job master-203.0.113.7: INCOMPLETE; 1 node, 2 ranks", "but: what became of ranks 2-3 is not known"]);
    let mut command = place.shell("--dry-run --devices 0-1", "true");
    command.env("BATCH_JOB_ID", "").env("SLURM_JOB_ID", "31").env("SLURM_STEP_ID", "0");
    command.env("SLURM_STEP_NUM_NODES", "2").env("SLURM_NODEID", "1").env("SLURM_STEP_NODELIST", "n[1-2]");
    finish(&mut command).ends(0).prints(&["job         slurm-31\n"]);
}

/// A rank may start a launcher for a job of its own: evaluation, for example. RANK and the like are its own then.
#[test]
fn a_launcher_in_a_rank_is_a_job_of_its_own() {
    let place = TestFolder::new();
    let inner = format!("{} run --log-dir ../inner-$RANK sh -c 'echo inner $RANK/$WORLD_SIZE'", program().display());
    let finished = place.run("--devices 0-1 --nnodes 2 --node-rank 1 --master 203.0.113.7", &inner).ends(0);
    let lines: BTreeSet<_> = finished.stdout.lines().filter(|it| it.contains("inner 0")).collect();
    assert_eq!(lines, ["[rank 2] [rank 0] inner 0/1", "[rank 3] [rank 0] inner 0/1"].into());
}

/// Each rank starts one, and all of these are on one host: they meet in different places, and write different files.
#[test]
fn launchers_in_the_ranks_of_a_job_have_nothing_of_it() {
    let place = TestFolder::new();
    // Ranks that stay until all are there hold their ports at the same time.
    let rank = "touch up-$JOB_ID-$RANK; until [ -e up-job-in-rank-0-0 -a -e up-job-in-rank-0-1 -a -e up-job-in-rank-1-0 \
                -a -e up-job-in-rank-1-1 ]; do sleep 0.01; done; \
                echo $RANK/$WORLD_SIZE $MASTER_ADDR:$MASTER_PORT ${GROUP_RANK-no group} ${MS_SCHED_HOST-no scheduler}";
    place.write("rank.sh", rank, 0o644);
    let launcher = program();
    let launcher = launcher.display();
    let inner = |flags: &str| format!("{launcher} run --devices 0-1 {flags} -- sh {}", place.path("rank.sh").display());
    let outer = |flags: &str, script: &str| {
        let mut command = place.shell(&format!("--devices 0-1 {flags}"), script);
        command.env("MASTER_ADDR", "203.0.113.7").env("MASTER_PORT", "6000").env("MS_SCHED_HOST", "203.0.113.7");
        finish(&mut command).ends(0)
    };
    let finished = outer("--framework torch", &inner("--framework plain"));
    let mut ports = BTreeSet::new();
    let mut ranks = BTreeSet::new();
    for line in finished.stdout.lines().filter(|it| it.contains("] [rank ")) {
        let (rank, rest) = line.split_once(" 127.0.0.1:").expect(line);
        let port = rest.strip_suffix(" no group no scheduler").expect(line);
        ports.insert((rank.split_at("[rank 0]".len()).0.to_owned(), port.to_owned()));
        ranks.insert(rank.to_owned());
    }
    assert_eq!(ranks.len(), 4, "{}", finished.stdout);
    assert_eq!(ports.iter().map(|it| &it.1).collect::<BTreeSet<_>>().len(), 2, "{ports:?}");
    assert!(!ports.iter().any(|it| it.1 == "6000"), "{ports:?}");
    for (job, rank) in [("job", 1), ("job-in-rank-0", 1), ("job-in-rank-1", 1)] {
        assert!(place.path(&format!("mount/log/{job}-proc-rank-{rank}-device-{rank}.txt")).is_file(), "{job}");
        assert!(place.path(&format!("mount/log/{job}-report-rank-0.json")).is_file(), "{job}");
    }
    // A group of its own, and where a flag says.
    let finished = outer("--framework torch", &inner("--framework torch --nnodes 1 --master 203.0.113.8:7000"));
    let line = "0/2 203.0.113.8:7000 0 no scheduler";
    finished.prints(&[&format!("[rank 0] [rank 0] {line}"), &format!("[rank 1] [rank 0] {line}")]);
}

#[test]
fn a_command_per_node_is_told_where_node_0_is_or_nothing_starts() {
    let place = TestFolder::new();
    let run = |flags: &str| {
        let mut command =
            place.shell(&format!("--per-node --devices 0-1 {flags}"), "echo $PET_MASTER_ADDR {master_addr}:1");
        command.env("OMPI_COMM_WORLD_SIZE", "2").env("OMPI_COMM_WORLD_RANK", "1");
        finish(&mut command)
    };
    let refused = run("").ends(2);
    assert_eq!(refused.stdout, "");
    refused.says(&[
        "the job has 2 nodes by OMPI_COMM_WORLD_SIZE and OMPI_COMM_WORLD_RANK, and nothing says where node 0 is",
    ]);
    refused.says(&["\nhint: give `--master HOST`"]);
    run("--master 203.0.113.7").ends(0).prints(&["203.0.113.7 203.0.113.7:1\n"]);
}

#[test]
fn nodes_in_a_dry_run() {
    let place = TestFolder::new();
    let mut command = place.shell("--dry-run --devices 0-1", "true");
    command.env("SLURM_NNODES", "2").env("SLURM_NODEID", "1").env("SLURM_JOB_NODELIST", "n[1-2]");
    let finished = finish(&mut command).ends(0);
    finished.prints(&[
        "nodes       node 1 of 2, master n1:",
        ", by SLURM_NNODES and SLURM_NODEID\n",
        "     2      0      0",
    ]);
    assert!(!place.run("--dry-run --devices 0-1", "true").ends(0).stdout.contains("nodes"));
}

#[test]
fn devices_that_are_not_visible() {
    let place = TestFolder::new();
    let run = |flags: &str| {
        let mut command = place.shell(flags, "echo $DEVICE_ID $ASCEND_DEVICE_ID $ASCEND_RT_VISIBLE_DEVICES");
        finish(command.env("ASCEND_RT_VISIBLE_DEVICES", "4,5"))
    };
    let mut lines: Vec<_> = run("--devices 0-1").ends(0).stdout.lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["[rank 0] 0 0 4,5", "[rank 1] 1 1 4,5"]);
    run("--devices 4").ends(2).says(&["device 4, which is not visible: ASCEND_RT_VISIBLE_DEVICES is `4,5`", "hint: "]);
}
