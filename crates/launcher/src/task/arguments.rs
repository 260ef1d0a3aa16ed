//! The command line of `task`: the launch kit's parameters, and the flags of `run`.

use std::time::Duration;

use lexopt::{Arg, Parser};

use crate::options::{Given, Problem, RUN, RunOptions, typed};
use crate::storage::PERIOD;
use crate::units;

/// The help of `task`, and its parameters and flags.
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
  --model_name NAME      Accepted, without effect
  --device_type TYPE     Accepted, without effect

<task> is $MA_VJ_NAME with `ma-job` as `modelarts-job` [default: default_model_task],
<i> is the number of this node as `run` finds it, else $VC_TASK_INDEX, else
$VK_TASK_INDEX, else 0.

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

/// What the command line of `task` asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The launch kit's parameters among them, which are text and not checked yet.
    pub given: Given,
    /// The flags of `run`.
    pub options: RunOptions,
    /// Between two copies of the logs.
    pub sync_interval: Duration,
    /// How long the last copies of logs may take, and of everything after a stop from outside.
    pub sync_timeout: Duration,
    /// How long data, a model or the output may take to be copied.
    pub copy_timeout: Duration,
    /// Every failure exits with 1.
    pub legacy_exit_codes: bool,
    /// The vendor's scripts start the ranks; `None` asks the environment.
    pub by_scripts: Option<bool>,
    /// What nobody knows, as it was typed.
    pub ignored: Vec<String>,
}

/// Reads what follows `task`; `None` where that asks for help.
pub fn parse(mut parser: Parser) -> Result<Option<Request>, Problem> {
    let (mut given, mut ignored) = (Given::default(), Vec::new());
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Long("code-dir") => return Err(Problem("`--code-dir`: `task` has `--code_path`".to_owned())),
            Arg::Value(word) => ignored.push(word.to_string_lossy().into_owned()),
            flag => {
                let flag = typed(flag);
                if !given.take(&[TASK, RUN], &flag, &mut parser)? {
                    let value = parser.optional_value().map(|it| format!("={}", it.to_string_lossy()));
                    ignored.push(flag + &value.unwrap_or_default());
                }
            }
        }
    }
    Ok(Some(Request {
        options: RunOptions::read(&given)?,
        sync_interval: given.read("sync-interval", some_time)?.unwrap_or(PERIOD),
        sync_timeout: given.read("sync-timeout", some_time)?.unwrap_or(Duration::from_secs(60)),
        copy_timeout: given.read("copy-timeout", some_time)?.unwrap_or(Duration::from_secs(2 * 3600)),
        legacy_exit_codes: given.has("legacy-exit-codes"),
        by_scripts: given.read("ranks", is_scripts)?,
        given,
        ignored,
    }))
}

impl Request {
    /// A parameter of the launch kit, which may be empty.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.given.value(name).map(|it| it.to_string_lossy().into_owned())
    }
}

/// Who starts the ranks, from the value of the flag or the variable.
pub fn is_scripts(name: &str) -> Result<bool, String> {
    match name {
        "native" => Ok(false),
        "scripts" => Ok(true),
        _ => Err(format!("`{name}` is neither `native` nor `scripts`")),
    }
}

fn some_time(text: &str) -> Result<Duration, String> {
    let duration = units::duration(text)?;
    if duration.is_zero() { Err("0 leaves no time for anything".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Request {
        parse(Parser::from_args(line.split_whitespace())).unwrap().expect("no help is asked for")
    }

    #[test]
    fn both_forms_and_flags_of_run() {
        let line = "--task_type=finetune --code_path /a --grace 2s --code_path=/b --devices=0-3 --data_path=";
        let request = parsed(line);
        let values = ["task_type", "code_path", "data_path", "log_path"].map(|name| request.parameter(name));
        assert_eq!(values, [Some("finetune"), Some("/b"), Some(""), None].map(|it| it.map(str::to_owned)));
        assert_eq!((request.options.grace, request.options.devices), (Duration::from_secs(2), Some(vec![0, 1, 2, 3])));
        assert_eq!(request.ignored, [] as [&str; 0]);
    }

    #[test]
    fn what_nobody_knows_is_ignored() {
        let request = parsed("--backend=ascend --new_one x --task_type=infer -z word --legacy-exit-codes");
        assert_eq!(request.ignored, ["--backend=ascend", "--new_one", "x", "-z", "word"]);
        assert!(request.legacy_exit_codes && request.given.has("task_type"));
    }
}
