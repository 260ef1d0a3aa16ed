//! What each node runs: the user's command, started by the launcher.

use std::path::Path;

use anyhow::anyhow;
use clap::ValueEnum;

use super::Framework;
use crate::{
    resolve::{front, scripts},
    terminal::{report::WithHint, shell},
};

const LAUNCHER: &str = "fmtk-launch";

/// Programs that start the ranks of a node themselves.
const STARTERS: [&str; 4] = ["torchrun", "msrun", "accelerate", "deepspeed"];

/// The command of a node. One that is not the launcher is given to it.
///
/// # Errors
///
/// A framework for a command that takes none.
pub fn of_node(
    command: &[String],
    devices: u32,
    framework: Option<Framework>,
    from_table: bool,
) -> anyhow::Result<Vec<String>> {
    let framework: Vec<String> = framework.iter().flat_map(|it| ["--framework".to_owned(), name(*it)]).collect();
    let program = command.first().map(|first| file_name(first)).unwrap_or_default();
    let is_run = program == LAUNCHER && command.get(1).is_some_and(|word| word == "run");
    if is_run {
        return Ok([&command[..2], &framework, &command[2..]].concat());
    }
    if program == LAUNCHER || command.iter().take(2).any(|word| is_task(word)) {
        return match framework.is_empty() {
            true => Ok(command.to_vec()),
            false => Err(anyhow!("`--framework` is for `{LAUNCHER} run`, not for `{}`", shell::line(command)))
                .hint("leave out `--framework`")
                .input(),
        };
    }
    let mut node = [LAUNCHER, "run"].map(str::to_owned).to_vec();
    match (STARTERS.contains(&program), from_table) {
        (true, _) => node.push("--per-node".to_owned()),
        // The table says which devices there are.
        (false, true) => {}
        (false, false) => {
            let last = devices - 1;
            node.extend(["--devices".to_owned(), if last == 0 { "0".to_owned() } else { format!("0-{last}") }]);
        }
    }
    Ok([node, framework, vec!["--".to_owned()], command.to_vec()].concat())
}

/// As the flag has it.
fn name(framework: Framework) -> String {
    framework.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn file_name(word: &str) -> &str {
    Path::new(word).file_name().and_then(|name| name.to_str()).unwrap_or(word)
}

/// Whether it is the boot file of the launch kit, or one of the vendor's scripts that start ranks.
fn is_task(word: &str) -> bool {
    word == front::PATH || word == front::KEPT || Path::new(word).parent() == Some(Path::new(scripts::FOLDER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::report;

    fn said(command: &str, framework: Option<Framework>, from_table: bool) -> String {
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        of_node(&words, 8, framework, from_table).map_or_else(|error| report::render(&error), shell::line)
    }

    #[test]
    fn a_command_is_given_to_the_launcher_unless_it_is_the_launcher() {
        let torch = Some(Framework::Torch);
        for (command, framework, from_table, expected) in [
            ("python train.py", None, false, "fmtk-launch run --devices 0-7 -- python train.py"),
            ("python train.py", torch, false, "fmtk-launch run --devices 0-7 --framework torch -- python train.py"),
            ("python train.py", None, true, "fmtk-launch run -- python train.py"),
            (
                "torchrun --nproc_per_node 8 a.py",
                None,
                true,
                "fmtk-launch run --per-node -- torchrun --nproc_per_node 8 a.py",
            ),
            ("/opt/bin/msrun a.py", None, false, "fmtk-launch run --per-node -- /opt/bin/msrun a.py"),
            (
                "fmtk-launch run --devices 0,1 -- python a.py",
                None,
                false,
                "fmtk-launch run --devices 0,1 -- python a.py",
            ),
            ("fmtk-launch run -- python a.py", torch, true, "fmtk-launch run --framework torch -- python a.py"),
            (
                "/usr/local/bin/fmtk-launch run -- a",
                torch,
                false,
                "/usr/local/bin/fmtk-launch run --framework torch -- a",
            ),
            ("fmtk-launch task --task_type=finetune", None, false, "fmtk-launch task --task_type=finetune"),
        ] {
            assert_eq!(said(command, framework, from_table), expected);
        }
        // Those start ranks, or the launcher: eight of them would be eight jobs.
        for task in [
            "python /home/ma-user/mxLaunchKit/ma/launcher.py --task_type=finetune",
            "python /home/ma-user/ascend910/run_ascend910.py tk finetune",
        ] {
            assert_eq!(said(task, None, false), task);
            assert_eq!(
                said(task, torch, false),
                format!(
                    "error: `--framework` is for `fmtk-launch run`, not for `{task}`\nhint: leave out `--framework`\n"
                )
            );
        }
        let one = of_node(&["a".to_owned()], 1, None, false).unwrap();
        assert_eq!(shell::line(one), "fmtk-launch run --devices 0 -- a");
    }
}
