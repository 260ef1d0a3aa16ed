//! Every environment variable that the launcher has to do with, and every exit code, as the table that users read.

use std::fmt::Write;

use crate::exit;
use crate::job::environment::{self, Variable};

/// What `run`, `env` and `task` read; ranks find it as it is, unless it is set for them.
const READ: &[Variable] = &[
    Variable { name: "RANK_TABLE_FILE_V_1_0", about: "rank table, a file or its folder; comes first" },
    Variable { name: "RANK_TABLE_FILE", about: "the same; without both it is `/user/config/jobstart_hccl.json`" },
    Variable { name: "MA_CURRENT_INSTANCE_NAME", about: "`pod_name` of this server in a v0 table" },
    Variable { name: "MA_CURRENT_HOST_IP", about: "`server_id` of this server" },
    Variable {
        name: "VC_TASK_INDEX",
        about: "number of this server, from 0; a `task` with one that is no number is refused",
    },
    Variable { name: "VK_TASK_INDEX", about: "the same, where VC_TASK_INDEX is not set" },
    Variable { name: "VC_WORKER_NUM", about: "number of servers; of several each waits for a rank table" },
    Variable { name: "MA_NUM_HOSTS", about: "the same, where VC_WORKER_NUM is not set" },
    Variable { name: "MA_VJ_NAME", about: "name of the job; with it a rank table is waited for" },
    Variable { name: "BATCH_JOB_ID", about: "name of the job in files of logs; comes before MA_VJ_NAME" },
    Variable { name: "MA_MOUNT_PATH", about: "the platform's folder, with `log`, `rank_table` and `workspace` in it" },
    Variable { name: "TMPDIR", about: "for folders that can be made nowhere else" },
    Variable { name: "HOME", about: "whether it can be written to; by `task`: whether it is this user's own" },
    Variable { name: "PATH", about: "where programs are looked for" },
    Variable { name: "MODEL_TASK_CWD", about: "by `run`: the code folder, unless `--code-dir` names it" },
    Variable { name: "ASCEND_PROCESS_LOG_PATH", about: "folder above the ranks' own ones for CANN's logs" },
    Variable { name: "RANK_ID", about: "in a rank's own environment, what its folder for CANN's logs is called" },
    Variable { name: "HCCL_CONNECT_TIMEOUT", about: "kept where it is set" },
    Variable { name: "MASTER_ADDR", about: "kept where it is set" },
    Variable { name: "MASTER_PORT", about: "kept where it is set" },
    Variable { name: "NO_COLOR", about: "without colours on a terminal, too" },
    Variable { name: "TERM", about: "`dumb` does the same" },
];

/// What `task` reads besides.
const READ_BY_TASK: &[Variable] = &[
    Variable { name: "PYTHONUNBUFFERED", about: "kept where it is set" },
    Variable {
        name: "FMTK_LAUNCH_RANKS",
        about: "`native` or `scripts`: who starts the ranks, unless `--ranks` says it; the image has it from `launch.ranks` of the recipe",
    },
    Variable { name: "FMTK_SCRIPTS", about: "folder of the vendor's scripts, in place of `/home/ma-user/ascend910`" },
    Variable { name: "FMTK_CACHE", about: "folder for copies from and to object storage, in place of `/cache`" },
    Variable { name: "FMTK_STORAGE_HELPER", about: "program that copies, in place of the image's Python and MoXing" },
];

/// Who reads the variables of a list.
const READERS: [(&str, &[Variable]); 2] = [("", READ), ("by `task` alone: ", READ_BY_TASK)];

/// Who finds the variables of a list set.
const FINDERS: [(&str, &[Variable]); 2] = [("", environment::VARIABLES), ("of a `task` alone: ", environment::OF_TASK)];

/// What is said of a variable.
struct Row {
    name: &'static str,
    read: String,
    set: String,
}

/// The page: a table of variables, one of exit codes.
pub fn page() -> String {
    let mut page = String::from(
        "# Variables and exit codes of fmtk-launch\n\n\
         `fmtk-launch env --list` prints this page, which a test compares with the code; `fmtk-launch env` prints what a rank would get.\n\
         A variable that is empty counts as not set.\n\n\
         | variable | what the launcher reads in it | what its ranks find in it |\n|---|---|---|\n",
    );
    for Row { name, read, set } in rows() {
        // Writing to memory does not fail.
        let _ = writeln!(page, "| `{name}` | {read} | {set} |");
    }
    let of_scripts: Vec<String> = environment::OF_SCRIPTS.iter().map(|name| format!("`{name}`")).collect();
    let of_task = environment::OF_TASK.iter().map(|it| format!("`{}`", it.name));
    let of_scripts: Vec<String> = of_scripts.into_iter().chain(of_task).collect();
    let _ = write!(
        page,
        "\nThe vendor's scripts, where they start the ranks, find set {} alone: all others are theirs to set.\n\n\
         ## Exit codes\n\n| code | meaning |\n|---|---|\n",
        of_scripts.join(", ")
    );
    for (code, about) in exit::CODES {
        let _ = writeln!(page, "| {code} | {about} |");
    }
    page.push_str("\nWith `task --legacy-exit-codes` every failure is a 1, as it was with the launch kit.\n");
    page
}

/// A row for each variable, in the order in which they are declared.
fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for (who, variables) in READERS {
        for Variable { name, about } in variables {
            rows.push(Row { name, read: format!("{who}{about}"), set: String::new() });
        }
    }
    for (who, variables) in FINDERS {
        for Variable { name, about } in variables {
            let set = format!("{who}{about}");
            match rows.iter_mut().find(|it| it.name == *name) {
                Some(row) => row.set = set,
                None => rows.push(Row { name, read: String::new(), set }),
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Texts in capitals, in quotes, outside of tests and of this file.
    fn names_in(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names_in(&path, found);
            } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("variables.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
                let is_part = |it: char| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_';
                let texts = code.split('"').filter(|it| it.len() > 3 && it.chars().all(is_part));
                found.extend(texts.map(str::to_owned));
            }
        }
    }

    /// A variable that is used and not declared would be missing in the table, one that is declared alone would be a lie.
    #[test]
    fn what_is_used_is_declared_and_what_is_declared_is_used() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut used = BTreeSet::new();
        names_in(&own.join("src"), &mut used);
        names_in(&own.join("../rank-table/src"), &mut used);
        // Numbers, what CANN calls its errors, what cargo knows while it builds, what a parser says of itself.
        let ends_with_digit = |name: &str| name.ends_with(|it: char| it.is_ascii_digit());
        used.retain(|name| {
            name != "JSON" && !name.starts_with("CARGO_") && !(name.len() <= 6 && ends_with_digit(name))
        });
        let declared: BTreeSet<String> = rows().into_iter().map(|it| it.name.to_owned()).collect();
        assert_eq!(used, declared);
    }

    #[test]
    fn every_code_of_the_launcher_s_own_is_in_the_table() {
        use crate::exit::Exit;
        let own = [Exit::SUCCESS, Exit::FAILURE, Exit::USAGE, Exit::STALLED, Exit::LAUNCHER];
        for Exit(code) in own.into_iter().chain([Exit::NOT_EXECUTABLE, Exit::NOT_FOUND]) {
            assert!(exit::CODES.iter().any(|it| it.0 == code.to_string()), "{code}");
        }
    }
}
