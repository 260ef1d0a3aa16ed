//! From parameters as they were typed to a task that can be run, or to all that is in its way.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::arguments::Request;
use super::rules::{self, Kind};
use super::scripts;
use crate::exit::{Exit, Failure};
use crate::job::nodes::{self, Claims};
use crate::job::programs::on_path;
use crate::job::{self, Lookup, Source};
use crate::printable;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// On this server, mounted file systems included.
    Here(PathBuf),
    /// In object storage.
    Storage(String),
}

#[derive(Debug)]
pub struct Task {
    /// The tuning kit's subcommand.
    pub action: &'static str,
    pub code: PathBuf,
    pub boot: PathBuf,
    pub data: Where,
    /// The parameter that names the model of this action, and the model.
    pub model_name: &'static str,
    pub model: Option<Where>,
    pub output: Where,
    pub config: Option<Where>,
    pub logs: Option<Where>,
    /// Number of this server, from 0.
    pub node: u32,
    /// Whether a rank table tells the ranks of the launcher.
    pub has_table: bool,
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

/// Checks everything; gives the task and what the user should know. `tasks` are those of [`nodes::claims`].
///
/// # Errors
///
/// All problems at once, each with its parameter's name.
pub fn check(request: &Request, lookup: Lookup, tasks: &[String]) -> Result<(Task, Vec<String>), Failure> {
    let mut check = Check { request, problems: Vec::new(), notes: Vec::new(), is_sfs: false };
    let is_sfs = check.value("use_sfs").map(|it| it.to_ascii_lowercase());
    check.is_sfs = check.one_of("use_sfs", is_sfs, &["true", "false"], "neither `true` nor `false`") == Some("true");
    let action = check.demanded("task_type", "`finetune`, `evaluate` or `infer`");
    let actions = ["finetune", "evaluate", "infer"];
    let action = check.one_of("task_type", action, &actions, "not `finetune`, `evaluate` or `infer`");
    let config = check.value("model_config_path");
    let config = check.input("model_config_path", config, Kind::Config);
    let code = check.code();
    let boot = check.boot(code.as_deref());
    let data = check.demanded("data_path", "its folder");
    let data = check.input("data_path", data, Kind::Folder);
    let output = check.demanded("output_path", "the folder for the output");
    let output = check.writable("output_path", output, true);
    let (model_name, other) = match action {
        Some("finetune") | None => ("pretrained_model_path", "ckpt_path"),
        Some(_) => ("ckpt_path", "pretrained_model_path"),
    };
    let model = match action {
        Some("finetune") => check.value(model_name),
        Some(_) => check.demanded(model_name, "its folder"),
        None => None,
    };
    if let Some(action) = action.filter(|_| check.value(other).is_some()) {
        check.notes.push(format!("`{other}` is ignored: `{action}` has no use for it"));
    }
    let model = check.input(model_name, model, Kind::Folder);
    let logs = check.value("log_path");
    let logs = check.writable("log_path", logs, false);
    let devices = check.devices(request.options.devices.as_ref().map(Vec::len));
    let tool = ["tk", "mindpet"].into_iter().find(|it| on_path(it, lookup).is_some());
    if tool.is_none() {
        check
            .problems
            .push("neither `tk` nor `mindpet` is on PATH: install the tuning kit, or `mindpet` from PyPI".into());
    }
    let all = [&config, &data, &output, &model, &logs];
    let is_stored = all.into_iter().flatten().any(|it| matches!(it, Where::Storage(_)));
    let helper = is_stored.then(|| helper(lookup)).flatten();
    if is_stored && helper.is_none() {
        let why = "object storage needs MoXing, and neither `python3` nor `python` is on PATH";
        check.problems.push(format!("{why}: add the folder of the image's Python to PATH"));
    }
    let scripts = scripts::wanted(request, lookup, &mut check.problems, &mut check.notes);
    // The scripts have a table in any case, and do not let themselves be told what is in it.
    let claims = nodes::claims(&request.options.nodes, lookup, tasks);
    let source = job::source(&request.options, claims.are_several(), lookup);
    let has_table = scripts.is_none() && matches!(source, Source::Table(_));
    let node = check.node(&claims, has_table, lookup);
    check.loops(&output, [("data_path", &data), (model_name, &model)]);
    let Check { problems, notes, .. } = check;
    if problems.is_empty()
        && let (Some(action), Some(code), Some(boot), Some(data)) = (action, code, boot, data)
        && let (Some(output), Some(node), Some(tool)) = (output, node, tool)
    {
        let task = Task {
            action,
            code,
            boot,
            data,
            model_name,
            model,
            output,
            config,
            logs,
            node,
            has_table,
            devices,
            tool,
            helper,
            scripts,
        };
        return Ok((task, notes));
    }
    let problems: Vec<String> = problems.iter().map(|it| printable::line(it)).collect();
    let text = format!(
        "this task can't be run:\n  {}\nhint: `fmtk-launch task --help` lists the parameters",
        problems.join("\n  ")
    );
    Err(Failure::new(Exit::USAGE, text))
}

struct Check<'a> {
    request: &'a Request,
    problems: Vec<String>,
    notes: Vec<String>,
    is_sfs: bool,
}

impl Check<'_> {
    /// A value that is not empty: templates have empty ones for what is not used.
    fn value(&self, name: &str) -> Option<String> {
        self.request.parameter(name).filter(|it| !it.is_empty())
    }

    /// The same of what must be there.
    fn demanded(&mut self, name: &str, about: &str) -> Option<String> {
        let value = self.value(name);
        if value.is_none() {
            let what = if self.request.given.has(name) { "is empty" } else { "is missing" };
            self.problems.push(format!("`{name}` {what}: give {about} as `--{name}=…`"));
        }
        value
    }

    fn fault(&mut self, name: &str, value: &str, why: &str) {
        self.problems.push(format!("`{name}`: `{value}` {why}"));
    }

    /// What was found out about a value; a fault of it is noted.
    fn judged<T>(&mut self, name: &str, value: &str, judged: Result<T, String>) -> Option<T> {
        judged.map_err(|why| self.fault(name, value, &why)).ok()
    }

    fn one_of(
        &mut self,
        name: &str,
        value: Option<String>,
        names: &[&'static str],
        otherwise: &str,
    ) -> Option<&'static str> {
        let value = value?;
        let found = names.iter().copied().find(|it| *it == value);
        self.judged(name, &value, found.ok_or_else(|| format!("is {otherwise}")))
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
    fn input(&mut self, name: &str, value: Option<String>, kind: Kind) -> Option<Where> {
        let value = value?;
        let judged = self.stored(&value).unwrap_or_else(|| rules::existing(&value, kind).map(Where::Here));
        let found = self.judged(name, &value, judged)?;
        // A configuration is copied, so that its mode is ours.
        if let (Kind::Folder, Where::Here(path)) = (kind, &found)
            && let Some(risk) = rules::risk(path)
        {
            self.notes.push(format!("`{name}`: `{value}` {risk}"));
        }
        Some(found)
    }

    /// A folder that can be written to, here or in object storage.
    fn writable(&mut self, name: &str, value: Option<String>, is_of_tool: bool) -> Option<Where> {
        let value = value?;
        let judged = self.stored(&value).unwrap_or_else(|| rules::writable(&value, is_of_tool).map(Where::Here));
        self.judged(name, &value, judged)
    }

    fn code(&mut self) -> Option<PathBuf> {
        let value = self.demanded("code_path", "the folder of the training code")?;
        let listed = |path: PathBuf| match fs::read_dir(&path).map(|mut it| it.next().is_none()) {
            Ok(false) => Ok(path),
            Ok(true) => Err("is an empty folder: was the code put into it?".to_owned()),
            Err(error) => Err(format!("can't be listed: {error}")),
        };
        let judged = match value.contains("://") {
            true => Err("is not on this server: the platform downloads code, name the folder".to_owned()),
            false => rules::existing(&value, Kind::Folder).and_then(listed),
        };
        self.judged("code_path", &value, judged)
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

    /// The number of this server, as `run` has it; else that of Volcano, and 0 where nobody says one. One that can't be read
    /// might be any: servers that all took themselves for the first would write over each other's output. What a rank table
    /// tells is not known yet: with one, contradictions are judged when it is read.
    fn node(&mut self, claims: &Claims, has_table: bool, lookup: Lookup) -> Option<u32> {
        let of_volcano = self.index_of_volcano(lookup)?;
        match claims.nodes() {
            Ok((Some(nodes), _)) => Some(nodes.index),
            Err(failure) if !has_table => {
                self.problems.extend(failure.text.replace("\nhint: ", ": ").lines().map(str::to_owned));
                None
            }
            Ok((None, _)) | Err(_) => Some(of_volcano),
        }
    }

    fn index_of_volcano(&mut self, lookup: Lookup) -> Option<u32> {
        let set = |name: &'static str| lookup(name).map(|value| (name, value));
        let Some((name, value)) = ["VC_TASK_INDEX", "VK_TASK_INDEX"].into_iter().find_map(set) else {
            return Some(0);
        };
        let number = value.to_str().and_then(|it| it.trim().parse().ok());
        let why = || "is not the number of a server: 0, or a whole number above it".to_owned();
        self.judged(name, &value.to_string_lossy(), number.ok_or_else(why))
    }

    fn devices(&mut self, named: Option<usize>) -> Option<u32> {
        const NAME: &str = "device_num";
        let value = self.value(NAME)?;
        let Some(count) = value.parse::<u32>().ok().filter(|it| (1..=65_536).contains(it)) else {
            self.fault(NAME, &value, "is not a number of devices");
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
