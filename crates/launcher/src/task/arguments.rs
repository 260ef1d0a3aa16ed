//! The command line of `task`: the launch kit's parameters, and the flags of `run`.

use std::time::Duration;

use lexopt::{Arg, Parser, ValueExt};

use crate::options::{self, Flag, Given, RunOptions, Wrong, flag, take, typed};
use crate::storage::PERIOD;
use crate::units;

/// The launch kit's parameters.
pub const PARAMETERS: &[Flag<Request>] = &[
    flag("task_type", "TYPE", "finetune, evaluate or infer", parameter),
    flag("code_path", "DIR", "Folder of the code: MODEL_TASK_CWD, in which ranks start", parameter),
    flag("boot_file_path", "FILE", "Python file to run; without a leading / in the code folder", parameter),
    flag("data_path", "DIR", "Data, here or in object storage", parameter),
    flag(
        "output_path",
        "DIR",
        "Output, here or in object storage; each server gets\n<task>/node_<i>/ in it",
        parameter,
    ),
    flag("pretrained_model_path", "DIR", "Model that finetune begins with", parameter),
    flag("ckpt_path", "DIR", "Checkpoint of evaluate and infer, which need it", parameter),
    flag("model_config_path", "FILE", "YAML file; copied to /cache/model_config.yaml", parameter),
    flag(
        "log_path",
        "DIR",
        "Where logs are copied, while ranks run and at the end:\n<task>/mxLaunchKit/node_<i>/ and <task>/mxTuningKit/",
        parameter,
    ),
    flag("use_sfs", "true|false", "true: no path is in object storage [default: false]", parameter),
    flag("device_num", "N", "Checked against the rank table; without one, the number of\ndevices", parameter),
    flag("model_name", "NAME", "Accepted, without effect", parameter),
    flag("device_type", "TYPE", "Accepted, without effect", parameter),
];

/// The flags that only `task` has.
pub const FLAGS: &[Flag<Request>] = &[
    flag("sync-interval", "DURATION", "Between two copies of logs [default: 30s]", |to, given| {
        given.read(some_time).map(|it| to.sync_interval = it)
    }),
    flag(
        "sync-timeout",
        "DURATION",
        "How long the last copies of logs may take, and all copies after\na stop from outside [default: 60s]",
        |to, given| given.read(some_time).map(|it| to.sync_timeout = it),
    ),
    flag("copy-timeout", "DURATION", "How long any other copy may take [default: 2h]", |to, given| {
        given.read(some_time).map(|it| to.copy_timeout = it)
    }),
    flag("legacy-exit-codes", "", "Exit with 1 for every failure, as the launch kit did", |to, _| {
        to.legacy_exit_codes = true;
        Ok(())
    }),
    flag(
        "ranks",
        "native|scripts",
        "Who starts the ranks: this launcher, or the vendor's\nrun_ascend910.py [default: $FMTK_LAUNCH_RANKS, native]",
        |to, given| given.read(Ranks::from_name).map(|it| to.ranks = Some(it)),
    ),
];

/// What the command line of `task` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The launch kit's parameters, not checked yet.
    pub parameters: Parameters,
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
    /// Who starts the ranks; `None` asks the environment.
    pub ranks: Option<Ranks>,
    /// What nobody knows, as it was typed.
    pub ignored: Vec<String>,
}

/// Who starts the ranks of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranks {
    /// The launcher.
    Native,
    /// The vendor's scripts.
    Scripts,
}

impl Ranks {
    /// From the value of the flag or the variable.
    pub fn from_name(name: &str) -> Result<Ranks, String> {
        match name {
            "native" => Ok(Ranks::Native),
            "scripts" => Ok(Ranks::Scripts),
            _ => Err(format!("`{name}` is neither `native` nor `scripts`")),
        }
    }
}

/// Parameters by their names; of one that was given twice the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    /// The value, which may be empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|it| it.0 == name).map(|it| it.1.as_str())
    }
}

/// Reads what follows `task`; `None` where that asks for help.
pub fn parse(mut parser: Parser) -> Result<Option<Request>, Wrong> {
    let mut request = Request {
        parameters: Parameters::default(),
        options: RunOptions::default(),
        sync_interval: PERIOD,
        sync_timeout: Duration::from_secs(60),
        copy_timeout: Duration::from_secs(2 * 3600),
        legacy_exit_codes: false,
        ranks: None,
        ignored: Vec::new(),
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(None),
            Arg::Long("code-dir") => return Err(Wrong("`--code-dir`: `task` has `--code_path`".to_owned())),
            Arg::Value(word) => request.ignored.push(word.to_string_lossy().into_owned()),
            flag => {
                let flag = typed(flag);
                let is_known = take(&[PARAMETERS, FLAGS], &flag, &mut parser, &mut request)?
                    || take(options::FLAGS, &flag, &mut parser, &mut request.options)?;
                if !is_known {
                    let value = parser.optional_value().map(|it| format!("={}", it.to_string_lossy()));
                    request.ignored.push(flag + &value.unwrap_or_default());
                }
            }
        }
    }
    options::consistent(&request.options)?;
    Ok(Some(request))
}

fn parameter(to: &mut Request, given: Given) -> Result<(), Wrong> {
    let Given { flag, value } = given;
    to.parameters.0.push((flag, value.string()?));
    Ok(())
}

fn some_time(text: &str) -> Result<Duration, String> {
    let duration = units::duration(text)?;
    if duration.is_zero() { Err("0 leaves no time for anything".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, Wrong> {
        Ok(parse(Parser::from_args(line.split_whitespace()))?.expect("no help is asked for"))
    }

    #[test]
    fn both_forms_and_flags_of_run() {
        let request =
            parsed("--task_type=finetune --code_path /a --grace 2s --code_path=/b --devices=0-3 --data_path=").unwrap();
        let value = |name| request.parameters.get(name);
        assert_eq!(
            (value("task_type"), value("code_path"), value("data_path")),
            (Some("finetune"), Some("/b"), Some(""))
        );
        assert_eq!(value("log_path"), None);
        assert_eq!((request.options.grace, request.options.devices), (Duration::from_secs(2), Some(vec![0, 1, 2, 3])));
        assert_eq!(request.ignored, [] as [&str; 0]);
    }

    #[test]
    fn what_nobody_knows_is_ignored() {
        let request = parsed("--backend=ascend --new_one x --task_type=infer -z word --legacy-exit-codes").unwrap();
        assert_eq!(request.ignored, ["--backend=ascend", "--new_one", "x", "-z", "word"]);
        assert!(request.legacy_exit_codes && request.parameters.get("task_type") == Some("infer"));
    }
}
