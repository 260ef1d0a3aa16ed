//! The built program, as tests run it.

use std::{path::Path, process::Command};

/// The program in a folder of its own: store, logins and recipe are what is there, whatever this machine has.
pub fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments).current_dir(folder).env("FMTK_STORE", folder.join("store"));
    command.env("CARGO_MANIFEST_DIR", folder.join("xtask")).env("DOCKER_CONFIG", folder).env("NO_PROXY", "*");
    for name in ["timestamp", "org_name", "DOCKER_BUILD_PATH", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command
}

/// Its exit code, stdout and stderr.
pub fn run(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}
