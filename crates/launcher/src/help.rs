//! The texts of `--help`.

use crate::options::{self, Flag};
use crate::task::arguments;

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
pub fn run() -> String {
    let [ranks, life, output, others] = [0, 1, 2, 3].map(|group| rows(options::FLAGS[group]));
    format!(
        "\
Start COMMAND once for each device of this server and watch over it

Usage: fmtk-launch run [FLAGS] [--] COMMAND [ARGUMENT]...

Which ranks:
{ranks}\
Without a table, and where nothing says that there should be one, one rank.

Life and death:
{life}
Folders and output:
{output}
{others}
Durations are written 90, 90s, 1m30s or 2h, sizes 512MiB or 1GiB.

Exit codes: that of the rank that failed first, or 128 + the signal that ended it;
128 + the signal that the launcher was stopped with; 2 wrong usage or rank table,
124 stalled, 125 failure of the launcher or no rank table in time, 126 COMMAND can't
be executed, 127 COMMAND was not found
"
    )
}

/// Of `task`.
pub fn task() -> String {
    let (parameters, flags) = (rows(arguments::PARAMETERS), rows(arguments::FLAGS));
    format!(
        "\
Run the tuning kit on each device of this server, by the launch kit's parameters

Usage: fmtk-launch task --task_type=TYPE --code_path=DIR --boot_file_path=FILE
                        --data_path=DIR --output_path=DIR [PARAMETERS] [FLAGS OF run]

Parameters (--name=value or --name value; unknown ones are ignored):
{parameters}
<task> is $MA_VJ_NAME with `ma-job` as `modelarts-job` [default: default_model_task],
<i> is $VC_TASK_INDEX, else $VK_TASK_INDEX, else 0.

Paths that begin with obs:// or s3:// are in object storage: what is needed is copied
to /cache/fmtk_data and its like before the ranks start, the output when they have
ended, by the MoXing of the image's Python. Other paths need neither. $FMTK_CACHE
takes the place of /cache, and the program $FMTK_STORAGE_HELPER that of MoXing.

Flags, besides those of `fmtk-launch run --help` (but --code-dir):
{flags}
With scripts, they find the rank table and name the ranks themselves, so that
--rank-table, --wait, --devices, --bind, --stall and --console RANKS are refused; their
exit code is this one's. $FMTK_SCRIPTS takes the place of /home/ma-user/ascend910.

The tuning kit is `tk`, else `mindpet`, on PATH. Exit codes are those of `run`; 125 also
where data can't be copied in, or the output can't be copied out.
"
    )
}

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

/// The rows of flags, each with a line's end.
fn rows<T>(flags: &[Flag<T>]) -> String {
    /// Where what a flag does begins.
    const COLUMN: usize = 25;
    let mut rows = String::new();
    for flag in flags {
        let mut begin = format!("  --{} {}", flag.name, flag.value).trim_end().to_owned();
        if begin.len() >= COLUMN {
            rows += &(begin + "\n");
            begin = String::new();
        }
        for line in flag.about.lines() {
            rows += &format!("{begin:COLUMN$}{line}\n");
            begin.clear();
        }
    }
    rows
}
