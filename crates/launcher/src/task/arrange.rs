//! Folders, the tuning kit's command line and the copies of a task.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::arguments::Request;
use super::check::{Task, Where};
use crate::exit::{Exit, Failure};
use crate::job::files;
use crate::job::paths::{self, OUTPUT, Surroundings};
use crate::job::{Lookup, variables};
use crate::links;
use crate::options::{RunOptions, TaskRanks};
use crate::storage::Copy;
use crate::storage::local::{self, COPY_FILES};
use crate::storage::transfers::Transfers;

/// What the command of a task is run with, and what is copied before and after it. Makes the folders, unless this is a dry
/// run.
pub fn arrange(request: Request, task: Task) -> Result<(RunOptions, Transfers), Failure> {
    let mut options = request.options;
    let around = Surroundings::real(options.dry_run);
    let (name, node) = (name(&variables::own), task.node);
    let mut arranged = Arranged { around: &around, fetch: Vec::new() };
    let data = arranged.folder("data_path", task.data, "fmtk_data")?;
    let model_name = task.model_name;
    let mirror = if model_name == "ckpt_path" { "fmtk_ckpt" } else { "fmtk_pretrained_model" };
    let model = task.model.map(|it| arranged.folder(model_name, it, mirror)).transpose()?;
    let config = task.config.map(|it| arranged.config(it)).transpose()?;
    let own = format!("{name}/node_{node}");
    let (output, save) = match task.output {
        Where::Here(path) => {
            let path = path.join(&own);
            if !options.dry_run {
                make(&path)?;
            }
            (path, None)
        }
        Where::Storage(url) => {
            let path = arranged.mirror(OUTPUT)?;
            let copy = Copy::new("output_path", "put", &path, format!("{url}/{own}"));
            (path, Some(copy))
        }
    };

    let by_scripts = task.scripts.is_some();
    options.task = Some(TaskRanks { node, by_scripts });
    let mut command: Vec<OsString> = task.scripts.unwrap_or_default();
    command.extend([task.tool, task.action, "--quiet"].map(OsString::from));
    let boot = Some(task.boot);
    for (flag, value) in [
        ("--boot_file_path", &boot),
        ("--data_path", &Some(data)),
        ("--output_path", &Some(output)),
        (&format!("--{model_name}"), &model),
        ("--model_config_path", &config),
    ] {
        if let Some(value) = value {
            command.extend([flag.into(), value.into()]);
        }
    }
    options.command = command;
    options.code_dir = Some(task.code);
    if let (Some(count), None, false) = (task.devices, &options.devices, task.has_table) {
        options.devices = Some((0..count).collect());
    }
    let logs = task.logs.map(|it| match it {
        Where::Here(path) => format!("{}/{name}", path.display()),
        Where::Storage(url) => format!("{url}/{name}"),
    });
    let helper = task.helper.unwrap_or_else(|| vec!["/proc/self/exe".into(), COPY_FILES.into()]);
    let transfers = Transfers {
        fetch: arranged.fetch,
        save,
        logs,
        node,
        devices: task.devices.filter(|_| task.has_table),
        helper,
        sync_interval: request.sync_interval,
        sync_timeout: request.sync_timeout,
        copy_timeout: request.copy_timeout,
    };
    Ok((options, transfers))
}

struct Arranged<'a> {
    around: &'a Surroundings<'a>,
    fetch: Vec<Copy>,
}

impl Arranged<'_> {
    /// Where an input is going to be.
    fn folder(&mut self, what: &'static str, source: Where, mirror: &str) -> Result<PathBuf, Failure> {
        match source {
            Where::Here(path) => Ok(path),
            Where::Storage(url) => {
                let path = self.mirror(mirror)?;
                self.fetch.push(Copy::new(what, "get-folder", &url, &path));
                Ok(path)
            }
        }
    }

    /// Where the configuration is going to be: always a copy, as the tuning kit refuses links and wide modes.
    fn config(&mut self, source: Where) -> Result<PathBuf, Failure> {
        let path = self.mirror("")?.join("model_config.yaml");
        match source {
            Where::Storage(url) => self.fetch.push(Copy::new("model_config_path", "get-file", &url, &path)),
            Where::Here(_) if self.around.dry => {}
            Where::Here(from) => File::open(&from).and_then(|it| local::copy(it, &path, 0o640)).map_err(|error| {
                let (from, to) = (from.display(), path.display());
                Failure::new(
                    Exit::LAUNCHER,
                    format!("failed to copy `model_config_path` from `{from}` to `{to}`: {error}"),
                )
            })?,
        }
        Ok(path)
    }

    fn mirror(&self, name: &str) -> Result<PathBuf, Failure> {
        paths::mirror(self.around, name).map(|it| it.0)
    }
}

/// What the task is called in folders of its output and logs.
fn name(lookup: Lookup) -> String {
    let name = lookup("MA_VJ_NAME");
    let name = name
        .map_or_else(|| "default_model_task".into(), |it| it.to_string_lossy().replacen("ma-job", "modelarts-job", 1));
    files::plain(&name)
}

/// Makes a folder as the tuning kit wants it.
fn make(path: &Path) -> Result<(), Failure> {
    links::make_folder(path, 0o750).map(drop).map_err(|error| {
        Failure::new(Exit::LAUNCHER, format!("failed to make the output folder `{}`: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let of = |value: Option<&'static str>| name(&|it| value.filter(|_| it == "MA_VJ_NAME").map(Into::into));
        assert_eq!(of(None), "default_model_task");
        assert_eq!(of(Some("ma-job-a.b/7")), "modelarts-job-a_b_7");
    }
}
