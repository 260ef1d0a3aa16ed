//! The texts of `--help`.

/// Of the program.
pub const TOP: &str = "\
Starts, watches and stops the training processes of this server

Usage: fmtk-launch run [FLAGS] [--] COMMAND [ARGUMENT]...
       fmtk-launch task --task_type=… --code_path=… [PARAMETERS] [FLAGS]
       fmtk-launch env [FLAGS] [--rank N]
       fmtk-launch rank-table check|show|convert FILE
       fmtk-launch --version | --help

Subcommands:
  run         Start COMMAND once for each device of this server and watch over it
  task        Run the tuning kit on each device, by the launch kit's parameters
  env         Print the variables that a rank would get
  rank-table  Check a rank table, show it, or print it as v1

`fmtk-launch run --help` has the flags, `fmtk-launch task --help` the parameters,
`fmtk-launch env --list` every variable and exit code.
";

/// Of `run`.
pub const RUN: &str = "\
Start COMMAND once for each device of this server and watch over it

Usage: fmtk-launch run [FLAGS] [--] COMMAND [ARGUMENT]...

Which ranks:
  --rank-table PATH      Rank table, or its folder [default: $RANK_TABLE_FILE_V_1_0,
                         $RANK_TABLE_FILE, /user/config/jobstart_hccl.json]
  --devices LIST         No table: one rank for each of these devices (0,1 or 0-7)
  --wait DURATION        How long to wait for a complete table [default: 30m]
Without a table, and where nothing says that there should be one, one rank.

Life and death:
  --grace DURATION       Between SIGTERM and SIGKILL; a second Ctrl-C ends
                         it [default: 15s]
  --max-restarts N       Start all ranks of this server again after a failure, N times
                         at most [default: 0]
  --restart-backoff DURATION
                         Wait before that, 10s at least [default: 10s]
  --stall DURATION       Stop when no rank has output or uses its CPU for that long;
                         0 never does [default: 0]

Folders and output:
  --code-dir DIR         MODEL_TASK_CWD and the folder of the ranks
                         [default: $MODEL_TASK_CWD, this folder]
  --log-dir DIR          Where the ranks' output goes, a file each
                         [default: $MA_MOUNT_PATH/log, /tmp/log]
  --log-max-size SIZE    Size at which a log file is put aside [default: 1GiB]
  --console all|none|RANKS
                         Whose lines are shown, too (0,2-5) [default: all]
  --report FILE          Write the JSON report here, too

  --bind none|even|numa  Cores of a rank: all, an equal share, or the share near its
                         device [default: none]
  --dry-run              Only say what would be done

Durations are written 90, 90s, 1m30s or 2h, sizes 512MiB or 1GiB.

Exit codes: that of the rank that failed first, or 128 + the signal that ended it;
128 + the signal that the launcher was stopped with; 2 wrong usage or rank table,
124 stalled, 125 failure of the launcher or no rank table in time, 126 COMMAND can't
be executed, 127 COMMAND was not found
";

/// Of `task`.
pub const TASK: &str = "\
Run the tuning kit on each device of this server, by the launch kit's parameters

Usage: fmtk-launch task --task_type=TYPE --code_path=DIR --boot_file_path=FILE
                        --data_path=DIR --output_path=DIR [PARAMETERS] [FLAGS OF run]

Parameters (--name=value or --name value; unknown ones are ignored):
  --task_type TYPE       finetune, evaluate or infer
  --code_path DIR        Folder of the code: MODEL_TASK_CWD, in which ranks start
  --boot_file_path FILE  Python file to run; without a leading / in the code folder
  --data_path DIR        Data, here or in object storage
  --output_path DIR      Output, here or in object storage; each server gets
                         <task>/node_<i>/ in it
  --pretrained_model_path DIR
                         Model that finetune begins with
  --ckpt_path DIR        Checkpoint of evaluate and infer, which need it
  --model_config_path FILE
                         YAML file; copied to /cache/model_config.yaml
  --log_path DIR         Where logs are copied, while ranks run and at the end:
                         <task>/mxLaunchKit/node_<i>/ and <task>/mxTuningKit/
  --use_sfs true|false   true: no path is in object storage [default: false]
  --device_num N         Checked against the rank table; without one, the number of
                         devices
  --model_name, --device_type
                         Accepted, without effect

<task> is $MA_VJ_NAME with `ma-job` as `modelarts-job` [default: default_model_task],
<i> is $VC_TASK_INDEX, else $VK_TASK_INDEX, else 0.

Paths that begin with obs:// or s3:// are in object storage: what is needed is copied
to /cache/fmtk_data and its like before the ranks start, the output when they have
ended, by the MoXing of the image's Python. Other paths need neither. $FMTK_CACHE
takes the place of /cache, and the program $FMTK_STORAGE_HELPER that of MoXing.

Flags, besides those of `fmtk-launch run --help` (but --code-dir):
  --sync-interval DURATION
                         Between two copies of logs [default: 30s]
  --sync-timeout DURATION
                         How long the last copies of logs may take, and all copies after
                         a stop from outside [default: 60s]
  --copy-timeout DURATION
                         How long any other copy may take [default: 2h]
  --legacy-exit-codes    Exit with 1 for every failure, as the launch kit did
  --ranks native|scripts Who starts the ranks: this launcher, or the vendor's
                         run_ascend910.py [default: $FMTK_LAUNCH_RANKS, native]

With scripts, they find the rank table and name the ranks themselves, so that
--rank-table, --wait, --devices, --bind, --stall and --console RANKS are refused; their
exit code is this one's. $FMTK_SCRIPTS takes the place of /home/ma-user/ascend910.

The tuning kit is `tk`, else `mindpet`, on PATH. Exit codes are those of `run`; 125 also
where data can't be copied in, or the output can't be copied out.
";

/// Of `env`.
pub const ENV: &str = "\
Print the variables that a rank would get, NAME=VALUE on a line each

Usage: fmtk-launch env [FLAGS OF run] [--rank N]
       fmtk-launch env --list

  --rank N               Rank of the job [default: the first of this server]
  --list                 Print every variable and exit code and what it means instead, as
                         Markdown

A table that is not complete is an error here unless --wait says how long to wait.
";

/// Of `rank-table`.
pub const TABLE: &str = "\
Check a rank table, show it, or print it as v1

Usage: fmtk-launch rank-table check FILE
       fmtk-launch rank-table show FILE
       fmtk-launch rank-table convert FILE

  check    Say all that is wrong with it; exits with 2 where something is
  show     List servers and ranks, and say which of them this server is
  convert  Print it as v1 (`version` 1.0), which the collective library reads

FILE may be a folder with a jobstart_hccl.json.
";
