//! What each node runs: the user's command, started by the launcher.

use std::path::Path;

use anyhow::anyhow;
use clap::ValueEnum;

use super::{Framework, JobArgs};
use crate::{
    options::device_list,
    resolve::{front, scripts},
    terminal::{report::WithHint, shell},
};

const LAUNCHER: &str = "fmtk-launch";

/// Flags of the launcher that have no value.
const SWITCHES: [&str; 2] = ["per-node", "dry-run"];

/// A program that starts the ranks of a node itself, with what it is to be told in its arguments.
struct Starter {
    program: &'static str,
    always: &'static [&'static str],
    on_several_nodes: &'static [&'static str],
}

/// As the recipes of docs/en/launcher.md have them.
const STARTERS: [Starter; 4] = [
    // It reads the launcher's variables.
    Starter { program: "torchrun", always: &[], on_several_nodes: &[] },
    Starter {
        program: "msrun",
        always: &["--worker_num={world_size}", "--local_worker_num={nproc_per_node}", "--join=True"],
        on_several_nodes: &["--node_rank={node_rank}", "--master_addr={master_addr}", "--master_port={master_port}"],
    },
    Starter {
        program: "accelerate",
        always: &["--num_processes={world_size}"],
        on_several_nodes: &[
            "--multi_gpu",
            "--num_machines={nnodes}",
            "--machine_rank={node_rank}",
            "--main_process_ip={master_addr}",
            "--main_process_port={master_port}",
        ],
    },
    Starter {
        program: "deepspeed",
        always: &[],
        on_several_nodes: &[
            "--no_ssh",
            "--hostfile=hosts",
            "--node_rank={node_rank}",
            "--master_addr={master_addr}",
            "--master_port={master_port}",
        ],
    },
];

/// The command of a node. One that is not the launcher is given to it. The ranks come `from_table` if it says which devices
/// there are.
///
/// # Errors
///
/// A framework for a command that takes none, or a number of this node for several.
pub fn of_node(args: &JobArgs, from_table: bool) -> anyhow::Result<Vec<String>> {
    let command = &args.command;
    let framework: Vec<String> = args.framework.iter().flat_map(|it| ["--framework".to_owned(), name(*it)]).collect();
    let program = command.first().map(|first| file_name(first)).unwrap_or_default();
    if let Some(Run { flags, .. }) = Run::read(command) {
        if let Some((_, number)) = flags.iter().find(|(flag, _)| *flag == "node-rank" && args.nodes > 1) {
            return Err(anyhow!("`--node-rank {number}` would give all {} nodes the same number", args.nodes))
                .hint("leave it out; each node runs the same command, and the launcher asks the cluster's variables")
                .input();
        }
        // Such a command says what its ranks meet by.
        let framework = if flags.contains(&("per-node", "")) { Vec::new() } else { framework };
        return Ok([&command[..2], &framework, &command[2..]].concat());
    }
    if program == LAUNCHER || command.iter().take(2).any(|word| is_task(word)) {
        return match framework.is_empty() {
            true => Ok(command.clone()),
            false => Err(anyhow!("`--framework` is for `{LAUNCHER} run`, not for `{}`", shell::line(command)))
                .hint("leave out `--framework`")
                .input(),
        };
    }
    let devices = || ["--devices".to_owned(), device_list(args.devices)];
    let flags = match (starter(program), from_table) {
        (Some(_), _) => [vec!["--per-node".to_owned()], devices().to_vec()].concat(),
        (None, true) => framework,
        (None, false) => [devices().to_vec(), framework].concat(),
    };
    Ok([[LAUNCHER, "run"].map(str::to_owned).to_vec(), flags, vec!["--".to_owned()], command.clone()].concat())
}

/// What people have to know about the command of a node in a job of so many nodes with so many devices each.
pub fn notes(command: &[String], nodes: u32, devices: u32) -> Vec<String> {
    let Some(Run { flags, started }) = Run::read(command) else { return Vec::new() };
    let mut notes = Vec::new();
    for (flag, value) in &flags {
        let job_has = match *flag {
            "devices" if count(value) != Some(devices) => format!("{devices} devices on each node"),
            "nnodes" if value.parse() != Ok(nodes) => format!("{nodes} nodes"),
            _ => continue,
        };
        notes.push(format!("the launcher is told `--{flag} {value}`, but the job has {job_has}: change one of them"));
    }
    let Some(program) = started.first() else { return notes };
    if started.len() == 1 && program.contains(char::is_whitespace) {
        notes.push(format!(
            "{} is a single word, and no shell splits it: write COMMAND after `--` without quotes around it",
            shell::word(program)
        ));
    }
    let starter = starter(file_name(program)).filter(|_| flags.contains(&("per-node", "")));
    if let Some(Starter { program, always, on_several_nodes }) = starter {
        let is_given = |argument: &str| started.iter().any(|word| option(word) == option(argument));
        let several = if nodes > 1 { *on_several_nodes } else { &[] };
        let missing: Vec<&str> = always.iter().chain(several).copied().filter(|it| !is_given(it)).collect();
        if !missing.is_empty() {
            notes.push(format!(
                "add arguments to `{program}`, as docs/en/launcher.md shows; the launcher fills in the words in braces: {}",
                missing.join(" ")
            ));
        }
    }
    notes
}

/// A call of `fmtk-launch run`.
struct Run<'a> {
    /// The launcher's flags without `--`, and their values; those of [`SWITCHES`] are empty.
    flags: Vec<(&'a str, &'a str)>,
    /// What it starts.
    started: &'a [String],
}

impl<'a> Run<'a> {
    /// `None` where the command is something else.
    fn read(command: &'a [String]) -> Option<Self> {
        let (program, words) = command.split_first()?;
        let (run, mut started) = words.split_first()?;
        if file_name(program) != LAUNCHER || run != "run" {
            return None;
        }
        let mut flags = Vec::new();
        while let Some((word, mut rest)) = started.split_first() {
            let Some(flag) = word.strip_prefix("--") else { break };
            match flag.split_once('=') {
                Some(flag) => flags.push(flag),
                None if flag.is_empty() => return Some(Self { flags, started: rest }),
                None if SWITCHES.contains(&flag) => flags.push((flag, "")),
                None => {
                    flags.push((flag, rest.first().map_or("", String::as_str)));
                    rest = rest.get(1..).unwrap_or_default();
                }
            }
            started = rest;
        }
        Some(Self { flags, started })
    }
}

fn starter(program: &str) -> Option<&'static Starter> {
    STARTERS.iter().find(|it| it.program == program)
}

/// The option that a word sets; that of accelerate may be written with `-` or `_`.
fn option(word: &str) -> String {
    word.split('=').next().unwrap_or_default().replace('-', "_")
}

/// How many devices such a list has; `None` where it is none.
fn count(list: &str) -> Option<u32> {
    let number = |text: &str| text.parse::<u32>().ok();
    let part = |part: &str| match part.split_once('-') {
        Some((first, last)) => number(last)?.checked_sub(number(first)?)?.checked_add(1),
        None => number(part).map(|_| 1),
    };
    list.split(',').try_fold(0, |sum: u32, each| sum.checked_add(part(each)?))
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

    /// A job whose command has the words of this line.
    fn args(nodes: u32, framework: Option<Framework>, command: &[&str]) -> JobArgs {
        JobArgs {
            image: None,
            nodes,
            devices: 8,
            kind: super::super::Kind::default(),
            framework,
            name: None,
            recipe: None,
            command: command.iter().map(|word| (*word).to_owned()).collect(),
        }
    }

    fn said(command: &str, framework: Option<Framework>, from_table: bool) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        of_node(&args(2, framework, &words), from_table).map_or_else(|error| report::render(&error), shell::line)
    }

    #[test]
    fn a_command_is_given_to_the_launcher_unless_it_is_the_launcher() {
        let torch = Some(Framework::Torch);
        let per_node = "fmtk-launch run --per-node --devices 0-7 --";
        for (command, framework, from_table, expected) in [
            ("python train.py", None, false, "fmtk-launch run --devices 0-7 -- python train.py"),
            ("python train.py", torch, false, "fmtk-launch run --devices 0-7 --framework torch -- python train.py"),
            ("python train.py", None, true, "fmtk-launch run -- python train.py"),
            ("python train.py", torch, true, "fmtk-launch run --framework torch -- python train.py"),
            // Without devices, the launcher of several nodes starts nothing; it takes no framework.
            ("torchrun train.py", None, false, &format!("{per_node} torchrun train.py")),
            ("torchrun train.py", torch, true, &format!("{per_node} torchrun train.py")),
            ("/opt/bin/msrun a.py", None, false, &format!("{per_node} /opt/bin/msrun a.py")),
            (
                "fmtk-launch run --devices 0,1 -- python a.py",
                None,
                false,
                "fmtk-launch run --devices 0,1 -- python a.py",
            ),
            ("fmtk-launch run -- python a.py", torch, true, "fmtk-launch run --framework torch -- python a.py"),
            ("fmtk-launch run --per-node a", torch, false, "fmtk-launch run --per-node a"),
            ("fmtk-launch run -- a --per-node", torch, false, "fmtk-launch run --framework torch -- a --per-node"),
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
        let one = JobArgs { devices: 1, ..args(1, None, &["a"]) };
        assert_eq!(shell::line(of_node(&one, false).unwrap()), "fmtk-launch run --devices 0 -- a");
    }

    #[test]
    fn one_number_for_several_nodes_is_refused() {
        let refused = "error: `--node-rank 1` would give all 2 nodes the same number\n\
            hint: leave it out; each node runs the same command, and the launcher asks the cluster's variables\n";
        for flags in ["--node-rank 1", "--node-rank=1", "--per-node --devices 0-7 --node-rank 1 --nnodes 2"] {
            assert_eq!(said(&format!("fmtk-launch run {flags} -- a"), None, false), refused);
        }
        // It is the command's own, or that of the only node.
        said_to_be_left("fmtk-launch run --devices 0-7 -- a --node-rank 1", 2);
        said_to_be_left("fmtk-launch run --devices 0-7 a --node-rank 1", 2);
        said_to_be_left("fmtk-launch run --nnodes 1 --node-rank 0 a", 1);
    }

    fn said_to_be_left(command: &str, nodes: u32) {
        let words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(shell::line(of_node(&args(nodes, None, &words), false).unwrap()), command);
    }

    /// The notes on a command of a job of so many nodes with eight devices each.
    fn noted(nodes: u32, command: &[&str]) -> Vec<String> {
        notes(&of_node(&args(nodes, None, command), false).unwrap(), nodes, 8)
    }

    #[test]
    fn what_a_starter_is_not_told_is_noted() {
        let told = |nodes: u32, command: &str| {
            let notes = noted(nodes, &command.split_whitespace().collect::<Vec<_>>());
            assert!(notes.len() < 2, "{notes:?}");
            notes.first().map(|note| note.split_once("braces: ").unwrap().1.to_owned()).unwrap_or_default()
        };
        let counts = "--worker_num={world_size} --local_worker_num={nproc_per_node}";
        let address = "--node_rank={node_rank} --master_addr={master_addr} --master_port={master_port}";
        assert_eq!(told(2, "msrun train.py"), format!("{counts} --join=True {address}"));
        assert_eq!(told(1, "msrun train.py"), format!("{counts} --join=True"));
        assert_eq!(told(2, &format!("msrun {counts} {address} train.py")), "--join=True");
        assert_eq!(told(2, "fmtk-launch run --per-node --devices 0-7 -- msrun --join True a.py").find("--join"), None);
        assert_eq!(told(2, "deepspeed train.py"), format!("--no_ssh --hostfile=hosts {address}"));
        assert_eq!(
            told(2, "accelerate launch --num-processes 16 --multi-gpu --machine_rank={node_rank} train.py"),
            "--num_machines={nnodes} --main_process_ip={master_addr} --main_process_port={master_port}"
        );
        for command in ["torchrun train.py", "python train.py", &format!("msrun --join=True {counts} {address} a.py")] {
            assert_eq!(told(2, command), "", "{command}");
        }
        assert_eq!(
            noted(1, &["accelerate", "launch", "a.py"]),
            [
                "add arguments to `accelerate`, as docs/en/launcher.md shows; the launcher fills in the words in braces: \
              --num_processes={world_size}"
            ]
        );
    }

    #[test]
    fn the_page_has_the_arguments_of_the_starters() {
        let page = include_str!("../../../../../docs/en/launcher.md");
        for Starter { program, always, on_several_nodes } in STARTERS {
            let (_, after) = page.split_once(&format!("-- {program}")).unwrap();
            let (recipe, _) = after.split_once(" train.py").unwrap();
            for argument in always.iter().chain(on_several_nodes) {
                assert!(recipe.contains(argument), "{program} {argument}");
            }
        }
    }

    #[test]
    fn what_is_likely_a_mistake_is_noted() {
        let note = |nodes: u32, command: &[&str]| noted(nodes, command).join("\n");
        let quoted = "'python train.py' is a single word, and no shell splits it: write COMMAND after `--` without quotes \
                      around it";
        assert_eq!(note(2, &["python train.py"]), quoted);
        assert_eq!(note(2, &["fmtk-launch", "run", "--devices=0-7", "python train.py"]), quoted);
        assert_eq!(
            note(2, &["fmtk-launch", "run", "--devices", "0-3", "--nnodes=3", "--", "a"]),
            "the launcher is told `--devices 0-3`, but the job has 8 devices on each node: change one of them\n\
             the launcher is told `--nnodes 3`, but the job has 2 nodes: change one of them"
        );
        for right in [
            &["python", "-c", "print(1, 2)"][..],
            &["bash", "train.sh", "--devices", "0-3"],
            &["fmtk-launch", "run", "--devices", "0-7", "--nnodes", "2", "--", "a", "--devices", "0-3"],
            &["fmtk-launch", "run", "--dry-run", "a", "--nnodes", "3"],
            &["fmtk-launch", "task", "--task_type=finetune"],
            &["fmtk-launch", "run"],
        ] {
            assert_eq!(note(2, right), "", "{right:?}");
        }
        let lists = ["0", "0-7", "4,6", "0-3,8-11", "", "3-0", "0-", "all", "0-4294967295"];
        assert_eq!(lists.map(count), [Some(1), Some(8), Some(2), Some(8), None, None, None, None, None]);
        assert_eq!([1, 2, 64].map(|devices| count(&device_list(devices))), [Some(1), Some(2), Some(64)]);
    }

    /// As the launcher's help has them: two blanks or none follow a flag without a value.
    #[test]
    fn the_switches_are_those_of_the_launcher() {
        let help = include_str!("../../../../launcher/src/options.rs");
        let flags = help.lines().filter_map(|line| line.strip_prefix("  --")).map(|line| line.split_once(' '));
        let switches: Vec<&str> =
            flags.flatten().filter(|(_, rest)| rest.starts_with(' ')).map(|(flag, _)| flag).collect();
        assert_eq!(switches, SWITCHES);
    }
}
