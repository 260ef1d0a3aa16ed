//! Commands that start ranks themselves: each rank would start all of them once more.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::{Job, Processes, python};
use crate::exit::{Exit, Failure};

/// Programs that do nothing else.
const PROGRAMS: [&str; 3] = ["torchrun", "msrun", "deepspeed"];

/// The same as modules of Python.
const MODULES: [&str; 4] =
    ["torch.distributed.run", "torch.distributed.launch", "accelerate.commands.launch", "deepspeed.launcher.runner"];

/// # Errors
///
/// With exit code 2 if each of several ranks would be such a command. A single rank may be one, on its only node.
pub fn check(command: &[OsString], job: &Job) -> Result<(), Failure> {
    if job.processes != Processes::Ranks || job.size == 1 {
        return Ok(());
    }
    let Some(name) = launcher(command) else { return Ok(()) };
    let text = format!("`{name}` starts ranks itself, and would be started for each of {} ranks", job.size);
    Err(Failure::new(Exit::USAGE, format!("{text}\nhint: `fmtk-launch run --per-node` starts it once on each node")))
}

/// What people call it.
fn launcher(command: &[OsString]) -> Option<String> {
    let (program, arguments) = command.split_first()?;
    let name = Path::new(program).file_name().and_then(OsStr::to_str)?;
    if PROGRAMS.contains(&name) {
        return Some(name.to_owned());
    }
    if name == "accelerate" {
        return arguments.first().filter(|it| *it == "launch").map(|_| "accelerate launch".to_owned());
    }
    // Flags of Python end with the script or the module.
    let flags = arguments.iter().take_while(|it| it.to_str().is_some_and(|it| it.starts_with('-'))).count();
    let has_module = python::is_python(program) && flags > 0 && arguments[flags - 1] == "-m";
    let module = arguments.get(flags).filter(|_| has_module)?.to_str()?;
    MODULES.contains(&module).then(|| format!("{name} -m {module}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::nodes::Nodes;

    fn refused(command: &str, job: &Job) -> Option<String> {
        let command: Vec<OsString> = command.split_whitespace().map(Into::into).collect();
        check(&command, job).err().map(|failure| {
            assert!(failure.exit == Exit::USAGE && failure.text.contains("\nhint: `fmtk-launch run --per-node`"));
            failure.text.split('`').nth(1).unwrap_or_default().to_owned()
        })
    }

    #[test]
    fn what_starts_ranks_is_not_started_for_each_of_them() {
        let job = Job::of_devices(&[0, 1], Nodes::alone(), &|_| None);
        for (command, name) in [
            ("torchrun --nproc_per_node 8 train.py", Some("torchrun")),
            ("/opt/bin/msrun train.py", Some("msrun")),
            ("deepspeed train.py", Some("deepspeed")),
            ("accelerate launch train.py", Some("accelerate launch")),
            ("accelerate test", None),
            ("python3 -u -m torch.distributed.run train.py", Some("python3 -m torch.distributed.run")),
            ("python -m accelerate.commands.launch train.py", Some("python -m accelerate.commands.launch")),
            ("python -m train", None),
            ("python train.py -m torch.distributed.run", None),
            ("python torchrun", None),
            ("python", None),
            ("", None),
        ] {
            assert_eq!(refused(command, &job).as_deref(), name, "{command}");
        }
    }

    #[test]
    fn one_for_a_node_or_a_single_rank_is_allowed() {
        let nodes = |count| Nodes { count, ..Nodes::alone() };
        for (job, is_refused) in [
            (Job::of_devices(&[0], nodes(1), &|_| None), false),
            (Job::of_devices(&[0], nodes(2), &|_| None), true),
            (Job::of_devices(&[0, 1], nodes(1), &|_| None), true),
            (Job::per_node(&[0, 1], nodes(2), &|_| None), false),
            (Job::of_scripts(1, &|_| None), false),
        ] {
            assert_eq!(refused("torchrun train.py", &job).is_some(), is_refused, "{job:?}");
        }
    }
}
