//! From parameters as they were typed to a task that can be run, or to all that is in its way.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::arguments::{Parameters, Request};
use super::rules::{self, Kind, on_path};
use super::scripts;
use crate::exit::{Exit, Failure};
use crate::job::Lookup;
use crate::printable;

/// What the tuning kit is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Train; begins with a pretrained model, if there is one.
    Finetune,
    /// Evaluate a checkpoint.
    Evaluate,
    /// Infer by a checkpoint.
    Infer,
}

impl Action {
    /// Its name as a parameter and as the tuning kit's subcommand.
    pub fn name(self) -> &'static str {
        match self {
            Action::Finetune => "finetune",
            Action::Evaluate => "evaluate",
            Action::Infer => "infer",
        }
    }

    /// The parameter that names its model.
    pub fn model(self) -> &'static str {
        if self == Action::Finetune { "pretrained_model_path" } else { "ckpt_path" }
    }
}

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// On this server, mounted file systems included.
    Here(PathBuf),
    /// In object storage.
    Storage(String),
}

/// A task that can be run.
#[derive(Debug)]
pub struct Task {
    pub action: Action,
    pub code: PathBuf,
    pub boot: PathBuf,
    pub data: Where,
    pub model: Option<Where>,
    pub output: Where,
    pub config: Option<Where>,
    pub logs: Option<Where>,
    /// Number of this server, from 0.
    pub node: u32,
    /// Devices of this server, or of the job.
    pub devices: Option<u32>,
    /// `tk`, or `mindpet`.
    pub tool: &'static str,
    /// What copies; `None` where nothing is in object storage.
    pub helper: Option<Vec<OsString>>,
    /// The vendor's scripts with their Python, where they start the ranks.
    pub scripts: Option<Vec<OsString>>,
}

/// Replaces Python and MoXing: a program that speaks the same lines.
const HELPER: &str = "FMTK_STORAGE_HELPER";

/// Checks everything; gives the task and what the user should know.
///
/// # Errors
///
/// All faults at once, each with its parameter's name.
pub fn check(request: &Request, lookup: Lookup) -> Result<(Task, Vec<String>), Failure> {
    let mut check = Check { parameters: &request.parameters, faults: Vec::new(), notes: Vec::new(), is_sfs: false };
    check.is_sfs = check.flag("use_sfs");
    let action = check.action();
    let config = check.optional("model_config_path", Kind::Config);
    let code = check.code();
    let boot = check.boot(code.as_deref());
    let data = check.required("data_path");
    let output = check.output();
    let model = action.and_then(|it| check.model(it));
    let logs = check.logs();
    let node = check.node(lookup);
    let devices = check.devices(request.options.devices.as_ref().map(Vec::len));
    let tool = ["tk", "mindpet"].into_iter().find(|it| on_path(it, lookup).is_some());
    if tool.is_none() {
        check
            .faults
            .push("neither `tk` nor `mindpet` is on PATH: install the tuning kit, or `mindpet` from PyPI".into());
    }
    let stored = [&config, &data, &output, &model, &logs].into_iter().flatten();
    let stored = stored.filter(|it| matches!(it, Where::Storage(_))).count();
    let helper = (stored > 0).then(|| helper(lookup)).flatten();
    if stored > 0 && helper.is_none() {
        let why = "object storage needs MoXing, and neither `python3` nor `python` is on PATH";
        check.faults.push(format!("{why}: add the folder of the image's Python to PATH"));
    }
    let scripts = scripts::wanted(request, lookup, &mut check.faults, &mut check.notes);
    check.loops(&output, [("data_path", &data), (action.map_or("", Action::model), &model)]);
    let Check { faults, notes, .. } = check;
    match (action, code, boot, data, output, node, tool) {
        (Some(action), Some(code), Some(boot), Some(data), Some(output), Some(node), Some(tool))
            if faults.is_empty() =>
        {
            let task =
                Task { action, code, boot, data, model, output, config, logs, node, devices, tool, helper, scripts };
            Ok((task, notes))
        }
        _ => {
            let faults: Vec<String> = faults.iter().map(|it| printable::line(it)).collect();
            let text = format!(
                "this task can't be run:\n  {}\nhint: `fmtk-launch task --help` lists the parameters",
                faults.join("\n  ")
            );
            Err(Failure { exit: Exit::USAGE, text })
        }
    }
}

struct Check<'a> {
    parameters: &'a Parameters,
    faults: Vec<String>,
    notes: Vec<String>,
    is_sfs: bool,
}

impl Check<'_> {
    /// A value that is not empty: templates have empty ones for what is not used.
    fn value(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).filter(|it| !it.is_empty())
    }

    /// The same of what must be there.
    fn demanded(&mut self, name: &str, about: &str) -> Option<String> {
        let value = self.value(name).map(str::to_owned);
        if value.is_none() {
            let what = if self.parameters.get(name).is_some() { "is empty" } else { "is missing" };
            self.faults.push(format!("`{name}` {what}: give {about} as `--{name}=…`"));
        }
        value
    }

    fn fault(&mut self, name: &str, value: &str, why: &str) {
        self.faults.push(format!("`{name}`: `{value}` {why}"));
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.value(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => {
                let other = other.to_owned();
                self.fault(name, &other, "is neither `true` nor `false`");
                false
            }
        }
    }

    fn action(&mut self) -> Option<Action> {
        let value = self.demanded("task_type", "`finetune`, `evaluate` or `infer`")?;
        let found = [Action::Finetune, Action::Evaluate, Action::Infer].into_iter().find(|it| it.name() == value);
        if found.is_none() {
            self.fault("task_type", &value, "is not `finetune`, `evaluate` or `infer`");
        }
        found
    }

    /// What was found out about a value; a fault of it is noted.
    fn judged<T>(&mut self, name: &str, value: &str, judged: Result<T, String>) -> Option<T> {
        judged.map_err(|why| self.fault(name, value, &why)).ok()
    }

    /// A path in object storage, or what is wrong with it; `None` where it is none.
    fn stored(&self, value: &str) -> Option<Result<Where, String>> {
        let (_, rest) = value.split_once("://").filter(|(scheme, _)| ["obs", "s3"].contains(scheme))?;
        let why = if self.is_sfs {
            "is in object storage, but `use_sfs` is true: give a path of the file system, or `--use_sfs=false`"
        } else if rest.starts_with('/') || rest.is_empty() {
            "has no bucket: write `obs://bucket/folder`"
        } else if rest.contains(char::is_control) {
            "has control characters in it"
        } else {
            return Some(Ok(Where::Storage(value.trim_end_matches('/').to_owned())));
        };
        Some(Err(why.to_owned()))
    }

    /// An input that is here, or in object storage.
    fn input(&mut self, name: &str, value: &str, kind: Kind) -> Option<Where> {
        let judged = self.stored(value).unwrap_or_else(|| rules::existing(value, kind).map(Where::Here));
        let found = self.judged(name, value, judged)?;
        // A configuration is copied, so that its mode is ours.
        if let (Kind::Folder, Where::Here(path)) = (kind, &found)
            && let Some(risk) = rules::risk(path)
        {
            self.notes.push(format!("`{name}`: `{value}` {risk}"));
        }
        Some(found)
    }

    fn required(&mut self, name: &str) -> Option<Where> {
        let value = self.demanded(name, "its folder")?;
        self.input(name, &value, Kind::Folder)
    }

    fn optional(&mut self, name: &str, kind: Kind) -> Option<Where> {
        let value = self.value(name)?.to_owned();
        self.input(name, &value, kind)
    }

    fn code(&mut self) -> Option<PathBuf> {
        const NAME: &str = "code_path";
        let value = self.demanded(NAME, "the folder of the training code")?;
        let listed = |path: PathBuf| match fs::read_dir(&path).map(|mut it| it.next().is_none()) {
            Ok(false) => Ok(path),
            Ok(true) => Err("is an empty folder: was the code put into it?".to_owned()),
            Err(error) => Err(format!("can't be listed: {error}")),
        };
        let judged = match value.contains("://") {
            true => Err("is not on this server: the platform downloads code, name the folder".to_owned()),
            false => rules::existing(&value, Kind::Folder).and_then(listed),
        };
        self.judged(NAME, &value, judged)
    }

    /// The boot file; what is not an absolute path is below the code folder.
    fn boot(&mut self, code: Option<&Path>) -> Option<PathBuf> {
        const NAME: &str = "boot_file_path";
        let value = self.demanded(NAME, "the script that trains")?;
        let full = match code {
            _ if value.starts_with('/') => value,
            Some(code) => format!("{}/{value}", code.display()),
            // Below a code folder that has a fault of its own: there is nothing to look for.
            None => return None,
        };
        let judged = rules::existing(&full, Kind::Boot).and_then(|path| rules::risk(&path).map_or(Ok(path), Err));
        let path = self.judged(NAME, &full, judged)?;
        if code.is_some_and(|it| !path.starts_with(it)) {
            self.notes.push(format!("`{NAME}`: `{full}` is not below the code path"));
        }
        Some(path)
    }

    fn model(&mut self, action: Action) -> Option<Where> {
        let other = if action == Action::Finetune { "ckpt_path" } else { "pretrained_model_path" };
        if self.value(other).is_some() {
            self.notes.push(format!("`{other}` is ignored: `{}` has no use for it", action.name()));
        }
        match action {
            Action::Finetune => self.optional(action.model(), Kind::Folder),
            Action::Evaluate | Action::Infer => self.required(action.model()),
        }
    }

    fn output(&mut self) -> Option<Where> {
        let value = self.demanded("output_path", "the folder for the output")?;
        self.writable("output_path", &value, true)
    }

    fn logs(&mut self) -> Option<Where> {
        let value = self.value("log_path")?.to_owned();
        self.writable("log_path", &value, false)
    }

    /// A place that can be written to, here or in object storage.
    fn writable(&mut self, name: &str, value: &str, is_of_tool: bool) -> Option<Where> {
        let judged = self.stored(value).unwrap_or_else(|| rules::writable(value, is_of_tool).map(Where::Here));
        self.judged(name, value, judged)
    }

    /// The number of this server; 0 where nobody says one. One that can't be read might be any: servers that all took
    /// themselves for the first would write over each other's output.
    fn node(&mut self, lookup: Lookup) -> Option<u32> {
        let set = |name: &'static str| lookup(name).map(|value| (name, value));
        let Some((name, value)) = ["VC_TASK_INDEX", "VK_TASK_INDEX"].into_iter().find_map(set) else {
            return Some(0);
        };
        let number = value.to_str().and_then(|it| it.trim().parse().ok());
        if number.is_none() {
            self.fault(name, &value.to_string_lossy(), "is not the number of a server: 0, or a whole number above it");
        }
        number
    }

    fn devices(&mut self, named: Option<usize>) -> Option<u32> {
        const NAME: &str = "device_num";
        let value = self.value(NAME)?.to_owned();
        let Some(count) = value.parse::<u32>().ok().filter(|it| (1..=65_536).contains(it)) else {
            self.fault(NAME, &value, "is no number of devices");
            return None;
        };
        if let Some(named) = named.filter(|it| *it as u64 != u64::from(count)) {
            self.fault(NAME, &value, &format!("is not the {named} of `--devices`: leave one of them out"));
        }
        Some(count)
    }

    /// The tuning kit refuses an output that would become input.
    fn loops(&mut self, output: &Option<Where>, inputs: [(&str, &Option<Where>); 2]) {
        let Some(Where::Here(output)) = output else { return };
        for (name, input) in inputs {
            if let Some(Where::Here(input)) = input
                && output.starts_with(input)
            {
                let why = format!("is in the folder of `{name}`, which the tuning kit refuses: put it elsewhere");
                self.fault("output_path", &output.display().to_string(), &why);
            }
        }
    }
}

/// What copies from and to object storage: its program with its arguments.
fn helper(lookup: Lookup) -> Option<Vec<OsString>> {
    if let Some(own) = lookup(HELPER) {
        return Some(vec![own]);
    }
    let python = ["python3", "python"].into_iter().find_map(|it| on_path(it, lookup))?;
    Some(vec![python.into(), "-c".into(), include_str!("storage.py").into()])
}
